//! What a script gets and gives, through the real php-fpm.

use crate::lambda::{Function, get, post, request};

#[test]
fn the_tutorials_script_answers_with_the_path() {
    let mut lambda =
        Function::new("Hello World! You've reached <?php print($_SERVER['REQUEST_URI']); ?>")
            .start();
    let call = lambda.invoke(get("/anything?x=1"));
    assert_eq!(call.page(), "Hello World! You've reached /anything?x=1");
    assert_eq!(call.json()["statusCode"], 200);
    assert_eq!(
        call.json()["headers"]["Content-type"],
        "text/html; charset=UTF-8"
    );
}

#[test]
fn php_sees_what_it_sees_behind_nginx() {
    let script = r#"<?php
        $names = ['REQUEST_METHOD', 'REQUEST_URI', 'QUERY_STRING', 'SCRIPT_NAME', 'SCRIPT_FILENAME', 'DOCUMENT_ROOT',
            'PHP_SELF', 'PATH_INFO', 'REMOTE_ADDR', 'SERVER_NAME', 'SERVER_PORT', 'HTTPS', 'HTTP_HOST', 'CONTENT_TYPE',
            'CONTENT_LENGTH', 'PHP_AUTH_USER', 'PHP_AUTH_PW', 'HTTP_COOKIE', 'GATEWAY_INTERFACE'];
        foreach ($names as $name) $server[$name] = $_SERVER[$name] ?? null;
        echo json_encode(['server' => $server, 'get' => $_GET, 'post' => $_POST, 'cookie' => $_COOKIE]);"#;
    let function = Function::new("")
        .file("public/index.php", script)
        .env("_HANDLER", "public/index.php");
    let root = function.task_root().display().to_string();
    let mut lambda = function.start();
    let headers = [
        ("host", "shop.example:8443"),
        ("authorization", "Basic dXNlcjpwYTpzcw=="),
        ("content-type", "application/x-www-form-urlencoded"),
        ("cookie", "a=1; b=2"),
        ("x-forwarded-port", "8443"),
    ];
    let body = Some(b"n[]=1&n[]=2&t=%C3%BC".as_slice());
    let event = request(
        "POST",
        "/index.php/some%20thing",
        "a.b=1&c[]=%2B&c[]=+",
        &headers,
        body,
    );
    let page: serde_json::Value = serde_json::from_str(&lambda.invoke(event).page()).unwrap();
    assert_eq!(
        page["server"],
        serde_json::json!({
            "REQUEST_METHOD": "POST",
            "REQUEST_URI": "/index.php/some%20thing?a.b=1&c[]=%2B&c[]=+",
            "QUERY_STRING": "a.b=1&c[]=%2B&c[]=+",
            "SCRIPT_NAME": "/index.php",
            "SCRIPT_FILENAME": format!("{root}/public/index.php"),
            "DOCUMENT_ROOT": format!("{root}/public"),
            "PHP_SELF": "/index.php/some thing",
            "PATH_INFO": "/some thing",
            "REMOTE_ADDR": "192.0.2.1",
            "SERVER_NAME": "shop.example",
            "SERVER_PORT": "8443",
            "HTTPS": "on",
            "HTTP_HOST": "shop.example:8443",
            "CONTENT_TYPE": "application/x-www-form-urlencoded",
            "CONTENT_LENGTH": "20",
            "PHP_AUTH_USER": "user",
            "PHP_AUTH_PW": "pa:ss",
            "HTTP_COOKIE": "a=1; b=2",
            "GATEWAY_INTERFACE": "CGI/1.1",
        })
    );
    assert_eq!(
        page["get"],
        serde_json::json!({ "a_b": "1", "c": ["+", " "] })
    );
    assert_eq!(
        page["post"],
        serde_json::json!({ "n": ["1", "2"], "t": "ü" })
    );
    assert_eq!(page["cookie"], serde_json::json!({ "a": "1", "b": "2" }));
}

