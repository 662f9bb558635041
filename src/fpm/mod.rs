//! php-fpm: started first, watched, and read; one worker a slot, found when it has answered and killed when it must not go on.
//!
//! Nothing here speaks FastCGI: [`crate::slot`] brings this and a connection together.

mod entries;
mod event_runner;
mod idle;
mod launch;
mod master;
pub mod master_line;
mod output;
mod primed;
pub mod settings;
mod worker;
mod workers;

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use self::idle::Idle;
use self::launch::Running;
use self::output::Output;
use self::primed::Primed;
use self::settings::Settings;
use self::worker::Worker;
use crate::log::{Context, Log};

/// php-fpm with its run folder. It runs on one thread, in a `LocalSet`.
pub struct Fpm {
    settings: Settings,
    /// The function's opcache files, where they fit its code.
    primed: Option<Primed>,
    run_dir: TempDir,
    output: Rc<Output>,
    /// Of each slot.
    idle: Vec<Idle>,
    running: RefCell<Rc<Running>>,
    generation: Cell<u32>,
    workers: Vec<RefCell<Option<Rc<Worker>>>>,
    /// The process ids of the workers that were adopted last.
    last_workers: Vec<Cell<Option<i32>>>,
    has_answered: Cell<bool>,
    /// How many slots are in an invocation.
    at_work: Rc<watch::Sender<usize>>,
    /// One slot at a time starts php-fpm again.
    restart: tokio::sync::Mutex<()>,
    readers: Vec<AbortHandle>,
}

/// A slot is in an invocation for as long as this lives.
pub struct AtWork(Rc<watch::Sender<usize>>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.send_modify(|slots| *slots -= 1);
    }
}

/// php-fpm cannot be started; the text is php-fpm's own where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartError(pub String);

