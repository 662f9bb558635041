//! A layer or a function as it is deployed: a zip, or the folder that one would make it of.

use std::{
    fs::OpenOptions,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use crate::local::deployment::{
    archive::Archive,
    entry::{self, Entry, Fault, Kind, Listing},
    error::{DeploymentError, Reason},
    folder::Folder,
    tree::Tree,
};

/// Function and layers together
/// (docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: 250 MB, unzipped).
pub(crate) const UNZIPPED_LIMIT: u64 = 262_144_000;

/// What Lambda takes by its API and console; a larger zip has to come from S3.
const UPLOAD_LIMIT: u64 = 50 << 20;

pub(crate) struct Package {
    path: PathBuf,
    content: Content,
    entries: Vec<Entry>,
    /// As the package says it.
    size: u64,
}

enum Content {
    Archive(Archive),
    Folder(Folder),
}

impl Package {
    /// Opens `path` and checks every entry, before anything is written.
    pub(crate) fn open(path: &Path) -> Result<Self, DeploymentError> {
        let unopened = |source| Reason::Unopened {
            package: path.to_owned(),
            source,
        };
        // A pipe that nobody writes to would be waited for.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits() as i32)
            .open(path)
            .map_err(unopened)?;
        let metadata = file.metadata().map_err(unopened)?;
        let (content, listing) = if metadata.is_dir() {
            let (folder, listing) = Folder::open(path, file)?;
            (Content::Folder(folder), listing)
        } else if metadata.is_file() {
            let (archive, listing) = Archive::open(path, file, metadata.len())?;
            (Content::Archive(archive), listing)
        } else {
            return Err(unopened(io::Error::other("neither a file nor a folder")).into());
        };
        let Listing { entries, size } = listing;
        entry::together(&entries).map_err(|(entry, fault)| {
            DeploymentError::of_entry(path, &entry.to_string_lossy(), fault)
        })?;
        Ok(Self {
            path: path.to_owned(),
            content,
            entries,
            size,
        })
    }

    /// As it was written on the command line.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Unzipped, as the package itself says it, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// What is worth a line of the log.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let name = self.path.display();
        if let Content::Archive(archive) = &self.content {
            let zipped = archive.zipped();
            if zipped > UPLOAD_LIMIT {
                warnings.push(format!(
                    "{name} has {zipped} bytes: Lambda takes a zip of more than {UPLOAD_LIMIT} from S3 alone"
                ));
            }
        }
        let hidden = |entry: &&Entry| {
            let needed = match entry.kind {
                Kind::Folder => 0o5,
                Kind::File => 0o4,
                Kind::Link(_) => 0,
            };
            entry.mode & needed != needed
        };
        if let Some(first) = self.entries.iter().find(hidden) {
            let count = self.entries.iter().filter(hidden).count();
            warnings.push(format!(
                "{name}: Lambda's user, who owns no file, cannot read {count} of its entries, such as {:?} with the mode \
                 {:04o}: chmod -R a+rX before zipping",
                first.path, first.mode
            ));
        }
        warnings
    }

    /// The one folder in which the package has a bootstrap, when the folder itself was zipped and not what is in it.
    pub(crate) fn nested_bootstrap(&self) -> Option<&Path> {
        let paths = self.entries.iter().map(|entry| entry.path.as_path());
        let mut found =
            paths.filter(|path| path.ends_with("bootstrap") && path.components().count() == 2);
        found.next()
    }

    /// Writes everything into `tree`, of `left` bytes at the most, and takes what that was off it.
    pub(crate) fn unpack(mut self, tree: &mut Tree, left: &mut u64) -> Result<(), DeploymentError> {
        let package = &self.path;
        for (number, entry) in self.entries.iter().enumerate() {
            let unwritten = |source| Reason::Unwritten {
                path: tree_path(package, &entry.path),
                source,
            };
            let broken = |why: String| {
                let fault = Fault::Unreadable(why);
                DeploymentError::of_entry(package, &entry.path.to_string_lossy(), fault)
            };
            if entry.kind != Kind::File {
                tree.put(entry).map_err(unwritten)?;
                continue;
            }
            let mut file = tree.create(entry).map_err(unwritten)?;
            let mut reader: Box<dyn Read> = match &mut self.content {
                Content::Archive(archive) => archive.read(number).map_err(broken)?,
                Content::Folder(folder) => Box::new(
                    folder
                        .read(&entry.path)
                        .map_err(|error| broken(error.to_string()))?,
                ),
            };
            // By what really comes out, whatever the archive says.
            let mut chunk = vec![0; 64 * 1024];
            loop {
                let length = match reader.read(&mut chunk) {
                    Ok(0) => break,
                    Ok(length) => length,
                    Err(error) => return Err(broken(error.to_string())),
                };
                *left = left
                    .checked_sub(length as u64)
                    .ok_or_else(|| Reason::TooLarge {
                        package: package.clone(),
                    })?;
                io::Write::write_all(&mut file, &chunk[..length]).map_err(unwritten)?;
            }
            tree.close(&file, entry).map_err(unwritten)?;
        }
        Ok(())
    }
}

