//! What the runtime costs in time, CPU and memory, beside the least that the same work can cost on this machine.
//!
//! `make bench` runs it on the bootstrap as it ships (static, release profile). It prints tables, and writes the same
//! figures as JSON to the file that `BENCH_JSON` names. A missed target is a line in the last table and no failure:
//! the machines that this runs on are too different for that. Where a machine cannot tell, the line says so.
//!
//! The harness is Lambda's side: it times from its first byte of an invocation to the last byte of the answer.
//!
//!     cargo bench --bench cost -- hello      only the warm invocations with this in their name
//!     cargo bench --bench cost -- stream     only the streamed answers
//!     cargo bench --bench cost -- slots      only the throughput of several slots
//!     cargo bench --bench cost -- cold       only the cold starts; systemd-run gives it a part of a processor:
//!     systemd-run --user --scope --property CPUQuota=15% cargo bench --bench cost -- cold
//!     BENCH_BOOTSTRAP=/path cargo bench …    another bootstrap than the one that cargo has built for it
//!     BENCH_FOLDER=/path cargo bench …       the functions below this folder: on the file system that is asked about
//!     taskset -c 1 cargo bench …             all on one processor: steadier, and nearer to a function below 1.8 GB

mod application;
mod bootstrap;
mod clients;
mod cold;
mod fastcgi;
mod http;
mod init;
mod memory;
mod page_cache;
mod php_fpm;
mod process;
mod report;
mod runtime_api;
mod samples;
mod slots;
mod stream;
mod targets;
mod warm;
mod wire;
mod workload;

use bootstrap::Setup;
use report::Report;
use workload::Workload;

fn main() {
    if let Some(client) = wire::Client::from_arguments() {
        return client.run();
    }
    // cargo adds an option of its own
    let filter = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"));
    let is_wanted = |workload: &Workload| {
        let filter = filter.as_deref().unwrap_or_default();
        workload.name.contains(filter)
    };
    let setup = Setup::new();
    let mut report = Report::new(&setup);

    match filter.as_deref() {
        Some("cold") => {
            report.cold(&cold::measure(&setup));
            return report.write_json();
        }
        Some("stream") => {
            report.stream(&stream::measure(&setup));
            return report.write_json();
        }
        Some("slots") => {
            report.slots(&slots::measure(&setup));
            return report.write_json();
        }
        _ => {}
    }
    let workloads = Workload::all().into_iter().filter(is_wanted);
    let warm: Vec<warm::Row> = workloads
        .map(|workload| warm::measure(&setup, &workload))
        .collect();
    report.warm(&warm);
    if filter.is_some() {
        return report.write_json();
    }
    let stream = stream::measure(&setup);
    report.stream(&stream);
    report.slots(&slots::measure(&setup));
    let init = init::measure(&setup);
    report.init(&init);
    let memory = memory::measure(&setup);
    report.memory(&memory);
    let clients = clients::measure(&setup);
    report.clients(&clients);
    let mut cold = cold::measure(&setup);
    cold.extend(cold::throttled());
    report.cold(&cold);
    report.targets(&targets::compare(
        &warm,
        &stream,
        &init,
        &memory,
        &cold,
        report.is_on_fuse,
    ));

    report.write_json();
}
