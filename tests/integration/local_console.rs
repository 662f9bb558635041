//! The interface behind the test console's page: what is recorded, how it is told live, and who is turned away.

use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::local::Local;

/// Does what the event says: `{"do": name, …}`; an HTTP event says it in its query.
const OBEYS: &str = r#"
print("started", flush=True)
while True:
    id, headers, event = next()
    event = json.loads(event)
    if "rawQueryString" in event: event = {"do": event["rawQueryString"]}
    what = event.get("do")
    if what == "print": print(event["text"], flush=True)
    if what == "fail":
        error = {"errorType": "App\\Broken", "errorMessage": "no <b>stock</b>", "stackTrace": ["a.php(1): b()", "{main}"]}
        call("POST", f"invocation/{id}/error", json.dumps(error), {"Lambda-Runtime-Function-Error-Type": "Function.Broken"})
    elif what == "hang": time.sleep(1000)
    elif what == "exit": os._exit(3)
    elif what == "page": respond(id, {"statusCode": 404, "headers": {"Content-Type": "text/html"}, "body": "<script>alert(1)</script>"})
    elif what == "no answer": respond(id, {"statusCode": "x"})
    elif what == "large": respond(id, "x" * 1000000)
    elif what == "die half-way":
        connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
        connection.putrequest("POST", f"/2018-06-01/runtime/invocation/{id}/response")
        connection.putheader("Content-Length", "100")
        connection.endheaders()
        connection.send(b'"part')
        os._exit(4)
    else: respond(id, event)
"#;

impl Local {
    fn console(&self, path: &str) -> RequestBuilder {
        self.get(&format!("/_console{path}"))
    }

    fn test(&self, event: &'static str) -> RequestBuilder {
        let url = format!(
            "http://{}/_console/api/invoke?test=t1&name=My%20event",
            self.address
        );
        self.client
            .post(url)
            .header("Content-Type", "application/json")
            .body(event)
    }

    async fn events(&self) -> Events {
        Events::of(self.console("/api/events")).await
    }

    /// All that is kept of the newest record for which `is_it` holds, once there is one.
    async fn record(&self, is_it: impl Fn(&Value) -> bool) -> Value {
        let mut events = self.events().await;
        let number = events.until(is_it).await["number"].clone();
        self.detail(&number).await
    }

    async fn detail(&self, number: &Value) -> Value {
        let response = self.console(&format!("/api/records/{number}"));
        let response = response.send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/json");
        serde_json::from_str(&response.text().await.unwrap()).unwrap()
    }
}

/// A reader of the live feed.
struct Events {
    response: Response,
    text: String,
    last: String,
}

impl Events {
    async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            response,
            text: String::new(),
            last: String::new(),
        }
    }

    async fn next(&mut self) -> Value {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name));
                    line.map(str::to_owned)
                };
                if let (Some(id), Some(data)) = (field("id: "), field("data: ")) {
                    self.last = id;
                    return serde_json::from_str(&data).unwrap();
                }
                continue;
            }
            let chunk = timeout(Duration::from_secs(60), self.response.chunk()).await;
            let chunk = chunk.expect("nothing for a minute").unwrap().unwrap();
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The newest record for which `is_it` holds, once there is one.
    async fn until(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let state = self.next().await;
            let records = state["records"].as_array().unwrap().iter().rev();
            if let Some(record) = records.into_iter().find(|record| is_it(record)) {
                return record.clone();
            }
        }
    }
}

fn is_over(record: &Value) -> bool {
    record["state"] == "over"
}

fn numbers(state: &Value) -> Vec<u64> {
    let records = state["records"].as_array().unwrap().iter();
    records
        .map(|record| record["number"].as_u64().unwrap())
        .collect()
}

/// Method, end of the path, and status of each call.
fn calls(detail: &Value) -> Vec<String> {
    let calls = detail["calls"].as_array().unwrap().iter();
    calls
        .map(|call| {
            let path = call["path"].as_str().unwrap();
            let last = path.rsplit('/').next().unwrap();
            format!(
                "{} {last} {}",
                call["method"].as_str().unwrap(),
                call["status"]
            )
        })
        .collect()
}

