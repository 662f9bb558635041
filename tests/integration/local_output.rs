//! The log of the local Lambda: its own lines, and what a bootstrap prints.

use std::time::Duration;

use reqwest::StatusCode;

use crate::local::{Local, last_number};

#[tokio::test]
async fn every_invocation_is_reported_and_init_once() {
    let mut local = Local::start(
        r#"
print("cold", flush=True)
while True:
    id, headers, event = next()
    print("to stdout", flush=True)
    print("to stderr", file=sys.stderr)
    print("x" * 262144, flush=True)
    respond(id, None)
"#,
    )
    .await;
    local.invoke_json("{}").await;
    let lines = local.lines_until("REPORT").await;
    let kinds: Vec<_> = lines
        .iter()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    let position = |kind| kinds.iter().position(|other| *other == kind).unwrap();
    assert!(position("cold") < position("END") && position("START") < position("to"));
    assert_eq!(
        lines[position("to")..position("to") + 2],
        ["to stdout", "to stderr"]
    );
    assert_eq!(lines[position("END") - 1].len(), 262_144);
    let report = lines.last().unwrap();
    assert!(
        report.contains("\tMemory Size: 512 MB\tMax Memory Used: "),
        "{report}"
    );
    assert!(!report.contains("Max Memory Used: 0 MB"), "{report}");
    assert!(report.contains("\tInit Duration: "), "{report}");
    local.invoke_json("{}").await;
    assert!(!local.line("REPORT").await.contains("Init Duration"));
    local.stop().await;
}

#[tokio::test]
async fn a_flood_of_output_is_complete_and_blocks_nobody() {
    let mut local = Local::start(
        r#"
while True:
    id, headers, event = next()
    for number in range(100000):
        print("line", number)
    sys.stdout.flush()
    respond(id, "fine")
"#,
    )
    .await;
    assert_eq!(local.invoke_json("{}").await, "fine");
    let lines = local.lines_until("END").await;
    let numbers: Vec<u32> = lines
        .iter()
        .filter(|line| line.starts_with("line "))
        .map(|line| last_number(line))
        .collect();
    assert!(numbers.into_iter().eq(0..100_000));
    local.stop().await;
}

#[tokio::test]
async fn output_without_end_holds_nothing_up() {
    let local = Local::start_with(
        r#"
subprocess.Popen(["yes", "x" * 1000])
while True:
    id, headers, event = next()
    if event == b'"hang"': time.sleep(1000)
    respond(id, "fine")
"#,
        |function| function.timeout = Duration::from_secs(1),
    )
    .await;
    assert_eq!(local.invoke_json("{}").await, "fine");
    assert_eq!(
        local.invoke_error("\"hang\"").await["errorType"],
        "Sandbox.Timedout"
    );
    local.stop().await;
}

#[tokio::test]
async fn a_line_without_its_end_belongs_to_the_invocation_that_wrote_it() {
    let mut local = Local::start(
        r#"
while True:
    id, headers, event = next()
    print("half a line", end="", flush=True)
    respond(id, 1)
"#,
    )
    .await;
    local.invoke_json("{}").await;
    let lines = local.lines_until("REPORT").await;
    assert!(lines.iter().any(|line| line == "half a line"), "{lines:#?}");
    local.stop().await;
}

#[tokio::test]
async fn what_the_log_quotes_cannot_write_lines_of_its_own() {
    let mut local = Local::start(
        r#"
while True:
    id, headers, event = next()
    body = '{"errorMessage":"a\nREPORT forged \x1b[31m \u202e' + "x" * 100000 + '"}'
    call("POST", f"invocation/{id}/error", body.encode(), {"Lambda-Runtime-Function-Error-Type": "Function.Bad"})
"#,
    )
    .await;
    let response = local.get("/").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    let line = local.line("502 Bad Gateway").await;
    assert!(
        line.contains(r"a\nREPORT forged \u{1b}[31m \u{202e}xxx"),
        "{line}"
    );
    assert!(line.len() < 5000, "{} bytes", line.len());
    local.stop().await;
}
