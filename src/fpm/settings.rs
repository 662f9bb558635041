//! What php-fpm is started with: its program, its configuration files and its environment.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::process::environment::Environment;
use crate::process::program::is_program;

/// Where the layer has its php-fpm.
const LAYERS_PHP_FPM: &str = "/opt/bin/php-fpm";

/// PHP's settings, before the user's own.
const PHP_INI: &str = include_str!("../../php/php.ini");

/// Behind [`PHP_INI`] where the function has primed files. Lambda checks the sum of the whole package, opcache need not check
/// that of each file.
const FILE_CACHE: &str = "opcache.file_cache_consistency_checks = 0\n";

/// Behind [`PHP_INI`] where answers are streamed: no buffer, so that `echo` and `flush()` need no help of the script's.
const STREAMING: &str =
    "output_buffering = Off\nimplicit_flush = On\nzlib.output_compression = Off\n";

/// PHP's own `memory_limit`, in megabytes.
const PHPS_MEMORY_LIMIT: u64 = 128;

/// What a function's memory has to hold beside the workers, in megabytes: the bootstrap and the master (5), opcache with the
/// classes of a middling application (25), the parts of the programs that are in use (10).
const OVERHEAD: u64 = 40;

/// What a worker takes beside what its `memory_limit` counts, in megabytes.
const OVERHEAD_OF_SLOT: u64 = 8;

/// In megabytes, for functions that are too small for anything.
const LEAST_MEMORY_LIMIT: u64 = 16;

const GLOBAL: &str = include_str!("../../php/php-fpm.conf");
const POOL: &str = include_str!("../../php/pool.conf");

/// The path that a pool answers by itself; no script's name has a second slash.
pub const PING_PATH: &str = "/php-fpm-lambda/ping";

/// What php-fpm depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The program; `None`: look for it.
    pub program: Option<PathBuf>,
    /// Where the function's code is.
    pub task_root: PathBuf,
    /// How many workers.
    pub slots: usize,
    /// The function's memory in megabytes, where it is known.
    pub memory: Option<u64>,
    /// What scripts print is to leave at once.
    pub streams: bool,
    /// The user's own `PHP_INI_SCAN_DIR`.
    pub ini_scan_dir: Option<OsString>,
    /// What PHP gets beside the process's own variables.
    pub environment: Environment,
}

impl Settings {
    /// The layer's php-fpm, else one on `path` (as in `PATH`) or in `/usr/sbin`, where Debian has it.
    pub fn find_program(&self, path: &OsStr) -> Result<PathBuf, String> {
        self.find_program_or(Path::new(LAYERS_PHP_FPM), path)
    }

    fn find_program_or(&self, layers: &Path, path: &OsStr) -> Result<PathBuf, String> {
        if let Some(program) = &self.program {
            return match is_program(program) {
                true => Ok(program.clone()),
                false => Err(format!(
                    "PHP_FPM is {}, which is no program that can be run",
                    program.display()
                )),
            };
        }
        if is_program(layers) {
            return Ok(layers.into());
        }
        let folders: Vec<PathBuf> = std::env::split_paths(path)
            .chain(["/usr/sbin".into()])
            .collect();
        let plain = folders
            .iter()
            .map(|folder| folder.join("php-fpm"))
            .find(|program| is_program(program));
        let newest = || {
            folders
                .iter()
                .flat_map(|folder| versions_in(folder))
                .max_by_key(|(minor, _)| *minor)
        };
        plain.or_else(|| newest().map(|(_, program)| program)).ok_or_else(|| {
            format!("there is no {LAYERS_PHP_FPM}, and no php-fpm or php-fpm8.* on PATH or in /usr/sbin; add the layer, or set PHP_FPM")
        })
    }

