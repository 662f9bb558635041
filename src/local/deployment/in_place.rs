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

/// Why they cannot be taken.
#[derive(Debug)]
pub(crate) enum Untaken {
    /// Another one of us has them.
    Busy,
    /// They are not for this.
    Unfit(String),
}

impl InPlace {
    /// Takes the folders.
    pub(crate) fn take() -> Result<Self, Untaken> {
        let locked = [lock(OPT)?, lock(TASK_ROOT)?];
        // Both, before either is emptied.
        let in_place = Self { _locked: locked };
        for folder in [OPT, TASK_ROOT] {
            prepare(folder)
                .map_err(|error| Untaken::Unfit(format!("{folder} cannot be emptied ({error})")))?;
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

fn lock(folder: &str) -> Result<File, Untaken> {
    let unfit = |why: &str| Untaken::Unfit(format!("{folder} {why}"));
    let failed = |error: io::Error| unfit(&format!("cannot be used ({error})"));
    let metadata = fs::symlink_metadata(folder).map_err(failed)?;
    if !metadata.is_dir() {
        return Err(unfit("is no folder"));
    }
    if metadata.uid() != geteuid().as_raw() {
        return Err(unfit("belongs to another user"));
    }
    let open = File::open(folder).map_err(failed)?;
    match flock(&open, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Err(Untaken::Busy),
        Err(error) => return Err(failed(error.into())),
    }
    let is_empty = fs::read_dir(folder).map_err(failed)?.next().is_none();
    if is_empty || Path::new(folder).join(MARKER).is_file() {
        Ok(open)
    } else {
        Err(unfit("is not empty"))
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
