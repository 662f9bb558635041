//! PHP for AWS Lambda.
pub mod event;
pub mod cgi;
pub mod config;
pub mod fastcgi;
pub mod log;
