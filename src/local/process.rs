//! The bootstrap as a process: start, wait for its end, memory, and the kill of all that it started.

use std::{
    collections::HashSet,
    ffi::{CString, NulError, OsStr, c_char},
    fs, io,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    process::{Child, Command, ExitStatus},
    sync::atomic::AtomicPtr,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{
        Pid, PidfdFlags, Signal, WaitOptions, getpid, getppid, pidfd_open, pidfd_send_signal,
        set_parent_process_death_signal, waitpid,
    },
};
use tokio::signal::unix::{SignalKind, signal};

/// How long one killed process may take to be gone. It takes far less, unless it hangs inside the kernel.
const GONE: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// How often the sandbox is searched for processes that were forked while the others were killed.
const MOST_ROUNDS: u32 = 10;

/// How long the kernel may be between a process's old environment and its new one.
const MOST_EXEC: Duration = Duration::from_millis(100);

/// A child in a process group of its own, that dies with this process.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// The child was waited for.
    has_ended: bool,
    pidfd: OwnedFd,
    /// SIGCHLD: some child has ended. Unlike a pidfd, tokio waits for it without unsafe code.
    child_ended: tokio::signal::unix::Signal,
    /// `NAME=value`, in the environment of the child and of nobody else: how its descendants are recognised, as long as
    /// they keep it.
    marker: String,
}

impl Process {
    /// Starts `command` in the environment that it sets itself, without any of this process's; `marker` must be in it.
    pub(crate) fn start(command: &mut Command, marker: String) -> io::Result<Self> {
        command.process_group(0);
        die_with_parent(command);
        execute(command)?;
        let child_ended = signal(SignalKind::child())?;
        let mut child = command.spawn()?;
        match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Self {
                child,
                has_ended: false,
                pidfd,
                child_ended,
                marker,
            }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error.into())
            }
        }
    }

    /// Waits for the child's end, and says it again when asked again. Cancel-safe.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.has_ended = true;
                return Ok(status);
            }
            self.child_ended.recv().await;
        }
    }

    /// Asks the child to end; what it does about it shows in [`Process::wait`].
    pub(crate) fn terminate(&self) {
        // It fails when the child has ended already.
        let _ = pidfd_send_signal(&self.pidfd, Signal::TERM);
    }

    /// Kills the child and everything it started, whatever group or session that has moved to, and waits for their end.
    /// One that lost its parent is recognised by its environment, so that a daemon which cleared that is not found.
    ///
    /// Not asynchronous: it takes a moment, and nothing that is dropped can leave half of them behind.
    pub(crate) fn kill_all(&mut self) {
        // Before the child dies: its children lose their parent with it.
        let mut members = self.members();
        end(&self.pidfd);
        if let Ok(Some(_)) = self.child.try_wait() {
            self.has_ended = true;
        }
        for _ in 0..MOST_ROUNDS {
            for (pid, member) in members {
                end(&member);
                // Orphans are ours where this is a container's first process; elsewhere this is refused.
                let _ = waitpid(Some(pid), WaitOptions::NOHANG);
            }
            // What was forked while the others were killed.
            members = self.members();
            if members.is_empty() {
                break;
            }
        }
    }

    /// Pidfds of all other processes of the sandbox. A pidfd is opened first and the process looked at afterwards, so
    /// that a number that was reused meanwhile is never taken for one of ours.
    fn members(&self) -> Vec<(Pid, OwnedFd)> {
        let tree: HashSet<i32> = self.tree().into_iter().collect();
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        let pids = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|&pid| pid != raw(Pid::from_child(&self.child)) && pid != raw(getpid()))
            .filter_map(|pid| {
                if !tree.contains(&pid) && !self.has_marker(pid) {
                    return None;
                }
                let member = Pid::from_raw(pid)?;
                let pidfd = pidfd_open(member, PidfdFlags::empty()).ok()?;
                let is_ours = self.has_marker(pid) || self.tree().contains(&pid);
                (is_ours && is_alive(pid)).then_some((member, pidfd))
            })
            .collect()
    }

    /// The environment that a process was started with; a fork has that of its parent.
    fn has_marker(&self, pid: i32) -> bool {
        environ(pid).is_ok_and(|environ| {
            environ
                .split(|&byte| byte == 0)
                .any(|entry| entry == self.marker.as_bytes())
        })
    }

    /// The child and its descendants, as far as each still has its parent. None once the child was waited for: its
    /// number may be another process's then.
    fn tree(&self) -> Vec<i32> {
        if self.has_ended {
            return Vec::new();
        }
        let mut found = vec![raw(Pid::from_child(&self.child))];
        let mut next = 0;
        while let Some(&pid) = found.get(next) {
            found.extend(children(pid));
            next += 1;
        }
        found
    }

    /// An estimate of the most memory that the sandbox's processes had at once, in bytes: what each has now, shared
    /// pages counted once (`Pss`), and how far it was above that at its highest (`VmHWM` − `VmRSS`).
    pub(crate) fn memory(&self) -> u64 {
        self.tree()
            .into_iter()
            .map(|pid| {
                let now = field(&format!("/proc/{pid}/smaps_rollup"), "Pss:").unwrap_or_default();
                let status = format!("/proc/{pid}/status");
                let above = field(&status, "VmHWM:")
                    .unwrap_or_default()
                    .saturating_sub(field(&status, "VmRSS:").unwrap_or_default());
                now + above
            })
            .sum()
    }
}

