//! Our FastCGI client beside the crate `fastcgi-client`, on the same worker in turns.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use fastcgi_client::{Client, Params, Request, io};
use php_fpm_lambda::cgi::params::{Script, of_request};
use php_fpm_lambda::event::Event;
use php_fpm_lambda::fastcgi::connection::Connection;
use php_fpm_lambda::fastcgi::record::{Part, encode_request};
use serde::Serialize;
use tokio::net::UnixStream;

use crate::bootstrap::Setup;
use crate::php_fpm::PhpFpm;
use crate::process::own_cpu_time;
use crate::runtime_api::invocation;
use crate::samples::Samples;
use crate::workload::Workload;

/// Turns that count; one comes before them.
const ROUNDS: usize = 5;

/// Microseconds of one request.
#[derive(Serialize)]
pub struct Row {
    pub name: &'static str,
    pub client: &'static str,
    pub p50: f64,
    pub p95: f64,
    /// Of the client.
    pub cpu: f64,
}

pub fn measure(setup: &Setup) -> Vec<Row> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut rows = runtime.block_on(compare(setup, "hello", &Workload::hello(), 500));
    rows.extend(runtime.block_on(compare(
        setup,
        "1 MB of text",
        &Workload::text(1_000_000),
        50,
    )));
    rows
}

async fn compare(setup: &Setup, name: &'static str, workload: &Workload, count: usize) -> Vec<Row> {
    workload.install(&setup.task_root);
    let pairs = pairs_of(&workload.event, setup);
    // an idle connection occupies its worker, so each client has a php-fpm of its own
    let (ours, theirs) = (PhpFpm::prepare(setup), PhpFpm::prepare(setup));
    let _running = [ours.spawn(setup), theirs.spawn(setup)];
    let mut connection = Connection::open(ours.socket())
        .await
        .expect("the socket listens");
    let stream = UnixStream::connect(theirs.socket())
        .await
        .expect("the socket listens");
    let mut client = Client::new_keep_alive_tokio(stream);
    let mut params = Params::default();
    for (name, value) in &pairs {
        params = params.custom(name.as_str(), value.as_str());
    }

    let (mut our_times, mut their_times) = (Times::default(), Times::default());
    for round in 0..=ROUNDS {
        our_times.begin_round();
        for _ in 0..count {
            our_times.begin();
            let mut output = Vec::new();
            let head = encode_request(
                pairs
                    .iter()
                    .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
            );
            let mut exchange = connection.request(head.expect("no parameter is long"), b"");
            loop {
                match exchange.next().await.expect("php-fpm answers") {
                    Part::Stdout(bytes) => output.extend_from_slice(bytes),
                    Part::Stderr(_) => {}
                    Part::End => break,
                }
            }
            our_times.end(round, output.len());
        }
        our_times.end_round(round, count);

        their_times.begin_round();
        for _ in 0..count {
            their_times.begin();
            let answer = client
                .execute(Request::new(params.clone(), io::empty()))
                .await
                .expect("php-fpm answers");
            their_times.end(round, answer.stdout.map_or(0, |output| output.len()));
        }
        their_times.end_round(round, count);
    }
    assert_eq!(our_times.output_len, their_times.output_len);
    vec![
        our_times.row(name, "ours"),
        their_times.row(name, "fastcgi-client"),
    ]
}

/// The parameters that the bootstrap makes of an event, as text, which the crate asks for.
fn pairs_of(event: &[u8], setup: &Setup) -> Vec<(String, String)> {
    let Ok(Event::Http(_, request)) = Event::decode(event) else {
        panic!("not an HTTP event")
    };
    let invocation = invocation();
    let script = Script::new(setup.task_root.to_str().expect("UTF-8"), "index.php", None);
    let text = |bytes: Cow<'_, [u8]>| String::from_utf8(bytes.into_owned()).expect("UTF-8");
    let params = of_request(&request, &script, &invocation.context());
    params
        .into_iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

#[derive(Default)]
struct Times {
    times: Samples,
    cpu: Samples,
    cpu_before: Duration,
    began: Option<Instant>,
    output_len: usize,
}

impl Times {
    fn begin_round(&mut self) {
        self.cpu_before = own_cpu_time();
    }

    fn begin(&mut self) {
        self.began = Some(Instant::now());
    }

    fn end(&mut self, round: usize, output_len: usize) {
        let time = self.began.expect("begin() comes first").elapsed();
        self.output_len = output_len;
        if round > 0 {
            self.times.push(time);
        }
    }

    fn end_round(&mut self, round: usize, count: usize) {
        if round > 0 {
            self.cpu
                .push((own_cpu_time() - self.cpu_before) / count as u32);
        }
    }

    fn row(&self, name: &'static str, client: &'static str) -> Row {
        Row {
            name,
            client,
            p50: self.times.median(),
            p95: self.times.percentile(0.95),
            cpu: self.cpu.median(),
        }
    }
}
