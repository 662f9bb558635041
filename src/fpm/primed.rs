//! The opcache file cache that prime-opcache has put into the function's folder: taken where it is as old as the code.
//!
//! php-fpm does not look at the times of the source files (opcache.validate_timestamps = 0), so a cache of other code would
//! serve that: the list that comes with the cache is compared first.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags, Stat};

/// Where prime-opcache writes, below the task root: `<system id>/<path of the source file>.bin`, and the list.
const FOLDER: &str = "php/opcache";

/// `<size in bytes>\t<path below the task root>` for each source file, behind the first line.
const LIST: &str = "files.tsv";

/// The function's own settings, which the list names as well.
const PHP_INI: &str = "php.ini";
const CONF_D: &str = "php/conf.d";

/// What the list begins with; PHP's version follows.
const FIRST_LINE: &str = "php-fpm-lambda opcache 1\t";

/// A zip has times of two seconds; in nanoseconds.
const TOLERANCE: i128 = 2_000_000_000;

/// The files that a function has, before and after it is known that they fit its code.
#[derive(Debug)]
pub(super) struct Primed {
    task_root: PathBuf,
    folder: PathBuf,
}

impl Primed {
    /// What a function has; `None`: nothing.
    pub(super) fn find(task_root: &Path) -> Option<Primed> {
        let folder = task_root.join(FOLDER);
        let task_root = task_root.to_owned();
        folder.is_dir().then_some(Primed { task_root, folder })
    }

    /// Whether the files fit the code; the error is a sentence for the log.
    pub(super) fn check(&self) -> Result<(), String> {
        match is_unusable(&self.task_root, &self.folder.join(LIST)) {
            None => Ok(()),
            Some(why) => Err(format!(
                "The opcache files in {} are not used, because {why}. Run prime-opcache again.",
                self.folder.display()
            )),
        }
    }

    /// Fills opcache's file cache, an empty folder, with links.
    ///
    /// PHP before 8.5 refuses a file cache that it cannot write to, and what is read-only below it it takes. Where the files'
    /// own folder can be written to, PHP would: then it gets folders of its own, with links to the files.
    pub(super) fn link(&self, cache: &Path) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let (system_id, link) = {
                let entry = entry?;
                (entry.path(), cache.join(entry.file_name()))
            };
            if !system_id.is_dir() {
                continue;
            }
            match rustix::fs::access(&system_id, Access::WRITE_OK) {
                Ok(()) => link_files(&system_id, &link)?,
                Err(_) => symlink(&system_id, &link)?,
            }
        }
        Ok(())
    }
}

/// The folders below `from` again, each file as a link.
fn link_files(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, link) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            true => link_files(&path, &link)?,
            false => symlink(&path, &link)?,
        }
    }
    Ok(())
}

fn is_unusable(task_root: &Path, list: &Path) -> Option<String> {
    let read = || -> io::Result<_> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(task_root, flags, Mode::empty())?;
        Ok((opened, fs::read(list)?, modified(&rustix::fs::stat(list)?)))
    };
    let (opened, text, made) = match read() {
        Ok(read) => read,
        Err(error) => return Some(format!("{LIST} cannot be read ({error})")),
    };
    let Some(files) = files_in(&text) else {
        return Some(format!("{LIST} is none that this version knows"));
    };
    if let Some(name) = unlisted_setting(task_root, &files) {
        return Some(format!("{name} has come since they were made"));
    }
    let mut changed = files
        .iter()
        .filter(|file| !file.is_as_listed(&opened, made));
    let first = changed.next()?.path.display();
    Some(match changed.count() {
        0 => format!("{first} has changed since they were made"),
        more => format!("{first} and {more} more have changed since they were made"),
    })
}

/// An ini file of the function that the list does not have: what was compiled depends on them.
fn unlisted_setting(task_root: &Path, files: &[Source<'_>]) -> Option<String> {
    let folder = fs::read_dir(task_root.join(CONF_D)).into_iter().flatten();
    let names = folder.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        name.ends_with(".ini").then(|| format!("{CONF_D}/{name}"))
    });
    let ini = task_root
        .join(PHP_INI)
        .is_file()
        .then(|| PHP_INI.to_owned());
    ini.into_iter()
        .chain(names)
        .find(|name| !files.iter().any(|file| file.path == Path::new(name)))
}

/// A source file as it was when the cache was made.
#[derive(Debug, PartialEq, Eq)]
struct Source<'l> {
    size: u64,
    path: &'l Path,
}

impl Source<'_> {
    /// `made`: nanoseconds since 1970.
    fn is_as_listed(&self, task_root: impl AsFd, made: i128) -> bool {
        // below the folder's descriptor, since the way to it is a good part of what each file costs
        let Ok(stat) = rustix::fs::statat(task_root, self.path, AtFlags::empty()) else {
            return false;
        };
        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            && u64::try_from(stat.st_size) == Ok(self.size)
            && modified(&stat) <= made + TOLERANCE
    }
}

/// In nanoseconds since 1970.
fn modified(stat: &Stat) -> i128 {
    i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec)
}

