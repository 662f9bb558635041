//! Warm invocations beside their two floors: the same request to the same kind of php-fpm, and the same bytes over the
//! Runtime API with nothing behind them.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::bootstrap::{Bootstrap, Setup};
use crate::fastcgi;
use crate::php_fpm::{PhpFpm, worker_of};
use crate::process::cpu_time;
use crate::runtime_api::RuntimeApi;
use crate::samples::{Samples, hundredths};
use crate::wire;
use crate::workload::Workload;

/// The three take turns, so that what else the machine does meets all of them. One more round comes first, and is not counted.
const ROUNDS: usize = 7;

/// One workload; all times in microseconds.
#[derive(Serialize)]
pub struct Row {
    pub name: &'static str,
    pub samples: usize,
    /// From the first byte of the invocation to the last byte of the answer.
    pub p50: f64,
    pub p95: f64,
    /// From the first byte of the invocation to the call for the next one: what Lambda charges for.
    pub until_next_p50: f64,
    /// CPU of an invocation, by process.
    pub bootstrap_cpu: f64,
    pub worker_cpu: f64,
    pub master_cpu: f64,
    /// The floors.
    pub fastcgi_p50: f64,
    pub fastcgi_p95: f64,
    pub fastcgi_worker_cpu: f64,
    pub fastcgi_master_cpu: f64,
    pub wire_p50: f64,
    pub wire_p95: f64,
    pub wire_client_cpu: f64,
    /// `p50` to the sum of the floors.
    pub ratio: f64,
}

pub fn measure(setup: &Setup, workload: &Workload) -> Row {
    workload.install(&setup.task_root);
    let event = &workload.event;
    let mut bootstrap = Bootstrap::ready(setup);
    let mut answer_len = 0;
    bootstrap.api.invoke_and_look(event, |answer| {
        workload.check(answer);
        answer_len = answer.len();
    });

    let mut wire_api = RuntimeApi::new();
    let wire_client = wire::Client::spawn(&wire_api, answer_len);
    wire_api.wait_for_next();

    let php_fpm = PhpFpm::prepare(setup);
    let master = php_fpm.spawn(setup);
    let mut client = fastcgi::Client::connect(php_fpm.socket());
    let request = fastcgi::request_of(event, &setup.task_root);
    let output_len = client.round_trip(&request);
    let worker = worker_of(&master);

    let (mut whole, mut fastcgi, mut wire) = (
        Timed::new(workload, 3),
        Timed::new(workload, 2),
        Timed::new(workload, 1),
    );
    let mut until_next = Samples::default();
    for round in 0..=ROUNDS {
        whole.round(
            round > 0,
            [bootstrap.pid(), bootstrap.worker, bootstrap.master],
            || {
                let invoked = bootstrap.api.invoke(event);
                if round > 0 {
                    until_next.push(invoked.asked);
                }
                invoked.answered
            },
        );
        fastcgi.round(round > 0, [worker, master.pid()], || {
            let begin = Instant::now();
            assert_eq!(client.round_trip(&request), output_len);
            begin.elapsed()
        });
        wire.round(round > 0, [wire_client.pid()], || {
            wire_api.invoke(event).answered
        });
    }

    let floor = fastcgi.times.median() + wire.times.median();
    Row {
        name: workload.name,
        samples: ROUNDS * workload.count,
        p50: whole.times.median(),
        p95: whole.times.percentile(0.95),
        until_next_p50: until_next.median(),
        bootstrap_cpu: whole.cpu(0),
        worker_cpu: whole.cpu(1),
        master_cpu: whole.cpu(2),
        fastcgi_p50: fastcgi.times.median(),
        fastcgi_p95: fastcgi.times.percentile(0.95),
        fastcgi_worker_cpu: fastcgi.cpu(0),
        fastcgi_master_cpu: fastcgi.cpu(1),
        wire_p50: wire.times.median(),
        wire_p95: wire.times.percentile(0.95),
        wire_client_cpu: wire.cpu(0),
        ratio: hundredths(whole.times.median() / floor),
    }
}

/// Times of one of the three, and the CPU of its processes.
struct Timed<'w> {
    workload: &'w Workload,
    times: Samples,
    /// Of each process, an average for each round.
    cpu: Vec<Samples>,
}

impl<'w> Timed<'w> {
    fn new(workload: &'w Workload, processes: usize) -> Timed<'w> {
        Timed {
            workload,
            times: Samples::default(),
            cpu: (0..processes).map(|_| Samples::default()).collect(),
        }
    }

    fn round<const N: usize>(
        &mut self,
        counts: bool,
        pids: [u32; N],
        mut once: impl FnMut() -> Duration,
    ) {
        let before = pids.map(cpu_time);
        let mut due = Instant::now();
        for _ in 0..self.workload.count {
            if let Some(period) = self.workload.period {
                due += period;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            let time = once();
            if counts {
                self.times.push(time);
            }
        }
        if counts {
            for (index, pid) in pids.into_iter().enumerate() {
                self.cpu[index].push((cpu_time(pid) - before[index]) / self.workload.count as u32);
            }
        }
    }

    /// In microseconds; the median of the rounds.
    fn cpu(&self, process: usize) -> f64 {
        self.cpu[process].median()
    }
}
