//! One worker process: found below the master, written to, and killed with everything that it started.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal};

use super::pidfd::PidFd;

/// A worker that has answered at least once.
pub(super) struct Worker {
    pid: Pid,
    pidfd: PidFd,
    /// `None`: the worker writes into a pipe of ours, and nothing comes through the master.
    through_master: Option<ThroughMaster>,
}

/// The pipes that are a worker's stderr and stdout, and that the master reads.
///
/// Not opened: while somebody else can write to them the master sees no end of a worker that has died, and php-fpm then closes
/// their descriptors twice, the second time when they are those of another worker.
pub(super) struct ThroughMaster {
    stderr: OwnedFd,
    stdout: OwnedFd,
}

/// What ends an unfinished line in the master's buffer (php-fpm's own workers send it after each request).
const FLUSH: &[u8] = b"\0fscf\0";

impl Worker {
    /// The worker of `pool`, a child of `master`; `None` where /proc cannot be read. `ours` is the pipe that the layer's
    /// php-fpm gives it as its stderr.
    pub(super) fn find(master: Pid, pool: &str, ours: impl AsFd) -> Option<Worker> {
        let title = format!("php-fpm: pool {pool}");
        let is_it = |pid: &Pid| {
            let title_of =
                fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
            title_of
                .split(|byte| matches!(byte, 0 | b'\n'))
                .next()
                .is_some_and(|t| t.trim_ascii() == title.as_bytes())
        };
        let pid = children_of(master).into_iter().find(is_it)?;
        let pidfd = PidFd::open(pid).ok()?;
        let path = |fd: u32| format!("/proc/{}/fd/{fd}", pid.as_raw_nonzero());
        let name = |fd: u32| {
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            rustix::fs::open(path(fd), flags, Mode::empty()).ok()
        };
        let is_ours = match (rustix::fs::stat(path(2)), rustix::fs::fstat(ours)) {
            (Ok(its), Ok(ours)) => (its.st_dev, its.st_ino) == (ours.st_dev, ours.st_ino),
            _ => false,
        };
        let through_master = match is_ours {
            true => None,
            false => Some(ThroughMaster {
                stdout: name(1)?,
                stderr: name(2)?,
            }),
        };
        let worker = Worker {
            pid,
            pidfd,
            through_master,
        };
        // still the same process: the pipes are its own
        is_it(&pid).then_some(worker)
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// How it writes to its stderr, where that comes through the master.
    pub(super) fn through_master(&self) -> Option<&ThroughMaster> {
        self.through_master.as_ref()
    }

    /// Waits until it has ended.
    pub(super) async fn exited(&self) {
        self.pidfd.exited().await;
    }

    /// Stops it where it is, with everything that it started: what they have written can still be read, and nothing more
    /// comes. A process that has left its parents (a daemon) is not found.
    pub(super) fn freeze(&self) -> Frozen {
        self.pidfd.signal(Signal::STOP);
        // opened before the first of them ends: no process id is used twice
        let descendants = descendants_of(self.pid)
            .into_iter()
            .filter_map(|pid| PidFd::open(pid).ok());
        let descendants: Vec<PidFd> = descendants.collect();
        descendants
            .iter()
            .for_each(|descendant| descendant.signal(Signal::STOP));
        Frozen(descendants)
    }

    /// Kills it and what was frozen with it.
    pub(super) fn kill(&self, frozen: Frozen) {
        self.pidfd.signal(Signal::KILL);
        frozen
            .0
            .iter()
            .for_each(|descendant| descendant.signal(Signal::KILL));
    }
}

impl ThroughMaster {
    /// Writes a line that comes out of the master behind everything that the worker wrote. `Err`: nothing will come.
    pub(super) fn write_mark(&self, mark: &str) -> io::Result<()> {
        let line = [FLUSH, mark.as_bytes(), b"\n"].concat();
        let mut stdout = open_for_writing(&self.stdout)?;
        // what is no longer in stdout's pipe was read by the master before this mark
        if rustix::io::ioctl_fionread(&stdout).is_ok_and(|unread| unread > 0) {
            stdout.write_all(&line)?;
        }
        open_for_writing(&self.stderr)?.write_all(&line)
    }
}

/// Fails where nobody reads the pipe any more.
fn open_for_writing(pipe: &OwnedFd) -> io::Result<fs::File> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// What a stopped worker had started.
pub(super) struct Frozen(Vec<PidFd>);

/// From the kernel's list where it keeps one, else from the parents of all processes.
fn children_of(parent: Pid) -> Vec<Pid> {
    let raw = parent.as_raw_nonzero();
    match fs::read_to_string(format!("/proc/{raw}/task/{raw}/children")) {
        Ok(list) => list
            .split_ascii_whitespace()
            .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
            .collect(),
        Err(_) => tree().remove(&Some(parent)).unwrap_or_default(),
    }
}

fn descendants_of(ancestor: Pid) -> Vec<Pid> {
    let tree = tree();
    let mut found: Vec<Pid> = tree.get(&Some(ancestor)).cloned().unwrap_or_default();
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        found.extend(tree.get(&Some(pid)).into_iter().flatten());
        next += 1;
    }
    found
}

/// All processes by their parent.
fn tree() -> HashMap<Option<Pid>, Vec<Pid>> {
    let mut tree: HashMap<_, Vec<_>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| Pid::from_raw(name.parse().ok()?));
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let (Some(pid), Some(parent)) = (pid, parent_in(&stat)) {
            tree.entry(Pid::from_raw(parent)).or_default().push(pid);
        }
    }
    tree
}

/// The fourth field of /proc/pid/stat; the second, the name, can hold anything.
fn parent_in(stat: &str) -> Option<i32> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent_in("17 (php-fpm) S 4 17 17"), Some(4));
        assert_eq!(parent_in("17 (a) b) S 9 (x) R 4 17"), Some(4));
        assert_eq!(parent_in("17 (:) 1 2)) S 4 17"), Some(4));
        assert_eq!(parent_in(""), None);
    }

    #[test]
    fn children_are_found_either_way() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let (own, pid) = (rustix::process::getpid(), Pid::from_child(&child));
        assert!(
            tree()
                .get(&Some(own))
                .is_some_and(|children| children.contains(&pid))
        );
        assert!(descendants_of(own).contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
