//! A layer or a function as it is deployed: a zip, or the folder that one would make it of.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    os::{
        fd::AsRawFd,
        unix::{ffi::OsStrExt, fs::PermissionsExt},
    },
    path::{Path, PathBuf},
};

use zip::{CompressionMethod, ZipArchive};

use crate::local::deployment::{
    entry::{self, Entry, Fault, Kind},
    error::{DeploymentError, Reason},
    tree::Tree,
};

/// Function and layers together
/// (docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: 250 MB, unzipped).
pub(crate) const UNZIPPED_LIMIT: u64 = 262_144_000;

/// What Lambda takes by its API and console; a larger zip has to come from S3.
const UPLOAD_LIMIT: u64 = 50 << 20;

const LONGEST_TARGET: u64 = 4096;

const FORMAT: u32 = 0o170_000;
const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

pub(crate) struct Package {
    path: PathBuf,
    content: Content,
    entries: Vec<Entry>,
    /// As the package says it.
    size: u64,
}

enum Content {
    /// The entries are in its order, but for those of its own folder.
    Zip {
        archive: Box<ZipArchive<BufReader<File>>>,
        indices: Vec<usize>,
        zipped: u64,
    },
    /// Open, so that it can be read wherever its path leads meanwhile.
    Folder(File),
}

impl Package {
    /// Opens `path` and checks every entry, before anything is written.
    pub(crate) fn open(path: &Path) -> Result<Self, DeploymentError> {
        let unopened = |source| Reason::Unopened {
            package: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(unopened)?;
        let metadata = file.metadata().map_err(unopened)?;
        let package = if metadata.is_dir() {
            Self::of_folder(path, file)?
        } else if metadata.is_file() {
            Self::of_zip(path, file, metadata.len())?
        } else {
            return Err(unopened(io::ErrorKind::InvalidInput.into()).into());
        };
        entry::together(&package.entries)
            .map_err(|(entry, fault)| refused(path, &entry.to_string_lossy(), fault))?;
        Ok(package)
    }

    fn of_zip(path: &Path, file: File, zipped: u64) -> Result<Self, DeploymentError> {
        let no_zip = |error: zip::result::ZipError| Reason::NoZip {
            package: path.to_owned(),
            why: error.to_string(),
        };
        let mut archive = ZipArchive::new(BufReader::new(file)).map_err(no_zip)?;
        let mut entries = Vec::new();
        let mut indices = Vec::new();
        let mut size: u64 = 0;
        for index in 0..archive.len() {
            // Raw, since what is encrypted or compressed in another way is to be named before it is refused.
            let file = archive.by_index_raw(index).map_err(no_zip)?;
            let name = String::from_utf8_lossy(file.name_raw()).into_owned();
            let refused = |fault| refused(path, &name, fault);
            let at = entry::path(file.name_raw()).map_err(refused)?;
            if file.encrypted() {
                return Err(refused(Fault::Unreadable("it is encrypted".into())));
            }
            let method = file.compression();
            if ![CompressionMethod::Stored, CompressionMethod::Deflated].contains(&method) {
                let why = format!("it is compressed with {method}, and not with deflate");
                return Err(refused(Fault::Unreadable(why)));
            }
            size = size.saturating_add(file.size());
            let is_folder = file.name_raw().ends_with(b"/");
            // What comes from another system than Unix has no mode of its own.
            let mode = file.unix_mode().unwrap_or(0);
            let mode = match (mode & 0o7777, is_folder) {
                (0, true) if mode & FORMAT == 0 => 0o755,
                (0, false) if mode & FORMAT == 0 => 0o644,
                (permissions, _) => permissions,
            };
            let kind = match (file.unix_mode().unwrap_or(0) & FORMAT, is_folder) {
                (0 | FOLDER, true) | (FOLDER, false) => Kind::Folder,
                (0 | FILE, false) => Kind::File,
                (LINK, false) => {
                    drop(file);
                    let target = archive
                        .by_index(index)
                        .map_err(no_zip)
                        .map(|file| file.take(LONGEST_TARGET + 1))?;
                    let target =
                        read(target).map_err(|why| refused(Fault::Unreadable(why.to_string())))?;
                    if target.len() as u64 > LONGEST_TARGET {
                        return Err(refused(Fault::TooLargeALink));
                    }
                    Kind::Link(entry::target(&at, &target).map_err(refused)?)
                }
                _ => return Err(refused(Fault::Special)),
            };
            if at.as_os_str().is_empty() {
                continue;
            }
            indices.push(index);
            entries.push(Entry {
                path: at,
                kind,
                mode,
            });
        }
        Ok(Self {
            path: path.to_owned(),
            content: Content::Zip {
                archive: Box::new(archive),
                indices,
                zipped,
            },
            entries,
            size,
        })
    }

    fn of_folder(path: &Path, folder: File) -> Result<Self, DeploymentError> {
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
                refused(path, &place.to_string_lossy(), why)
            };
            let mut names = Vec::new();
            for child in fs::read_dir(within(&folder, &at)).map_err(unread)? {
                names.push(child.map_err(unread)?.file_name());
            }
            names.sort();
            for name in names {
                let at = at.join(name);
                let refused = |fault| refused(path, &at.to_string_lossy(), fault);
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
        Ok(Self {
            path: path.to_owned(),
            content: Content::Folder(folder),
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
        if let Content::Zip { zipped, .. } = self.content {
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
                refused(
                    package,
                    &entry.path.to_string_lossy(),
                    Fault::Unreadable(why),
                )
            };
            if entry.kind != Kind::File {
                tree.put(entry).map_err(unwritten)?;
                continue;
            }
            let mut file = tree.create(entry).map_err(unwritten)?;
            let mut reader: Box<dyn Read> = match &mut self.content {
                Content::Zip {
                    archive, indices, ..
                } => Box::new(
                    archive
                        .by_index(indices[number])
                        .map_err(|error| broken(error.to_string()))?,
                ),
                Content::Folder(folder) => Box::new(
                    File::open(within(folder, &entry.path))
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

fn read(mut source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn within(folder: &File, path: &Path) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(path)
}

fn tree_path(package: &Path, path: &Path) -> PathBuf {
    PathBuf::from(format!("{} of {}", path.display(), package.display()))
}

fn refused(package: &Path, entry: &str, fault: Fault) -> DeploymentError {
    Reason::Entry {
        package: package.to_owned(),
        entry: entry.to_owned(),
        fault,
    }
    .into()
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::fs::symlink};

    use tempfile::TempDir;
    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;

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
        assert!(Package::open(Path::new("/dev/null")).is_err());
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
