//! PHP's command line: the one that belongs to a php-fpm.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::process::program::is_program;

/// `/opt/bin/php` for `/opt/bin/php-fpm`, `/usr/bin/php8.4` for `/usr/sbin/php-fpm8.4`: beside it, in the `bin` beside its
/// `sbin`, or on `path` (as in `PATH`). A version in the name, or in the name of the file that a link leads to, has to be the
/// same. An error names what was looked for.
pub fn find(php_fpm: &Path, path: &OsStr) -> Result<PathBuf, String> {
    let real = php_fpm.canonicalize().unwrap_or_else(|_| php_fpm.into());
    let name_of = |program: &Path| {
        let name = program.file_name()?.to_str()?;
        Some(format!("php{}", name.strip_prefix("php-fpm")?))
    };
    // the file that is linked to knows its version
    let names = [name_of(&real), name_of(php_fpm)];
    let mut names: Vec<String> = names.into_iter().flatten().collect();
    if names.is_empty() {
        names.push("php".to_owned());
    }
    if names[0] != "php" {
        names.truncate(1);
    }
    let folder = php_fpm.parent().unwrap_or(Path::new("/"));
    let folders: Vec<PathBuf> = [folder.to_owned(), folder.join("../bin")]
        .into_iter()
        .chain(std::env::split_paths(path))
        .collect();
    let candidates = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let mut programs = candidates.filter(|program| is_program(program));
    programs.next().ok_or_else(|| {
        format!(
            "PHP_LAMBDA_CONSOLE needs PHP's command line, and there is no {} beside {} or on PATH. Add it (it is a part of the layer), or unset the variable.",
            names[0],
            php_fpm.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn program(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn the_layers_is_beside_its_php_fpm() {
        let root = tempfile::tempdir().unwrap();
        let php_fpm = root.path().join("opt/bin/php-fpm");
        program(&php_fpm);
        let missing = find(&php_fpm, OsStr::new("")).unwrap_err();
        assert!(
            missing.contains("no php beside") && missing.contains("unset"),
            "{missing}"
        );
        let on_path = root.path().join("path/php");
        program(&on_path);
        let path = on_path.parent().unwrap().as_os_str();
        assert_eq!(find(&php_fpm, path).unwrap(), on_path);
        let beside = root.path().join("opt/bin/php");
        fs::write(&beside, "no run bit").unwrap();
        assert_eq!(find(&php_fpm, path).unwrap(), on_path);
        program(&beside);
        assert_eq!(find(&php_fpm, path).unwrap(), beside);
    }

    #[test]
    fn another_version_is_not_taken() {
        let root = tempfile::tempdir().unwrap();
        let php_fpm = root.path().join("usr/sbin/php-fpm8.4");
        program(&php_fpm);
        program(&root.path().join("usr/bin/php"));
        program(&root.path().join("usr/bin/php8.5"));
        assert!(
            find(&php_fpm, OsStr::new(""))
                .unwrap_err()
                .contains("php8.4")
        );
        program(&root.path().join("usr/bin/php8.4"));
        let found = find(&php_fpm, OsStr::new(""))
            .unwrap()
            .canonicalize()
            .unwrap();
        assert!(found.ends_with("usr/bin/php8.4"));
        // nor by a link without a version
        let link = root.path().join("links/php-fpm");
        program(&root.path().join("links/php"));
        symlink(&php_fpm, &link).unwrap();
        assert!(find(&link, OsStr::new("")).unwrap_err().contains("php8.4"));
    }
}
