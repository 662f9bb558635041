//! Bootstraps that end, hang, fail, or never start in the local Lambda, and what their callers get.

use std::time::Duration;

use reqwest::StatusCode;
use rustix::process::Signal;
use serde_json::json;

use crate::local::{Local, last_number};
use crate::process::{is_running, kill};

#[tokio::test]
async fn a_bootstrap_that_exits_is_an_exit_error_and_is_started_again() {
    let mut local = Local::start(
        r#"
id, headers, event = next()
if event == b'"exit"': sys.exit(3)
if event == b'"kill"': os.kill(os.getpid(), 9)
respond(id, os.getpid())
next()
"#,
    )
    .await;
    let exit = local.invoke_error("\"exit\"").await;
    assert_eq!(exit["errorType"], "Runtime.ExitError");
    let message = exit["errorMessage"].as_str().unwrap();
    assert!(message.starts_with("RequestId: "), "{message}");
    assert!(
        message.ends_with(" Error: Runtime exited with error: exit status 3"),
        "{message}"
    );
    let report = local.line("REPORT").await;
    assert!(
        report.ends_with("\tStatus: error\tError Type: Runtime.ExitError"),
        "{report}"
    );

    let kill = local.invoke_error("\"kill\"").await;
    assert!(
        kill["errorMessage"]
            .as_str()
            .unwrap()
            .ends_with("signal: killed"),
        "{kill}"
    );
    assert!(local.invoke_json("{}").await.is_number());
    local.stop().await;
}

#[tokio::test]
async fn a_bootstrap_that_exits_after_its_answer_costs_nobody_an_answer() {
    let mut local = Local::start(
        r#"
id, headers, event = next()
respond(id, "done")
sys.exit(4)
"#,
    )
    .await;
    assert_eq!(local.invoke_json("{}").await, "done");
    local
        .line("Error: Runtime exited with error: exit status 4")
        .await;
    assert_eq!(local.invoke_json("{}").await, "done");
    local.stop().await;
}

#[tokio::test]
async fn a_bootstrap_that_ends_between_invocations_is_started_again() {
    let mut local = Local::start(
        r#"
print("pid", os.getpid(), flush=True)
while True:
    id, headers, event = next()
    respond(id, os.getpid())
"#,
    )
    .await;
    let pid = local.invoke_json("{}").await;
    local.line("REPORT").await;
    let bootstrap = u32::try_from(pid.as_u64().unwrap()).unwrap();
    kill(bootstrap, Signal::KILL).unwrap();
    local.line("ended between invocations").await;
    assert_ne!(local.invoke_json("{}").await, pid);
    local.stop().await;
}

