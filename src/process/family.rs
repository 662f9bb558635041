//! A process and everything that it started: found in /proc, stopped, and killed.

use std::collections::HashMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::pidfd::PidFd;

/// How long /proc is read anew for what was started while it was read. A stopped process starts nothing, but one that has been told
/// to stop in the middle of a fork ends that first, and needs a processor for it.
const PATIENCE: Duration = Duration::from_millis(500);

/// What a stopped process had started, stopped like it.
pub struct Frozen(Vec<PidFd>);

impl Frozen {
    /// Stops a process where it is, with everything that it started. A process that has left its parents (a daemon) is not
    /// found.
    pub fn with_descendants(pid: Pid, pidfd: &PidFd) -> Frozen {
        Frozen::stop(pid, pidfd, |table| table.descendants_of(&[pid]))
    }

    /// The same for the leader of a session: what has left its parents but not the session is found too, and so is what
    /// outlives the leader.
    pub fn with_session(leader: Pid, pidfd: &PidFd) -> Frozen {
        Frozen::stop(leader, pidfd, |table| {
            let members = table.session_of(leader);
            let descendants = table.descendants_of(&members);
            let mut family = [members, descendants].concat();
            family.retain(|member| *member != leader);
            family
        })
    }

    fn stop(pid: Pid, pidfd: &PidFd, family: impl Fn(&Table) -> Vec<Pid>) -> Frozen {
        pidfd.signal(Signal::STOP);
        let mut stopped: HashMap<Pid, PidFd> = HashMap::new();
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let table = Table::read();
            let mut found = family(&table);
            let is_at_rest = found.iter().chain([&pid]).all(|pid| table.is_at_rest(*pid));
            found.retain(|found| *found != pid && !stopped.contains_key(found));
            // opened before the first of them ends: no process id is used twice
            let found = found
                .into_iter()
                .filter_map(|pid| Some((pid, PidFd::open(pid).ok()?)));
            let found: Vec<(Pid, PidFd)> = found.collect();
            if found.is_empty() && is_at_rest {
                break;
            }
            found
                .iter()
                .for_each(|(_, found)| found.signal(Signal::STOP));
            stopped.extend(found);
            thread::yield_now();
        }
        Frozen(stopped.into_values().collect())
    }

    /// Kills them; the process itself is its owner's to kill.
    pub fn kill(self) {
        self.0.iter().for_each(|pidfd| pidfd.signal(Signal::KILL));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// From the kernel's list where it keeps one, else from the parents of all processes.
pub fn children_of(parent: Pid) -> Vec<Pid> {
    let raw = parent.as_raw_nonzero();
    match fs::read_to_string(format!("/proc/{raw}/task/{raw}/children")) {
        Ok(list) => list
            .split_ascii_whitespace()
            .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
            .collect(),
        Err(_) => Table::read().children_of(parent).collect(),
    }
}

/// All processes.
struct Table(Vec<Entry>);

struct Entry {
    pid: Pid,
    stat: Stat,
}

impl Table {
    fn read() -> Table {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let entries = entries.filter_map(|entry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let stat = Stat::parse(&stat)?;
            Some(Entry { pid, stat })
        });
        Table(entries.collect())
    }

    /// Whether a process starts nothing any more: it is stopped, or has ended.
    fn is_at_rest(&self, pid: Pid) -> bool {
        let mut its = self.0.iter().filter(|entry| entry.pid == pid);
        its.all(|entry| entry.stat.has_ended || entry.stat.is_stopped)
    }

    fn children_of(&self, parent: Pid) -> impl Iterator<Item = Pid> {
        let parent = parent.as_raw_nonzero().get();
        let is_child = move |entry: &&Entry| entry.stat.parent == parent;
        self.0.iter().filter(is_child).map(|entry| entry.pid)
    }

    /// Each once, without the ancestors themselves.
    fn descendants_of(&self, ancestors: &[Pid]) -> Vec<Pid> {
        let mut found = ancestors.to_vec();
        let mut next = 0;
        while let Some(&pid) = found.get(next) {
            let new: Vec<Pid> = self
                .children_of(pid)
                .filter(|child| !found.contains(child))
                .collect();
            found.extend(new);
            next += 1;
        }
        found.split_off(ancestors.len())
    }

    /// Those that have ended and were not waited for are none any more.
    fn session_of(&self, leader: Pid) -> Vec<Pid> {
        let leader = leader.as_raw_nonzero().get();
        let is_member = |entry: &&Entry| entry.stat.session == leader && !entry.stat.has_ended;
        let members = self.0.iter().filter(is_member);
        members.map(|entry| entry.pid).collect()
    }
}

