//! The PHP side of events that are no HTTP requests, in the run folder: the bootstrap runs without the layer too.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

/// The file that php-fpm runs.
const RUNNER: &str = "event.php";

const FILES: [(&str, &str); 2] = [
    ("functions.php", include_str!("../../php/functions.php")),
    (RUNNER, include_str!("../../php/event.php")),
];

/// The runner's path. What is not there is written, at the first event and when a script has emptied the temporary folder since.
pub(super) fn path_in(run_dir: &Path) -> io::Result<String> {
    for (name, text) in FILES {
        let path = run_dir.join(name);
        if !path.is_file() {
            write(run_dir, &path, text)?;
        }
    }
    Ok(run_dir.join(RUNNER).display().to_string())
}

/// In one step, since a worker of another slot may be about to read it.
fn write(run_dir: &Path, path: &Path, text: &str) -> io::Result<()> {
    fs::create_dir_all(run_dir)?;
    let mut file = tempfile::NamedTempFile::new_in(run_dir)?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_written_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let run_dir = folder.path().join("run");
        let names = || {
            let entries = fs::read_dir(&run_dir).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let runner = path_in(&run_dir).unwrap();
        assert_eq!(Path::new(&runner), run_dir.join("event.php"));
        assert_eq!(names(), ["event.php", "functions.php"]);

        fs::remove_file(run_dir.join("functions.php")).unwrap();
        fs::write(&runner, "as it was").unwrap();
        path_in(&run_dir).unwrap();
        assert_eq!(names(), ["event.php", "functions.php"]);
        assert_eq!(fs::read_to_string(&runner).unwrap(), "as it was");
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let run_dir = folder.path().join("file");
        fs::write(&run_dir, "").unwrap();
        assert!(path_in(&run_dir).is_err());
    }
}