#[tokio::test]
async fn a_time_out_kills_all_that_was_started() {
    let mut local = Local::start_with(
        r#"
while True:
    id, headers, event = next()
    if event == b'"hang"':
        # One that left the process group and the session, and one that lost its parent besides.
        print("child", subprocess.Popen(["setsid", "sleep", "1000"]).pid, flush=True)
        subprocess.run("sleep 1000 & echo orphan $!", shell=True, start_new_session=True)
        time.sleep(1000)
    respond(id, "fine")
"#,
        // Long enough for the init that comes with the invocation after it.
        |function| function.timeout = Duration::from_secs(5),
    )
    .await;
    let error = local.invoke_error("\"hang\"").await;
    assert_eq!(error["errorType"], "Sandbox.Timedout");
    let message = error["errorMessage"].as_str().unwrap();
    assert!(
        message.ends_with(" Error: Task timed out after 5.00 seconds"),
        "{message}"
    );
    let lines = local.lines_until("REPORT").await;
    assert!(
        lines
            .iter()
            .any(|line| line.ends_with(" Task timed out after 5.00 seconds")),
        "{lines:#?}"
    );
    assert!(lines.last().unwrap().contains("\tBilled Duration: "));
    assert!(lines.last().unwrap().ends_with("\tStatus: timeout"));
    for name in ["child ", "orphan "] {
        let line = lines.iter().find(|line| line.starts_with(name)).unwrap();
        assert!(!is_running(last_number(line)), "{line}");
    }
    assert_eq!(local.invoke_json("{}").await, "fine");
    assert!(!local.line("REPORT").await.contains("Init Duration"));

    let over_http = local.get("/").body("").send().await.unwrap();
    assert_eq!(over_http.status(), StatusCode::OK);
    local.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_too_large_fails_the_invocation() {
    let mut local = Local::start(
        r#"
while True:
    id, headers, event = next()
    print("status", respond(id, "x" * json.loads(event)), flush=True)
"#,
    )
    .await;
    // Two quotes make it 6,291,556 bytes.
    let largest = local.invoke_json("6291554").await;
    assert_eq!(largest.as_str().unwrap().len(), 6_291_554);
    assert_eq!(local.line("status ").await, "status 202");
    for size in ["6291555", "7000000"] {
        let error = local.invoke_error(size).await;
        assert_eq!(error["errorType"], "Function.ResponseSizeTooLarge");
        assert_eq!(local.line("status ").await, "status 413");
    }
    local.stop().await;
}

#[tokio::test]
async fn errors_are_passed_on_as_they_are() {
    let mut local = Local::start(
        r#"
while True:
    id, headers, event = next()
    headers = {"Lambda-Runtime-Function-Error-Type": event.decode()}
    call("POST", f"invocation/{id}/error", '{"errorType":"MyException","errorMessage":"no","stackTrace":["a"]}', headers)
"#,
    )
    .await;
    let error = local.invoke_error("Function.Exception").await;
    assert_eq!(
        error,
        json!({"errorType": "MyException", "errorMessage": "no", "stackTrace": ["a"]})
    );
    local.invoke_error("my.type").await;
    local
        .line("\"my.type\" is reported as Runtime.Unknown")
        .await;

    let response = local.get("/").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(
        response.text().await.unwrap(),
        r#"{"message":"Internal Server Error"}"#
    );
    let line = local.line("502 Bad Gateway").await;
    assert!(
        line.contains("GET /") && line.contains("MyException"),
        "{line}"
    );
    local.stop().await;
}

#[tokio::test]
async fn a_failed_init_is_tried_again_and_its_error_is_the_answer() {
    let mut local = Local::start(
        r#"
headers = {"Lambda-Runtime-Function-Error-Type": "Runtime.NoSuchHandler"}
print("status", call("POST", "init/error", '{"errorType":"Runtime.NoSuchHandler","errorMessage":"no"}', headers)[0], flush=True)
sys.exit(1)
"#,
    )
    .await;
    assert_eq!(local.line("status ").await, "status 202");
    let report = local.line("INIT_REPORT").await;
    assert!(
        report.ends_with("\tPhase: init\tStatus: error\tError Type: Runtime.NoSuchHandler"),
        "{report}"
    );
    let error = local.invoke_error("{}").await;
    assert_eq!(
        error,
        json!({"errorType": "Runtime.NoSuchHandler", "errorMessage": "no"})
    );
    assert!(
        local
            .line("INIT_REPORT")
            .await
            .contains("\tPhase: invoke\t")
    );
    assert!(
        local
            .line("REPORT RequestId")
            .await
            .ends_with("\tError Type: Runtime.NoSuchHandler")
    );
    local.stop().await;
}

#[tokio::test]
async fn an_init_that_only_failed_once_costs_no_invocation() {
    let mut local = Local::start(
        r#"
if not os.path.exists("tried"):
    open("tried", "w").close()
    sys.exit(1)
while True:
    id, headers, event = next()
    respond(id, "fine")
"#,
    )
    .await;
    local.line("INIT_REPORT").await;
    assert_eq!(local.invoke_json("{}").await, "fine");
    local.stop().await;
}

#[tokio::test]
async fn a_bootstrap_that_never_asks_is_broken_off() {
    let mut local = Local::start_with("time.sleep(1000)", |function| {
        function.init_limit = Duration::from_millis(100);
        function.timeout = Duration::from_millis(100);
    })
    .await;
    assert!(
        local
            .line("INIT_REPORT")
            .await
            .ends_with("\tPhase: init\tStatus: timeout")
    );
    assert_eq!(
        local.invoke_error("{}").await["errorType"],
        "Sandbox.Timedout"
    );
    assert!(
        local
            .line("INIT_REPORT")
            .await
            .ends_with("\tPhase: invoke\tStatus: timeout")
    );
    local.stop().await;
}

#[tokio::test]
async fn a_bootstrap_that_cannot_be_started_is_an_invalid_entrypoint() {
    let local = Local::start_with("", |function| function.bootstrap = "/dev/null".into()).await;
    let error = local.invoke_error("{}").await;
    assert_eq!(error["errorType"], "Runtime.InvalidEntrypoint");
    assert!(
        error["errorMessage"]
            .as_str()
            .unwrap()
            .contains("/dev/null"),
        "{error}"
    );
    local.stop().await;
}

#[tokio::test]
async fn what_the_kernel_does_not_run_is_handed_to_no_shell() {
    let folder = tempfile::tempdir().unwrap();
    let bootstrap = folder.path().join("bootstrap");
    // By a process of its own: what this one has open for writing nobody can run, and other tests here fork.
    let written = std::process::Command::new("sh")
        .args(["-c", r#"echo 'echo run' >"$0" && chmod 755 "$0""#])
        .arg(&bootstrap)
        .status();
    assert!(written.unwrap().success());
    let mut local = Local::start_with("", |function| function.bootstrap = bootstrap.clone()).await;
    let advice = local.line("the kernel cannot run the bootstrap").await;
    assert!(advice.contains("begin with a #! line"), "{advice}");
    let error = local.invoke_error("{}").await;
    assert_eq!(error["errorType"], "Runtime.InvalidEntrypoint");
    assert_eq!(
        error["errorMessage"],
        format!(
            "Error: fork/exec {}: exec format error",
            bootstrap.display()
        )
    );
    local.stop().await;
}
