//! A folder into which packages are unpacked, one over the other.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use crate::local::deployment::entry::{Entry, Kind, readable_mode};

/// The present folder's modes are set at the end: in a folder that is read-only nothing could be made.
pub(crate) struct Tree {
    root: PathBuf,
    folders: BTreeMap<PathBuf, u32>,
}

impl Tree {
    /// `root` is there, and empty.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self {
            root,
            folders: BTreeMap::new(),
        }
    }

    /// Makes a folder or a link in the place of whatever is there from an earlier package; a folder joins a folder.
    pub(crate) fn put(&mut self, entry: &Entry) -> io::Result<()> {
        self.make_way(&entry.path)?;
        let place = self.root.join(&entry.path);
        match &entry.kind {
            Kind::Folder => {
                self.make_folder(&entry.path)?;
                self.folders.insert(entry.path.clone(), entry.mode);
                Ok(())
            }
            Kind::Link(target) => {
                self.remove(&entry.path)?;
                symlink(target, place)
            }
            Kind::File => self.create(entry).map(drop),
        }
    }

    /// Opens a new file in the place of whatever is there from an earlier package.
    pub(crate) fn create(&mut self, entry: &Entry) -> io::Result<File> {
        self.make_way(&entry.path)?;
        self.remove(&entry.path)?;
        // create_new follows no link.
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.root.join(&entry.path))
    }

    /// A file is complete.
    pub(crate) fn close(&self, file: &File, entry: &Entry) -> io::Result<()> {
        file.set_permissions(Permissions::from_mode(readable_mode(entry.mode)))
    }

    /// Takes the right to write from every folder.
    pub(crate) fn finish(self) -> io::Result<()> {
        // Deepest first: a folder that nobody may enter hides what is in it.
        for (path, mode) in self.folders.iter().rev() {
            let permissions = Permissions::from_mode(readable_mode(*mode));
            fs::set_permissions(self.root.join(path), permissions)?;
        }
        fs::set_permissions(&self.root, Permissions::from_mode(0o555))
    }

    /// Makes the folders above `path`.
    fn make_way(&mut self, path: &Path) -> io::Result<()> {
        let above: Vec<_> = path
            .ancestors()
            .skip(1)
            .filter(|above| !above.as_os_str().is_empty())
            .collect();
        above
            .into_iter()
            .rev()
            .try_for_each(|folder| self.make_folder(folder))
    }

    fn make_folder(&mut self, path: &Path) -> io::Result<()> {
        let place = self.root.join(path);
        if fs::symlink_metadata(&place).is_ok_and(|metadata| metadata.is_dir()) {
            return Ok(());
        }
        self.remove(path)?;
        fs::create_dir(place)?;
        self.folders.insert(path.to_owned(), 0o755);
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let place = self.root.join(path);
        match fs::symlink_metadata(&place) {
            Ok(metadata) if metadata.is_dir() => {
                self.folders.retain(|folder, _| !folder.starts_with(path));
                fs::remove_dir_all(place)
            }
            Ok(_) => fs::remove_file(place),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Removes everything in `folder`, what is read-only too, but for the file `kept`.
pub(crate) fn empty(folder: &Path, kept: &str) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            empty(&entry.path(), "")?;
            fs::remove_dir(entry.path())?;
        } else if entry.file_name() != kept {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