impl Fpm {
    /// Starts php-fpm and returns at once: a client can connect to its sockets already, and waits there until it is up.
    pub fn start(settings: Settings, log: Log) -> Result<Fpm, StartError> {
        let temp = std::env::temp_dir();
        let run_dir = tempfile::Builder::new()
            .prefix("php-fpm-lambda-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(&temp)
            .map_err(|error| {
                StartError(format!(
                    "no folder can be made in {}: {error}",
                    temp.display()
                ))
            })?;
        let output = Output::new(settings.slots, log)
            .map_err(|error| StartError(format!("no pipes: {error}")))?;
        let output = Rc::new(output);
        let idle: Vec<Idle> = (0..settings.slots)
            .map(|_| Idle::new())
            .collect::<Result<_, _>>()
            .map_err(|error| StartError(format!("no eventfd: {error}")))?;
        let mut primed = Primed::find(&settings.task_root);
        let run = run_dir.path();
        let running = launch::launch(&settings, primed.is_some(), run, 0, &output, &idle)?;
        // php-fpm starts meanwhile: it looks into its file cache when it runs the first script
        if let Err(warning) = primed.as_ref().map_or(Ok(()), Primed::check) {
            output.warn(&warning);
            primed = None;
        }
        if let Some(primed) = &primed {
            launch::fill_file_cache(primed, run)?;
        }
        let readers = (0..settings.slots).map(|slot| {
            let pump = output.clone().pump(slot);
            tokio::task::spawn_local(pump).abort_handle()
        });
        Ok(Fpm {
            readers: readers.collect(),
            running: RefCell::new(Rc::new(running)),
            generation: Cell::new(0),
            workers: (0..settings.slots).map(|_| RefCell::default()).collect(),
            last_workers: (0..settings.slots).map(|_| Cell::new(None)).collect(),
            has_answered: Cell::new(false),
            at_work: Rc::default(),
            restart: tokio::sync::Mutex::default(),
            settings,
            primed,
            run_dir,
            output,
            idle,
        })
    }

    /// Where the worker of a slot takes connections.
    pub fn socket(&self, slot: usize) -> PathBuf {
        self.running.borrow().sockets[slot].clone()
    }

    /// The path of the PHP file that runs the script of an event that is no HTTP request. It is written when it is not there.
    pub fn event_runner(&self) -> std::io::Result<String> {
        event_runner::path_in(self.run_dir.path())
    }

    /// Whether the master runs.
    pub fn is_running(&self) -> bool {
        self.running.borrow().master.exit().is_none()
    }

    /// Waits until the master that runs now has ended, and says how.
    pub async fn exited(&self) -> String {
        let running = self.running.borrow().clone();
        running.master.exited().await
    }

    /// Why a master that has just ended, or is ready, is not what was wanted; `None`: all is well.
    ///
    /// A missing extension and a broken ini file are only warnings to php-fpm, but the function would not be what its
    /// author wrote.
    pub fn start_error(&self) -> Option<StartError> {
        let running = self.running.borrow().clone();
        running.stderr.drain();
        let (link, users) = (
            launch::overlay_of(self.run_dir.path()),
            &self.settings.task_root,
        );
        let named = |words: String| {
            words.replace(&link.display().to_string(), &users.display().to_string())
        };
        let words: Vec<String> = self
            .output
            .take_first_words()
            .into_iter()
            .map(named)
            .collect();
        if let Some(exit) = running.master.exit() {
            return Some(StartError(format!("it {exit}. {}", words.join(" / "))));
        }
        let (broken, harmless): (Vec<_>, Vec<_>) = words
            .into_iter()
            .partition(|words| launch::is_broken_start(words));
        harmless
            .iter()
            .for_each(|words| self.output.warn(&format!("php-fpm: {words}")));
        if self.primed.is_none() {
            launch::take_file_cache_away(self.run_dir.path());
        }
        (!broken.is_empty()).then(|| StartError(broken.join(" / ")))
    }

    /// Starts php-fpm again if its master has ended; its old workers are killed before.
    pub async fn ensure_running(&self) -> Result<(), StartError> {
        let _one_at_a_time = self.restart.lock().await;
        if self.is_running() {
            return Ok(());
        }
        for (slot, worker) in self.workers.iter().enumerate() {
            if let Some(worker) = worker.take() {
                worker.kill(worker.freeze());
                worker.exited().await;
            }
            self.idle[slot].forget();
        }
        let generation = self.generation.get() + 1;
        self.generation.set(generation);
        let running = launch::launch(
            &self.settings,
            self.primed.is_some(),
            self.run_dir.path(),
            generation,
            &self.output,
            &self.idle,
        )?;
        if let Some(primed) = &self.primed {
            launch::fill_file_cache(primed, self.run_dir.path())?;
        }
        self.running.replace(Rc::new(running));
        Ok(())
    }

    /// The php.ini and the `PHP_INI_SCAN_DIR` with which PHP's command line has the settings of the workers.
    pub fn command_ini(&self) -> io::Result<(PathBuf, OsString)> {
        launch::command_ini(&self.settings, self.run_dir.path())
    }

    /// Whether any worker has ever answered: from then on php-fpm is known to work.
    pub fn has_answered(&self) -> bool {
        self.has_answered.get()
    }

    /// A line for the log that belongs to no invocation.
    pub fn warn(&self, message: &str) {
        self.output.warn(message);
    }

    /// Takes note of a slot that is in an invocation, until the answer is dropped.
    pub fn begin_work(&self) -> AtWork {
        self.at_work.send_modify(|slots| *slots += 1);
        AtWork(self.at_work.clone())
    }

    /// Whether any slot is in an invocation.
    pub fn is_at_work(&self) -> bool {
        *self.at_work.borrow() > 0
    }

    /// Kills the master and all workers, for [`Fpm::ensure_running`] to start others, once no slot is in an invocation.
    pub async fn kill_when_idle(&self) {
        let running = self.running.borrow().clone();
        let mut at_work = self.at_work.subscribe();
        let idle = async { at_work.wait_for(|slots| *slots == 0).await.map(|_| ()) };
        tokio::select! {
            // another slot was first
            _ = running.master.exited() => {}
            _ = idle => {
                running.master.signal(Signal::KILL);
                running.master.exited().await;
            }
        }
    }

    /// Whose lines a slot's output is from here on.
    pub fn set_context(&self, slot: usize, context: Context) {
        self.output.set_context(slot, context);
    }

    /// Ends php-fpm; what does not end in `patience` is killed.
    pub async fn stop(&self, patience: Duration) {
        let running = self.running.borrow().clone();
        for (slot, worker) in self.workers.iter().enumerate() {
            worker
                .borrow()
                .iter()
                .for_each(|worker| self.output.dismiss(slot, worker.pid()));
        }
        running.master.signal(Signal::TERM);
        if tokio::time::timeout(patience, running.master.exited())
            .await
            .is_err()
        {
            self.workers.iter().for_each(|worker| {
                worker
                    .borrow()
                    .iter()
                    .for_each(|worker| worker.kill(worker.freeze()))
            });
            running.master.signal(Signal::KILL);
            running.master.exited().await;
        }
        (0..self.workers.len()).for_each(|slot| self.output.drain_pipes(slot));
        running.stderr.drain();
    }
}

impl Drop for Fpm {
    fn drop(&mut self) {
        self.readers.iter().for_each(AbortHandle::abort);
    }
}

fn pool_name(slot: usize) -> String {
    format!("slot{slot}")
}
