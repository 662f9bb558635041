//! Memory of the bootstrap alone, without php-fpm.

use serde::Serialize;

use crate::bootstrap::{Bootstrap, Setup};
use crate::process::{self, memory};
use crate::workload::Workload;

/// The bootstrap's memory behind a number of invocations of one kind.
#[derive(Serialize)]
pub struct Memory {
    pub name: &'static str,
    pub invocations: usize,
    #[serde(flatten)]
    pub is: process::Memory,
}

pub fn measure(setup: &Setup) -> Vec<Memory> {
    let of = |name, invocations, workload: Workload| {
        workload.install(&setup.task_root);
        let mut bootstrap = Bootstrap::ready(setup);
        for _ in 0..invocations {
            bootstrap.api.invoke_and_look(&workload.event, |_| ());
        }
        Memory {
            name,
            invocations,
            is: memory(bootstrap.pid()),
        }
    };
    vec![
        of("ready", 0, Workload::hello()),
        of("hello", 1000, Workload::hello()),
        of("4.7 MB binary", 20, Workload::largest_binary()),
        of("4.7 MB upload", 20, Workload::largest_upload()),
        of("5 MB of text", 20, Workload::text(5_000_000)),
    ]
}
