//! The examples that are more than a page.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::differential::binary;
use crate::functions::error;
use crate::lambda::{Function, request};
use crate::sites::{Answer, get};
use crate::streaming::{self, Wire, text};

fn example(name: &str) -> Function {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(name);
    Function::new(&fs::read_to_string(folder.join("index.php")).unwrap())
}

#[test]
fn the_queue_worker_reports_what_has_failed_and_prints_into_the_log() {
    let event = json!({"Records": [
        {"messageId": "1", "body": r#"{"to":"ann@example.com","subject":"Hello"}"#},
        {"messageId": "2", "body": "no JSON"},
        {"messageId": "3", "body": r#"{"to":"nobody"}"#},
    ]});
    let call = example("queue-worker").start().invoke(event.to_string());
    assert_eq!(
        call.json(),
        json!({"batchItemFailures": [{"itemIdentifier": "2"}, {"itemIdentifier": "3"}]})
    );
    for words in [
        "sent to ann@example.com: Hello\n",
        "The record 2 failed: JsonException: Syntax error",
        "The record 3 failed: UnexpectedValueException: no address in message 3",
    ] {
        assert!(call.log.contains(words), "{}", call.log);
    }
}

#[test]
fn the_nightly_job_stops_when_time_is_short() {
    let mut lambda = example("schedule").start();
    assert_eq!(lambda.invoke(r#"{"keepDays":30}"#).json()["deleted"], 3);
    let mut event = lambda.event(r#"{"keepDays":30}"#);
    event.timeout = Duration::from_millis(4_900);
    assert_eq!(lambda.invoke_event(event).json()["deleted"], 0);
    let (_, body) = error(&lambda.invoke("{}"));
    assert_eq!(body["errorMessage"], "The event has no keepDays.");
}

#[test]
fn the_api_answers_its_routes_and_says_what_is_wrong() {
    let mut lambda = example("api").start();
    for (method, path, body, status, expected) in [
        (
            "GET",
            "/",
            None,
            200,
            json!({"routes": ["GET /", "GET /words/{word}", "POST /sums"]}),
        ),
        (
            "GET",
            "/words/Stra%C3%9Fe",
            None,
            200,
            json!({"word": "Straße", "length": 6, "backwards": "eßartS"}),
        ),
        (
            "POST",
            "/sums",
            Some(r#"{"numbers":[1,2.5]}"#),
            200,
            json!({"sum": 3.5}),
        ),
        (
            "POST",
            "/sums",
            Some("{"),
            400,
            json!({"error": "The body is not JSON: Syntax error."}),
        ),
        (
            "POST",
            "/sums",
            Some(r#"{"numbers":["x"]}"#),
            422,
            json!({"error": "numbers has to be a list of numbers."}),
        ),
        (
            "GET",
            "/sums",
            None,
            405,
            json!({"error": "/sums takes POST."}),
        ),
        (
            "GET",
            "/words/",
            None,
            404,
            json!({"error": "There is no /words/."}),
        ),
    ] {
        let event = request(
            method,
            path,
            "a=1",
            &[("content-type", "application/json")],
            body.map(str::as_bytes),
        );
        let call = lambda.invoke(event);
        assert_eq!(call.json()["statusCode"], status, "{path}");
        let page: Value = serde_json::from_str(&call.page()).unwrap();
        assert_eq!(page, expected, "{method} {path}");
        assert_eq!(
            call.json()["headers"]["Allow"].as_str(),
            (status == 405).then_some("POST")
        );
    }
}

#[test]
fn the_site_example() {
    for mode in ["buffered", "response_stream"] {
        let mut lambda = Function::new("")
            .folder("examples/site")
            .env("_HANDLER", "public")
            .env("PHP_LAMBDA_INVOKE_MODE", mode)
            .start();
        for (path, part) in [
            ("/", "<h1>Home</h1>"),
            ("/opening-hours/", "<h1>Opening hours</h1>"),
            ("/contact.php", "<textarea"),
            ("/contact.php?thanks", "Thank you"),
            ("/style.css", "color-scheme"),
            ("/images/shop.svg", "<svg"),
            ("/downloads/prices.csv", "rye loaf,4.20"),
        ] {
            let answer = get(&mut lambda, path);
            assert!(
                answer.status == 200 && answer.text().contains(part),
                "{path}"
            );
        }
        assert_eq!(get(&mut lambda, "/opening-hours").status, 301);
        for path in [
            "/none",
            "/lib/layout.php",
            "/../lib/layout.php",
            "/template.yaml",
        ] {
            let answer = get(&mut lambda, path);
            assert_eq!(answer.status, 404, "{path}");
            assert!(answer.text().contains("There is no such page."));
        }
        let form = request(
            "POST",
            "/contact.php",
            "",
            &[("content-type", "application/x-www-form-urlencoded")],
            Some("message=Good+br%C3%B6tli!".as_bytes()),
        );
        let call = lambda.invoke(form);
        let answer = Answer::of(&call);
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, "/contact.php?thanks")
        );
        assert!(
            call.log.contains("A message: \"Good brötli!\""),
            "{}",
            call.log
        );
    }
}

#[test]
fn the_example_in_the_manner_of_wordpress() {
    let function = || {
        Function::new("")
            .folder("examples/wordpress-style")
            .env("_HANDLER", "public")
            .env("ADMIN_PASSWORD", "open sesame")
    };
    let mut lambda = function().start();
    let page = get(&mut lambda, "/2026/a-post/?x=1");
    assert!(
        page.text().contains("<h1>The post at /2026/a-post/</h1>"),
        "{}",
        page.text()
    );
    assert_eq!(get(&mut lambda, "/admin").header("location"), "./admin/");
    assert_eq!(get(&mut lambda, "/admin/").status, 401);

    let password = format!(
        "Basic {}",
        base64_simd::STANDARD.encode_to_string("me:open sesame")
    );
    let mut upload = |file: &[u8]| {
        let mut body =
            b"--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.php\"\r\n\r\n"
                .to_vec();
        body.extend_from_slice(file);
        body.extend_from_slice(b"\r\n--b--\r\n");
        let headers = [
            ("content-type", "multipart/form-data; boundary=b"),
            ("authorization", password.as_str()),
        ];
        let event = request("POST", "/admin/", "", &headers, Some(&body));
        Answer::of(&lambda.invoke(event))
    };
    // the head of a GIF of one pixel, and every byte behind it
    let mut image = b"GIF89a\x01\x00\x01\x00\x80\x00\x00".to_vec();
    image.extend(binary(100_000));
    let answer = upload(&image);
    let text = answer.text();
    assert_eq!(answer.status, 200, "{text}");
    let name = text
        .split("href=\"/uploads.php/")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    assert!(name.ends_with(".gif"), "{name}");
    assert_eq!(upload(b"<?php echo 'no image';").status, 400);

    let path = format!("/uploads.php/{name}");
    let shown = get(&mut lambda, &path);
    assert_eq!(
        (shown.status, shown.header("content-type")),
        (200, "image/gif")
    );
    assert!(shown.body == image);
    assert!(
        get(&mut lambda, "/")
            .text()
            .contains(&format!("<img src=\"{path}\""))
    );
    for path in [
        "/uploads.php",
        "/uploads.php/",
        "/uploads.php/x.gif",
        "/uploads.php/passwd",
    ] {
        assert_eq!(get(&mut lambda, path).status, 404, "{path}");
    }
    fs::remove_file(format!("/tmp/uploads/{name}")).unwrap();

    // in S3 the reader is sent there
    let mut lambda = function()
        .env("UPLOADS_BUCKET", "pictures")
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "id")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_SESSION_TOKEN", "to/ken")
        .start();
    let answer = get(&mut lambda, "/uploads.php/20260101-120000-0123abcd.png");
    let location = answer.header("location");
    let start = "https://pictures.s3.eu-central-1.amazonaws.com/20260101-120000-0123abcd.png?X-Amz-Algorithm=";
    assert!(
        answer.status == 302 && location.starts_with(start),
        "{location}"
    );
    assert!(
        location.contains("&X-Amz-Security-Token=to%2Fken&"),
        "{location}"
    );
}

#[test]
fn the_download_example_makes_large_files_in_little_memory() {
    let wire = Wire::start(
        Function::new(include_str!("../../examples/download/index.php"))
            .file("php.ini", "memory_limit = 2M\n"),
    );
    let (prelude, body) = wire.answer(streaming::get("/?mb=40"));
    assert_eq!(prelude["statusCode"], 200);
    assert_eq!(
        prelude["headers"]["Content-Disposition"],
        r#"attachment; filename="measurements-40mb.csv""#
    );
    assert!(
        (40_000_000..40_000_100).contains(&body.len()),
        "{} bytes",
        body.len()
    );
    let rows = text(&body).matches("\r\n").count() - 1;
    let last = text(&body[body.len() - 60..]);
    let last = last.trim_end().rsplit("\r\n").next();
    assert!(last.unwrap().starts_with(&format!("{rows},20")), "{last:?}");

    for query in ["mb=0", "mb=191", "mb=x", "mb[]=1"] {
        let (prelude, body) = wire.answer(streaming::get(&format!("/?{query}")));
        assert_eq!(prelude["statusCode"], 400, "{query}: {}", text(&body));
    }
}

/// The page itself is looked at by `tests/browser.sh`.
#[test]
fn the_chat_example_says_how_an_answer_ended() {
    let wire = Wire::start(
        Function::new(include_str!("../../examples/chat/index.php"))
            .file("model.php", include_str!("../../examples/chat/model.php"))
            .file("page.html", "a page"),
    );
    for (question, end) in [
        ("anything", "event: done\ndata: \"\"\n\n"),
        (
            "break",
            "event: failure\ndata: \"The model failed half-way.\"\n\n",
        ),
    ] {
        let (prelude, body) = wire.answer(streaming::get(&format!("/stream?question={question}")));
        // as PHP writes it
        assert_eq!(
            prelude["headers"]["Content-type"],
            "text/event-stream;charset=UTF-8"
        );
        let body = text(&body);
        assert!(body.starts_with("event: piece\ndata: \"I"), "{body}");
        assert!(body.matches("event: piece").count() > 10, "{body}");
        assert!(body.ends_with(end), "{body}");
    }
    let log = wire.lambda.log();
    assert!(log.contains("the model has lost its thread"), "{log}");
    assert_eq!(text(&wire.answer(streaming::get("/")).1), "a page");
    for (path, status) in [("/x", 404), ("/stream", 400), ("/stream?question[]=1", 400)] {
        assert_eq!(
            wire.answer(streaming::get(path)).0["statusCode"],
            status,
            "{path}"
        );
    }
}
