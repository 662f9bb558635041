//! Processes that this one has started: waited for, stopped with everything that they started in turn, and read.
//!
//! php-fpm's workers and the console's commands are both ended by what is here.

pub mod environment;
pub mod family;
pub mod lines;
pub mod pidfd;
pub mod pipe;
pub mod program;
pub mod watched;
