//! What becomes of a slot's worker: found when it has answered, waited for, drained, and killed when it must not go on.

use std::rc::Rc;
use std::time::Duration;

use super::master_line::WorkerExit;
use super::worker::Worker;
use super::{Fpm, pool_name};

/// How long php-fpm gets to tell what it knows of a worker: normally a fraction of a millisecond.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long the lines of a worker may take through php-fpm's master: normally a fraction of a millisecond as well, but what is given
/// up here is missing from the log before the answer.
const PATIENCE_WITH_LINES: Duration = Duration::from_secs(1);

/// The same as [`PATIENCE`] for a worker that has ended: then php-fpm has something to tell, however busy the machine is.
const PATIENCE_WITH_AN_END: Duration = Duration::from_secs(2);

impl Fpm {
    /// Takes note of the worker that has just answered a slot for the first time on a connection. True: it is another one than
    /// the last.
    pub fn adopt_worker(&self, slot: usize) -> bool {
        let master = self.running.borrow().master.pid();
        let worker = Worker::find(master, &pool_name(slot), self.output.stderr(slot)).map(Rc::new);
        let pid = worker.as_ref().map(|worker| worker.pid());
        self.workers[slot].replace(worker);
        self.has_answered.set(true);
        let is_new = self.last_workers[slot].replace(pid) != pid || pid.is_none();
        if is_new {
            // what it has answered is one request, and nobody waited for it yet
            self.idle[slot].only_one_answered();
        }
        is_new
    }

    /// Takes note of a request that the slot's worker has answered, or whose answer is taken no longer.
    pub fn answered(&self, slot: usize) {
        self.idle[slot].answered();
    }

    /// Whether the slot's worker says when it is done with a request, for [`Fpm::idle`].
    pub fn says_when_idle(&self, slot: usize) -> bool {
        let worker = self.workers[slot].borrow();
        // a stderr of ours means the layer's php-fpm, which does both
        worker
            .as_ref()
            .is_some_and(|worker| worker.through_master().is_none())
    }

    /// Waits until the slot's worker is done with all that it has answered. False: it has died.
    pub async fn idle(&self, slot: usize) -> bool {
        let Some(worker) = self.workers[slot].borrow().clone() else {
            return false;
        };
        tokio::select! {
            biased;
            () = self.idle[slot].wait() => true,
            () = worker.exited() => false,
        }
    }

    /// Whether the slot has a worker now.
    pub fn has_worker(&self, slot: usize) -> bool {
        let master = self.running.borrow().master.pid();
        Worker::find(master, &pool_name(slot), self.output.stderr(slot)).is_some()
    }

    /// Puts what stands in the slot's pipes into the log; see [`Fpm::drain`] for all that its worker has written.
    pub fn drain_pipes(&self, slot: usize) {
        self.output.drain_pipes(slot);
    }

    /// Waits until everything that the slot's worker has written is in the log.
    pub async fn drain(&self, slot: usize) {
        self.output.drain_pipes(slot);
        let Some(worker) = self.workers[slot].borrow().clone() else {
            return;
        };
        let Some(through_master) = worker.through_master() else {
            return;
        };
        if self.output.awaits_mark(slot) {
            return;
        }
        let (number, mark) = self.output.new_mark(slot);
        if through_master.write_mark(&mark).is_err() {
            return self.output.give_mark_up(slot);
        }
        tokio::select! {
            () = self.output.mark_passed(slot, number) => {}
            _ = self.exited() => {}
            () = tokio::time::sleep(PATIENCE_WITH_LINES) => {}
        }
    }

    /// How the slot's worker ended, when it did; `None` where nobody says.
    pub async fn worker_exit(&self, slot: usize) -> Option<WorkerExit> {
        let worker = self.workers[slot].borrow().clone()?;
        let patience = async {
            let has_ended = tokio::time::timeout(PATIENCE, worker.exited()).await;
            if has_ended.is_ok() {
                tokio::time::sleep(PATIENCE_WITH_AN_END).await;
            }
        };
        tokio::select! {
            exit = self.output.worker_exit(slot, worker.pid()) => Some(exit),
            _ = self.exited() => None,
            () = patience => None,
        }
    }

    /// Forgets the slot's worker, which has ended.
    pub fn forget_worker(&self, slot: usize) {
        self.output.give_mark_up(slot);
        self.workers[slot].take();
        self.idle[slot].forget();
    }

    /// Kills the slot's worker with everything that it started, waits until it is gone, and drains what it had written.
    pub async fn kill_worker(&self, slot: usize) {
        if self.workers[slot].borrow().is_none() {
            self.adopt_worker(slot);
        }
        let Some(worker) = self.workers[slot].borrow().clone() else {
            return;
        };
        self.output.dismiss(slot, worker.pid());
        // drained first: the master reads no more of a worker that has ended
        let frozen = worker.freeze();
        self.drain(slot).await;
        worker.kill(frozen);
        worker.exited().await;
        self.output.drain_pipes(slot);
        self.forget_worker(slot);
    }
}
