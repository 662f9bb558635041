//! A package that is a folder, the one that a zip would be made of.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::AsRawFd,
        unix::{ffi::OsStrExt, fs::PermissionsExt},
    },
    path::{Path, PathBuf},
};

use crate::local::deployment::{
    entry::{self, Entry, Fault, Kind, Listing},
    error::DeploymentError,
};

/// Open, so that it can be read wherever its path leads meanwhile.
pub(super) struct Folder(File);

impl Folder {
    /// Lists what is in the folder that was opened at `path`.
    pub(super) fn open(path: &Path, folder: File) -> Result<(Self, Listing), DeploymentError> {
        let mut entries = Vec::new();
        let mut size: u64 = 0;
        let mut below = vec![PathBuf::new()];
        while let Some(at) = below.pop() {
            let unread = |source: io::Error| {
                let place = if at.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    &at
                };
                let why = Fault::Unreadable(source.to_string());
                DeploymentError::of_entry(path, &place.to_string_lossy(), why)
            };
            let mut names = Vec::new();
            for child in fs::read_dir(within(&folder, &at)).map_err(unread)? {
                names.push(child.map_err(unread)?.file_name());
            }
            names.sort();
            for name in names {
                let at = at.join(name);
                let refused = |fault| DeploymentError::of_entry(path, &at.to_string_lossy(), fault);
                let unread = |source: io::Error| refused(Fault::Unreadable(source.to_string()));
                let place = within(&folder, &at);
                let metadata = fs::symlink_metadata(&place).map_err(unread)?;
                let kind = if metadata.is_dir() {
                    below.push(at.clone());
                    Kind::Folder
                } else if metadata.is_file() {
                    size = size.saturating_add(metadata.len());
                    Kind::File
                } else if metadata.is_symlink() {
                    let target = fs::read_link(&place).map_err(unread)?;
                    let target = target.as_os_str().as_bytes();
                    Kind::Link(entry::target(&at, target).map_err(refused)?)
                } else {
                    return Err(refused(Fault::Special));
                };
                entries.push(Entry {
                    path: at,
                    kind,
                    mode: metadata.permissions().mode() & 0o7777,
                });
            }
        }
        Ok((Self(folder), Listing { entries, size }))
    }

    /// The contents of the file at `path` in it.
    pub(super) fn read(&self, path: &Path) -> io::Result<File> {
        File::open(within(&self.0, path))
    }
}

fn within(folder: &File, path: &Path) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(path)
}
