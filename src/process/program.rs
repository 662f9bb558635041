//! Programs as files.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Whether a path is a program that can be run.
pub fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
