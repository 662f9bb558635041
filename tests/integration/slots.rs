//! Several slots: each a sequential loop, none in the way of another.

use std::time::Duration;

use serde_json::{Value, json};

use crate::lambda::{Function, Lambda, get};

#[test]
fn slots_answer_at_the_same_time_and_one_that_fails_leaves_the_others() {
    let script = "<?php $folder = sys_get_temp_dir(); \
        switch ($_GET['what'] ?? '') { \
            case 'wait': while (!file_exists($_GET['until'])) usleep(1000); break; \
            case 'release': touch($_GET['until']); break; \
            case 'crash': exec('kill -SEGV ' . getmypid()); sleep(9); break; \
            case 'sleep': sleep(60); break; \
        } echo $_GET['n'], ' ', $_SERVER['LAMBDA_REQUEST_ID'];";
    let function = Function::new(script)
        .env("AWS_LAMBDA_MAX_CONCURRENCY", "3")
        .env("PHP_LAMBDA_TIMEOUT_MARGIN_MS", "100");
    let until = function.temp_dir().join("go").display().to_string();
    let mut lambda = function.start();
    // the first request ends only when another one has been answered
    let waiting = lambda.send(get(&format!("/?what=wait&n=1&until={until}")));
    for n in 2..4 {
        let call = lambda.invoke(get(&format!("/?n={n}")));
        assert_eq!(call.page(), format!("{n} request-{n}"));
    }
    assert_eq!(
        lambda.invoke(get("/?what=crash&n=4")).error_type(),
        "Runtime.WorkerCrashed"
    );
    let mut late = lambda.event(get("/?what=sleep&n=5"));
    late.timeout = Duration::from_millis(400);
    assert_eq!(lambda.invoke_event(late).error_type(), "Function.Timeout");
    assert_eq!(lambda.get("/?n=6"), "6 request-6");
    lambda.send(get(&format!("/?what=release&n=7&until={until}")));
    let mut pages = [lambda.post().page(), lambda.post().page()];
    pages.sort();
    assert_eq!(
        pages,
        [format!("1 {}", waiting.id), "7 request-7".to_owned()]
    );
}

#[test]
fn lines_of_all_slots_carry_their_own_request_id() {
    let script = "<?php for ($i = 0; $i < 20; $i++) { error_log($_SERVER['LAMBDA_REQUEST_ID'] . ' log'); \
        file_put_contents('php://stderr', $_SERVER['LAMBDA_REQUEST_ID'] . \" err\\n\"); usleep(500); }";
    let function = Function::new(script)
        .env("AWS_LAMBDA_MAX_CONCURRENCY", "4")
        .env("AWS_LAMBDA_LOG_FORMAT", "JSON");
    let mut lambda = function.start();
    (0..24).for_each(|_| _ = lambda.send(get("/")));
    (0..24).for_each(|_| _ = lambda.post());
    let log = lambda.log();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 24 * 40);
    for line in lines {
        let message = line["message"].as_str().unwrap();
        assert_eq!(
            message.split(' ').next(),
            line["requestId"].as_str(),
            "{line}"
        );
    }
}

#[test]
fn what_differs_from_one_invocation_to_the_next_is_each_slots_own() {
    // each ends when all four are there, so that they are in four workers at the same time
    let script = "<?php $seen = fn () => ['trace' => [$_SERVER['_X_AMZN_TRACE_ID'] ?? null, getenv('_X_AMZN_TRACE_ID')], \
            'request' => [$_SERVER['LAMBDA_REQUEST_ID'], getenv('LAMBDA_REQUEST_ID')], \
            'context' => json_decode(getenv('LAMBDA_INVOCATION_CONTEXT'), true)]; \
        $before = $seen(); \
        $here = getenv('TMPDIR') . \"/here-{$_GET['round']}-\"; \
        touch($here . $_SERVER['LAMBDA_REQUEST_ID']); \
        while (count(glob(\"$here*\")) < 4) usleep(1000); \
        error_log('said by ' . $_SERVER['LAMBDA_REQUEST_ID']); \
        echo json_encode($seen() === $before ? $before : 'it changed');";
    let mut lambda = Function::new(script)
        .env("AWS_LAMBDA_MAX_CONCURRENCY", "4")
        .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
        .start();
    let number_of = |id: &str| id.strip_prefix("request-").unwrap().to_owned();
    // in the second round nothing is left of the first
    for (round, has_all) in [(1, true), (2, false)] {
        for _ in 0..4 {
            let mut event = lambda.event(get(&format!("/?round={round}")));
            let number = number_of(&event.id);
            if has_all {
                let client = format!("{{\"custom\":{{\"number\":\"{number}\"}}}}");
                let identity = format!(
                    "{{\"cognitoIdentityId\":\"id-{number}\",\"cognitoIdentityPoolId\":\"pool\"}}"
                );
                event.headers = vec![
                    ("lambda-runtime-trace-id", format!("Root=1-{number}")),
                    ("lambda-runtime-aws-tenant-id", format!("tenant-{number}")),
                    ("lambda-runtime-client-context", client),
                    ("lambda-runtime-cognito-identity", identity),
                ];
            }
            lambda.send_event(event);
        }
        for _ in 0..4 {
            let call = lambda.post();
            let id = call.path.split('/').nth_back(1).unwrap().to_owned();
            let number = number_of(&id);
            let page: Value = serde_json::from_str(&call.page()).unwrap();
            let context = &page["context"];
            assert_eq!(page["request"], json!([id, id]));
            assert_eq!(context["awsRequestId"], id);
            let own = |text: String| has_all.then_some(text);
            let trace = own(format!("Root=1-{number}"));
            // what getenv() has not is false
            let in_getenv = trace.clone().map_or(json!(false), Value::from);
            assert_eq!(page["trace"], json!([trace, in_getenv]));
            assert_eq!(context["traceId"], json!(trace.unwrap_or_default()));
            assert_eq!(context["tenantId"], json!(own(format!("tenant-{number}"))));
            let client = &context["clientContext"]["custom"]["number"];
            assert_eq!(*client, json!(own(number.clone())));
            let identity = &context["identity"]["cognitoIdentityId"];
            assert_eq!(*identity, json!(own(format!("id-{number}"))));

            let said = |line: &Value| line["message"] == format!("said by {id}");
            let lines = call.log.lines().map(serde_json::from_str::<Value>);
            let line = lines.map(Result::unwrap).find(said).expect(&id);
            assert_eq!(line["requestId"], id);
            assert_eq!(
                line.get("tenantId").cloned(),
                own(format!("tenant-{number}")).map(Value::from)
            );
        }
    }
}

