//! FastCGI 1.0, the client's side of one connection to one worker.
//!
//! Our own, since the published client loses requests after a time-out, reads an early end of file as success and deadlocks
//! on a script that prints before it reads; `docs/decisions.md` has the figures.

pub mod connection;
pub mod record;
