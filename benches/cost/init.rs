//! From exec to the first call for an invocation, and how much of it is php-fpm's own start.

use std::process::Stdio;
use std::time::Instant;

use serde::Serialize;

use crate::bootstrap::{Bootstrap, Setup};
use crate::fastcgi;
use crate::php_fpm::PhpFpm;
use crate::process::Process;
use crate::runtime_api::RuntimeApi;
use crate::samples::{Samples, tenths};
use crate::workload::Workload;

/// Starts of each kind; they take turns.
const STARTS: usize = 25;

/// Medians in microseconds.
#[derive(Serialize)]
pub struct Init {
    pub starts: usize,
    /// From exec of the bootstrap to its first call for an invocation.
    pub bootstrap_p50: f64,
    pub bootstrap_p95: f64,
    /// From exec of php-fpm, with the same configuration, to its first answer to a ping.
    pub php_fpm_p50: f64,
    pub php_fpm_p95: f64,
    /// The difference of the medians: what the bootstrap adds.
    pub own_share: f64,
    /// From exec of a bootstrap that has no handler, and so starts no php-fpm, to its report: the process, its
    /// configuration, its client of the Runtime API and one call.
    pub without_php_fpm_p50: f64,
}

pub fn measure(setup: &Setup) -> Init {
    Workload::hello().install(&setup.task_root);
    let (mut whole, mut php_fpm, mut without) =
        (Samples::default(), Samples::default(), Samples::default());
    for round in 0..=STARTS {
        let mut api = RuntimeApi::new();
        let begin = Instant::now();
        let bootstrap = Process::spawn(&mut Bootstrap::command(setup, "index.php", &api), &[]);
        api.wait_for_next();
        let whole_time = begin.elapsed();
        drop(bootstrap);

        let prepared = PhpFpm::prepare(setup);
        let begin = Instant::now();
        let master = prepared.spawn(setup);
        fastcgi::Client::connect(&prepared.socket).round_trip(&fastcgi::ping());
        let php_fpm_time = begin.elapsed();
        drop(master);

        let mut api = RuntimeApi::new();
        let mut command = Bootstrap::command(setup, "missing.php", &api);
        // which says so on stderr
        command.stderr(Stdio::null());
        let begin = Instant::now();
        let bootstrap = Process::spawn(&mut command, &[]);
        api.wait_for_init_error();
        let without_time = begin.elapsed();
        drop(bootstrap);

        // the first one reads the files from the disk
        if round > 0 {
            whole.push(whole_time);
            php_fpm.push(php_fpm_time);
            without.push(without_time);
        }
    }
    Init {
        starts: STARTS,
        bootstrap_p50: whole.median(),
        bootstrap_p95: whole.percentile(0.95),
        php_fpm_p50: php_fpm.median(),
        php_fpm_p95: php_fpm.percentile(0.95),
        own_share: tenths(whole.median() - php_fpm.median()),
        without_php_fpm_p50: without.median(),
    }
}
