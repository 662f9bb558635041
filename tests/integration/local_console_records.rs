//! What the test console keeps of invocations and of sandboxes.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::local::Local;
use crate::local_console::{OBEYS, calls, is_over, lines};

#[tokio::test]
async fn an_invocation_is_recorded_with_its_calls_its_log_and_its_times() {
    let mut local = Local::start(OBEYS).await;
    let event = r#"{ "do": "print", "text": "hé" }"#;
    let response = local.test(event).send().await.unwrap();
    let request_id = response.headers()["x-amzn-requestid"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        response.text().await.unwrap(),
        r#"{"do": "print", "text": "h\u00e9"}"#
    );
    let report = local.line("REPORT").await;

    let detail = local.record(is_over).await;
    assert_eq!(detail["requestId"], request_id);
    assert_eq!(
        (&detail["source"], &detail["label"], &detail["test"]),
        (&json!("console"), &json!("My%20event"), &json!("t1"))
    );
    assert_eq!(calls(&detail), ["GET next 200", "POST response 202"]);
    let [next, response] = [0, 1].map(|at| &detail["calls"][at]);
    assert_eq!(next["response"]["text"], event);
    assert_eq!(next["path"], "/2018-06-01/runtime/invocation/next");
    let headers = next["responseHeaders"].as_str().unwrap();
    for header in [
        format!("lambda-runtime-aws-request-id: {request_id}\n"),
        "lambda-runtime-deadline-ms: 1".to_owned(),
        format!("content-length: {}\n", event.len()),
    ] {
        assert!(headers.contains(&header), "{headers}");
    }
    assert_eq!(
        response["request"]["text"],
        r#"{"do": "print", "text": "h\u00e9"}"#
    );
    assert_eq!(response["request"]["isWhole"], true);
    assert_eq!(response["response"]["text"], r#"{"status":"OK"}"#);
    assert!(
        response["requestHeaders"]
            .as_str()
            .unwrap()
            .contains("accept-encoding: identity\n")
    );

    let expected = [
        format!("lambda: START RequestId: {request_id} Version: $LATEST"),
        "function: hé".to_owned(),
        format!("lambda: END RequestId: {request_id}"),
        format!("lambda: {report}"),
    ];
    assert_eq!(lines(&detail), expected);
    let told = &detail["report"];
    let billed = format!(
        "\tBilled Duration: {} ms\tMemory Size: 512 MB\tMax Memory Used: {} MB\tInit Duration: ",
        told["billed"], told["memoryUsed"]
    );
    assert!(report.contains(&billed), "{report}: {told}");
    assert!(report.contains(&format!(
        "\tDuration: {:.2} ms",
        told["duration"].as_f64().unwrap()
    )));
    assert!(report.ends_with(&format!("{:.2} ms", told["cold"].as_f64().unwrap())));

    let order = [
        "queued",
        "begun",
        "handed",
        "answerBegan",
        "answerEnded",
        "landed",
    ];
    let times = order.map(|name| detail["times"][name].as_f64().unwrap());
    assert!(times.is_sorted(), "{times:?}");
    assert!(detail["times"]["initEnded"].as_f64() > detail["times"]["initBegan"].as_f64());
    let sandbox = local.detail(&detail["sandbox"]).await;
    assert_eq!(sandbox["kind"], "sandbox");
    assert_eq!(lines(&sandbox), ["function: started"]);
    local.stop().await;
}

#[tokio::test]
async fn what_comes_from_elsewhere_is_listed_too() {
    let local = Local::start(OBEYS).await;
    let page = local.get("/a?page").send().await.unwrap();
    assert_eq!(page.status(), StatusCode::NOT_FOUND);
    assert_eq!(
        local.get("/b?no%20answer").send().await.unwrap().status(),
        StatusCode::OK
    );
    local.invoke_json(r#"{"a":1}"#).await;
    let mut events = local.events().await;
    let mut found = Vec::new();
    while found.len() < 3 {
        for record in events.next().await["records"].as_array().unwrap() {
            if is_over(record) && !found.contains(record) {
                found.push(record.clone());
            }
        }
    }
    let told = |at: usize| {
        [
            &found[at]["source"],
            &found[at]["label"],
            &found[at]["statusCode"],
            &found[at]["httpStatus"],
        ]
        .map(Value::clone)
    };
    assert_eq!(
        told(0),
        [json!("http"), json!("GET /a?page"), json!(404), json!(404)]
    );
    assert_eq!(
        told(1),
        [
            json!("http"),
            json!("GET /b?no%20answer"),
            json!(null),
            json!(200)
        ]
    );
    assert_eq!(
        told(2),
        [json!("invoke"), json!(""), json!(null), json!(null)]
    );
    local.stop().await;
}

#[tokio::test]
async fn a_bad_gateway_is_told_with_its_reason() {
    let local = Local::start(
        &OBEYS
            .replace("event[\"rawQueryString\"]", "event[\"rawPath\"][1:]")
            .replace("\"no answer\"", "\"bad\""),
    )
    .await;
    assert_eq!(
        local.get("/bad").send().await.unwrap().status(),
        StatusCode::BAD_GATEWAY
    );
    let detail = local.record(|record| record["httpStatus"] == 502).await;
    let mut lines = lines(&detail);
    lines.retain(|line| line.starts_with("note: "));
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].contains("502 Bad Gateway: statusCode is \"x\""),
        "{lines:?}"
    );
    local.stop().await;
}

