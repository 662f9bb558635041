//! What a runtime is told of an invocation, and what it may call when.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::local::{ECHO, Local};

#[tokio::test]
async fn the_function_has_lambdas_environment_and_none_of_ours() {
    let local = Local::start(ECHO).await;
    let answer = local.invoke_json("{}").await;
    let root = local.folder.path().canonicalize().unwrap();
    let env = &answer["env"];
    assert_eq!(answer["cwd"], json!(root));
    assert_eq!(env["LAMBDA_TASK_ROOT"], json!(root));
    assert_eq!(env["_HANDLER"], "public/index.php");
    assert_eq!(env["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"], "512");
    assert_eq!(env["AWS_LAMBDA_INITIALIZATION_TYPE"], "on-demand");
    assert_eq!(env["TZ"], ":UTC");
    assert_eq!(env["MY_NAME"], "value");
    // Cargo sets this one for the test itself.
    assert_eq!(env["CARGO_MANIFEST_DIR"], Value::Null);
    assert_eq!(env["HOME"], Value::Null);
    local.stop().await;
}

#[tokio::test]
async fn next_carries_lambdas_headers() {
    let local = Local::start(ECHO).await;
    let request = local
        .invoke(r#"{ "a" : 1 }"#)
        .header("X-Amz-Client-Context", "eyJjdXN0b20iOnt9fQ==")
        .header("X-Amz-Tenant-Id", "blue");
    let response = request.send().await.unwrap();
    let request_id = response.headers()["x-amzn-requestid"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(response.headers()["x-amz-executed-version"], "$LATEST");
    let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(answer["event"], r#"{ "a" : 1 }"#);
    let headers = &answer["headers"];
    assert_eq!(headers["lambda-runtime-aws-request-id"], json!(request_id));
    assert_eq!(headers["lambda-runtime-client-context"], r#"{"custom":{}}"#);
    assert_eq!(headers["lambda-runtime-aws-tenant-id"], "blue");
    assert!(
        headers["lambda-runtime-trace-id"]
            .as_str()
            .unwrap()
            .starts_with("Root=1-")
    );
    assert!(
        headers["lambda-runtime-invoked-function-arn"]
            .as_str()
            .unwrap()
            .starts_with("arn:aws:lambda:")
    );
    assert!(headers["lambda-runtime-invocation-id"].is_string());
    assert!(
        headers["lambda-runtime-deadline-ms"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 1_700_000_000_000
    );
    local.stop().await;
}

#[tokio::test]
async fn a_trace_id_is_taken_over_where_it_is_one() {
    let local = Local::start(ECHO).await;
    for (given, kept) in [
        ("Root=1-2-3;Sampled=1", true),
        ("Self=1;Root=1-2-3", true),
        ("", false),
        ("anything", false),
        ("Root=1-2-3;caf\u{e9}", false),
    ] {
        let request = local
            .invoke("{}")
            .header("X-Amzn-Trace-Id", given.as_bytes());
        let answer = request.send().await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let trace_id = &answer["headers"]["lambda-runtime-trace-id"];
        assert_eq!(trace_id == given, kept, "{trace_id}");
        assert!(trace_id.as_str().unwrap().contains("Root=1-"), "{trace_id}");
    }
    local.stop().await;
}

#[tokio::test]
async fn invocations_wait_for_one_another() {
    let local = Local::start(
        r#"
count = 0
while True:
    id, headers, event = next()
    count += 1
    respond(id, count)
"#,
    )
    .await;
    let (one, two, three) = tokio::join!(
        local.invoke_json("{}"),
        local.invoke_json("{}"),
        local.invoke_json("{}")
    );
    let mut counts = [one, two, three].map(|count| count.as_u64().unwrap());
    counts.sort_unstable();
    assert_eq!(counts, [1, 2, 3]);
    local.stop().await;
}

#[tokio::test]
async fn calls_that_are_not_due_are_refused() {
    let mut local = Local::start(
        r#"
id, headers, event = next()
own = headers["lambda-runtime-invocation-id"]
print("codes",
    call("GET", "invocation/next")[0],
    respond("00000000-0000-4000-8000-000000000000", 1),
    respond(id, 1, {"Lambda-Runtime-Invocation-Id": "another"}),
    call("POST", "init/error", "{}")[0],
    call("GET", "restore/next")[0],
    call("GET", "nothing")[0],
    respond(id, 2, {"Lambda-Runtime-Invocation-Id": own}),
    respond(id, 3),
    call("POST", f"invocation/{id}/error", "{}")[0],
    flush=True)
next()
"#,
    )
    .await;
    assert_eq!(local.invoke_json("{}").await, 2);
    assert_eq!(
        local.line("codes ").await,
        "codes 403 400 410 403 404 404 202 403 403"
    );
    local.stop().await;
}

/// A call to a fixed Runtime API.
async fn call(
    local: &Local,
    address: SocketAddr,
    path: &str,
    body: Option<&'static str>,
) -> (StatusCode, String, Option<String>) {
    let url = format!("http://{address}/2018-06-01/runtime/{path}");
    let request = match body {
        Some(body) => local.client.post(url).body(body),
        None => local.client.get(url),
    };
    let response = request.send().await.unwrap();
    let id = response.headers().get("lambda-runtime-aws-request-id");
    let id = id.map(|id| id.to_str().unwrap().to_owned());
    (response.status(), response.text().await.unwrap(), id)
}

#[tokio::test]
async fn whoever_asks_for_next_is_the_runtime() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut local = Local::start_with("", |function| {
        function.runtime_api = Some(std::sync::Arc::new(listener));
        function.bootstrap = "/does/not/exist".into();
        function.timeout = Duration::from_millis(300);
    })
    .await;
    let invoke = |event: &'static str| tokio::spawn(local.invoke(event).send());

    let caller = invoke("1");
    let (_, event, id) = call(&local, address, "invocation/next", None).await;
    assert_eq!(event, "1");
    let path = format!("invocation/{}/response", id.unwrap());
    let (status, ..) = call(&local, address, &path, Some("one")).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(caller.await.unwrap().unwrap().text().await.unwrap(), "one");

    // Nobody is killed by a time-out: the late answer is refused, and the runtime goes on.
    let caller = invoke("2");
    let (_, event, id) = call(&local, address, "invocation/next", None).await;
    assert_eq!(event, "2");
    let answer = caller.await.unwrap().unwrap().text().await.unwrap();
    assert!(answer.contains("Sandbox.Timedout"), "{answer}");
    let path = format!("invocation/{}/response", id.unwrap());
    let (status, ..) = call(&local, address, &path, Some("late")).await;
    assert_eq!(status, StatusCode::GONE);

    let caller = invoke("3");
    let (_, event, id) = call(&local, address, "invocation/next", None).await;
    assert_eq!(event, "3");
    let path = format!("invocation/{}/response", id.unwrap());
    call(&local, address, &path, Some("three")).await;
    assert_eq!(
        caller.await.unwrap().unwrap().text().await.unwrap(),
        "three"
    );

    let (status, ..) = call(&local, address, "no/such/call", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    local
        .line("called: GET /2018-06-01/runtime/invocation/next, which waits for an event")
        .await;
    local
        .line("answered: POST /2018-06-01/runtime/invocation/")
        .await;
    local.stop().await;
}
