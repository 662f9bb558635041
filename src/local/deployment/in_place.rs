//! `/opt` and `/var/task` themselves, for a container in which they are there for this.
//!
//! In one nothing can be mounted, so it is the modes alone that make them read-only. They are taken only where nothing
//! can be lost: both are empty, or have what a lambda-local that was killed has left.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
    process::geteuid,
};

use crate::local::deployment::{
    entry::{OPT, TASK_ROOT},
    tree,
};

/// Says that what is beside it is ours.
const MARKER: &str = ".lambda-local";

/// Both folders, empty but for the marker; dropped, they are emptied.
#[derive(Debug)]
pub(crate) struct InPlace {
    /// Held, so that two of us do not unpack over each other.
    _locked: [File; 2],
}

impl InPlace {
    /// The folders, or why they cannot be taken.
    pub(crate) fn take() -> Result<Self, String> {
        let locked = [lock(OPT)?, lock(TASK_ROOT)?];
        // Both, before either is emptied.
        let in_place = Self { _locked: locked };
        for folder in [OPT, TASK_ROOT] {
            prepare(folder).map_err(|error| format!("{folder} cannot be emptied ({error})"))?;
        }
        Ok(in_place)
    }
}

impl Drop for InPlace {
    fn drop(&mut self) {
        for folder in [OPT, TASK_ROOT] {
            // What cannot be removed is left to the next start, which tells the reason.
            let folder = Path::new(folder);
            let _ = tree::empty(folder, MARKER).and_then(|()| fs::remove_file(folder.join(MARKER)));
        }
    }
}

fn lock(folder: &str) -> Result<File, String> {
    let metadata = fs::symlink_metadata(folder).map_err(|error| format!("{folder}: {error}"))?;
    if !metadata.is_dir() {
        return Err(format!("{folder} is no folder"));
    }
    if metadata.uid() != geteuid().as_raw() {
        return Err(format!("{folder} belongs to another user"));
    }
    let open = File::open(folder).map_err(|error| format!("{folder}: {error}"))?;
    match flock(&open, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            return Err(format!(
                "{folder} is in use by another lambda-local: end that one first"
            ));
        }
        Err(error) => return Err(format!("{folder}: {error}")),
    }
    let mut names = fs::read_dir(folder)
        .map_err(|error| format!("{folder}: {error}"))?
        .map(|entry| entry.map(|entry| entry.file_name()));
    match names.next() {
        None => Ok(open),
        Some(_) if Path::new(folder).join(MARKER).is_file() => Ok(open),
        Some(_) => Err(format!("{folder} is not empty")),
    }
}

fn prepare(folder: &str) -> io::Result<()> {
    let folder = Path::new(folder);
    tree::empty(folder, MARKER)?;
    let marker = folder.join(MARKER);
    if marker.exists() {
        return Ok(());
    }
    fs::write(&marker, "lambda-local empties this folder when it ends\n")?;
    fs::set_permissions(marker, Permissions::from_mode(0o444))
}
