//! The live feed of the test console, and a reader of it for all tests of the console.

use std::time::Duration;

use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::local::Local;

/// Does what the event says: `{"do": name, …}`; an HTTP event says it in its query.
pub const OBEYS: &str = r#"
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
    pub fn console(&self, path: &str) -> RequestBuilder {
        self.get(&format!("/_console{path}"))
    }

    /// A POST as the page sends it.
    pub fn command(&self, path: &str) -> RequestBuilder {
        self.client
            .post(format!("http://{}/_console{path}", self.address))
            .header("Content-Type", "application/json")
    }

    /// An event as the page sends it.
    pub fn test(&self, event: &'static str) -> RequestBuilder {
        self.command("/api/invoke?test=t1&name=My%20event")
            .body(event)
    }

    /// The answer that the page gets to an event.
    pub async fn answer(&self, event: &'static str) -> String {
        let response = self.test(event).send().await.unwrap();
        response.text().await.unwrap()
    }

    pub async fn events(&self) -> Events {
        Events::of(self.console("/api/events")).await
    }

    /// All that is kept of the newest record for which `is_it` holds, once there is one.
    pub async fn record(&self, is_it: impl Fn(&Value) -> bool) -> Value {
        let mut events = self.events().await;
        let number = events.until(is_it).await["number"].clone();
        self.detail(&number).await
    }

    pub async fn detail(&self, number: &Value) -> Value {
        let response = self.console(&format!("/api/records/{number}"));
        let response = response.send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/json");
        serde_json::from_str(&response.text().await.unwrap()).unwrap()
    }
}

/// A reader of the live feed.
pub struct Events {
    response: Response,
    text: String,
    last: String,
}

impl Events {
    pub async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            response,
            text: String::new(),
            last: String::new(),
        }
    }

    pub async fn next(&mut self) -> Value {
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
    pub async fn until(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let state = self.next().await;
            let records = state["records"].as_array().unwrap().iter().rev();
            if let Some(record) = records.into_iter().find(|record| is_it(record)) {
                return record.clone();
            }
        }
    }
}

pub fn is_over(record: &Value) -> bool {
    record["state"] == "over"
}

fn numbers(state: &Value) -> Vec<u64> {
    let records = state["records"].as_array().unwrap().iter();
    records
        .map(|record| record["number"].as_u64().unwrap())
        .collect()
}

/// Method, end of the path, and status of each call.
pub fn calls(detail: &Value) -> Vec<String> {
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

pub fn lines(detail: &Value) -> Vec<String> {
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