/// Kills a process and waits until it is gone.
fn end(pidfd: &OwnedFd) {
    // It fails when the process has ended already.
    let _ = pidfd_send_signal(pidfd, Signal::KILL);
    // A pidfd is readable when its process has ended.
    let _ = poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&GONE));
}

/// The child is killed when this process ends in any way, SIGKILL included.
fn die_with_parent(command: &mut Command) {
    let parent = getpid();
    let in_child = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have ended before the line above.
        if getppid() == Some(parent) {
            Ok(())
        } else {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    };
    #[allow(
        unsafe_code,
        reason = "pre_exec has no safe form; the closure makes two system calls and allocates nothing"
    )]
    unsafe {
        command.pre_exec(in_child);
    }
}

/// Has the child become what the kernel makes of the program, as on Lambda. The standard library's way gives what the kernel
/// does not run (a script without a `#!` line, a program for another processor) to `/bin/sh`.
fn execute(command: &mut Command) -> io::Result<()> {
    let program = command.get_program();
    let path = CString::new(program.as_bytes())?;
    let words = [program].into_iter().chain(command.get_args());
    let words = Strings::new(words.map(|word| word.as_bytes().to_vec()))?;
    let set = command
        .get_envs()
        .filter_map(|(name, value)| Some([name, OsStr::new("="), value?]));
    let environment = Strings::new(set.map(|parts| parts.map(OsStr::as_bytes).concat()))?;
    let in_child = move || {
        #[allow(
            unsafe_code,
            reason = "rustix has no stable execve; the path and both lists end in a null, and live as long as this closure"
        )]
        unsafe {
            libc::execve(path.as_ptr(), words.as_ptr(), environment.as_ptr());
        }
        Err(io::Error::last_os_error())
    };
    #[allow(
        unsafe_code,
        reason = "pre_exec has no safe form; the closure makes one system call and allocates nothing"
    )]
    unsafe {
        command.pre_exec(in_child);
    }
    Ok(())
}

/// A list of strings as execve takes it.
struct Strings {
    /// Into `_owned`, and a null at the end.
    pointers: Vec<AtomicPtr<c_char>>,
    _owned: Vec<CString>,
}

impl Strings {
    fn new(strings: impl Iterator<Item = Vec<u8>>) -> Result<Self, NulError> {
        let owned = strings.map(CString::new).collect::<Result<Vec<_>, _>>()?;
        let pointers = owned.iter().map(|text| text.as_ptr().cast_mut());
        let pointers = pointers.map(AtomicPtr::new).chain([AtomicPtr::default()]);
        Ok(Self {
            pointers: pointers.collect(),
            _owned: owned,
        })
    }

    fn as_ptr(&self) -> *const *const c_char {
        self.pointers.as_ptr().cast()
    }
}

fn raw(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}

