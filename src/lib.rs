//! PHP for AWS Lambda.
pub mod event;
pub mod cgi;
pub mod config;
pub mod failure;
pub mod fastcgi;
pub mod fpm;
pub mod invocation;
pub mod log;
pub mod runtime;
pub mod runtime_api;
pub mod slot;
