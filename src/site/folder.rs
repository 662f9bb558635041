//! The site's folder: what is in it, and nothing that a link leads to outside of it.
//!
//! A file is opened without a look at its contents (`O_PATH`), and then it is checked what was opened, by the path that the
//! kernel has for it. So links may point anywhere within the folder, by absolute paths too, nothing can be put into the place
//! of a file between the check and its use, and neither a fifo nor a device is ever waited for or touched.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use super::path::{is_served, is_source};

/// A folder from which files are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    /// As the configuration names it.
    path: PathBuf,
    /// Where that is, without links.
    real: PathBuf,
    /// Files of the runtime's own that can be in there, without links.
    kept_back: Vec<PathBuf>,
}

/// What is at a path.
pub(super) enum Entry {
    /// A regular file.
    File(Found),
    /// A folder.
    Folder,
    /// Nothing, or nothing that is served.
    Missing,
}

/// A file that was found and not yet opened for reading.
pub(super) struct Found {
    descriptor: OwnedFd,
    pub(super) metadata: Metadata,
    /// The path of the file itself is that of PHP's source.
    pub(super) is_source: bool,
}

impl Found {
    /// Opens what was found, and not what is at its path by now.
    pub(super) fn open(&self) -> io::Result<File> {
        File::open(proc_path(&self.descriptor))
    }
}

impl Folder {
    /// The folder at `path`; `kept_back` are paths of files or folders that are not served.
    pub(super) fn new(path: &Path, kept_back: &[PathBuf]) -> io::Result<Folder> {
        let kept_back = kept_back.iter().filter_map(|path| path.canonicalize().ok());
        Ok(Folder {
            path: path.to_owned(),
            real: path.canonicalize()?,
            kept_back: kept_back.collect(),
        })
    }

    /// What is at `relative`, a path without `..`. An error is none of the path: descriptors or memory are used up.
    pub(super) fn look(&self, relative: &str) -> io::Result<Entry> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let descriptor = match open(self.path.join(relative), flags, Mode::empty()) {
            Ok(descriptor) => descriptor,
            Err(
                Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::ACCESS,
            ) => return Ok(Entry::Missing),
            Err(error) => return Err(error.into()),
        };
        let real = std::fs::read_link(proc_path(&descriptor))?;
        let Some(is_source) = self.serves(&real) else {
            return Ok(Entry::Missing);
        };
        let file = File::from(descriptor);
        let metadata = file.metadata()?;
        Ok(match metadata.file_type() {
            kind if kind.is_dir() => Entry::Folder,
            kind if kind.is_file() => Entry::File(Found {
                descriptor: file.into(),
                metadata,
                is_source,
            }),
            _ => Entry::Missing,
        })
    }

    /// Whether the file with this path is in the folder and may be served, by the rules for paths; and if so, whether it is
    /// PHP's source: a link may have another name.
    fn serves(&self, real: &Path) -> Option<bool> {
        let below = real.strip_prefix(&self.real).ok()?;
        let mut is_php = false;
        for (index, part) in below.iter().enumerate() {
            let name = part.to_str()?;
            if !is_served(name, index == 0) {
                return None;
            }
            is_php = is_source(name);
        }
        let is_kept_back = self.kept_back.iter().any(|kept| real.starts_with(kept));
        (!is_kept_back).then_some(is_php)
    }
}