#[test]
fn the_environment_and_lambdas_context_reach_php() {
    let script = r#"<?php
        $own = [getenv('OWN'), $_ENV['OWN'] ?? null, $_SERVER['OWN'] ?? null, trim(shell_exec('echo $OWN'))];
        $lambda = [];
        foreach (['LAMBDA_REQUEST_ID', 'LAMBDA_INVOCATION_CONTEXT', 'LAMBDA_REQUEST_CONTEXT', '_X_AMZN_TRACE_ID'] as $name)
            $lambda[$name] = [$_SERVER[$name] ?? null, getenv($name)];
        echo json_encode([$own, $lambda]);"#;
    let mut lambda = Function::new(script).env("OWN", "mine").start();
    for trace in ["Root=1-a;Sampled=1", "Root=2-b"] {
        let mut event = lambda.event(request(
            "GET",
            "/",
            "",
            &[("LAMBDA-REQUEST-ID", "forged")],
            None,
        ));
        event.headers = vec![
            ("lambda-runtime-trace-id", trace.into()),
            (
                "lambda-runtime-invoked-function-arn",
                "arn:aws:lambda:eu-west-1:123456789012:function:f".into(),
            ),
            ("lambda-runtime-aws-tenant-id", "blue".into()),
            (
                "lambda-runtime-client-context",
                "{\"custom\":{\"k\":1}}".into(),
            ),
            ("lambda-runtime-cognito-identity", "".into()),
        ];
        let id = event.id.clone();
        let page: serde_json::Value =
            serde_json::from_str(&lambda.invoke_event(event).page()).unwrap();
        assert_eq!(page[0], serde_json::json!(["mine", "mine", "mine", "mine"]));
        let values = page[1].as_object().unwrap();
        for (name, both) in values {
            assert_eq!(both[0], both[1], "{name}");
        }
        assert_eq!(values["LAMBDA_REQUEST_ID"][0], id);
        assert_eq!(values["_X_AMZN_TRACE_ID"][0], trace);
        let context: serde_json::Value =
            serde_json::from_str(values["LAMBDA_INVOCATION_CONTEXT"][0].as_str().unwrap()).unwrap();
        assert_eq!(context["awsRequestId"], id);
        assert_eq!(context["traceId"], trace);
        assert_eq!(context["tenantId"], "blue");
        assert_eq!(
            context["clientContext"],
            serde_json::json!({ "custom": { "k": 1 } })
        );
        assert!(context["deadlineMs"].as_u64().unwrap() > 1_700_000_000_000);
        assert!(context.get("identity").is_none());
        let request_context = values["LAMBDA_REQUEST_CONTEXT"][0].as_str().unwrap();
        assert!(
            request_context.contains("\"sourceIp\":\"192.0.2.1\""),
            "{request_context}"
        );
    }
}

#[test]
fn five_megabytes_of_any_bytes_go_up_and_down() {
    // printed before the body is read: writing and reading at the same time is what keeps this from standing still
    let script = "<?php header('Content-Type: application/octet-stream'); \
        echo str_repeat('x', 600000); echo hash('xxh64', $body = file_get_contents('php://input')), $body;";
    let mut lambda = Function::new(script).start();
    let body: Vec<u8> = (0..4_000_000u32)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let answer = lambda.invoke(post("/", &body)).json();
    assert_eq!(answer["isBase64Encoded"], true);
    let bytes = base64_simd::STANDARD
        .decode_to_vec(answer["body"].as_str().unwrap())
        .unwrap();
    assert!(
        bytes[600_016..] == body[..],
        "{} bytes came back",
        bytes.len()
    );
}

#[test]
fn a_text_of_five_megabytes_stays_text() {
    let mut lambda =
        Function::new("<?php echo str_repeat(\"zwölf \\\"Boxkämpfer\\\"\\n\", 200000);").start();
    let answer = lambda.invoke(get("/")).json();
    assert_eq!(answer["isBase64Encoded"], false);
    assert_eq!(
        answer["body"].as_str().unwrap(),
        "zwölf \"Boxkämpfer\"\n".repeat(200_000)
    );
}

