//! What the project has set itself, and whether this run reached it.

use serde::Serialize;

use crate::init::Init;
use crate::memory::Memory;
use crate::samples::hundredths;
use crate::warm::Row;

/// A figure that is to stay below a limit.
#[derive(Serialize)]
pub struct Target {
    pub name: String,
    pub limit: f64,
    pub measured: f64,
    pub unit: &'static str,
    pub is_reached: bool,
}

pub fn compare(warm: &[Row], init: &Init, memory: &[Memory]) -> Vec<Target> {
    let target = |name: String, limit: f64, measured: f64, unit| Target {
        name,
        limit,
        measured,
        unit,
        is_reached: measured <= limit,
    };
    let mib = |kib: u64| hundredths(kib as f64 / 1024.0);
    let memory_of = |name: &str| {
        &memory
            .iter()
            .find(|memory| memory.name == name)
            .expect("it was measured")
            .is
    };

    let ratio = |row: &Row| {
        target(
            format!("{}: p50 to the sum of the floors", row.name),
            2.0,
            row.ratio,
            "times",
        )
    };
    let mut targets: Vec<Target> = warm.iter().map(ratio).collect();
    targets.extend([
        target(
            "our share of init".into(),
            5.0,
            hundredths(init.own_share / 1000.0),
            "ms",
        ),
        target(
            "memory of the bootstrap, 1,000 invocations".into(),
            4.0,
            mib(memory_of("hello").rss_kib),
            "MiB",
        ),
        target(
            "peak, 4.7 MB binary answer".into(),
            15.0,
            mib(memory_of("4.7 MB binary").peak_kib),
            "MiB",
        ),
    ]);
    targets
}
