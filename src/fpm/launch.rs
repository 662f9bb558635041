//! One start of php-fpm: sockets, files in the run folder, the master; and which of its first words mean that it is broken.

use std::ffi::OsString;
use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use tokio::task::AbortHandle;

use super::idle::Idle;
use super::master::{self, Launch, Master};
use super::output::{MasterStderr, Output};
use super::primed::Primed;
use super::settings::{self, Settings};
use super::{StartError, pool_name};

/// One master and what belongs to it.
pub(super) struct Running {
    pub(super) master: Master,
    pub(super) stderr: Rc<MasterStderr>,
    reader: AbortHandle,
    pub(super) sockets: Vec<PathBuf>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Each master gets new sockets: no worker of an earlier one can answer on them. With `has_file_cache` opcache gets a folder,
/// which [`fill_file_cache`] fills.
pub(super) fn launch(
    settings: &Settings,
    has_file_cache: bool,
    run_dir: &Path,
    generation: u32,
    output: &Rc<Output>,
    idle: &[Idle],
) -> Result<Running, StartError> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: std::io::Error| StartError(format!("{what}: {error}"))
    };
    if let Some(character) = unreadable_in(run_dir) {
        return Err(StartError(format!(
            "TMPDIR leads to {}, and php-fpm's configuration cannot name a path with {character:?}; set TMPDIR to another folder",
            run_dir.display()
        )));
    }
    make(run_dir).map_err(failed("the run folder"))?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let program = settings.find_program(&path).map_err(StartError)?;
    let sockets: Vec<PathBuf> = (0..settings.slots)
        .map(|slot| run_dir.join(format!("{generation}-{slot}.sock")))
        .collect();
    let listeners: Vec<UnixListener> = sockets
        .iter()
        .map(|socket| UnixListener::bind(socket).map_err(failed("no socket can be made")))
        .collect::<Result<_, _>>()?;

    let pools: Vec<_> = sockets
        .iter()
        .enumerate()
        .map(|(slot, socket)| (socket.clone(), output.error_log_fd(slot)))
        .collect();
    let (ini, configuration) = (run_dir.join("php.ini"), run_dir.join("php-fpm.conf"));
    let is_root = rustix::process::geteuid().is_root();
    let file_cache = has_file_cache.then(|| file_cache_of(run_dir));
    if let Some(file_cache) = file_cache.as_deref().filter(|folder| !folder.is_dir()) {
        fs::create_dir(file_cache).map_err(failed("the folder of opcache's files"))?;
    }
    fs::write(&ini, settings.php_ini(file_cache.as_deref()))
        .map_err(failed("php.ini cannot be written"))?;
    fs::write(&configuration, settings::configuration(&pools, is_root))
        .map_err(failed("php-fpm.conf cannot be written"))?;
    let overlay =
        link_users_ini(&settings.task_root, run_dir).map_err(failed("the function's php.ini"))?;

    let (stderr, stderr_writer) = MasterStderr::new(output.clone()).map_err(failed("no pipe"))?;
    output.keep_first_words();
    let for_workers: Vec<_> = (0..settings.slots)
        .flat_map(|slot| {
            let pool = pool_name(slot);
            let stderr = (
                format!("FPM_STDERR_{pool}"),
                output.stderr(slot).as_raw_fd(),
            );
            [stderr, (format!("FPM_IDLE_{pool}"), idle[slot].fd())]
        })
        .collect();
    let inherited = listeners.iter().map(|listener| listener.as_raw_fd());
    let master = Master::spawn(Launch {
        program: &program,
        ini: &ini,
        configuration: &configuration,
        task_root: &settings.task_root,
        environment: &settings.environment,
        is_root,
        sockets: master::sockets(sockets.iter().map(PathBuf::as_path).zip(&listeners)),
        scan_dir: settings.scan_dir(overlay.as_deref()),
        inherited: inherited
            .chain(pools.iter().map(|(_, log_fd)| *log_fd))
            .chain(for_workers.iter().map(|(_, fd)| *fd))
            .collect(),
        for_workers,
        stderr: stderr_writer,
    })
    .map_err(failed(&program.display().to_string()))?;
    let stderr = Rc::new(stderr);
    let reader = tokio::task::spawn_local(stderr.clone().pump()).abort_handle();
    Ok(Running {
        master,
        stderr,
        reader,
        sockets,
    })
}