#[tokio::test]
async fn failures_of_each_kind() {
    let local =
        Local::start_with(OBEYS, |function| function.timeout = Duration::from_secs(1)).await;
    for (event, error_type, status, last_call) in [
        (
            r#"{"do":"fail"}"#,
            "Function.Broken",
            None,
            "POST error 202",
        ),
        (
            r#"{"do":"hang"}"#,
            "Sandbox.Timedout",
            Some("timeout"),
            "GET next 200",
        ),
        (
            r#"{"do":"exit"}"#,
            "Runtime.ExitError",
            Some("error"),
            "GET next 200",
        ),
        (
            r#"{"do":"die half-way"}"#,
            "Runtime.ExitError",
            Some("error"),
            "POST response null",
        ),
    ] {
        let response = local.test(event).send().await.unwrap();
        assert_eq!(response.headers()["x-amz-function-error"], "Unhandled");
        let error = response.text().await.unwrap();
        let is_it = |record: &Value| {
            is_over(record)
                && record["errorType"] == error_type
                && record["report"]["status"] == json!(status)
        };
        let mut detail = local.record(is_it).await;
        assert_eq!(detail["failure"], error);
        if event.contains("half") {
            // The end of the connection is noticed apart from that of the process.
            let mut events = local.events().await;
            while detail["calls"][1]["request"]["isBroken"] != true {
                events.next().await;
                detail = local.detail(&detail["number"]).await;
            }
            assert_eq!(detail["calls"][1]["request"]["text"], "\"part");
        } else {
            assert_eq!(calls(&detail).pop().unwrap(), last_call, "{event}");
        }
        if event.contains("fail") {
            let error: Value = serde_json::from_str(&error).unwrap();
            assert_eq!(error["stackTrace"][1], "{main}");
        }
    }
    local.stop().await;
}

#[tokio::test]
async fn an_init_that_fails_is_a_record_of_its_own() {
    let local = Local::start(
        r#"
print("reason", flush=True)
call("POST", "init/error", json.dumps({"errorType": "Runtime.NoSuchHandler", "errorMessage": "none"}), {"Lambda-Runtime-Function-Error-Type": "Runtime.NoSuchHandler"})
sys.exit(1)
"#,
    )
    .await;
    let detail = local
        .record(|record| record["failed"] == "Runtime.NoSuchHandler")
        .await;
    assert_eq!(detail["kind"], "sandbox");
    assert!(lines(&detail).contains(&"function: reason".to_owned()));
    assert_eq!(calls(&detail), ["POST error 202"]);
    // The invocation that tries again has an init within itself.
    local.invoke_error("{}").await;
    let detail = local
        .record(|record| is_over(record) && record["kind"] == "invocation")
        .await;
    let times = &detail["times"];
    assert!(
        times["initBegan"].as_f64() >= times["begun"].as_f64(),
        "{times}"
    );
    assert_eq!(times["handed"], Value::Null);
    local.stop().await;
}