fn lines(detail: &Value) -> Vec<String> {
    let lines = detail["log"]["lines"].as_array().unwrap().iter();
    lines
        .map(|line| {
            format!(
                "{}: {}",
                line[1].as_str().unwrap(),
                line[2].as_str().unwrap()
            )
        })
        .collect()
}

#[tokio::test]
async fn the_page_is_whole_and_asks_for_nothing_else() {
    let local = Local::start(OBEYS).await;
    let mut wanted = vec![String::new(), "/".to_owned()];
    let mut seen = Vec::new();
    while let Some(path) = wanted.pop() {
        let response = local.console(&path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let headers = response.headers().clone();
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; "),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert!(
            headers["content-type"]
                .to_str()
                .unwrap()
                .ends_with("; charset=utf-8")
        );
        let text = response.text().await.unwrap();
        for forbidden in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "style=\"",
            "onclick=",
        ] {
            assert!(!text.contains(forbidden), "{path} has {forbidden}");
        }
        for address in text
            .split("http://")
            .skip(1)
            .chain(text.split("https://").skip(1))
        {
            let is_data = address.starts_with("www.w3.org/2000/svg") || path == "/templates.js";
            assert!(is_data, "{path} names {address:.40}");
        }
        let page = text.split("/_console/").skip(1).filter(|_| path.is_empty());
        let modules = text.split(" from './").skip(1);
        for name in page.chain(modules) {
            let name = format!("/{}", name.split(['"', '\'']).next().unwrap());
            if !seen.contains(&name) {
                seen.push(name.clone());
                wanted.push(name);
            }
        }
    }
    assert_eq!(seen.len(), 13, "{seen:?}");
    for other in [
        "/x",
        "/main.js/x",
        "/..%2fmain.js",
        "/api",
        "/api/x",
        "/api/records/x",
        "/api/records/99",
        "/api/records/1/html",
    ] {
        let response = local.console(other).send().await.unwrap();
        assert!(response.status().is_client_error(), "{other}");
    }
    let lines = local.stop_with_log().await;
    assert!(
        !lines.iter().any(|line| line.starts_with("START")),
        "{lines:#?}"
    );
}

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
async fn a_stream_is_told_while_it_comes_and_with_its_trailers() {
    let local = Local::streaming(
        r#"
while True:
    id, _ = invocation()
    stream = Stream(id)
    stream.send(PRELUDE)
    for piece in (b"one ", b"two "):
        stream.send(piece)
        wait_for_test()
    stream.end(BROKEN)
"#,
    )
    .await;
    let mut events = local.events().await;
    let mut response = local.test("{}").send().await.unwrap();
    assert_eq!(
        response.headers()["content-type"],
        "application/vnd.awslambda.http-integration-response"
    );
    for text in ["one ", "one two "] {
        // The function waits until this was seen.
        let detail = loop {
            let record = events.until(|record| record["state"] == "answering").await;
            let detail = local.detail(&record["number"]).await;
            let answer = detail["calls"][1]["request"]["text"]
                .as_str()
                .unwrap_or_default();
            if answer.ends_with(text) {
                break detail;
            }
        };
        let body = &detail["calls"][1]["request"];
        assert_eq!(
            body["text"]
                .as_str()
                .unwrap()
                .split_once("\0\0\0\0\0\0\0\0")
                .unwrap()
                .1,
            text
        );
        assert_eq!(
            (&body["isWhole"], &body["ended"]),
            (&json!(false), &Value::Null)
        );
        assert_eq!(
            (&detail["isStream"], &detail["statusCode"]),
            (&json!(true), &json!(201))
        );
        local.go().await;
    }
    while let Ok(Some(_)) = response.chunk().await {}
    let detail = local.record(is_over).await;
    let body = &detail["calls"][1]["request"];
    assert_eq!(
        body["trailers"],
        "lambda-runtime-function-error-type: Function.Broken\nlambda-runtime-function-error-body: eyJlcnJvck1lc3NhZ2UiOiJzbyJ9\n"
    );
    assert_eq!(detail["errorType"], "Function.Broken");
    assert_eq!(detail["failure"], r#"{"errorMessage":"so"}"#);
    let pieces: Vec<_> = body["pieces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|piece| piece[1].as_u64().unwrap())
        .collect();
    assert_eq!(pieces[pieces.len() - 2..], [4, 4]);
    assert!(
        detail["calls"][1]["requestHeaders"]
            .as_str()
            .unwrap()
            .contains("transfer-encoding: chunked\n")
    );
    local.stop().await;
}

#[tokio::test]
async fn a_reader_goes_on_where_it_was() {
    let local = Local::start(OBEYS).await;
    local.invoke_json("{}").await;
    let mut events = local.events().await;
    let first = events.next().await;
    assert_eq!(first["isWhole"], true);
    assert_eq!(first["function"]["timeout"], 60);
    assert!(
        first["function"]["folder"]
            .as_str()
            .unwrap()
            .starts_with('/')
    );
    if !first["records"].as_array().unwrap().iter().any(is_over) {
        events.until(is_over).await;
    }
    let last = events.last.clone();
    drop(events);
    local.invoke_json("{}").await;
    local
        .record(|record| is_over(record) && record["number"] == 3)
        .await;
    let header = local.console("/api/events").header("Last-Event-ID", &last);
    let query = local.console(&format!("/api/events?after={last}"));
    for request in [header, query] {
        let state = Events::of(request).await.next().await;
        assert_eq!(
            (numbers(&state), &state["isWhole"]),
            (vec![3], &json!(false))
        );
        assert_eq!(state["kept"], json!([[1, 3]]));
    }
    for other in ["0123-5", "x", &last[1..]] {
        let request = local.console("/api/events").header("Last-Event-ID", other);
        let state = Events::of(request).await.next().await;
        assert_eq!(
            (numbers(&state), &state["isWhole"]),
            (vec![1, 2, 3], &json!(true))
        );
    }
    local.stop().await;
}

#[tokio::test]
async fn only_so_much_is_kept() {
    let local = Local::start(OBEYS).await;
    let large = local.test(r#"{"do":"large"}"#).send().await.unwrap();
    // The page gets all of it, the record has its beginning.
    assert_eq!(large.text().await.unwrap().len(), 1_000_002);
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
async fn pages_of_other_sites_and_rebound_names_are_turned_away() {
    let local = Local::start(OBEYS).await;
    let port = local.address.port();
    let own = format!("Host: localhost:{port}\r\n");
    let json = "Content-Type: application/json\r\nContent-Length: 2\r\n";
    for (line, headers, status) in [
        // Under a name of its own, which now leads here.
        ("GET /_console", "Host: attacker.test\r\n".to_owned(), 403),
        (
            "GET /_console/main.js",
            format!("Host: attacker.test:{port}\r\n"),
            403,
        ),
        (
            "GET /_console/api/events",
            format!("Host: attacker.test:{port}\r\n"),
            403,
        ),
        (
            "POST /_console/api/invoke",
            format!(
                "Host: attacker.test:{port}\r\nOrigin: http://attacker.test:{port}\r\nSec-Fetch-Site: same-origin\r\n{json}"
            ),
            403,
        ),
        // From its own page.
        (
            "POST /_console/api/invoke",
            format!("{own}Origin: http://attacker.test\r\n{json}"),
            403,
        ),
        (
            "POST /_console/api/invoke",
            format!("{own}Origin: null\r\n{json}"),
            403,
        ),
        (
            "POST /_console/api/invoke",
            format!("{own}Sec-Fetch-Site: cross-site\r\n{json}"),
            403,
        ),
        (
            "POST /_console/api/invoke",
            format!("{own}Sec-Fetch-Site: same-site\r\n{json}"),
            403,
        ),
        (
            "POST /_console/api/restart",
            format!("{own}Origin: http://attacker.test\r\n{json}"),
            403,
        ),
        (
            "GET /_console/api/events",
            format!("{own}Sec-Fetch-Site: cross-site\r\n"),
            403,
        ),
        (
            "GET /_console/api/records/1",
            format!("{own}Sec-Fetch-Site: cross-site\r\n"),
            403,
        ),
        (
            "GET /_console/api/records/1/html",
            format!("{own}Sec-Fetch-Site: cross-site\r\n"),
            403,
        ),
        // A form, and a script that asks first.
        (
            "POST /_console/api/invoke",
            format!("{own}Content-Type: text/plain\r\nContent-Length: 2\r\n"),
            415,
        ),
        (
            "POST /_console/api/restart",
            format!("{own}Content-Length: 2\r\n"),
            415,
        ),
        (
            "OPTIONS /_console/api/invoke",
            format!("{own}Origin: http://attacker.test\r\nAccess-Control-Request-Method: POST\r\n"),
            403,
        ),
        ("GET /_console/api/invoke", own.clone(), 405),
        (
            "GET /_console",
            "Host: localhost\r\nHost: localhost\r\n".to_owned(),
            403,
        ),
    ] {
        let request = format!("{line} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n{{}}");
        let answer = local.raw(&request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}: {answer}"
        );
        assert!(
            !answer.to_lowercase().contains("access-control-allow"),
            "{answer}"
        );
    }
    for host in [
        "localhost",
        "console.localhost:8080",
        "127.0.0.1:8080",
        "[::1]:8080",
        "192.168.1.20:9000",
    ] {
        let request = format!(
            "GET /_console HTTP/1.1\r\nHost: {host}\r\nSec-Fetch-Site: cross-site\r\nConnection: close\r\n\r\n"
        );
        let answer = local.raw(&request).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
    }
    let lines = local.stop_with_log().await;
    assert!(
        !lines
            .iter()
            .any(|line| line.starts_with("START") || line.contains("the sandbox ends")),
        "{lines:#?}"
    );
}

#[tokio::test]
async fn hostile_content_is_told_as_it_is() {
    let local = Local::start(OBEYS).await;
    let event = "{\"do\":\"print\",\"text\":\"</script><img src=x onerror=alert(1)>\\u001b[31m \\u202e data: x\\n\\nevent: forged\\n\"}";
    local
        .test(event)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let path = "/%3Cscript%3E?'&{}%0d%0a";
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-A: </script>\r\nConnection: close\r\n\r\n");
    local.raw(&request).await;
    let mut events = local.events().await;
    // That the feed can be read at all says that nothing has broken out of its event.
    let listed = events
        .until(|record| is_over(record) && record["source"] == "http")
        .await;
    assert_eq!(listed["label"], format!("GET {path}"));
    let printed = local
        .record(|record| is_over(record) && record["source"] == "console")
        .await;
    assert_eq!(printed["calls"][0]["response"]["text"], event);
    let lines = lines(&printed);
    assert_eq!(
        lines[1..5],
        [
            "function: </script><img src=x onerror=alert(1)>\u{1b}[31m \u{202e} data: x",
            "function: ",
            "function: event: forged",
            "function: "
        ]
    );
    local.stop().await;
}

#[tokio::test]
async fn html_is_shown_in_a_frame_that_can_do_nothing() {
    let local = Local::start(OBEYS).await;
    local
        .test(r#"{"do":"page"}"#)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let page = local.record(is_over).await["number"].clone();
    let html = local
        .console(&format!("/api/records/{page}/html"))
        .send()
        .await
        .unwrap();
    let policy = html.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        policy.starts_with("sandbox; default-src 'none'; "),
        "{policy}"
    );
    assert!(
        !policy.contains("script") && !policy.contains("allow-"),
        "{policy}"
    );
    assert_eq!(html.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(html.headers()["x-content-type-options"], "nosniff");
    assert_eq!(html.text().await.unwrap(), "<script>alert(1)</script>");
    local.test("{}").send().await.unwrap().text().await.unwrap();
    let json = local
        .record(|record| is_over(record) && record["number"] == 3)
        .await["number"]
        .clone();
    let none = local
        .console(&format!("/api/records/{json}/html"))
        .send()
        .await
        .unwrap();
    assert_eq!(none.status(), StatusCode::NOT_FOUND);
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
    let restart = |local: &Local| {
        let url = format!("http://{}/_console/api/restart", local.address);
        local
            .client
            .post(url)
            .header("Content-Type", "application/json")
            .send()
    };
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
