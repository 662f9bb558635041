//! Cold starts: from exec of the bootstrap to its first call for an invocation, and to its first answer.
//!
//! Several php-fpm take turns, each with a small function and with a large one, with their files in the page cache and
//! with none of them there. How much of a processor there is, is not for this program to say: it runs once in a
//! container with all of one and once in a container with 15 % of it, and the second run's figures come by a file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::application;
use crate::bootstrap::{Bootstrap, Setup};
use crate::page_cache::Files;
use crate::process::{Process, children_of};
use crate::runtime_api::RuntimeApi;
use crate::samples::Samples;
use crate::workload::{Workload, body_of};

/// Starts of each kind.
const STARTS: usize = 20;
/// The same with a part of a processor only, where each takes seconds.
const THROTTLED_STARTS: usize = 9;
/// Long enough for a cgroup with a quota to have all of it again; the kernel's period is 100 ms.
const REST: Duration = Duration::from_millis(250);

/// Where the layer is, as on Lambda.
const LAYERS_PHP_FPM: &str = "/opt/bin/php-fpm";
const LAYERS_PRIME: &str = "/opt/bin/prime-opcache";
/// Debian's, the baseline.
const DEBIANS_PHP_FPM: [&str; 3] = [
    "/usr/sbin/php-fpm8.4",
    "/usr/sbin/php-fpm8.5",
    "/usr/sbin/php-fpm8.6",
];

/// Of the bytes that the page cache was to let go; a library that something else has mapped stays.
pub const TOLERATED_PART: f64 = 0.05;

pub const HELLO: &str = "hello";
pub const APPLICATION: &str = "300 classes";
pub const PRIMED: &str = "layer, primed";

/// Starts of one kind; times in microseconds.
#[derive(Serialize, Deserialize)]
pub struct Row {
    pub php: String,
    pub function: String,
    /// Of one processor, 100 where there is no quota.
    pub cpu_percent: u32,
    pub is_page_cache_warm: bool,
    pub starts: usize,
    pub next_p50: f64,
    pub next_p95: f64,
    pub first_answer_p50: f64,
    pub first_answer_p95: f64,
    /// How many files PHP compiled for the first answer; of `hello` it is not known.
    pub compiled: Option<usize>,
    /// What the page cache was to let go, and which part of it it did not.
    pub evicted_bytes: u64,
    pub left_part: Option<f64>,
}

pub fn measure(setup: &Setup) -> Vec<Row> {
    let cpu_percent = quota().unwrap_or(100);
    let mut rows = Vec::new();
    for function in [HELLO, APPLICATION] {
        for is_page_cache_warm in [true, false] {
            rows.extend(compare(setup, function, is_page_cache_warm, cpu_percent));
        }
    }
    rows
}

/// What a run under a quota has left in the file that `BENCH_THROTTLED` names.
pub fn throttled() -> Vec<Row> {
    #[derive(Deserialize)]
    struct Run {
        cold_us: Vec<Row>,
    }
    let Some(path) = std::env::var_os("BENCH_THROTTLED") else {
        return Vec::new();
    };
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let run: Run = serde_json::from_slice(&text).expect("a run of this program wrote it");
    run.cold_us
}

/// A php-fpm with a function.
struct Contestant {
    php: &'static str,
    program: PathBuf,
    function: &'static str,
    task_root: PathBuf,
    files: Files,
    left_part: Option<f64>,
    next: Samples,
    first_answer: Samples,
    compiled: Option<usize>,
}

impl Contestant {
    fn new(
        setup: &Setup,
        php: &'static str,
        program: &Path,
        function: &'static str,
        is_primed: bool,
    ) -> Contestant {
        let name = format!("{php} {function}").replace([' ', ','], "-");
        let task_root = setup.folder().join(name);
        fs::create_dir_all(&task_root).expect("the folder is ours");
        match function {
            HELLO => Workload::hello().install(&task_root),
            _ => application::install(&task_root),
        }
        if is_primed {
            prime(&task_root);
        }
        set_mode(&task_root, 0o555);
        let mut contestant = Contestant {
            php,
            program: program.to_owned(),
            function,
            task_root,
            files: Files::default(),
            left_part: None,
            next: Samples::default(),
            first_answer: Samples::default(),
            compiled: None,
        };
        contestant.find_files(setup);
        contestant
    }

    /// Starts it once for the files that it maps.
    fn find_files(&mut self, setup: &Setup) {
        let mut api = RuntimeApi::new();
        let bootstrap = Process::spawn(&mut self.command(setup, &api), &[]);
        api.wait_for_next();
        self.files.add_folder(&self.task_root);
        self.files.add_file(&setup.program);
        if self.program == Path::new(LAYERS_PHP_FPM) {
            self.files.add_folder(Path::new("/opt"));
        }
        for master in children_of(bootstrap.pid()) {
            self.files.add_mapped_by(master);
        }
    }

