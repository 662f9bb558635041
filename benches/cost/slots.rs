//! Several slots: invocations a second with all of them at work, beside php-fpm alone on as many connections.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use serde::Serialize;

use crate::bootstrap::{Bootstrap, Setup};
use crate::fastcgi;
use crate::php_fpm::{Configuration, PhpFpm};
use crate::process::{PATIENCE, is_readable_in};
use crate::samples::{Samples, hundredths, micros};
use crate::workload::Workload;

/// How many slots.
const SLOTS: [usize; 3] = [1, 4, 16];

/// Rounds that count, on each way in turns; one comes before them.
const ROUNDS: usize = 5;

/// Invocations in each round; a slot that has answered gets the next one at once.
const COUNT: usize = 1000;

/// Medians of the rounds.
#[derive(Serialize)]
pub struct Row {
    pub slots: usize,
    /// Invocations a second.
    pub bootstrap: f64,
    /// Requests a second.
    pub fastcgi: f64,
    /// The first to the second.
    pub ratio: f64,
}

pub fn measure(setup: &Setup) -> Vec<Row> {
    SLOTS
        .into_iter()
        .map(|slots| compare(setup, slots))
        .collect()
}

fn compare(setup: &Setup, slots: usize) -> Row {
    let hello = Workload::hello();
    hello.install(&setup.task_root);
    let mut bootstrap = Bootstrap::ready_with(setup, slots, &[]);
    let check = |answer: &[u8]| hello.check(answer);
    bootstrap.api.invoke_and_look(&hello.event, check);
    bootstrap.api.wait_for_all(slots);
    let configuration = Configuration::of(bootstrap.master, setup);
    let php_fpm = PhpFpm::prepare_as(setup, &configuration);
    let _master = php_fpm.spawn(setup);
    let sockets = php_fpm.sockets.iter();
    let mut clients: Vec<fastcgi::Client> = sockets
        .map(|socket| fastcgi::Client::ready(socket))
        .collect();
    assert_eq!(clients.len(), slots, "a pool for each slot");
    let request = fastcgi::request_of(&hello.event, &setup.task_root);

    let (mut ours, mut alone) = (Samples::default(), Samples::default());
    for round in 0..=ROUNDS {
        let begin = Instant::now();
        bootstrap.api.serve(&hello.event, COUNT);
        let our_time = begin.elapsed();
        let begin = Instant::now();
        ask(&mut clients, &request);
        let time_alone = begin.elapsed();
        if round > 0 {
            ours.push(our_time);
            alone.push(time_alone);
        }
    }
    let rate =
        |times: &Samples| (COUNT as f64 * micros(Duration::from_secs(1)) / times.median()).round();
    Row {
        slots,
        bootstrap: rate(&ours),
        fastcgi: rate(&alone),
        ratio: hundredths(rate(&ours) / rate(&alone)),
    }
}

/// [`COUNT`] requests, one on each connection at a time.
fn ask(clients: &mut [fastcgi::Client], request: &[u8]) {
    let (mut sent, mut answered) = (0, 0);
    for client in clients.iter_mut() {
        client.send(request);
        sent += 1;
    }
    while answered < COUNT {
        let mut fds: Vec<PollFd<'_>> = clients
            .iter()
            .map(|client| PollFd::new(client, PollFlags::IN))
            .collect();
        assert!(
            is_readable_in(&mut fds, PATIENCE),
            "the workers do not answer"
        );
        let ready = fds
            .iter()
            .position(|fd| !fd.revents().is_empty())
            .expect("poll() said so");
        clients[ready].receive(|_| ());
        answered += 1;
        if sent < COUNT {
            clients[ready].send(request);
            sent += 1;
        }
    }
}
