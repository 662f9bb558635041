//! What php-fpm is started with: its program, its configuration files and its environment.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Where the layer has its php-fpm.
const LAYERS_PHP_FPM: &str = "/opt/bin/php-fpm";

/// PHP's settings, before the user's own.
pub(super) const PHP_INI: &str = include_str!("../../php/php.ini");

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
    /// The user's own `PHP_INI_SCAN_DIR`.
    pub ini_scan_dir: Option<OsString>,
}

impl Settings {
    /// The layer's php-fpm, else one on `path` (as in `PATH`) or in `/usr/sbin`, where Debian has it.
    pub(super) fn find_program(&self, path: &OsStr) -> Result<PathBuf, String> {
        if let Some(program) = &self.program {
            return match is_program(program) {
                true => Ok(program.clone()),
                false => Err(format!(
                    "PHP_FPM is {}, which is no program that can be run",
                    program.display()
                )),
            };
        }
        if is_program(Path::new(LAYERS_PHP_FPM)) {
            return Ok(LAYERS_PHP_FPM.into());
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

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
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
    use super::*;

    fn settings() -> Settings {
        Settings {
            program: None,
            task_root: "/var/task".into(),
            slots: 1,
            ini_scan_dir: None,
        }
    }

    fn program(folder: &Path, name: &str) {
        std::fs::write(folder.join(name), "").unwrap();
        std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o755))
            .unwrap();
    }

    #[test]
    fn the_newest_version_is_found_and_a_plain_name_first() {
        let folder = tempfile::tempdir().unwrap();
        let find = || settings().find_program(folder.path().as_os_str()).unwrap();
        for name in ["php-fpm8.9", "php-fpm8.99", "php-fpm7.4", "php-fpm8.x"] {
            program(folder.path(), name);
        }
        std::fs::write(folder.path().join("php-fpm8.100"), "no run bit").unwrap();
        assert_eq!(find(), folder.path().join("php-fpm8.99"));
        program(folder.path(), "php-fpm");
        assert_eq!(find(), folder.path().join("php-fpm"));
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
