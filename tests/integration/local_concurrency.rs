//! The local Lambda as Managed Instances have it: several invocations at once in one runtime.

use std::time::Duration;

use php_fpm_lambda::local::{function::Function, initialization::Initialization};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::local::Local;

/// `serve(loops, handle)` runs so many loops, each in a thread of its own.
const LOOPS: &str = r#"
import threading

def serve(loops, handle):
    def loop():
        while True:
            id, headers, event = next()
            handle(id, json.loads(event))
    threads = [threading.Thread(target=loop, daemon=True) for _ in range(loops)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"#;

impl Local {
    async fn managed(script: &str, concurrency: u16) -> Self {
        Self::managed_with(script, concurrency, |_| {}).await
    }

    async fn managed_with(
        script: &str,
        concurrency: u16,
        configure: impl FnOnce(&mut Function),
    ) -> Self {
        Self::start_with(&format!("{LOOPS}{script}"), |function| {
            function.initialization = Initialization::ManagedInstances { concurrency };
            configure(function);
        })
        .await
    }
}

/// Answers with the environment.
const ENVIRONMENT: &str = r#"
while True:
    id, headers, event = next()
    respond(id, dict(os.environ))
"#;

#[tokio::test]
async fn the_environment_says_so() {
    let local = Local::managed(ENVIRONMENT, 16).await;
    let env = local.invoke_json("{}").await;
    assert_eq!(env["AWS_LAMBDA_MAX_CONCURRENCY"], "16");
    assert_eq!(
        env["AWS_LAMBDA_INITIALIZATION_TYPE"],
        "lambda-managed-instances"
    );
    assert_eq!(env["AWS_LAMBDA_LOG_FORMAT"], "JSON");
    local.stop().await;

    let text = |function: &mut Function| {
        let setting = ("AWS_LAMBDA_LOG_FORMAT".into(), "Text".into());
        function.env.push(setting);
    };
    let local = Local::managed_with(ENVIRONMENT, 1, text).await;
    assert_eq!(
        local.invoke_json("{}").await["AWS_LAMBDA_LOG_FORMAT"],
        "Text"
    );
    local.stop().await;

    let local = Local::start(ENVIRONMENT).await;
    let env = local.invoke_json("{}").await;
    assert_eq!(env["AWS_LAMBDA_MAX_CONCURRENCY"], Value::Null);
    assert_eq!(env["AWS_LAMBDA_LOG_FORMAT"], Value::Null);
    local.stop().await;
}

#[tokio::test]
async fn as_many_are_in_flight_as_may_be() {
    let mut local = Local::managed(
        r#"
# Each goes on only when the other is there.
barrier = threading.Barrier(2)
lock = threading.Lock()
flying = 0
def handle(id, event):
    global flying
    with lock:
        flying += 1
        print("flying", flying, flush=True)
    barrier.wait()
    with lock: flying -= 1
    respond(id, event)
serve(2, handle)
"#,
        2,
    )
    .await;
    let answers = tokio::join!(
        local.invoke_json("1"),
        local.invoke_json("2"),
        local.invoke_json("3"),
        local.invoke_json("4")
    );
    assert_eq!(answers, (json!(1), json!(2), json!(3), json!(4)));
    let mut reports = 0;
    while reports < 4 {
        let lines = local.lines_until("REPORT RequestId").await;
        assert!(!lines.iter().any(|line| line == "flying 3"), "{lines:#?}");
        assert!(!lines.last().unwrap().contains("Status"), "{lines:#?}");
        reports += 1;
    }
    local.stop().await;
}

#[tokio::test]
async fn one_poll_too_many_is_refused() {
    let mut local = Local::managed(
        r#"
def poll():
    status = call("GET", "invocation/next")[0]
    print("poll", status, flush=True)
threads = [threading.Thread(target=poll) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"#,
        2,
    )
    .await;
    assert_eq!(local.line("poll ").await, "poll 403");
    local.stop().await;
}

#[tokio::test]
async fn a_runtime_with_fewer_loops_is_given_no_more_than_it_asks_for() {
    let mut local = Local::managed(
        r#"
count = 0
def handle(id, event):
    global count
    count += 1
    respond(id, count)
serve(1, handle)
"#,
        4,
    )
    .await;
    let answers = tokio::join!(
        local.invoke_json("{}"),
        local.invoke_json("{}"),
        local.invoke_json("{}")
    );
    let mut counts = [answers.0, answers.1, answers.2].map(|count| count.as_u64().unwrap());
    counts.sort_unstable();
    assert_eq!(counts, [1, 2, 3]);
    // The next begins when the one before has ended.
    for _ in 0..3 {
        let lines = local.lines_until("REPORT RequestId").await;
        let starts = lines.iter().filter(|line| line.starts_with("START"));
        assert_eq!(starts.count(), 1, "{lines:#?}");
    }
    local.stop().await;
}

#[tokio::test]
async fn a_time_out_concerns_one_invocation_alone() {
    let mut local = Local::managed_with(
        r#"
released = threading.Event()
barrier = threading.Barrier(2)
def handle(id, event):
    if event == "hang":
        released.wait()
        print("late", respond(id, 1), flush=True)
        return
    if event == "release": released.set()
    if event == "both": barrier.wait()
    respond(id, os.getpid())
serve(2, handle)
"#,
        2,
        |function| function.timeout = Duration::from_secs(1),
    )
    .await;
    let pid = local.invoke_json("\"other\"").await;
    local.line("REPORT RequestId").await;
    let error = local.invoke_error("\"hang\"").await;
    assert_eq!(error["errorType"], "Sandbox.Timedout");
    local.line("Task timed out after 1.00 seconds").await;
    assert!(
        local
            .line("REPORT RequestId")
            .await
            .ends_with("\tStatus: timeout")
    );
    // The other loop serves, and the one that was late is told so and goes on.
    assert_eq!(local.invoke_json("\"release\"").await, pid);
    assert_eq!(local.line("late ").await, "late 410");
    let both = tokio::join!(local.invoke_json("\"both\""), local.invoke_json("\"both\""));
    assert_eq!(both, (pid.clone(), pid));
    local.stop().await;
}

#[tokio::test]
async fn the_bootstraps_end_fails_all_that_are_in_flight() {
    let mut local = Local::managed(
        r#"
def handle(id, event):
    if event == "wait":
        print("waits", flush=True)
        threading.Event().wait()
    if event == "exit": os._exit(3)
    respond(id, os.getpid())
serve(2, handle)
"#,
        2,
    )
    .await;
    let pid = local.invoke_json("{}").await;
    local.line("REPORT RequestId").await;
    let waits = local.invoke("\"wait\"").send();
    let waits = tokio::spawn(waits);
    local.line("waits").await;
    let error = local.invoke_error("\"exit\"").await;
    assert_eq!(error["errorType"], "Runtime.ExitError");
    let error = waits.await.unwrap().unwrap().text().await.unwrap();
    assert!(error.contains("Runtime.ExitError"), "{error}");
    for _ in 0..2 {
        let report = local.line("REPORT RequestId").await;
        assert!(
            report.ends_with("\tError Type: Runtime.ExitError"),
            "{report}"
        );
    }
    let next = local.invoke_json("{}").await;
    assert!(next.is_number() && next != pid);
    local.stop().await;
}

#[tokio::test]
async fn init_is_no_part_of_an_invocation() {
    let mut local = Local::managed_with("time.sleep(1000)", 2, |function| {
        function.init_limit = Duration::from_millis(100);
    })
    .await;
    let error = local.invoke_error("{}").await;
    assert_eq!(
        error,
        json!({"errorType": "Sandbox.Timedout", "errorMessage": "Error: Init timed out after 0.10 seconds"})
    );
    for _ in 0..2 {
        let report = local.line("INIT_REPORT").await;
        assert!(
            report.ends_with("\tPhase: init\tStatus: timeout"),
            "{report}"
        );
    }
    local.stop().await;
}

#[tokio::test]
async fn two_streams_at_once() {
    let local = Local::managed(
        r#"
begun = threading.Barrier(2)
def handle(id, event):
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    connection.putrequest("POST", f"/2018-06-01/runtime/invocation/{id}/response")
    connection.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
    connection.putheader("Content-Type", "text/plain")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    path = event["rawPath"].encode()
    for _ in range(3):
        connection.send(b"%x\r\n%s\r\n" % (len(path), path))
        begun.wait()
    connection.send(b"0\r\n\r\n")
    connection.getresponse()
serve(2, handle)
"#,
        2,
    )
    .await;
    let (one, two) = tokio::join!(local.get("/one").send(), local.get("/two").send());
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(
        (one.status(), two.status()),
        (StatusCode::OK, StatusCode::OK)
    );
    let (one, two) = tokio::join!(one.text(), two.text());
    assert_eq!(one.unwrap(), "/one".repeat(3));
    assert_eq!(two.unwrap(), "/two".repeat(3));
    local.stop().await;
}