/// Of /proc/pid/stat.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    has_ended: bool,
    is_stopped: bool,
    parent: i32,
    session: i32,
}

impl Stat {
    /// The third, fourth and sixth field; the second, the name, can hold anything.
    fn parse(stat: &str) -> Option<Stat> {
        let (_, behind_name) = stat.rsplit_once(')')?;
        let mut fields = behind_name.split_ascii_whitespace();
        let state = fields.next()?;
        Some(Stat {
            has_ended: matches!(state, "Z" | "X"),
            is_stopped: matches!(state, "T" | "t"),
            parent: fields.next()?.parse().ok()?,
            session: fields.nth(1)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command, Stdio};

    use super::*;

    #[test]
    fn the_fields_are_found_behind_any_name() {
        let stat = |state, parent, session| {
            Some(Stat {
                has_ended: state == 'Z',
                is_stopped: state == 'T',
                parent,
                session,
            })
        };
        for (text, expected) in [
            ("17 (php-fpm) S 4 17 18 0", stat('S', 4, 18)),
            ("17 (a) b) S 9 (x) Z 4 17 8 0", stat('Z', 4, 8)),
            ("17 (:) 1 2)) T 4 17 5", stat('T', 4, 5)),
            ("17 (x) S 4 17", None),
            ("", None),
        ] {
            assert_eq!(Stat::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn children_are_found_either_way() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let (own, pid) = (rustix::process::getpid(), Pid::from_child(&child));
        let table = Table::read();
        assert!(table.children_of(own).any(|child| child == pid));
        assert!(table.descendants_of(&[own]).contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// A shell that leads a session and says when its child has left it.
    #[allow(unsafe_code, reason = "one system call between fork and exec")]
    fn session(script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(Stdio::piped());
        unsafe {
            command.pre_exec(|| Ok(rustix::process::setsid().map(|_| ())?));
        }
        command.spawn().unwrap()
    }

    #[tokio::test]
    async fn what_is_started_meanwhile_is_found_too() {
        let forks =
            "i=0; while [ $i -lt 200 ]; do sleep 60 >&2 & i=$((i+1)); done; exec sleep 60 >&2";
        let mut leader = session(&format!("(echo started; {forks}) & exec sleep 60 >&2"));
        let mut said = [0; 8];
        let stdout = leader.stdout.as_mut().unwrap();
        std::io::Read::read_exact(stdout, &mut said).unwrap();
        let pid = Pid::from_child(&leader);
        let pidfd = PidFd::open(pid).unwrap();
        let frozen = Frozen::with_session(pid, &pidfd);
        let members = Table::read().session_of(pid);
        assert_eq!(members.len(), frozen.len() + 1, "all are stopped");
        frozen.kill();
        leader.kill().unwrap();
        for member in members {
            if let Ok(member) = PidFd::open(member) {
                member.exited().await;
            }
        }
        leader.wait().unwrap();
        assert!(Table::read().session_of(pid).is_empty());
    }

    #[tokio::test]
    async fn what_has_left_its_parents_is_found_in_the_session_alone() {
        // the inner shell ends at once, and its child is nobody's
        let mut leader = session("(sleep 60 >&2 & echo started); exec sleep 60 >&2");
        let mut said = String::new();
        let stdout = leader.stdout.as_mut().unwrap();
        std::io::Read::read_to_string(stdout, &mut said).unwrap();
        assert_eq!(said, "started\n");
        let pid = Pid::from_child(&leader);
        let pidfd = PidFd::open(pid).unwrap();
        let frozen = Frozen::with_session(pid, &pidfd);
        assert_eq!(frozen.len(), 1);
        let ends: Vec<PidFd> = Table::read()
            .session_of(pid)
            .into_iter()
            .map(|pid| PidFd::open(pid).unwrap())
            .collect();
        assert_eq!(ends.len(), 2);
        frozen.kill();
        leader.kill().unwrap();
        for end in ends {
            end.exited().await;
        }
        leader.wait().unwrap();
        assert!(Table::read().session_of(pid).is_empty());
    }
}
