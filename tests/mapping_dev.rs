//! Temporary.
#[path = "integration/mapping.rs"]
mod mapping;
