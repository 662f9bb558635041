//! The local Lambda as a gateway: HTTP becomes an event, and the answer HTTP.

use reqwest::StatusCode;
use serde_json::Value;

use crate::local::{ECHO, Local};

#[tokio::test]
async fn http_becomes_an_event_and_the_answer_becomes_http() {
    let local = Local::start(
        r#"
while True:
    id, headers, event = next()
    event = json.loads(event)
    respond(id, {
        "statusCode": 404,
        "headers": {"Content-Type": "text/plain; charset=utf-8", "X-Path": event["rawPath"], "Content-Length": "7"},
        "cookies": ["a=1", "b=2"],
        "body": event["rawQueryString"] + " " + event["headers"]["x-forwarded-port"] + " " + event.get("body", ""),
    })
"#,
    )
    .await;
    let port = local.address.port();
    let request = local
        .client
        .post(format!("http://{}/a%2Fb//c?x=%20&y", local.address))
        .body("héllo");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(response.headers()["x-path"], "/a%2Fb//c");
    let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    let expected = format!("x=%20&y {port} héllo");
    assert_eq!(
        response.headers()["content-length"],
        expected.len().to_string().as_str()
    );
    assert_eq!(response.text().await.unwrap(), expected);

    let head = local
        .client
        .head(format!("http://{}/?x", local.address))
        .send()
        .await
        .unwrap();
    assert_eq!(
        head.headers()["content-length"],
        format!("x {port} ").len().to_string().as_str()
    );
    assert_eq!(head.text().await.unwrap(), "");
    local.stop().await;
}

#[tokio::test]
async fn a_bad_answer_is_a_502_and_the_log_says_why() {
    let mut local = Local::start(
        r#"
while True:
    id, headers, event = next()
    call("POST", f"invocation/{id}/response", '{"statusCode":"200"}')
"#,
    )
    .await;
    let response = local.get("/").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    local
        .line("statusCode is \"200\"; it must be a whole number")
        .await;
    local.stop().await;
}

#[tokio::test]
async fn requests_that_lambda_would_refuse() {
    let mut local = Local::start(ECHO).await;
    let large = local.invoke(vec![b' '; 6_291_557]).send().await.unwrap();
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    // As base64 it is over the limit.
    let post = local.client.post(format!("http://{}/", local.address));
    let binary = post.body(vec![0xff; 5_000_000]).send().await.unwrap();
    assert_eq!(binary.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(binary.text().await.unwrap().contains("base64"));
    let page = local
        .invoke("{}")
        .header("Origin", "http://example.org")
        .send()
        .await
        .unwrap();
    assert_eq!(page.status(), StatusCode::FORBIDDEN);
    let console = local.get("/_console/x").send().await.unwrap();
    assert_eq!(console.status(), StatusCode::NOT_FOUND);
    // None of them reached the function; this one does, though it is not JSON.
    assert_eq!(local.invoke_json("not json").await["event"], "not json");
    let lines = local.lines_until("REPORT").await;
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.starts_with("START"))
            .count(),
        1,
        "{lines:#?}"
    );
    local.stop().await;
}

#[tokio::test]
async fn headers_of_the_connection_stay_with_it() {
    let local = Local::start(
        r#"
while True:
    id, headers, event = next()
    respond(id, json.loads(event)["headers"])
"#,
    )
    .await;
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nKeep-Alive: 5\r\nProxy-Authorization: x\r\n\
        TE: trailers\r\nTrailer: x\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let answer = local.raw(chunked).await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let headers: serde_json::Map<String, Value> = serde_json::from_str(body).unwrap();
    let names: Vec<_> = headers.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "content-length",
            "host",
            "x-amzn-trace-id",
            "x-forwarded-for",
            "x-forwarded-port",
            "x-forwarded-proto"
        ]
    );
    assert_eq!(headers["content-length"], "3");
    local.stop().await;
}

#[tokio::test]
async fn requests_that_no_gateway_passes_on() {
    let mut local = Local::start(ECHO).await;
    for (request, answer) in [
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n", "HTTP/1.1 400 "),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 405 "),
        ("GET /_console HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 403 "),
        ("GET /_console/ HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 403 "),
        (
            "POST /_console HTTP/1.1\r\nHost: [::1]\r\n",
            "HTTP/1.1 405 ",
        ),
        (
            "PUT /_console/x/y HTTP/1.1\r\nHost: localhost\r\n",
            "HTTP/1.1 404 ",
        ),
    ] {
        let got = local
            .raw(&format!("{request}Connection: close\r\n\r\n"))
            .await;
        assert!(got.starts_with(answer), "{request}: {got}");
    }
    local.invoke_json("{}").await;
    let lines = local.lines_until("REPORT").await;
    let started = lines.iter().filter(|line| line.starts_with("START"));
    assert_eq!(started.count(), 1, "{lines:#?}");
    local.stop().await;
}

#[tokio::test]
async fn the_length_that_head_tells_is_the_functions_or_none() {
    let local = Local::start(
        r#"
while True:
    id, headers, event = next()
    given = json.loads(event)["rawQueryString"]
    respond(id, {"statusCode": 200, "headers": {"Content-Length": given} if given else {}})
"#,
    )
    .await;
    for (query, length) in [("5", Some("5")), ("0", Some("0")), ("", None)] {
        let url = format!("http://{}/?{query}", local.address);
        let head = local.client.head(url).send().await.unwrap();
        let told = head.headers().get("content-length");
        assert_eq!(told.map(|value| value.to_str().unwrap()), length, "{query}");
    }
    local.stop().await;
}
