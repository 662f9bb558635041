//! `lambda-local` as its user starts it and ends it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::lambda::{PATIENCE, chmod};
use crate::local::{folder_with, last_number};
use crate::process::{Process, is_running};
use crate::program::{FREE_PORT, Program, lambda_local};

const PRINTS_ITS_PID: &str = r#"
print("bootstrap", os.getpid(), flush=True)
print("child", subprocess.Popen(["setsid", "sleep", "1000"]).pid, flush=True)
next()
"#;

fn start(folder: &Path) -> Program {
    Program::start(lambda_local().args(FREE_PORT).arg(folder)).unwrap()
}

/// The process whose number is at the end of the next line that begins with `name`.
fn pid_behind(name: &str, program: &mut Program) -> u32 {
    last_number(&program.line(name))
}

/// What a program says that ends instead of serving.
fn refusal(command: &mut Command) -> String {
    let mut program = Program::start(command.stderr(Stdio::piped())).unwrap();
    let status = program.wait();
    let said = program.stop().join("\n");
    assert!(!status.success(), "{said}");
    said
}

#[test]
fn sigterm_ends_everything() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        let folder = folder_with(PRINTS_ITS_PID);
        let mut program = start(folder.path());
        let pids = ["bootstrap ", "child "].map(|name| pid_behind(name, &mut program));
        program.signal(signal);
        assert_eq!(program.wait().code(), Some(0));
        assert!(!pids.into_iter().any(is_running));
    }
}

#[test]
fn sigterm_while_a_failed_init_ends_leaves_nothing_behind() {
    let folder = folder_with(
        r#"
print("bootstrap", os.getpid(), flush=True)
print("child", subprocess.Popen(["setsid", "sleep", "1000"]).pid, flush=True)
call("POST", "init/error", "{}")
print("reported 0", flush=True)
time.sleep(1000)
"#,
    );
    let mut program = start(folder.path());
    let pids = ["bootstrap ", "child "].map(|name| pid_behind(name, &mut program));
    program.line("reported ");
    program.signal(Signal::TERM);
    assert_eq!(program.wait().code(), Some(0));
    assert!(!pids.into_iter().any(is_running));
}

#[test]
fn nohup_is_respected() {
    let folder = folder_with(PRINTS_ITS_PID);
    let mut command = Command::new("nohup");
    command.arg(lambda_local().get_program()).args(FREE_PORT);
    command.arg(folder.path()).stderr(Stdio::null());
    let mut program = Program::start(&mut command).unwrap();
    let child = pid_behind("child ", &mut program);
    program.signal(Signal::HUP);
    let status = fs::read_to_string(format!("/proc/{}/status", program.pid())).unwrap();
    assert!(
        status.lines().any(|line| line
            .strip_prefix("SigIgn:\t")
            .is_some_and(|mask| u64::from_str_radix(mask, 16).unwrap() & 1 == 1)),
        "{status}"
    );
    assert!(is_running(child));
    program.signal(Signal::TERM);
    assert_eq!(program.wait().code(), Some(0));
}

#[test]
fn a_folder_that_may_not_be_entered_is_named() {
    let folder = folder_with("next()");
    let path = folder.path().to_str().unwrap();
    let mut command = lambda_local();
    command
        .args(FREE_PORT)
        .args(["--bootstrap", "/bin/true", path]);
    // Root may enter any folder, so as root the program is another user's.
    if rustix::process::getuid().is_root() {
        command.uid(993).gid(990);
        chmod(path, 0o700);
    } else {
        chmod(path, 0o000);
    }
    let error = refusal(&mut command);
    chmod(path, 0o700);
    assert!(
        error.contains("may not be entered by user")
            && error.contains(&format!("chmod o+rx {path}")),
        "{error}"
    );
}

#[test]
fn an_address_for_all_interfaces_is_no_url() {
    let folder = folder_with("next()");
    let mut command = lambda_local();
    command.args(["--listen", "0.0.0.0:0"]).arg(folder.path());
    let mut program = Program::start(&mut command).unwrap();
    let line = program.line("");
    program.signal(Signal::TERM);
    assert_eq!(program.wait().code(), Some(0));
    assert!(
        line.starts_with("Listening on port ") && line.contains(" of all interfaces "),
        "{line}"
    );
}

#[test]
fn the_bootstrap_does_not_outlive_a_program_that_was_killed() {
    let folder = folder_with("print('bootstrap', os.getpid(), flush=True)\nnext()");
    let mut program = start(folder.path());
    let bootstrap = Process::read(pid_behind("bootstrap ", &mut program)).unwrap();
    program.signal(Signal::KILL);
    assert_eq!(program.wait().signal(), Some(9));
    assert!(bootstrap.ends_within(PATIENCE));
}

#[test]
fn what_cannot_work_is_said_with_what_to_do() {
    let folder = folder_with("");
    let path = folder.path().to_str().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let cases: [(&[&str], &str); 9] = [
        (&["--listen", &address, path], "is taken by another program"),
        (
            &["--listen", "127.0.0.1:0", "/no/such/folder"],
            "give the folder that you would deploy",
        ),
        (
            &[
                "--listen",
                "127.0.0.1:0",
                "--bootstrap",
                "/no/such/file",
                path,
            ],
            "name one with --bootstrap PATH",
        ),
        (
            &["--listen", "127.0.0.1:0", "--timeout", "0", path],
            "0 is not in 1..=900",
        ),
        (
            &["--listen", "127.0.0.1:0", "--bootstrap", path, path],
            "is a folder: name the file in it",
        ),
        (&["--listen", "here", path], "such as 127.0.0.1:8080"),
        (&["--listen", "localhost:x", path], "such as 127.0.0.1:8080"),
        (
            &["--env", "AWS_LAMBDA_RUNTIME_API=x", path],
            "the Runtime API is lambda-local's own",
        ),
        (
            &["--env", "AWS_LAMBDA_MAX_CONCURRENCY=2", path],
            "choose it with --concurrency",
        ),
    ];
    for (arguments, message) in cases {
        let error = refusal(lambda_local().args(arguments));
        assert!(error.contains(message), "{arguments:?}: {error}");
    }
}