/// What `/proc/PID/environ` has. Around an execve it breaks off, for a moment which no event ends.
fn environ(pid: i32) -> io::Result<Vec<u8>> {
    let until = Instant::now() + MOST_EXEC;
    loop {
        let environ = fs::read(format!("/proc/{pid}/environ"))?;
        if is_whole(pid, &environ) || Instant::now() > until {
            return Ok(environ);
        }
        thread::yield_now();
    }
}

/// Whether this is all there is, by proc_pid_stat(5): the environment is between `env_start` and `env_end`, the 50th
/// and 51st fields, once `end_code`, the 27th, is there. Kernel threads and zombies have no program, and nothing.
fn is_whole(pid: i32, environ: &[u8]) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return true;
    };
    // The 2nd field is a name in parentheses, which may have anything in it.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<_> = fields.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<usize>().ok();
    let length = field(51)
        .zip(field(50))
        .and_then(|(end, start)| end.checked_sub(start));
    let is_settled = field(27) != Some(0) && length == Some(environ.len());
    is_settled || fs::read_link(format!("/proc/{pid}/exe")).is_err()
}

fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|line| {
            line.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Not a zombie: `State:` in `/proc/PID/status` is neither Z nor X.
fn is_alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/status"))
        .is_ok_and(|status| !status.contains("\nState:\tZ") && !status.contains("\nState:\tX"))
}

/// A line such as `VmHWM:     4312 kB`, in bytes.
fn field(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use std::{io::Read, os::unix::process::ExitStatusExt, process::Stdio};

    use super::*;

    fn shell(script: &str, marker: &str) -> Command {
        let mut command = Command::new("/bin/bash");
        let (name, value) = marker.split_once('=').unwrap();
        command
            .args(["-c", script])
            .env(name, value)
            .stdout(Stdio::piped());
        command
    }

    #[tokio::test]
    async fn the_end_is_an_event() {
        let mut process =
            Process::start(&mut shell("exit 3", "MARK=the-end"), "MARK=the-end".into()).unwrap();
        assert_eq!(process.wait().await.unwrap().code(), Some(3));
        assert_eq!(process.wait().await.unwrap().code(), Some(3));
    }

    #[tokio::test]
    async fn terminate_is_a_signal() {
        let mut process =
            Process::start(&mut shell("sleep 1000", "MARK=term"), "MARK=term".into()).unwrap();
        process.terminate();
        assert_eq!(process.wait().await.unwrap().signal(), Some(15));
    }

    #[tokio::test]
    async fn what_left_for_a_session_of_its_own_is_killed_too() {
        let script = "setsid sleep 1000 & (sleep 1000 &) ; echo ready; wait";
        let mut process =
            Process::start(&mut shell(script, "MARK=all"), "MARK=all".into()).unwrap();
        let mut output = process.child.stdout.take().unwrap();
        output.read_exact(&mut [0; 6]).unwrap();
        assert!(process.memory() > 0);
        assert!(!process.members().is_empty());
        process.kill_all();
        // The pipe ends when the last of them has: this would wait for 1000 seconds.
        output.read_to_end(&mut Vec::new()).unwrap();
    }

    #[tokio::test]
    async fn what_just_becomes_another_program_is_recognised_too() {
        // It does nothing else, so that many a look at it comes in the middle.
        let script = r#"again='exec sh -c "$0" "$0"'; exec sh -c "$again" "$again""#;
        let mut process =
            Process::start(&mut shell(script, "MARK=exec"), "MARK=exec".into()).unwrap();
        let pid = raw(Pid::from_child(&process.child));
        let recognised = (0..10_000).filter(|_| process.has_marker(pid)).count();
        process.kill_all();
        assert_eq!(recognised, 10_000);
    }

    #[tokio::test]
    async fn an_environment_that_is_really_empty_is_no_riddle() {
        let script = "exec env -i sleep 1000";
        let mut process =
            Process::start(&mut shell(script, "MARK=none"), "MARK=none".into()).unwrap();
        let pid = raw(Pid::from_child(&process.child));
        while fs::read_to_string(format!("/proc/{pid}/comm")).unwrap() != "sleep\n" {
            thread::yield_now();
        }
        assert_eq!(environ(pid).unwrap(), b"");
        assert!(is_whole(pid, b"") && !is_whole(pid, b"A=1"));
        process.kill_all();
    }
}