    /// `php.ini`; `file_cache` is opcache's, where the function has one.
    pub(super) fn php_ini(&self, file_cache: Option<&Path>) -> String {
        let mut text = format!(
            "{PHP_INI}\n; of the function's memory\nmemory_limit = {}M\n",
            self.memory_limit()
        );
        if self.streams {
            text.push_str(STREAMING);
        }
        if let Some(file_cache) = file_cache {
            let file_cache = file_cache.display();
            writeln!(text, "{FILE_CACHE}opcache.file_cache = {file_cache}")
                .expect("a String takes every write");
        }
        text
    }

    /// PHP's `memory_limit` in megabytes: what the function's memory leaves to each worker, so that PHP says where it is
    /// short, and the kernel kills nothing.
    fn memory_limit(&self) -> u64 {
        let Some(memory) = self.memory else {
            return PHPS_MEMORY_LIMIT;
        };
        let slots = self.slots as u64;
        let limit = memory.saturating_sub(OVERHEAD + OVERHEAD_OF_SLOT * slots) / slots;
        match slots {
            1 => limit.max(LEAST_MEMORY_LIMIT),
            _ => limit.max(PHPS_MEMORY_LIMIT),
        }
    }

    /// `PHP_INI_SCAN_DIR`: the user's own, else PHP's folder (an empty entry) and the function's `php/conf.d`; and in any case
    /// `overlay`, the folder in which the function's `php.ini` is linked, where there is one.
    pub(super) fn scan_dir(&self, overlay: Option<&Path>) -> OsString {
        let (mut dirs, folder) = match &self.ini_scan_dir {
            Some(users) => (users.clone(), None),
            None => (OsString::new(), Some(self.task_root.join("php/conf.d"))),
        };
        // conf.d comes after php.ini, as everywhere
        let is_none = self
            .ini_scan_dir
            .as_ref()
            .is_some_and(|dirs| dirs.is_empty());
        for folder in overlay.into_iter().chain(folder.as_deref()) {
            // an empty entry is PHP's own folder, which an empty list of the user's excludes
            if !is_none {
                dirs.push(":");
            }
            dirs.push(folder);
        }
        dirs
    }
}

/// `php-fpm8.4` and its like, with the number behind the point.
fn versions_in(folder: &Path) -> Vec<(u32, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let version = |path: PathBuf| {
        let minor = path
            .file_name()?
            .to_str()?
            .strip_prefix("php-fpm8.")?
            .parse()
            .ok()?;
        is_program(&path).then_some((minor, path))
    };
    entries.filter_map(|entry| version(entry.path())).collect()
}

