//! Processes: started so that they end with this one, and what the kernel says of them.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal};

/// Longer than anything takes here: what takes longer hangs.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A child; dropping it ends it.
pub struct Process(Child);

impl Process {
    /// Starts it with `inherited` under their own numbers. Call it from the main thread, which the death signal follows.
    pub fn spawn(command: &mut Command, inherited: &[BorrowedFd<'_>]) -> Process {
        let inherited: Vec<RawFd> = inherited.iter().map(AsRawFd::as_raw_fd).collect();
        #[allow(
            unsafe_code,
            reason = "what runs between fork and exec: system calls alone, nothing is allocated"
        )]
        unsafe {
            command.pre_exec(move || {
                rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
                for &fd in &inherited {
                    rustix::io::fcntl_setfd(
                        BorrowedFd::borrow_raw(fd),
                        rustix::io::FdFlags::empty(),
                    )?;
                }
                Ok::<(), io::Error>(())
            });
        }
        let program = command.get_program().to_owned();
        Process(
            command
                .spawn()
                .unwrap_or_else(|error| panic!("{program:?} does not start: {error}")),
        )
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.0);
        // one that has ended already is not waited for yet, so the process id is still its own
        let _ = rustix::process::kill_process(pid, Signal::TERM);
        let pidfd =
            rustix::process::pidfd_open(pid, PidfdFlags::empty()).expect("a child has a pidfd");
        if !is_readable_in(&mut [PollFd::new(&pidfd, PollFlags::IN)], PATIENCE) {
            let _ = self.0.kill();
        }
        let _ = self.0.wait();
    }
}

/// Whether one of them has something before the time is over.
pub fn is_readable_in(fds: &mut [PollFd<'_>], patience: Duration) -> bool {
    let patience = Timespec::try_from(patience).expect("seconds");
    poll(fds, Some(&patience)).expect("descriptors can be polled") > 0
}

/// The children of a process, in the order of their start.
pub fn children_of(pid: u32) -> Vec<u32> {
    let list =
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("the process runs");
    list.split_ascii_whitespace()
        .map(|pid| pid.parse().expect("a process id"))
        .collect()
}

/// The time that all threads of a process have spent on a processor; in nanoseconds where `stat` has ticks of 10 ms.
pub fn cpu_time(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    tasks
        .map(|task| {
            schedstat(
                &task
                    .expect("a thread")
                    .path()
                    .join("schedstat")
                    .display()
                    .to_string(),
            )
        })
        .sum()
}

/// The same of the thread that asks.
pub fn own_cpu_time() -> Duration {
    schedstat("/proc/thread-self/schedstat")
}

fn schedstat(path: &str) -> Duration {
    let text = fs::read_to_string(path).expect("the kernel keeps schedstat");
    Duration::from_nanos(
        text.split(' ')
            .next()
            .and_then(|nanos| nanos.parse().ok())
            .expect("nanoseconds"),
    )
}

/// Memory of a process, in KiB.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Memory {
    /// Pages that are there now.
    pub rss_kib: u64,
    /// The same, each shared page counted in part.
    pub pss_kib: u64,
    /// Pages that no other process has.
    pub private_kib: u64,
    /// Of `rss_kib`, what is not the program's file.
    pub anonymous_kib: u64,
    /// The largest `rss_kib` so far.
    pub peak_kib: u64,
}

/// Memory of a process as it is now.
pub fn memory(pid: u32) -> Memory {
    let smaps = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("the process runs");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let field = |text: &str, name: &str| -> u64 {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
            .unwrap_or_else(|| panic!("no {name}"))
    };
    Memory {
        rss_kib: field(&smaps, "Rss"),
        pss_kib: field(&smaps, "Pss"),
        private_kib: field(&smaps, "Private_Clean") + field(&smaps, "Private_Dirty"),
        anonymous_kib: field(&smaps, "Anonymous"),
        peak_kib: field(&status, "VmHWM"),
    }
}