#[test]
fn a_slot_that_is_out_of_memory_leaves_the_others() {
    let script = "<?php switch ($_GET['what'] ?? '') { \
            case 'wait': while (!file_exists($_GET['until'])) usleep(1000); break; \
            case 'release': touch($_GET['until']); break; \
            case 'limit': ini_set('memory_limit', '4M'); str_repeat('x', 8 << 20); break; \
            case 'kill': echo 'part'; flush(); exec('kill -KILL ' . getmypid()); sleep(60); \
        } echo $_GET['n'];";
    let function = Function::new(script).env("AWS_LAMBDA_MAX_CONCURRENCY", "4");
    let until = function.temp_dir().join("go").display().to_string();
    let mut lambda = function.start();
    for n in 1..3 {
        lambda.send(get(&format!("/?what=wait&n={n}&until={until}")));
    }
    for n in 3..6 {
        let exhausted = lambda.invoke(get(&format!("/?what=limit&n={n}")));
        assert_eq!(exhausted.json()["statusCode"], 500);
        let killed = lambda.invoke(get(&format!("/?what=kill&n={n}")));
        assert_eq!(killed.error_type(), "Runtime.OutOfMemory");
        assert_eq!(lambda.get(&format!("/?n={n}")), n.to_string());
    }
    lambda.send(get(&format!("/?what=release&n=6&until={until}")));
    let mut pages = [
        lambda.post().page(),
        lambda.post().page(),
        lambda.post().page(),
    ];
    pages.sort();
    assert_eq!(pages, ["1", "2", "6"]);
}

#[test]
fn init_is_complete_when_the_first_slot_is_ready() {
    // the warm-up of every worker but the first ends when the test wants it
    let warmup = "<?php $folder = getenv('TMPDIR'); \
        if (!@mkdir(\"$folder/first\")) while (!file_exists(\"$folder/go\")) usleep(1000);";
    let script = "<?php if (isset($_GET['together'])) { $here = getenv('TMPDIR') . '/here-'; \
            touch($here . getmypid()); while (count(glob(\"$here*\")) < 3) usleep(1000); } \
        echo getmypid();";
    let mut lambda = Function::new(script)
        .file("warmup.php", warmup)
        .env("PHP_LAMBDA_WARMUP", "warmup.php")
        .env("AWS_LAMBDA_MAX_CONCURRENCY", "3")
        .start();
    assert!(lambda.call().path.ends_with("/invocation/next"));
    let first = lambda.get("/");
    for _ in 0..10 {
        assert_eq!(lambda.get("/"), first, "another slot is ready");
    }
    std::fs::write(lambda.function.temp_dir().join("go"), "").unwrap();
    (0..3).for_each(|_| _ = lambda.send(get("/?together")));
    let mut workers: Vec<String> = (0..3).map(|_| lambda.post().page()).collect();
    workers.sort();
    workers.dedup();
    assert_eq!(workers.len(), 3);
    assert!(workers.contains(&first));
}

/// A script that waits, or crashes, as the query says.
const WAITS_OR_CRASHES: &str = "<?php switch ($_GET['what'] ?? '') { \
        case 'wait': touch(getenv('TMPDIR') . '/waits'); while (!file_exists(getenv('TMPDIR') . '/go')) usleep(1000); break; \
        case 'crash': touch(getenv('TMPDIR') . '/crashed'); if (isset($_GET['before'])) exec($_GET['before']); exec('kill -SEGV ' . getmypid()); sleep(9); \
    } echo $_GET['n'];";