/// The php.ini and the `PHP_INI_SCAN_DIR` of a command: what php-fpm has, without its opcache files, which it alone can use.
pub(super) fn command_ini(
    settings: &Settings,
    run_dir: &Path,
) -> std::io::Result<(PathBuf, OsString)> {
    make(run_dir)?;
    let ini = run_dir.join("php-cli.ini");
    if !ini.is_file() {
        fs::write(&ini, settings.php_ini(None))?;
    }
    let overlay = link_users_ini(&settings.task_root, run_dir)?;
    Ok((ini, settings.scan_dir(overlay.as_deref())))
}

/// A script may have emptied /tmp.
fn make(run_dir: &Path) -> std::io::Result<()> {
    match run_dir.is_dir() {
        true => Ok(()),
        false => fs::DirBuilder::new().mode(0o700).create(run_dir),
    }
}

fn file_cache_of(run_dir: &Path) -> PathBuf {
    run_dir.join("opcache")
}

/// Puts the function's opcache files into the folder that php-fpm was started with, unless an earlier master had them.
pub(super) fn fill_file_cache(primed: &Primed, run_dir: &Path) -> Result<(), StartError> {
    let file_cache = file_cache_of(run_dir);
    let fill = || match fs::read_dir(&file_cache)?.next() {
        None => primed.link(&file_cache),
        Some(_) => Ok(()),
    };
    fill().map_err(|error: std::io::Error| StartError(format!("the opcache files: {error}")))
}

/// Takes the empty file cache away from a php-fpm that was started with it: it would write all that it compiles into it. It
/// makes the folder again, but not where there is a file.
pub(super) fn take_file_cache_away(run_dir: &Path) {
    let file_cache = file_cache_of(run_dir);
    if fs::remove_dir(&file_cache).is_ok() {
        // without the file it only costs time
        let _ = fs::write(file_cache, "");
    }
}

/// What has a meaning of its own in php-fpm's configuration or in `FPM_SOCKETS`.
fn unreadable_in(path: &Path) -> Option<char> {
    let path = path.to_string_lossy();
    path.chars().find(|character| {
        character.is_whitespace()
            || character.is_control()
            || ";#\"'=,$%{}\u{fffd}".contains(*character)
    })
}

/// The folder that [`link_users_ini`] makes.
pub(super) fn overlay_of(run_dir: &Path) -> PathBuf {
    run_dir.join("ini")
}

/// A folder with a link to the function's php.ini, for PHP reads one php.ini and that is ours.
fn link_users_ini(task_root: &Path, run_dir: &Path) -> std::io::Result<Option<PathBuf>> {
    let users = task_root.join("php.ini");
    if !users.is_file() {
        return Ok(None);
    }
    let overlay = overlay_of(run_dir);
    if !overlay.is_dir() {
        fs::create_dir(&overlay)?;
        std::os::unix::fs::symlink(users, overlay.join("php.ini"))?;
    }
    Ok(Some(overlay))
}

/// Words of a start after which something that the user asked for is missing.
pub(super) fn is_broken_start(words: &str) -> bool {
    // "Cannot load Zend OPcache - it was already loaded"
    if words.contains("already loaded") {
        return false;
    }
    [
        "syntax error",
        "Unable to load dynamic library",
        "Unable to initialize module",
        "Unable to start",
        "Cannot load",
        "Failed loading",
        "Invalid library",
    ]
    .iter()
    .any(|broken| words.contains(broken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_words_are_errors() {
        for words in [
            "PHP:  syntax error, unexpected '(' in /var/task/php.ini on line 3",
            "NOTICE: PHP message: PHP Warning:  PHP Startup: Unable to load dynamic library 'nope' (tried: /x/nope (…))",
        ] {
            assert!(is_broken_start(words), "{words}");
        }
        for words in [
            "NOTICE: PHP message: PHP Deprecated:  Directive 'track_errors' is deprecated in Unknown on line 0",
            "NOTICE: PHP message: PHP Warning:  Module \"curl\" is already loaded in Unknown on line 0",
        ] {
            assert!(!is_broken_start(words), "{words}");
        }
    }
}
