//! The primed opcache files of a function: used where they fit the code, and never where they do not.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use crate::lambda::{Function, Lambda, PATIENCE, chmod, get};
use crate::process::kill;

const OLD: &str = "<?php echo 'as primed'; require __DIR__ . '/src/more.php';";
const NEW: &str = "<?php echo 'as stored'; require __DIR__ . '/src/more.php';";
const OLD_MORE: &str = "<?php echo ', more';";
const NEW_MORE: &str = "<?php echo ', less';";

/// A function folder whose opcache files say [`OLD`] while its sources, of the same size and older than the list, say [`NEW`]:
/// so an answer tells where its code came from.
struct Primed {
    folder: tempfile::TempDir,
}

impl Primed {
    fn new() -> Primed {
        let primed = Primed {
            folder: tempfile::tempdir().unwrap(),
        };
        primed.write("index.php", OLD);
        primed.write("src/more.php", OLD_MORE);
        primed.write(
            "php.ini",
            &format!("opcache.file_cache = {}\n", primed.cache().display()),
        );
        fs::create_dir_all(primed.cache()).unwrap();
        // by php-fpm itself: what the command line has primed is another PHP's where that has pcntl
        assert_eq!(primed.start().get("/"), "as primed, more");
        fs::remove_file(primed.root().join("php.ini")).unwrap();
        primed.write("index.php", NEW);
        primed.write("src/more.php", NEW_MORE);
        primed.list();
        primed
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("task")
    }

    fn cache(&self) -> PathBuf {
        self.root().join("php/opcache")
    }

    /// As of a minute ago: opcache keeps no file that is younger than two seconds.
    fn write(&self, name: &str, text: &str) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(60))
            .unwrap();
    }

    fn list(&self) {
        let mut list = "php-fpm-lambda opcache 1\t8.4.0\n".to_owned();
        for name in ["index.php", "src/more.php"] {
            let size = self.root().join(name).metadata().unwrap().len();
            list += &format!("{size}\t{name}\n");
        }
        fs::write(self.cache().join("files.tsv"), list).unwrap();
    }

    fn start(&self) -> Lambda {
        self.start_at(&self.root())
    }

    fn start_at(&self, task_root: &Path) -> Lambda {
        Function::new("")
            .env("LAMBDA_TASK_ROOT", task_root.to_str().unwrap())
            .start()
    }

    /// Each folder and file with its mode and size.
    fn tree(&self) -> Vec<(PathBuf, u32, u64)> {
        let mut tree = Vec::new();
        let mut folders = vec![self.root()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let metadata = path.metadata().unwrap();
                tree.push((path.clone(), metadata.permissions().mode(), metadata.len()));
                if metadata.is_dir() {
                    folders.push(path);
                }
            }
        }
        tree.sort();
        tree
    }

    fn forbid_writing(&self, is_forbidden: bool) {
        let mode = if is_forbidden { 0o555 } else { 0o755 };
        for (path, ..) in self.tree() {
            if path.is_dir() {
                chmod(path, mode);
            }
        }
    }
}

#[test]
fn the_primed_code_runs() {
    let primed = Primed::new();
    for is_read_only in [false, true] {
        primed.forbid_writing(is_read_only);
        let before = primed.tree();
        let mut lambda = primed.start();
        let call = lambda.invoke(get("/"));
        assert_eq!(call.page(), "as primed, more", "{is_read_only}");
        assert_eq!(call.log, "");
        drop(lambda);
        assert_eq!(primed.tree(), before, "nothing was written");
        primed.forbid_writing(false);
    }
}

#[test]
fn a_worker_and_a_master_that_come_later_have_it_too() {
    let primed = Primed::new();
    let mut lambda = primed.start();
    assert_eq!(lambda.get("/"), "as primed, more");
    for is_master in [false, true] {
        let master = lambda.master();
        let mut processes = lambda.processes().into_iter();
        let killed = processes
            .find(|process| (process.pid == master) == is_master)
            .unwrap();
        kill(killed.pid, Signal::KILL).unwrap();
        assert!(killed.ends_within(PATIENCE));
        assert_eq!(lambda.get("/"), "as primed, more");
    }
}

#[test]
fn code_that_was_added_later_runs_and_is_not_written_to_the_function() {
    let primed = Primed::new();
    primed.write("added.php", "<?php echo 'added';");
    let before = primed.tree();
    let mut lambda = Function::new("")
        .env("LAMBDA_TASK_ROOT", primed.root().to_str().unwrap())
        .env("_HANDLER", "added.php")
        .start();
    assert_eq!(lambda.get("/"), "added");
    drop(lambda);
    assert_eq!(primed.tree(), before);
}

#[test]
fn changed_code_is_never_hidden_by_old_opcache_files() {
    type Change = fn(&Primed);
    let changes: [(Change, &str, &str); 3] = [
        (
            |primed| primed.write("src/more.php", "<?php echo ', longer';"),
            "as stored, longer",
            "src/more.php has changed",
        ),
        (
            |primed| {
                // the same size, but younger than the list
                let path = primed.root().join("src/more.php");
                let file = fs::File::options().write(true).open(path).unwrap();
                file.set_modified(SystemTime::now() + Duration::from_secs(5))
                    .unwrap();
            },
            "as stored, less",
            "src/more.php has changed",
        ),
        (
            |primed| {
                fs::remove_file(primed.root().join("src/more.php")).unwrap();
                primed.write("index.php", "<?php echo 'alone';");
            },
            "alone",
            "index.php and 1 more have changed",
        ),
    ];
    for (change, page, words) in changes {
        let primed = Primed::new();
        change(&primed);
        let mut lambda = primed.start();
        let call = lambda.invoke(get("/"));
        assert_eq!(call.page(), page);
        assert_eq!(call.log.lines().count(), 1, "{}", call.log);
        assert!(
            !lambda.run_folder().join("opcache").is_dir(),
            "PHP writes no files"
        );
        for part in ["\tWARN\t", words, "Run prime-opcache again."] {
            assert!(call.log.contains(part), "{part}: {}", call.log);
        }
    }
}

#[test]
fn files_of_another_php_are_harmless() {
    let primed = Primed::new();
    for entry in fs::read_dir(primed.cache()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fs::rename(&path, primed.cache().join("0".repeat(32))).unwrap();
        }
    }
    for is_read_only in [false, true] {
        primed.forbid_writing(is_read_only);
        let mut lambda = primed.start();
        let call = lambda.invoke(get("/"));
        assert_eq!((call.page(), &call.log[..]), ("as stored, less".into(), ""));
        drop(lambda);
        primed.forbid_writing(false);
    }
}

#[test]
fn code_with_a_time_to_come_is_kept() {
    // as from a zip that was made in a time zone east of Lambda's
    let script = "<?php echo json_encode(opcache_is_script_cached(__FILE__));";
    let function = Function::new(script);
    let path = function.task_root().join("index.php");
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(9 * 3600))
        .unwrap();
    let mut lambda = function.start();
    lambda.get("/");
    assert_eq!(lambda.get("/"), "true");
}

#[test]
fn a_task_root_behind_a_link_has_it_too() {
    let primed = Primed::new();
    let link = primed.folder.path().join("link");
    symlink(primed.root(), &link).unwrap();
    let call = primed.start_at(&link).invoke(get("/"));
    assert_eq!(call.page(), "as primed, more", "{}", call.log);
}