/// Two slots, one of them in an invocation until [`release`].
fn one_waits(function: Function) -> Lambda {
    let mut lambda = function.env("AWS_LAMBDA_MAX_CONCURRENCY", "2").start();
    let seen = lambda.function.temp_dir().join("waits");
    lambda.send(get("/?what=wait&n=waited"));
    // the other slot answers until the first one waits
    while !seen.exists() {
        lambda.get("/?n=meanwhile");
    }
    lambda
}

fn release(lambda: &Lambda) {
    std::fs::write(lambda.function.temp_dir().join("go"), "").unwrap();
}

#[test]
fn a_worker_whose_warm_up_takes_long_leaves_the_others() {
    // longer than the patience with a worker that does not answer at all
    let warmup = "<?php if (file_exists(getenv('TMPDIR') . '/crashed')) sleep(6);";
    let function = Function::new(WAITS_OR_CRASHES)
        .file("warmup.php", warmup)
        .env("PHP_LAMBDA_WARMUP", "warmup.php");
    let mut lambda = one_waits(function);
    let crash = lambda.invoke(get("/?what=crash"));
    assert_eq!(crash.error_type(), "Runtime.WorkerCrashed");
    // the slot of the crash is the only one that is free: this comes behind its warm-up
    assert_eq!(lambda.get("/?n=served"), "served");
    release(&lambda);
    assert_eq!(lambda.post().page(), "waited");
}

#[test]
fn a_worker_whose_warm_up_fails_stays_cold_and_leaves_the_others() {
    for (fails, said) in [
        ("exec('kill -SEGV ' . getmypid()); sleep(60);", "SIGSEGV"),
        ("sleep(60);", "took more than 10 s"),
        ("http_response_code(500);", "HTTP status 500"),
    ] {
        let warmup = format!("<?php if (file_exists(getenv('TMPDIR') . '/crashed')) {{ {fails} }}");
        let function = Function::new(WAITS_OR_CRASHES)
            .file("warmup.php", &warmup)
            .env("PHP_LAMBDA_WARMUP", "warmup.php");
        let mut lambda = one_waits(function);
        let crash = lambda.invoke(get("/?what=crash"));
        assert_eq!(crash.error_type(), "Runtime.WorkerCrashed");
        assert_eq!(lambda.get("/?n=served"), "served");
        let log = lambda.log();
        let is_warning = |line: &&str| line.contains("PHP_LAMBDA_WARMUP") && line.contains(said);
        assert_eq!(log.lines().filter(is_warning).count(), 1, "{log}");
        release(&lambda);
        assert_eq!(lambda.post().page(), "waited");
    }
}

#[test]
fn a_slot_that_needs_a_new_php_fpm_waits_until_the_others_are_idle() {
    let mut lambda = one_waits(Function::new(WAITS_OR_CRASHES));
    let master = lambda.master();
    let empty = "rm -rf $TMPDIR/php-fpm-lambda-*".replace(' ', "%20");
    let crash = lambda.invoke(get(&format!("/?what=crash&before={empty}")));
    assert_eq!(crash.error_type(), "Runtime.WorkerCrashed");
    let last = lambda.send(get("/?n=later"));
    lambda.wait_for_log("waits until no other one is in an invocation");
    release(&lambda);
    assert_eq!(lambda.post().page(), "waited");
    let later = lambda.post();
    assert!(later.path.contains(&last.id));
    assert_eq!(later.page(), "later");
    // both slots are in the new one
    lambda.send(get("/?what=wait&n=a"));
    lambda.send(get("/?what=wait&n=b"));
    let mut pages = [lambda.post().page(), lambda.post().page()];
    pages.sort();
    assert_eq!(pages, ["a", "b"]);
    assert_ne!(lambda.master(), master);
}

#[test]
fn a_slot_without_php_fpm_ends_the_process_when_the_others_have_answered() {
    let mut other = Function::new("<?php echo 'up';").start();
    assert_eq!(other.get("/"), "up");
    let real = std::fs::read_link(format!("/proc/{}/exe", other.master())).unwrap();
    let function = Function::new(WAITS_OR_CRASHES);
    let program = function.task_root().join("php-fpm");
    std::os::unix::fs::symlink(real, &program).unwrap();
    let mut lambda = one_waits(function.env("PHP_FPM", program.to_str().unwrap()));
    let before = format!("rm -rf $TMPDIR/php-fpm-lambda-* {}", program.display());
    let before = before.replace(' ', "%20");
    let crash = lambda.invoke(get(&format!("/?what=crash&before={before}")));
    assert_eq!(crash.error_type(), "Runtime.WorkerCrashed");
    lambda.wait_for_log("waits until no other one is in an invocation");
    release(&lambda);
    assert_eq!(lambda.post().page(), "waited");
    assert_eq!(lambda.wait().code(), Some(1));
}