#[tokio::test]
async fn only_so_much_is_kept() {
    let local = Local::start(OBEYS).await;
    let large = local.answer(r#"{"do":"large"}"#).await;
    // The page gets all of it, the record has its beginning.
    assert_eq!(large.len(), 1_000_002);
    let detail = local.record(is_over).await;
    let body = &detail["calls"][1]["request"];
    assert_eq!(
        (&body["size"], &body["kept"], &body["isWhole"]),
        (&json!(1_000_002), &json!(262_144), &json!(false))
    );
    for _ in 0..210 {
        local.invoke_json("{}").await;
    }
    let state = local.events().await.next().await;
    assert_eq!(state["records"].as_array().unwrap().len(), 200);
    // The sandbox is not over.
    assert_eq!(state["kept"], json!([[1, 1], [14, 212]]));
    let dropped = local.console("/api/records/2").send().await.unwrap();
    assert_eq!(dropped.status(), StatusCode::NOT_FOUND);
    local.stop().await;
}

#[tokio::test]
async fn the_sandbox_is_restarted_once_nothing_runs_in_it() {
    let mut local = Local::streaming(
        r#"
while True:
    id, event = invocation()
    print("got", event, flush=True)
    if event == "wait": wait_for_test()
    respond(id, os.getpid())
"#,
    )
    .await;
    let restart = |local: &Local| local.command("/api/restart").send();
    let first = local.invoke_json("1").await;
    assert_eq!(
        restart(&local).await.unwrap().status(),
        StatusCode::ACCEPTED
    );
    local.line("another one starts").await;
    let second = local.invoke_json("2").await;
    assert_ne!(first, second);
    let waiting = local.invoke("\"wait\"").send();
    let (waited, ()) = tokio::join!(waiting, async {
        let mut events = local.events().await;
        events.until(|record| record["state"] == "running").await;
        restart(&local).await.unwrap();
        local.go().await;
    });
    // What was under way ended in the sandbox where it began.
    assert_eq!(waited.unwrap().text().await.unwrap(), second.to_string());
    local.line("another one starts").await;
    assert_ne!(local.invoke_json("3").await, second);
    let detail = local
        .record(|record| record["kind"] == "sandbox" && record["ended"].is_number())
        .await;
    assert!(detail["ready"].is_number());
    local.stop().await;
}

#[tokio::test]
async fn who_gave_up_waiting_is_told_as_such() {
    let local = Local::streaming(
        r#"
id, event = invocation()
wait_for_test()
respond(id, event)
while True:
    id, event = invocation()
    respond(id, event)
"#,
    )
    .await;
    let mut events = local.events().await;
    let first = tokio::spawn(local.invoke("1").send());
    events.until(|record| record["state"] == "running").await;
    let impatient = tokio::spawn(local.invoke("2").send());
    let waiting = events
        .until(|record| record["state"] == "waiting" && record["number"] == 3)
        .await;
    impatient.abort();
    let _ = impatient.await;
    // A request after it: when that is in, the server has seen that the connection before it is gone.
    let third = tokio::spawn(local.invoke("3").send());
    events.until(|record| record["number"] == 4).await;
    local.go().await;
    assert!(first.await.unwrap().unwrap().status().is_success());
    assert!(third.await.unwrap().unwrap().status().is_success());
    let detail = local
        .record(|record| record["number"] == waiting["number"] && record["state"] == "givenUp")
        .await;
    assert!(calls(&detail).is_empty());
    local.stop().await;
}

#[tokio::test]
async fn an_extensions_calls_belong_to_the_sandbox() {
    let local = Local::extended(
        r#"
status, identifier, _ = extension("POST", "register", '{"events":[]}', {"Lambda-Extension-Name": "inner"})
wait(identifier)
echo()
"#,
    )
    .await;
    local.invoke_json("{}").await;
    let detail = local
        .record(|record| record["kind"] == "sandbox" && record["ready"].is_number())
        .await;
    assert_eq!(calls(&detail), ["POST register 200", "GET next null"]);
    assert!(
        detail["calls"][0]["requestHeaders"]
            .as_str()
            .unwrap()
            .contains("lambda-extension-name: inner\n")
    );
    assert_eq!(detail["calls"][0]["request"]["text"], r#"{"events":[]}"#);
    assert!(
        detail["calls"][0]["responseHeaders"]
            .as_str()
            .unwrap()
            .contains("lambda-extension-identifier: ")
    );
    local.stop().await;
}
