//! `lambda-local cli` has a running `lambda-local` run a command.

use std::fs;
use std::net::TcpListener;
use std::process::Stdio;

use tempfile::TempDir;

use crate::console::CONSOLE;
use crate::lambda::bootstrap;
use crate::program::{FREE_PORT, Program, lambda_local};

/// A `lambda-local` of a function with the script of the console's tests.
pub struct LambdaLocal {
    pub program: Program,
    pub address: String,
    _folder: TempDir,
}

impl LambdaLocal {
    pub fn start(options: &[&str]) -> LambdaLocal {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("index.php"), "<?php echo 'an event';").unwrap();
        fs::write(folder.path().join("artisan"), CONSOLE).unwrap();
        let mut command = lambda_local();
        command
            .args(FREE_PORT)
            .arg("--bootstrap")
            .arg(bootstrap())
            .args(options)
            .arg(folder.path());
        let mut program = Program::start(&mut command).unwrap();
        let url = program.url();
        LambdaLocal {
            address: url.strip_prefix("http://").unwrap().to_owned(),
            program,
            _folder: folder,
        }
    }

    fn cli(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        cli(&self.address, arguments)
    }
}

/// Exit code, stdout and stderr of `lambda-local cli`.
pub fn cli(address: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let program = lambda_local()
        .args(["cli", "--address", address])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        program.status.code(),
        text(program.stdout),
        text(program.stderr),
    )
}

#[test]
fn lambda_local_runs_a_command_in_a_running_one() {
    let mut local = LambdaLocal::start(&["--env", "PHP_LAMBDA_CONSOLE=artisan", "--timeout", "8"]);
    let ok = |output: &str| (Some(0), output.to_owned(), String::new());
    assert_eq!(
        local.cli(&["--", "arguments", "a b", "--force"]),
        ok(r#"["arguments","a b","--force"]"#)
    );
    assert_eq!(
        local.cli(&["--env", "X=1", "environment", "X"]),
        ok(r#"["1","1","1"]"#)
    );
    assert_eq!(
        local.cli(&["--", "exit", "3"]),
        (Some(3), "first\nlast".to_owned(), String::new())
    );
    let (code, output, words) = local.cli(&["--", "kill", "SEGV"]);
    assert_eq!((code, &*output), (Some(1), "before\n"));
    assert_eq!(words, "lambda-local: The command was ended by signal 11.\n");
    let (code, output, words) = local.cli(&["--", "hang"]);
    assert_eq!((code, &*output), (Some(1), ""));
    assert!(
        words.starts_with("lambda-local: Function.Timeout: "),
        "{words}"
    );
    // in the log of the running one
    local.program.line("half a linea child");
}

#[test]
fn lambda_local_says_what_is_missing() {
    let local = LambdaLocal::start(&[]);
    let (code, _, words) = local.cli(&["--", "exit", "3"]);
    assert_eq!(code, Some(1));
    assert!(
        words.contains("PHP_LAMBDA_CONSOLE") && words.contains("an event"),
        "{words}"
    );
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let nobody = local.cli(&["--address", &address.to_string(), "x"]);
    assert_eq!(nobody.0, Some(2), "given twice: {}", nobody.2);
    drop(local);
    let (code, _, words) = cli(&address.to_string(), &["x"]);
    assert!(
        words.contains("start the function with lambda-local FUNCTION_DIR first"),
        "{words}"
    );
    assert_eq!(code, Some(1));
}