/// `None`: that is no such list.
fn files_in(list: &[u8]) -> Option<Vec<Source<'_>>> {
    let mut lines = list.strip_suffix(b"\n")?.split(|&byte| byte == b'\n');
    lines.next()?.strip_prefix(FIRST_LINE.as_bytes())?;
    let source = |line: &'_ [u8]| {
        let tab = line.iter().position(|&byte| byte == b'\t')?;
        let size = std::str::from_utf8(&line[..tab]).ok()?.parse().ok()?;
        Some((size, tab + 1))
    };
    lines
        .map(|line| {
            let (size, path) = source(line)?;
            Some(Source {
                size,
                path: Path::new(OsStr::from_bytes(&line[path..])),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    const LIST_TEXT: &str = "php-fpm-lambda opcache 1\t8.4.24\n3\tindex.php\n4\tsrc/a b.php\n";

    /// A function with a cache that fits.
    fn function() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("index.php", "abc");
        write("src/a b.php", "abcd");
        write("php/opcache/0123/var/task/index.php.bin", "OPCACHE");
        write("php/opcache/files.tsv", LIST_TEXT);
        root
    }

    fn shift(path: &Path, later: Duration) {
        let file = fs::File::options().write(true).open(path).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        file.set_modified(modified + later).unwrap();
    }

    #[test]
    fn an_ini_file_that_is_not_listed_counts_as_a_change() {
        let root = function();
        let primed = Primed::find(root.path()).unwrap();
        assert_eq!(primed.check(), Ok(()));
        fs::create_dir_all(root.path().join("php/conf.d")).unwrap();
        fs::write(root.path().join("php/conf.d/readme.txt"), "").unwrap();
        assert_eq!(primed.check(), Ok(()));
        for name in ["php/conf.d/more.ini", "php.ini"] {
            fs::write(root.path().join(name), "").unwrap();
            let why = primed.check().unwrap_err();
            assert!(why.contains(&format!("{name} has come since")), "{why}");
        }
    }

    #[test]
    fn none_is_no_error() {
        let root = tempfile::tempdir().unwrap();
        assert!(Primed::find(root.path()).is_none());
    }

    #[test]
    fn one_that_fits_is_linked_into_the_run_folder() {
        let root = function();
        let cache = tempfile::tempdir().unwrap();
        let (primed, cache) = (Primed::find(root.path()).unwrap(), cache.path());
        primed.check().unwrap();
        primed.link(cache).unwrap();
        let file = "0123/var/task/index.php.bin";
        assert_eq!(fs::read_to_string(cache.join(file)).unwrap(), "OPCACHE");
        // what PHP adds stays in the run folder
        fs::write(cache.join("0123/var/task/other.bin"), "").unwrap();
        let folder = root.path().join("php/opcache/0123/var/task");
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    }

    #[test]
    fn one_that_is_read_only_is_one_link() {
        let root = function();
        let cache = tempfile::tempdir().unwrap();
        let system_id = root.path().join("php/opcache/0123");
        fs::set_permissions(&system_id, fs::Permissions::from_mode(0o555)).unwrap();
        let primed = Primed::find(root.path()).unwrap();
        primed.link(cache.path()).unwrap();
        let is_link = cache.path().join("0123").is_symlink();
        // nothing is read-only for root
        assert_eq!(is_link, !rustix::process::geteuid().is_root());
        fs::set_permissions(&system_id, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn each_way_in_which_it_does_not_fit() {
        type Change = fn(&Path);
        let changes: [(Change, &str); 7] = [
            (
                |root| fs::remove_file(root.join("index.php")).unwrap(),
                "because index.php has changed",
            ),
            (
                |root| fs::write(root.join("src/a b.php"), "abcde").unwrap(),
                "because src/a b.php has changed",
            ),
            (
                |root| shift(&root.join("src/a b.php"), Duration::from_secs(60)),
                "because src/a b.php has changed",
            ),
            (
                |root| {
                    fs::remove_file(root.join("index.php")).unwrap();
                    fs::create_dir(root.join("index.php")).unwrap();
                    fs::remove_dir_all(root.join("src")).unwrap();
                },
                "because index.php and 1 more have changed",
            ),
            (
                |root| fs::remove_file(root.join("php/opcache/files.tsv")).unwrap(),
                "files.tsv cannot be read (No such file",
            ),
            (
                |root| fs::write(root.join("php/opcache/files.tsv"), "other\n").unwrap(),
                "files.tsv is none that this version knows",
            ),
            (
                |root| {
                    let cut = &LIST_TEXT[..LIST_TEXT.len() - 1];
                    fs::write(root.join("php/opcache/files.tsv"), cut).unwrap();
                },
                "files.tsv is none that this version knows",
            ),
        ];
        for (change, words) in changes {
            let root = function();
            change(root.path());
            let warning = Primed::find(root.path()).unwrap().check().unwrap_err();
            assert!(
                warning.contains(words) && warning.ends_with("Run prime-opcache again."),
                "{warning}"
            );
        }
    }

    #[test]
    fn two_seconds_are_allowed() {
        let root = function();
        shift(&root.path().join("index.php"), Duration::from_millis(1500));
        Primed::find(root.path()).unwrap().check().unwrap();
    }

    #[test]
    fn lines_of_the_list() {
        assert_eq!(files_in(LIST_TEXT.as_bytes()).unwrap().len(), 2);
        let only_head = b"php-fpm-lambda opcache 1\t8.4.24\n";
        assert_eq!(files_in(only_head), Some(Vec::new()));
        for bad in ["x", "x\ty", "-1\ty", "", "1 y"] {
            let list = format!("{LIST_TEXT}{bad}\n");
            assert_eq!(files_in(list.as_bytes()), None, "{bad:?}");
        }
    }
}
