//! Processes as /proc shows them, and how they are ended.

use std::fs;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal};

/// A process that is no zombie.
pub struct Process {
    pub pid: u32,
    pub parent: u32,
    pub title: String,
}

impl Process {
    fn all() -> Vec<Process> {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        entries
            .filter_map(|entry| Process::read(entry.file_name().to_str()?.parse().ok()?))
            .collect()
    }

    /// The children of a process, their children, and so on.
    pub fn below(pid: u32) -> Vec<Process> {
        let mut found: Vec<Process> = Vec::new();
        let mut parents = vec![pid];
        while let Some(parent) = parents.pop() {
            for process in Process::all()
                .into_iter()
                .filter(|process| process.parent == parent)
            {
                parents.push(process.pid);
                found.push(process);
            }
        }
        found
    }

    /// `None` when it has ended, also when nobody has waited for it.
    pub fn read(pid: u32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        if fields.next()? == "Z" {
            return None;
        }
        let title = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let title = String::from_utf8_lossy(&title)
            .replace('\0', " ")
            .trim()
            .to_owned();
        Some(Process {
            pid,
            parent: fields.next()?.parse().ok()?,
            title,
        })
    }

    /// Waits until it has ended; false: it goes on.
    pub fn ends_within(&self, patience: Duration) -> bool {
        ends_within(self.pid, patience)
    }
}

/// What all processes of this machine, or container, are called.
pub fn all_titles() -> Vec<String> {
    Process::all()
        .into_iter()
        .map(|process| process.title)
        .collect()
}

/// Whether a process is there and more than a zombie, which an orphan is until init has waited for it.
pub fn is_running(pid: u32) -> bool {
    Process::read(pid).is_some()
}

/// A figure of /proc/PID/status: `VmHWM` is the most memory that a process has had, `VmRSS` what it has now.
pub fn kilobytes(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let figure = line.and_then(|line| line.strip_prefix(':')?.trim().strip_suffix(" kB"));
    figure.unwrap().parse().unwrap()
}

pub fn kill(pid: u32, signal: Signal) -> rustix::io::Result<()> {
    rustix::process::kill_process(Pid::from_raw(pid as i32).unwrap(), signal)
}

/// The status with which a child ended; `None`: it goes on.
pub fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    ends_within(child.id(), patience).then(|| child.wait().unwrap())
}

/// Lets a child end by itself, so that it can take its own children with it, and kills it when it does not.
pub fn end(child: &mut Child, patience: Duration) {
    if child.try_wait().is_ok_and(|status| status.is_none()) {
        let _ = kill(child.id(), Signal::TERM);
        if wait(child, patience).is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn ends_within(pid: u32, patience: Duration) -> bool {
    let Some(pid) = Pid::from_raw(pid as i32) else {
        return true;
    };
    let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else {
        return true;
    };
    let mut poll = [rustix::event::PollFd::new(
        &pidfd,
        rustix::event::PollFlags::IN,
    )];
    let patience = rustix::event::Timespec {
        tv_sec: patience.as_secs() as i64,
        tv_nsec: patience.subsec_nanos().into(),
    };
    rustix::event::poll(&mut poll, Some(&patience)).unwrap() > 0
}
