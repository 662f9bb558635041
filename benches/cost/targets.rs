//! What the project has set itself, and whether this run reached it.

use serde::Serialize;

use crate::cold;
use crate::init::Init;
use crate::memory::Memory;
use crate::samples::hundredths;
use crate::stream::Stream;
use crate::warm::Row;

/// A figure that is to stay below a limit.
#[derive(Serialize)]
pub struct Target {
    pub name: String,
    pub limit: f64,
    pub measured: f64,
    pub unit: &'static str,
    pub verdict: Verdict,
}

/// What a figure says about its target.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Reached,
    Missed,
    /// This machine cannot tell: what is measured drowns in what is not.
    Unclear,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Reached => "reached",
            Verdict::Missed => "missed",
            Verdict::Unclear => "unclear on this machine",
        }
    }

    fn of(measured: f64, limit: f64) -> Verdict {
        match measured <= limit {
            true => Verdict::Reached,
            false => Verdict::Missed,
        }
    }
}

pub fn compare(
    warm: &[Row],
    stream: &Stream,
    init: &Init,
    memory: &[Memory],
    cold: &[cold::Row],
    is_on_fuse: bool,
) -> Vec<Target> {
    let mib = |kib: u64| hundredths(kib as f64 / 1024.0);
    let memory_of = |name: &str| {
        &memory
            .iter()
            .find(|memory| memory.name == name)
            .expect("it was measured")
            .is
    };

    let ratio = |row: &Row| Target {
        name: format!("{}: p50 to the sum of the floors", row.name),
        limit: 2.0,
        measured: row.ratio,
        unit: "times",
        verdict: match Verdict::of(row.ratio, 2.0) {
            // a slow floor flatters the ratio
            Verdict::Reached if is_on_fuse => Verdict::Unclear,
            verdict => verdict,
        },
    };
    let in_mib = |name: &str, limit: f64, kib: u64| Target {
        name: name.into(),
        limit,
        measured: mib(kib),
        unit: "MiB",
        verdict: Verdict::of(mib(kib), limit),
    };
    let late = |name: &str, overhead: f64| Target {
        name: name.into(),
        limit: 1.0,
        measured: hundredths(overhead / 1000.0),
        unit: "ms",
        verdict: Verdict::of(overhead / 1000.0, 1.0),
    };
    let mut targets: Vec<Target> = warm.iter().map(ratio).collect();
    targets.extend([
        late(
            "first byte of a stream, above FastCGI alone",
            stream.first_byte_overhead,
        ),
        late(
            "each piece of a stream, above FastCGI alone",
            stream.piece_overhead,
        ),
        in_mib("peak, 200 MiB streamed", 8.0, stream.peak_kib),
        Target {
            name: "our share of init".into(),
            limit: 5.0,
            measured: hundredths(init.own_share / 1000.0),
            unit: "ms",
            verdict: share_verdict(init, 5.0),
        },
        in_mib(
            "memory of the bootstrap, 1,000 invocations",
            4.0,
            memory_of("hello").rss_kib,
        ),
        in_mib(
            "peak, 4.7 MB binary answer",
            15.0,
            memory_of("4.7 MB binary").peak_kib,
        ),
    ]);
    targets.extend(first_answer(cold, cold::HELLO, "layer", 20.0));
    targets.extend(first_answer(cold, cold::APPLICATION, cold::PRIMED, 60.0));
    targets
}

/// With a warm page cache and all of a processor; `None` where there is no layer.
fn first_answer(cold: &[cold::Row], function: &str, php: &str, limit: f64) -> Option<Target> {
    let row = cold.iter().find(|row| {
        row.function == function
            && row.php == php
            && row.is_page_cache_warm
            && row.cpu_percent >= 100
    })?;
    let measured = hundredths(row.first_answer_p50 / 1000.0);
    Some(Target {
        name: format!("first answer of {function}, {php}, page cache warm"),
        limit,
        measured,
        unit: "ms",
        verdict: Verdict::of(measured, limit),
    })
}

/// The share is a small difference of two long times. It counts where its quartiles agree, and where it is no less than nothing.
fn share_verdict(init: &Init, limit_ms: f64) -> Verdict {
    let verdict_of = |micros: f64| Verdict::of(micros / 1000.0, limit_ms);
    let (low, high) = (
        verdict_of(init.own_share_p25),
        verdict_of(init.own_share_p75),
    );
    match low == high && init.own_share >= 0.0 {
        true => low,
        false => Verdict::Unclear,
    }
}