fn proc_path(descriptor: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", descriptor.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;

    fn site() -> (tempfile::TempDir, Folder) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("public");
        fs::create_dir_all(root.join("inner/.git")).unwrap();
        fs::write(root.join("a.css"), "a").unwrap();
        fs::write(root.join("x.php"), "<?php").unwrap();
        fs::write(root.join(".env"), "secret").unwrap();
        fs::write(root.join("inner/.git/config"), "secret").unwrap();
        fs::write(folder.path().join("secret"), "secret").unwrap();
        fs::write(folder.path().join("public-secret"), "secret").unwrap();
        let site = Folder::new(&root, &[]).unwrap();
        (folder, site)
    }

    fn kind(site: &Folder, path: &str) -> &'static str {
        match site.look(path).unwrap() {
            Entry::File(found) if found.is_source => "source",
            Entry::File(_) => "file",
            Entry::Folder => "folder",
            Entry::Missing => "missing",
        }
    }

    #[test]
    fn files_and_folders() {
        let (_folder, site) = site();
        for (path, expected) in [
            ("", "folder"),
            ("inner", "folder"),
            ("a.css", "file"),
            ("x.php", "source"),
            ("none", "missing"),
            ("a.css/x", "missing"),
            (".env", "missing"),
            ("inner/.git", "missing"),
            ("inner/.git/config", "missing"),
            ("../secret", "missing"),
            (&"a".repeat(300), "missing"),
            (&"a/".repeat(3000), "missing"),
        ] {
            assert_eq!(kind(&site, path), expected, "{path}");
        }
    }

    #[test]
    fn links_may_point_anywhere_within() {
        let (folder, site) = site();
        let root = folder.path().join("public");
        for (name, target, expected) in [
            ("within", "a.css".into(), "file"),
            ("absolute", root.join("a.css"), "file"),
            ("inner/up", "../a.css".into(), "file"),
            ("folder", "inner".into(), "folder"),
            ("page.txt", "x.php".into(), "source"),
            ("env.txt", ".env".into(), "missing"),
            ("git", "inner/.git".into(), "missing"),
            ("outside", folder.path().join("secret"), "missing"),
            ("relative", "../secret".into(), "missing"),
            ("beside", "../public-secret".into(), "missing"),
            ("parent", "..".into(), "missing"),
            ("root", "/".into(), "missing"),
            ("passwd", "/etc/passwd".into(), "missing"),
            ("dangling", "none".into(), "missing"),
            ("loop", "loop".into(), "missing"),
            ("self", "/proc/self".into(), "missing"),
        ] {
            symlink(target as PathBuf, root.join(name)).unwrap();
            assert_eq!(kind(&site, name), expected, "{name}");
        }
        for path in [
            "parent/secret",
            "root/etc/passwd",
            "git/config",
            "self/environ",
        ] {
            assert_eq!(kind(&site, path), "missing", "{path}");
        }
        // the way may lead out and in again: what is opened counts
        assert_eq!(kind(&site, "parent/public/a.css"), "file");
    }

    #[test]
    fn what_is_no_regular_file_is_neither_served_nor_waited_for() {
        let (folder, site) = site();
        let root = folder.path().join("public");
        let mode = Mode::from_raw_mode(0o600);
        mknodat(CWD, root.join("fifo"), FileType::Fifo, mode, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        symlink("/dev/zero", root.join("zero")).unwrap();
        for name in ["fifo", "socket", "zero"] {
            assert_eq!(kind(&site, name), "missing", "{name}");
        }
    }

    #[test]
    fn what_was_found_is_what_is_read() {
        let (folder, site) = site();
        let root = folder.path().join("public");
        let Entry::File(found) = site.look("a.css").unwrap() else {
            panic!("a file");
        };
        fs::remove_file(root.join("a.css")).unwrap();
        symlink("../secret", root.join("a.css")).unwrap();
        let mut text = String::new();
        found.open().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "a");
    }

    #[test]
    fn a_folder_behind_a_link_is_the_folder_itself() {
        let (folder, _) = site();
        symlink("public", folder.path().join("current")).unwrap();
        let site = Folder::new(&folder.path().join("current"), &[]).unwrap();
        assert_eq!(kind(&site, "a.css"), "file");
    }

    #[test]
    fn the_runtimes_own_files_are_kept_back() {
        let (folder, _) = site();
        let root = folder.path().join("public");
        fs::create_dir_all(root.join("php/conf.d")).unwrap();
        fs::write(root.join("php.ini"), "").unwrap();
        fs::write(root.join("php/conf.d/a.ini"), "").unwrap();
        fs::write(root.join("php/b.txt"), "").unwrap();
        let kept_back = ["php.ini", "php/conf.d", "none"].map(|name| root.join(name));
        let site = Folder::new(&root, &kept_back).unwrap();
        for (path, expected) in [
            ("php.ini", "missing"),
            ("php/conf.d", "missing"),
            ("php/conf.d/a.ini", "missing"),
            ("php/b.txt", "file"),
        ] {
            assert_eq!(kind(&site, path), expected, "{path}");
        }
    }
}