fn tree_path(package: &Path, path: &Path) -> PathBuf {
    PathBuf::from(format!("{} of {}", path.display(), package.display()))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        io::Write,
        os::unix::fs::{PermissionsExt, symlink},
    };

    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use tempfile::TempDir;
    use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

    use super::*;
    use crate::local::deployment::archive::{FORMAT, LINK};

    /// Entries of a zip: name, mode, content. A name that ends in / is a folder's, a mode with LINK makes a link.
    fn zip(entries: &[(&str, u32, &[u8])]) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("package.zip");
        let mut writer = ZipWriter::new(File::create(&path).unwrap());
        for (name, mode, content) in entries {
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Deflated)
                .unix_permissions(mode & 0o7777);
            if mode & FORMAT == LINK {
                let target = String::from_utf8(content.to_vec()).unwrap();
                writer.add_symlink(*name, target, options).unwrap();
            } else {
                writer.start_file(*name, options).unwrap();
                writer.write_all(content).unwrap();
            }
        }
        writer.finish().unwrap();
        (folder, path)
    }

    fn error(result: Result<Package, DeploymentError>) -> String {
        result.err().expect("it is to be refused").to_string()
    }

    fn unpack(packages: Vec<Package>, into: &Path) -> Result<(), DeploymentError> {
        let mut tree = Tree::new(into.to_owned());
        let mut left = UNZIPPED_LIMIT;
        for package in packages {
            package.unpack(&mut tree, &mut left)?;
        }
        tree.finish().unwrap();
        Ok(())
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_hostile_entry_is_named_and_nothing_is_written() {
        for (name, mode, content, says) in [
            ("../x", 0o644, "", "leads out of the package"),
            ("a/../../x", 0o644, "", "leads out of the package"),
            ("/etc/cron.d/x", 0o644, "", "is an absolute path"),
            ("etc", LINK, "/etc", "is a link to \"/etc\""),
            ("lib/up", LINK, "../../etc", "is a link to \"../../etc\""),
        ] {
            let (_folder, path) = zip(&[("fine", 0o644, b""), (name, mode, content.as_bytes())]);
            let error = error(Package::open(&path));
            assert!(error.contains(&format!("{name:?}")), "{error}");
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn what_would_go_through_a_link_is_refused() {
        let (_folder, path) = zip(&[("a", LINK, b"b"), ("a/x", 0o644, b"")]);
        let error = error(Package::open(&path));
        assert!(error.contains("\"a/x\" lies below \"a\""), "{error}");
    }

    #[test]
    fn the_later_package_wins_and_modes_are_those_of_everybody() {
        let (_one, one) = zip(&[
            ("bootstrap", 0o755, b"one"),
            ("lib/x", 0o644, b"x"),
            ("was-a-folder/y", 0o644, b"y"),
            ("was-a-link", LINK, b"lib"),
            ("secret", 0o600, b"s"),
        ]);
        let (_two, two) = zip(&[
            ("bootstrap", 0o644, b"two"),
            ("was-a-folder", 0o644, b"file"),
            ("was-a-link/z", 0o644, b"z"),
            ("lib/link", LINK, b"../bootstrap"),
        ]);
        let into = tempfile::tempdir().unwrap();
        let packages = [one, two].map(|path| Package::open(&path).unwrap());
        assert!(packages[0].warnings()[0].contains("\"secret\" with the mode 0600"));
        assert!(packages[1].warnings().is_empty());
        unpack(packages.into(), into.path()).unwrap();
        let at = |path: &str| into.path().join(path);
        assert_eq!(fs::read(at("bootstrap")).unwrap(), b"two");
        assert_eq!(mode(&at("bootstrap")), 0o444);
        assert_eq!(fs::read(at("lib/link")).unwrap(), b"two");
        assert_eq!(fs::read(at("was-a-folder")).unwrap(), b"file");
        assert_eq!(mode(&at("was-a-folder")), 0o444);
        assert_eq!(fs::read(at("was-a-link/z")).unwrap(), b"z");
        assert!(!at("lib/z").exists());
        assert_eq!(mode(&at("secret")), 0);
        assert_eq!(mode(&at("lib")), 0o555);
        assert_eq!(mode(into.path()), 0o555);
        super::super::tree::empty(into.path(), "").unwrap();
        assert_eq!(fs::read_dir(into.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_bomb_stops_at_the_limit_whatever_it_says_of_itself() {
        let (_folder, path) = zip(&[("zeros", 0o644, &vec![0; 1 << 20])]);
        // The sizes in the central directory are what is believed before anything is read.
        let mut bytes = fs::read(&path).unwrap();
        let directory = bytes.windows(4).rposition(|four| four == b"PK\x01\x02");
        let at = directory.unwrap() + 24;
        bytes[at..at + 4].copy_from_slice(&10_u32.to_le_bytes());
        fs::write(&path, bytes).unwrap();
        let package = Package::open(&path).unwrap();
        assert_eq!(package.size(), 10);
        let into = tempfile::tempdir().unwrap();
        let mut tree = Tree::new(into.path().to_owned());
        let mut left = 100_000;
        let error = package.unpack(&mut tree, &mut left).unwrap_err();
        let written = fs::metadata(into.path().join("zeros")).unwrap().len();
        assert!(written <= 100_000, "{written} bytes: {error}");
    }

    #[test]
    fn a_folder_is_a_package_too() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::create_dir(at("bin")).unwrap();
        fs::write(at("bin/php"), "php").unwrap();
        fs::set_permissions(at("bin/php"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("bin/php", at("php")).unwrap();
        let into = tempfile::tempdir().unwrap();
        let package = Package::open(folder.path()).unwrap();
        assert_eq!(package.size(), 3);
        unpack(vec![package], into.path()).unwrap();
        assert_eq!(fs::read(into.path().join("php")).unwrap(), b"php");
        assert_eq!(mode(&into.path().join("bin/php")), 0o555);

        symlink("/etc", at("bin/out")).unwrap();
        let error = error(Package::open(folder.path()));
        assert!(
            error.contains("\"bin/out\" is a link to \"/etc\""),
            "{error}"
        );
        fs::remove_file(at("bin/out")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let error = Package::open(folder.path()).err().unwrap().to_string();
        assert!(error.contains("\"socket\" is neither"), "{error}");
    }

    #[test]
    fn what_is_no_zip_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.zip");
        let missing = error(Package::open(&path));
        assert!(missing.contains("cannot be opened"), "{missing}");
        for content in [&b""[..], b"#!/bin/sh\n", b"PK\x03\x04"] {
            fs::write(&path, content).unwrap();
            let error = error(Package::open(&path));
            assert!(error.contains("cannot be read as a zip"), "{error}");
        }
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        for path in [&pipe, Path::new("/dev/null")] {
            let error = error(Package::open(path));
            assert!(error.contains("neither a file nor a folder"), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_told_and_steers_no_terminal() {
        let (_folder, path) = zip(&[(&("\x1b/".repeat(3000) + "x"), 0o644, b"")]);
        let into = tempfile::tempdir().unwrap();
        let package = Package::open(&path).unwrap();
        let error = unpack(vec![package], into.path()).unwrap_err().to_string();
        assert!(error.starts_with("cannot unpack"), "{error}");
        assert!(!error.contains('\x1b'), "{error}");
    }

    #[test]
    fn a_folder_that_was_zipped_itself_is_noticed() {
        let (_folder, path) = zip(&[("my-layer/bootstrap", 0o755, b"")]);
        let package = Package::open(&path).unwrap();
        assert_eq!(
            package.nested_bootstrap(),
            Some(Path::new("my-layer/bootstrap"))
        );
    }
}
