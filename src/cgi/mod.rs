//! The Common Gateway Interface (RFC 3875): a request as variables, and the header block of PHP's output.

pub mod head;
mod headers;
pub mod params;
