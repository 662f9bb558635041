//! Many invocations in a row.

use std::fs;

use crate::lambda::{Function, Lambda, get};
use crate::process::kilobytes;

struct Usage {
    kilobytes: u64,
    descriptors: usize,
}

fn usage(lambda: &Lambda) -> Usage {
    Usage {
        kilobytes: kilobytes(lambda.pid(), "VmRSS"),
        descriptors: fs::read_dir(format!("/proc/{}/fd", lambda.pid()))
            .unwrap()
            .count(),
    }
}

#[test]
fn twenty_thousand_invocations_leave_memory_and_descriptors_as_they_were() {
    let script = "<?php if ($_SERVER['LAMBDA_REQUEST_ID'][-1] === '7') error_log('seven'); echo $_SERVER['REQUEST_URI'];";
    let mut lambda = Function::new(script).start();
    let mut run = |from: usize, to: usize| {
        for index in from..to {
            assert_eq!(lambda.get(&format!("/{index}")), format!("/{index}"));
        }
        usage(&lambda)
    };
    let early = run(0, 1_000);
    let late = run(1_000, 20_000);
    assert_eq!(late.descriptors, early.descriptors);
    assert!(
        late.kilobytes <= early.kilobytes + 512,
        "{} kB became {} kB",
        early.kilobytes,
        late.kilobytes
    );
}

#[test]
fn failures_leave_no_descriptors_behind() {
    let script =
        "<?php if ($_GET['crash'] ?? 0) { exec('kill -SEGV ' . getmypid()); sleep(9); } echo 'up';";
    let mut lambda = Function::new(script).start();
    let mut run = |times: usize| {
        for _ in 0..times {
            assert_eq!(
                lambda.invoke(get("/?crash=1")).error_type(),
                "Runtime.WorkerCrashed"
            );
            assert_eq!(lambda.invoke(get("/")).page(), "up");
        }
        usage(&lambda).descriptors
    };
    let early = run(3);
    assert_eq!(run(30), early);
}