#[test]
fn header_blocks_and_parameters_of_any_length() {
    let script = "<?php for ($i = 0; $i < 200; $i++) header(\"X-$i: \" . str_repeat('v', 1024)); \
        header('X-Long: ' . str_repeat('l', 60000)); echo strlen($_SERVER['HTTP_X_LONG']), ' ', count($_SERVER) > 100;";
    let mut lambda = Function::new(script).start();
    let many: Vec<(String, String)> = (0..100)
        .map(|index| (format!("x-many-{index}"), "m".repeat(1000)))
        .collect();
    let mut headers: Vec<(&str, &str)> = many
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let long = "l".repeat(60_000);
    headers.push(("x-long", &long));
    let call = lambda.invoke(request("GET", "/", "", &headers, None));
    assert_eq!(call.page(), "60000 1");
    assert_eq!(
        call.json()["headers"]["X-Long"].as_str().unwrap().len(),
        60_000
    );
    assert_eq!(call.json()["headers"].as_object().unwrap().len(), 202);
    assert!(
        call.log.contains("API Gateway refuses more than 10240"),
        "{}",
        call.log
    );

    let too_long = "l".repeat(70_000);
    let call = lambda.invoke(request("GET", "/", "", &[("x-long", &too_long)], None));
    assert_eq!(call.error_type(), "Runtime.InvalidRequest");
    assert!(
        call.error_message().contains("HTTP_X_LONG has 700"),
        "{}",
        call.error_message()
    );
}

#[test]
fn output_without_any_header() {
    let script = "<?php ini_set('default_mimetype', ''); header_remove(); echo 'bare';";
    let mut lambda = Function::new(script).start();
    let answer = lambda.invoke(get("/")).json();
    assert_eq!(answer["headers"], serde_json::json!({}));
    assert_eq!(answer["body"], "bare");
}

#[test]
fn status_cookies_and_redirects() {
    let script = "<?php setcookie('a', '1'); setcookie('b', '2'); header('Location: /else'); header('X-Zero: 0');";
    let mut lambda = Function::new(script).start();
    let answer = lambda.invoke(get("/")).json();
    assert_eq!(answer["statusCode"], 302);
    assert_eq!(answer["headers"]["Location"], "/else");
    assert_eq!(answer["headers"]["X-Zero"], "0");
    assert_eq!(answer["cookies"], serde_json::json!(["a=1", "b=2"]));
    assert!(answer["headers"].get("Set-Cookie").is_none());
}

#[test]
fn a_fatal_error_is_the_applications_answer() {
    let mut lambda =
        Function::new("<?php if ($_GET['late'] ?? 0) { echo 'part'; flush(); } nope();").start();
    let before = lambda.invoke(get("/"));
    assert_eq!(before.json()["statusCode"], 500);
    assert_eq!(before.page(), "");
    assert!(
        before
            .log
            .contains("PHP Fatal error:  Uncaught Error: Call to undefined function nope()"),
        "{}",
        before.log
    );
    let after = lambda.invoke(get("/?late=1"));
    assert_eq!(
        (&after.json()["statusCode"], after.page().as_str()),
        (&200.into(), "part")
    );
}

#[test]
fn chosen_statuses_fail_the_invocation() {
    let script = "<?php http_response_code((int) $_GET['status']);";
    let mut lambda = Function::new(script)
        .env("PHP_LAMBDA_ERROR_STATUS_CODES", "500,502-504")
        .start();
    for (status, fails) in [(500, true), (501, false), (503, true), (404, false)] {
        let call = lambda.invoke(get(&format!("/?status={status}")));
        assert_eq!(call.path.ends_with("/error"), fails, "{status}");
        if fails {
            assert_eq!(call.error_type(), "Function.HttpStatus");
            assert!(call.error_message().contains(&status.to_string()));
        }
    }
}

#[test]
fn other_events_are_the_body_of_a_post() {
    let script = "<?php if (str_contains($e = file_get_contents('php://input'), 'fail')) nope(); \
        echo json_encode([PHP_SAPI, $_SERVER['REQUEST_METHOD'], $_SERVER['CONTENT_TYPE'], basename(__FILE__), $e]);";
    let function = Function::new("<?php echo 'http';").file("worker.php", script);
    let mut lambda = function
        .env("PHP_LAMBDA_EVENT_HANDLER", "worker.php")
        .start();
    for event in [
        "{\"Records\":[]}",
        "\"text\"",
        "[1,2]",
        "17",
        "null",
        "{ \"big\" : 12345678901234567890.10 }",
    ] {
        let answer = lambda.invoke(event).json();
        assert_eq!(
            answer,
            serde_json::json!(["fpm-fcgi", "POST", "application/json", "worker.php", event])
        );
    }
    assert_eq!(lambda.get("/"), "http");
    let failed = lambda.invoke("{\"fail\":1}");
    assert_eq!(
        failed.headers["lambda-runtime-function-error-type"],
        "Function.Exception"
    );
    assert_eq!(failed.json()["errorType"], "Error");
}