    fn command(&self, setup: &Setup, api: &RuntimeApi) -> Command {
        let mut command = Bootstrap::command(setup, "index.php", api);
        command
            .env("PHP_FPM", &self.program)
            .env("LAMBDA_TASK_ROOT", &self.task_root);
        command
    }

    /// Empties the page cache of its files, and looks once whether it is empty.
    fn evict(&mut self, is_first: bool) {
        if is_first {
            // the kernel keeps what it has not written yet
            rustix::fs::sync();
        }
        self.files.evict();
        if is_first {
            self.left_part = self.files.resident_part();
        }
    }

    fn start(&mut self, setup: &Setup, event: &[u8], counts: bool) {
        let mut api = RuntimeApi::new();
        let mut command = self.command(setup, &api);
        let begin = Instant::now();
        let bootstrap = Process::spawn(&mut command, &[]);
        api.wait_for_next();
        let next = begin.elapsed();
        let mut body = Vec::new();
        let invoked = api.invoke_and_look(event, |answer| body = body_of(answer));
        drop(bootstrap);
        match self.function {
            HELLO => assert_eq!(body, b"Hello World!"),
            _ => {
                let text = String::from_utf8_lossy(&body);
                let compiled = application::compiled(&text).unwrap_or_else(|| panic!("{text}"));
                self.compiled = Some(compiled);
            }
        }
        if counts {
            self.next.push(next);
            self.first_answer.push(next + invoked.answered);
        }
    }
}

impl Drop for Contestant {
    fn drop(&mut self) {
        // so that it can be removed
        set_mode(&self.task_root, 0o755);
    }
}

/// Of a folder and those below it. On Lambda nobody can write to a function, and the bootstrap finds its opcache files with less work.
fn set_mode(folder: &Path, mode: u32) {
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).expect("the folder is ours");
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            set_mode(&path, mode);
        }
    }
}

/// All that there are on this machine.
fn contestants(setup: &Setup, function: &'static str) -> Vec<Contestant> {
    let debians = DEBIANS_PHP_FPM.map(Path::new);
    let debians = debians.iter().find(|program| program.is_file());
    let layers = Path::new(LAYERS_PHP_FPM);
    let mut contestants = Vec::new();
    if let Some(program) = debians {
        // on the file system where the others are
        let copy = setup.folder().join("php-fpm");
        fs::copy(program, &copy).expect("the folder is ours");
        contestants.push(Contestant::new(setup, "Debian", &copy, function, false));
    }
    if layers.is_file() {
        contestants.push(Contestant::new(setup, "layer", layers, function, false));
        contestants.push(Contestant::new(setup, PRIMED, layers, function, true));
    }
    contestants
}

fn compare(
    setup: &Setup,
    function: &'static str,
    is_page_cache_warm: bool,
    cpu_percent: u32,
) -> Vec<Row> {
    let starts = match cpu_percent {
        100.. => STARTS,
        _ => THROTTLED_STARTS,
    };
    let event = Workload::hello().event;
    let mut contestants = contestants(setup, function);
    // one more round comes first, and is not counted: it fills the page cache
    for round in 0..=starts {
        for contestant in &mut contestants {
            if !is_page_cache_warm {
                contestant.evict(round == 0);
            }
            std::thread::sleep(REST);
            contestant.start(setup, &event, round > 0);
        }
    }
    let row = |contestant: Contestant| Row {
        php: contestant.php.into(),
        function: function.into(),
        cpu_percent,
        is_page_cache_warm,
        starts,
        next_p50: contestant.next.median(),
        next_p95: contestant.next.percentile(0.95),
        first_answer_p50: contestant.first_answer.median(),
        first_answer_p95: contestant.first_answer.percentile(0.95),
        compiled: contestant.compiled,
        evicted_bytes: contestant.files.bytes(),
        left_part: contestant.left_part,
    };
    contestants.into_iter().map(row).collect()
}

/// Fills the function's opcache file cache.
fn prime(task_root: &Path) {
    let output = Command::new(LAYERS_PRIME)
        .arg(task_root)
        .env("LAMBDA_TASK_ROOT", task_root)
        .output()
        .unwrap_or_else(|error| panic!("{LAYERS_PRIME}: {error}"));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The part of a processor, in percent, that the cgroup of this process may use.
fn quota() -> Option<u32> {
    let read = |path: &str| fs::read_to_string(path).ok();
    let number = |text: &str| text.trim().parse::<f64>().ok();
    // version 2, in a container; else version 1
    let (quota, period) = match read("/sys/fs/cgroup/cpu.max") {
        Some(text) => {
            let (quota, period) = text.trim().split_once(' ')?;
            (number(quota)?, number(period)?)
        }
        None => (
            number(&read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")?)?,
            number(&read("/sys/fs/cgroup/cpu/cpu.cfs_period_us")?)?,
        ),
    };
    (quota > 0.0).then_some((100.0 * quota / period).round() as u32)
}