/// `php-fpm.conf`; each slot with the path of its socket and the descriptor of its log.
pub(super) fn configuration(slots: &[(PathBuf, i32)], is_root: bool) -> String {
    let mut text = GLOBAL.to_owned();
    for (slot, (socket, log_fd)) in slots.iter().enumerate() {
        let pool = POOL
            .replace("{slot}", &slot.to_string())
            .replace("{socket}", &socket.display().to_string())
            .replace("{log_fd}", &log_fd.to_string())
            // a notice on each start where it is not needed, an error where it is missing
            .replace(
                "{user}",
                if is_root {
                    "user = root\ngroup = root"
                } else {
                    ""
                },
            );
        write!(text, "{pool}").expect("a String takes every write");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn settings() -> Settings {
        Settings {
            program: None,
            task_root: "/var/task".into(),
            slots: 1,
            memory: None,
            streams: false,
            ini_scan_dir: None,
            environment: Environment::default(),
        }
    }

    fn program(folder: &Path, name: &str) {
        std::fs::write(folder.join(name), "").unwrap();
        std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o755))
            .unwrap();
    }

    #[test]
    fn the_layers_is_found_first_then_a_plain_name_then_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let layers = folder.path().join("opt/bin/php-fpm");
        let find = || {
            let found = settings().find_program_or(&layers, folder.path().as_os_str());
            found.unwrap()
        };
        for name in ["php-fpm8.9", "php-fpm8.99", "php-fpm7.4", "php-fpm8.x"] {
            program(folder.path(), name);
        }
        std::fs::write(folder.path().join("php-fpm8.100"), "no run bit").unwrap();
        assert_eq!(find(), folder.path().join("php-fpm8.99"));
        program(folder.path(), "php-fpm");
        assert_eq!(find(), folder.path().join("php-fpm"));
        std::fs::create_dir_all(layers.parent().unwrap()).unwrap();
        program(folder.path(), "opt/bin/php-fpm");
        assert_eq!(find(), layers);
    }

    #[test]
    fn a_wrong_php_fpm_is_named() {
        let settings = Settings {
            program: Some("/etc/passwd".into()),
            ..settings()
        };
        let error = settings.find_program(OsStr::new("")).unwrap_err();
        assert!(error.contains("PHP_FPM is /etc/passwd"), "{error}");
    }

    #[test]
    fn where_ini_files_are_read() {
        let overlay = Path::new("/tmp/run/ini");
        assert_eq!(settings().scan_dir(None), ":/var/task/php/conf.d");
        assert_eq!(
            settings().scan_dir(Some(overlay)),
            ":/tmp/run/ini:/var/task/php/conf.d"
        );
        let users = Settings {
            ini_scan_dir: Some("/a:/b".into()),
            ..settings()
        };
        assert_eq!(users.scan_dir(None), "/a:/b");
        assert_eq!(users.scan_dir(Some(overlay)), "/a:/b:/tmp/run/ini");
        let none = Settings {
            ini_scan_dir: Some("".into()),
            ..settings()
        };
        assert_eq!(none.scan_dir(None), "");
        assert_eq!(none.scan_dir(Some(overlay)), "/tmp/run/ini");
    }

    #[test]
    fn memory_limit_is_what_the_functions_memory_leaves() {
        let limit = |memory, slots| {
            Settings {
                memory,
                slots,
                ..settings()
            }
            .memory_limit()
        };
        assert_eq!(limit(None, 1), 128);
        assert_eq!(limit(Some(128), 1), 80);
        assert_eq!(limit(Some(512), 1), 464);
        assert_eq!(limit(Some(10_240), 1), 10_192);
        assert_eq!(limit(Some(32), 1), 16);
        assert_eq!(limit(Some(2048), 4), 494);
        assert_eq!(limit(Some(2048), 64), 128);
    }

    #[test]
    fn the_ini_file_ends_with_what_is_this_functions() {
        let last = |text: &str, name: &str| {
            let lines = text.lines().filter(|line| line.starts_with(name));
            lines.last().map(str::to_owned)
        };
        let plain = settings().php_ini(None);
        assert_eq!(last(&plain, "memory_limit").unwrap(), "memory_limit = 128M");
        assert_eq!(last(&plain, "opcache.file_cache"), None);
        assert_eq!(last(&plain, "output_buffering"), None);
        let streaming = Settings {
            streams: true,
            ..settings()
        };
        let streaming = streaming.php_ini(None);
        assert_eq!(
            last(&streaming, "output_buffering").unwrap(),
            "output_buffering = Off"
        );
        let primed = settings().php_ini(Some(Path::new("/tmp/run/opcache")));
        assert_eq!(
            last(&primed, "opcache.file_cache").unwrap(),
            "opcache.file_cache = /tmp/run/opcache"
        );
    }

    #[test]
    fn one_pool_a_slot() {
        let text = configuration(&[("/r/0.sock".into(), 7), ("/r/1.sock".into(), 8)], false);
        for line in [
            "[slot0]",
            "[slot1]",
            "listen = /r/1.sock",
            "php_admin_value[error_log] = /proc/self/fd/8",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("user = root") && !text.contains('{'));
        assert!(text.contains(&format!("ping.path = {PING_PATH}")));
        assert!(configuration(&[("/r/0.sock".into(), 7)], true).contains("\nuser = root\n"));
    }
}
