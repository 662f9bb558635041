//! Streamed answers beside php-fpm alone: how late each piece comes, how much goes through, and what memory that takes.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::bootstrap::{Bootstrap, Setup};
use crate::fastcgi;
use crate::php_fpm::{Configuration, PhpFpm};
use crate::process::{Process, memory};
use crate::samples::{Samples, hundredths, tenths};
use crate::workload::Workload;

/// Answers in pieces that count, on each way in turns; one comes before them.
const ROUNDS: usize = 8;

/// Pieces of an answer.
const PIECES: usize = 6;

/// From one piece to the next.
const PAUSE: Duration = Duration::from_millis(100);

/// Bytes of the large answer.
const LARGE: usize = 200 << 20;

/// Large answers that count, on each way in turns; one comes before them.
const LARGE_ROUNDS: usize = 3;

/// What a stream costs. Times in microseconds.
#[derive(Serialize)]
pub struct Stream {
    pub bootstrap: Way,
    pub fastcgi: Way,
    /// How much later the first byte and a piece come than over FastCGI alone: differences of the medians.
    pub first_byte_overhead: f64,
    pub piece_overhead: f64,
    /// What goes through, to what goes through over FastCGI alone.
    pub throughput_ratio: f64,
    /// The largest memory of the bootstrap alone, behind the large answers.
    pub peak_kib: u64,
}

/// One way from PHP to the reader.
#[derive(Serialize)]
pub struct Way {
    /// From the first byte of the request to the first piece.
    pub first_byte_p50: f64,
    pub first_byte_p95: f64,
    /// From the moment when PHP prints a piece to its arrival.
    pub piece_p50: f64,
    pub piece_p95: f64,
    /// Of the large answer.
    pub megabytes_a_second: f64,
}

pub fn measure(setup: &Setup) -> Stream {
    let pieces = Workload::pieces(PIECES, PAUSE);
    pieces.install(&setup.task_root);
    let (mut ours, mut alone) = (Times::default(), Times::default());
    let mut ways = Ways::ready(setup);
    for round in 0..=ROUNDS {
        let mut arrivals = Arrivals::begin();
        ways.bootstrap
            .api
            .invoke_streamed(&pieces.event, |bytes| arrivals.take(bytes));
        ours.add(round, arrivals);

        let mut arrivals = Arrivals::begin();
        ways.fastcgi.send(&ways.request(&pieces, setup));
        ways.fastcgi.receive(|bytes| arrivals.take(bytes));
        alone.add(round, arrivals);
    }
    drop(ways);

    let large = Workload::large(LARGE);
    large.install(&setup.task_root);
    let mut ways = Ways::ready(setup);
    for round in 0..=LARGE_ROUNDS {
        let mut len = 0;
        let time = ways
            .bootstrap
            .api
            .invoke_streamed(&large.event, |bytes| len += bytes.len());
        assert!(len > LARGE, "the prelude and the whole body: {len} bytes");
        ours.add_large(round, time);

        let request = ways.request(&large, setup);
        let begin = Instant::now();
        assert!(ways.fastcgi.round_trip(&request) > LARGE);
        alone.add_large(round, begin.elapsed());
    }
    let peak_kib = memory(ways.bootstrap.pid()).peak_kib;

    let (bootstrap, fastcgi) = (ours.way(), alone.way());
    Stream {
        first_byte_overhead: tenths(bootstrap.first_byte_p50 - fastcgi.first_byte_p50),
        piece_overhead: tenths(bootstrap.piece_p50 - fastcgi.piece_p50),
        throughput_ratio: hundredths(bootstrap.megabytes_a_second / fastcgi.megabytes_a_second),
        bootstrap,
        fastcgi,
        peak_kib,
    }
}

/// A bootstrap that streams, and a php-fpm as it has started one.
struct Ways {
    bootstrap: Bootstrap,
    fastcgi: fastcgi::Client,
    _master: Process,
    _php_fpm: PhpFpm,
}

impl Ways {
    fn ready(setup: &Setup) -> Ways {
        let mode = [("PHP_LAMBDA_INVOKE_MODE", "response_stream")];
        let bootstrap = Bootstrap::ready_with(setup, 1, &mode);
        let configuration = Configuration::of(bootstrap.master, setup);
        let php_fpm = PhpFpm::prepare_as(setup, &configuration);
        let master = php_fpm.spawn(setup);
        Ways {
            bootstrap,
            fastcgi: fastcgi::Client::ready(php_fpm.socket()),
            _master: master,
            _php_fpm: php_fpm,
        }
    }

    fn request(&self, workload: &Workload, setup: &Setup) -> Vec<u8> {
        fastcgi::request_of(&workload.event, &setup.task_root)
    }
}

/// When the pieces of one answer come.
struct Arrivals {
    begin: Duration,
    /// The end of what has come: the line that is not whole yet.
    line: Vec<u8>,
    first_byte: Option<Duration>,
    delays: Vec<Duration>,
}

impl Arrivals {
    fn begin() -> Arrivals {
        Arrivals {
            begin: now(),
            line: Vec::new(),
            first_byte: None,
            delays: Vec::new(),
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let now = now();
        for &byte in bytes {
            if byte != b'\n' {
                self.line.push(byte);
                continue;
            }
            // a prelude stands in front of the first one, lines of headers are none
            let printed = self.line.last_chunk::<20>();
            if let Some(printed) = printed.filter(|text| text.iter().all(u8::is_ascii_digit)) {
                let nanos = printed
                    .iter()
                    .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
                let delay = now.checked_sub(Duration::from_nanos(nanos));
                self.delays.push(delay.expect("both read the same clock"));
                self.first_byte.get_or_insert(now - self.begin);
            }
            self.line.clear();
        }
    }
}

/// On the clock of PHP's `hrtime()`.
fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::try_from(now).expect("a machine's uptime")
}

/// Of one way.
#[derive(Default)]
struct Times {
    first_byte: Samples,
    piece: Samples,
    large: Samples,
}

impl Times {
    fn add(&mut self, round: usize, arrivals: Arrivals) {
        assert_eq!(arrivals.delays.len(), PIECES, "all pieces came");
        if round > 0 {
            self.first_byte
                .push(arrivals.first_byte.expect("a piece came"));
            let delays = arrivals.delays.into_iter();
            delays.for_each(|delay| self.piece.push(delay));
        }
    }

    fn add_large(&mut self, round: usize, time: Duration) {
        if round > 0 {
            self.large.push(time);
        }
    }

    fn way(&self) -> Way {
        Way {
            first_byte_p50: self.first_byte.median(),
            first_byte_p95: self.first_byte.percentile(0.95),
            piece_p50: self.piece.median(),
            piece_p95: self.piece.percentile(0.95),
            // bytes in a microsecond are megabytes in a second
            megabytes_a_second: tenths(LARGE as f64 / self.large.median()),
        }
    }
}