#[test]
fn what_is_not_json_is_an_error_and_the_next_event_is_served() {
    let mut lambda = Function::new("<?php echo 'up';").start();
    for event in ["", "{", "hello", "{\"a\":1}x"] {
        assert_eq!(
            lambda.invoke(event).error_type(),
            "Runtime.InvalidEvent",
            "{event}"
        );
    }
    assert_eq!(lambda.get("/"), "up");
}

#[test]
fn an_answer_past_the_limit_is_reported_with_both_sizes() {
    let mut lambda = Function::new("<?php echo str_repeat('x', (int) ($_GET['n'] ?? 1));").start();
    let call = lambda.invoke(get("/?n=100000000"));
    assert_eq!(call.error_type(), "Function.ResponseTooLarge");
    assert!(
        call.error_message().contains("1000001") && call.error_message().contains("6291556"),
        "{}",
        call.text()
    );
    assert_eq!(lambda.get("/?n=3"), "xxx");
}

#[test]
fn uploads_and_sessions_work_without_any_setting() {
    let script = "<?php session_start(); $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1; \
        echo session_id(), ' ', $_SESSION['n'], ' ', isset($_FILES['f']) ? file_get_contents($_FILES['f']['tmp_name']) : '-';";
    let mut lambda = Function::new(script).start();
    let first = lambda.get("/");
    let id = first.split(' ').next().unwrap();
    let cookie = format!("PHPSESSID={id}");
    let body = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\nupload\r\n--b--\r\n";
    let headers = [
        ("cookie", cookie.as_str()),
        ("content-type", "multipart/form-data; boundary=b"),
    ];
    let page = lambda
        .invoke(request("POST", "/", "", &headers, Some(body.as_bytes())))
        .page();
    assert_eq!(page, format!("{id} 2 upload"));
}

#[test]
fn a_hundred_thousand_headers_are_no_matter_of_seconds() {
    let script =
        "<?php for ($i = 0; $i < 30000; $i++) header(\"X-$i: v\"); echo count($_SERVER) > 50000;";
    let mut lambda = Function::new(script).start();
    let headers: Vec<(String, String)> = (0..50_000)
        .map(|index| (format!("x-{index}"), "v".into()))
        .collect();
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let mut event = lambda.event(request("GET", "/", "", &headers, None));
    // far more than it takes, and far less than with a search through all for each
    event.timeout = std::time::Duration::from_secs(20);
    let call = lambda.invoke_event(event);
    assert_eq!(call.page(), "1");
    assert_eq!(call.json()["headers"].as_object().unwrap().len(), 30_001);
}

#[test]
fn a_query_is_no_command_line() {
    let script = "<?php echo json_encode([$_SERVER['argv'] ?? null, $_GET]);";
    let mut lambda = Function::new(script).start();
    assert_eq!(lambda.get("/?--env=local"), "[null,{\"--env\":\"local\"}]");
}

#[test]
fn the_base_path_of_the_configuration_is_taken_off() {
    let mut lambda = Function::new("<?php echo $_SERVER['REQUEST_URI'];")
        .env("PHP_LAMBDA_BASE_PATH", "/shop/")
        .start();
    assert_eq!(lambda.get("/shop/a?b=/shop/"), "/a?b=/shop/");
    assert_eq!(lambda.get("/shopping"), "/shopping");
}

#[test]
fn an_answer_that_a_load_balancer_refuses_is_warned_of() {
    let mut lambda = Function::new("<?php echo str_repeat('x', 1 << 20);").start();
    let call = lambda.invoke(r#"{"httpMethod":"GET","path":"/","requestContext":{"elb":{}}}"#);
    assert_eq!(call.json()["statusCode"], 200);
    assert!(
        call.log.contains("\trequest-1\tWARN\tthe answer has 10486")
            && call
                .log
                .contains("a load balancer refuses more than 1048576"),
        "{}",
        call.log
    );
}
