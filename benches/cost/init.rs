//! From exec to the first call for an invocation, and how much of it is php-fpm's own start.

use std::process::Stdio;
use std::time::Instant;

use serde::Serialize;

use crate::bootstrap::{Bootstrap, Setup};
use crate::fastcgi;
use crate::php_fpm::PhpFpm;
use crate::process::Process;
use crate::runtime_api::RuntimeApi;
use crate::samples::{Samples, micros, tenths};
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
    /// What the bootstrap adds: the difference of two starts that followed each other, its median and quartiles.
    pub own_share: f64,
    pub own_share_p25: f64,
    pub own_share_p75: f64,
    /// From exec of a bootstrap that has no handler, and so starts no php-fpm, to its report: the process, its
    /// configuration, its client of the Runtime API and one call.
    pub without_php_fpm_p50: f64,
}

pub fn measure(setup: &Setup) -> Init {
    Workload::hello().install(&setup.task_root);
    let mut shares = Vec::new();
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
        fastcgi::Client::connect(prepared.socket()).round_trip(&fastcgi::ping());
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
            shares.push(micros(whole_time) - micros(php_fpm_time));
            whole.push(whole_time);
            php_fpm.push(php_fpm_time);
            without.push(without_time);
        }
    }
    // these can be negative, which no time is
    shares.sort_by(f64::total_cmp);
    let quantile = |part: f64| tenths(shares[((shares.len() - 1) as f64 * part).round() as usize]);
    Init {
        starts: STARTS,
        bootstrap_p50: whole.median(),
        bootstrap_p95: whole.percentile(0.95),
        php_fpm_p50: php_fpm.median(),
        php_fpm_p95: php_fpm.percentile(0.95),
        own_share: quantile(0.5),
        own_share_p25: quantile(0.25),
        own_share_p75: quantile(0.75),
        without_php_fpm_p50: without.median(),
    }
}
