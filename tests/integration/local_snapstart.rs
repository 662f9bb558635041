//! The local Lambda with SnapStart: init, snapshot, restore, invocations.

use std::time::Duration;

use php_fpm_lambda::local::{function::Function, initialization::Initialization};
use serde_json::json;

use crate::local::{Local, last_number};
use crate::process::is_running;

impl Local {
    async fn snapstart(script: &str) -> Self {
        Self::snapstart_with(script, |_| {}).await
    }

    async fn snapstart_with(script: &str, configure: impl FnOnce(&mut Function)) -> Self {
        Self::start_with(script, |function| {
            function.initialization = Initialization::SnapStart;
            configure(function);
        })
        .await
    }
}

#[tokio::test]
async fn the_life_cycle_is_init_snapshot_restore_and_invocations() {
    let mut local = Local::snapstart(
        r#"
print("before", os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], flush=True)
status, _, body = call("GET", "restore/next")
print("after", status, len(body), flush=True)
while True:
    id, headers, event = next()
    respond(id, os.environ.get("AWS_LAMBDA_MAX_CONCURRENCY"))
"#,
    )
    .await;
    let lines = local.lines_until("RESTORE_REPORT").await;
    let kinds: Vec<_> = lines[1..]
        .iter()
        .map(|line| line.split([' ', '\t']).next().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "before",
            "INIT_REPORT",
            "lambda-local:",
            "RESTORE_START",
            "after",
            "RESTORE_REPORT"
        ],
        "{lines:#?}"
    );
    assert_eq!(
        (&*lines[1], &*lines[5]),
        ("before snap-start", "after 200 0")
    );
    assert!(lines[2].ends_with("\tPhase: init"), "{lines:#?}");
    assert!(lines[3].contains("snapshot"), "{lines:#?}");
    assert!(lines[6].ends_with(" ms"), "{lines:#?}");
    assert_eq!(local.invoke_json("{}").await, json!(null));
    let report = local.line("REPORT RequestId").await;
    assert!(
        report.contains("\tRestore Duration: ") && report.contains("\tBilled Restore Duration: "),
        "{report}"
    );
    assert!(!report.contains("Init Duration"), "{report}");
    assert_eq!(local.invoke_json("{}").await, json!(null));
    let report = local.line("REPORT RequestId").await;
    assert!(!report.contains("Restore Duration"), "{report}");
    local.stop().await;
}

#[tokio::test]
async fn calls_that_are_not_due_are_refused() {
    let mut local = Local::snapstart(
        r#"
early = call("POST", "restore/error", "{}")[0]
call("GET", "restore/next")
codes = [early, call("GET", "restore/next")[0], call("POST", "init/error", "{}")[0]]
id, headers, event = next()
codes += [call("GET", "restore/next")[0], call("POST", "restore/error", "{}")[0]]
print("codes", *codes, flush=True)
respond(id, 1)
next()
"#,
    )
    .await;
    assert_eq!(local.invoke_json("{}").await, json!(1));
    assert_eq!(local.line("codes ").await, "codes 403 403 403 403 403");
    local.stop().await;
}

#[tokio::test]
async fn a_restore_that_fails_discards_the_sandbox_and_tells_the_caller() {
    let mut local = Local::snapstart(
        r#"
call("GET", "restore/next")
if os.path.exists("mended"):
    id, headers, event = next()
    respond(id, "fine")
    next()
print("pid", os.getpid(), flush=True)
error = '{"errorType":"MyHook","errorMessage":"no"}'
print("status", call("POST", "restore/error", error, {"Lambda-Runtime-Function-Error-Type": "Runtime.AfterRestoreError"})[0], flush=True)
time.sleep(1000)
"#,
    )
    .await;
    for phase in 0..2 {
        if phase == 1 {
            let error = local.invoke_error("{}").await;
            assert_eq!(error, json!({"errorType": "MyHook", "errorMessage": "no"}));
        }
        let pid = local.line("pid ").await;
        assert_eq!(local.line("status ").await, "status 202");
        assert!(local.line("restore failed: ").await.contains("MyHook"));
        let report = local.line("RESTORE_REPORT").await;
        assert!(
            report.ends_with("\tStatus: error\tError Type: Runtime.AfterRestoreError"),
            "{report}"
        );
        assert!(!is_running(last_number(&pid)));
    }
    assert!(
        local
            .line("REPORT RequestId")
            .await
            .ends_with("\tStatus: error\tError Type: Runtime.AfterRestoreError")
    );
    std::fs::write(local.folder.path().join("mended"), "").unwrap();
    assert_eq!(local.invoke_json("{}").await, "fine");
    local.stop().await;
}

#[tokio::test]
async fn a_restore_without_end_is_broken_off() {
    let mut local = Local::snapstart_with(
        r#"
call("GET", "restore/next")
time.sleep(1000)
"#,
        |function| function.restore_limit = Duration::from_millis(100),
    )
    .await;
    let report = local.line("RESTORE_REPORT").await;
    assert!(report.ends_with("\tStatus: timeout"), "{report}");
    let error = local.invoke_error("{}").await;
    assert_eq!(
        error,
        json!({"errorType": "Sandbox.Timedout", "errorMessage": "Error: Restore timed out after 0.10 seconds"})
    );
    local.stop().await;
}

#[tokio::test]
async fn init_fails_as_without_snapstart() {
    let mut local = Local::snapstart(
        r#"
call("POST", "init/error", "{}", {"Lambda-Runtime-Function-Error-Type": "Runtime.BeforeSnapshotError"})
sys.exit(1)
"#,
    )
    .await;
    let report = local.line("INIT_REPORT").await;
    assert!(
        report.ends_with("\tStatus: error\tError Type: Runtime.BeforeSnapshotError"),
        "{report}"
    );
    local.stop().await;
}

#[tokio::test]
async fn a_time_out_ends_the_sandbox_and_the_next_is_restored() {
    let mut local = Local::snapstart_with(
        r#"
call("GET", "restore/next")
while True:
    id, headers, event = next()
    if event == b'"hang"': time.sleep(1000)
    respond(id, "fine")
"#,
        |function| function.timeout = Duration::from_secs(1),
    )
    .await;
    local.line("RESTORE_REPORT").await;
    let error = local.invoke_error("\"hang\"").await;
    assert_eq!(error["errorType"], "Sandbox.Timedout");
    assert_eq!(local.invoke_json("{}").await, "fine");
    local.line("RESTORE_REPORT").await;
    local.line("START").await;
    local.stop().await;
}

#[tokio::test]
async fn a_runtime_that_knows_no_restore_is_served_too() {
    let mut local = Local::snapstart(
        r#"
while True:
    id, headers, event = next()
    respond(id, "fine")
"#,
    )
    .await;
    assert_eq!(local.invoke_json("{}").await, "fine");
    local.line("RESTORE_REPORT").await;
    local.stop().await;
}
