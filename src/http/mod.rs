//! What a request may ask of a representation (RFC 9110): conditions, parts of it, a coding, a media type.

pub mod accept_encoding;
pub mod cache_control;
pub mod conditional;
pub mod media_type;
pub mod range;
