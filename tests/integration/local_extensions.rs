//! The local Lambda's Extensions API: what a runtime's own extension needs, and what it gains.

use std::time::Duration;

use crate::local::{Local, last_number};
use crate::process::is_running;

/// `register(name, events)` gives status, identifier and body; `wait(identifier)` is a call of /event/next, in a thread.
const EXTENSION: &str = r#"
import signal, threading

def extension(method, path, body=None, headers={}):
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    connection.request(method, "/2020-01-01/extension/" + path, body, headers)
    response = connection.getresponse()
    return response.status, response.headers.get("lambda-extension-identifier"), json.loads(response.read())

def register(name, events=[]):
    return extension("POST", "register", json.dumps({"events": events}), {"Lambda-Extension-Name": name} if name else {})

def wait(identifier):
    headers = {"Lambda-Extension-Identifier": identifier}
    threading.Thread(target=lambda: print("event", extension("GET", "event/next", None, headers)[0], flush=True), daemon=True).start()

def on_term(handler):
    signal.signal(signal.SIGTERM, handler)

def exit_on_term(*_):
    print("term", flush=True)
    os._exit(0)

def echo():
    while True:
        id, headers, event = next()
        if event == b'"hang"': time.sleep(1000)
        respond(id, os.getpid())
"#;

impl Local {
    /// Of a bootstrap with an extension inside.
    pub async fn extended(script: &str) -> Self {
        Self::start(&format!("{EXTENSION}{script}")).await
    }
}

#[tokio::test]
async fn an_extension_is_registered_and_waits() {
    let mut local = Local::extended(
        r#"
status, identifier, body = register("internal")
print("registered", status, len(identifier), json.dumps(body, sort_keys=True), flush=True)
wait(identifier)
echo()
"#,
    )
    .await;
    assert_eq!(
        local.line("registered ").await,
        r#"registered 200 36 {"functionName": "function", "functionVersion": "$LATEST", "handler": "public/index.php"}"#
    );
    assert!(local.invoke_json("{}").await.is_number());
    let lines = local.stop_with_log().await;
    assert!(
        !lines.iter().any(|line| line.starts_with("event ")),
        "{lines:#?}"
    );
}

#[tokio::test]
async fn init_is_complete_only_when_the_extension_waits_too() {
    let mut local = Local::start_with(
        &format!("{EXTENSION}register('internal')\necho()"),
        |function| function.init_limit = Duration::from_millis(100),
    )
    .await;
    let report = local.line("INIT_REPORT").await;
    assert!(
        report.ends_with("\tPhase: init\tStatus: timeout"),
        "{report}"
    );
    local.stop().await;
}

#[tokio::test]
async fn who_may_not_register_is_told_why() {
    let mut local = Local::extended(
        r#"
def error(answer): return f"{answer[0]} {answer[2]['errorType']}"
print(error(register(None)), flush=True)
print(error(register("internal", ["SHUTDOWN"])), flush=True)
print(error(register("internal", ["INVOKE"])), flush=True)
print(error(extension("POST", "register", "?", {"Lambda-Extension-Name": "internal"})), flush=True)
print(error(extension("GET", "event/next")), flush=True)
print(error(extension("GET", "event/next", None, {"Lambda-Extension-Identifier": "other"})), flush=True)
status, identifier, _ = register("internal")
print(error(register("internal")), flush=True)
wait(identifier)
id, headers, event = next()
print(error(register("late")), flush=True)
respond(id, "fine")
next()
"#,
    )
    .await;
    assert_eq!(local.invoke_json("{}").await, "fine");
    let lines = local.lines_until("REPORT").await;
    let told: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("403 "))
        .map(|line| &line[4..])
        .collect();
    assert_eq!(
        told,
        [
            "Extension.InvalidExtensionName",
            "Extension.InvalidEventType",
            "Extension.InvalidEventType",
            "InvalidRequestFormat",
            "Extension.MissingExtensionIdentifier",
            "Extension.UnknownExtensionIdentifier",
            "Extension.InvalidExtensionState",
            "Extension.RegistrationClosed",
        ]
    );
    let note = "may not register: Extension.InvalidEventType: INVOKE: lambda-local has no events for extensions";
    assert!(lines.iter().any(|line| line.contains(note)), "{lines:#?}");
    local.stop().await;
}

#[tokio::test]
async fn only_a_runtime_with_an_extension_is_asked_to_end() {
    for (registers, is_asked) in [("wait(register('internal')[1])", true), ("", false)] {
        let script = format!("on_term(exit_on_term)\n{registers}\necho()");
        let local = Local::extended(&script).await;
        local.invoke_json("{}").await;
        let lines = local.stop_with_log().await;
        assert_eq!(
            lines.iter().any(|line| line == "term"),
            is_asked,
            "{lines:#?}"
        );
    }
}

#[tokio::test]
async fn one_that_does_not_end_when_it_is_asked_is_killed() {
    let local = Local::extended(
        r#"
on_term(lambda *_: print("term", flush=True))
print("child", subprocess.Popen(["setsid", "sleep", "1000"]).pid, flush=True)
wait(register("internal")[1])
echo()
"#,
    )
    .await;
    let bootstrap = local.invoke_json("{}").await.as_u64().unwrap();
    let lines = local.stop_with_log().await;
    assert!(lines.iter().any(|line| line == "term"), "{lines:#?}");
    let child = lines
        .iter()
        .find(|line| line.starts_with("child "))
        .unwrap();
    assert!(!is_running(bootstrap.try_into().unwrap()) && !is_running(last_number(child)));
}

#[tokio::test]
async fn a_time_out_asks_as_well() {
    let mut local = Local::start_with(
        &format!("{EXTENSION}on_term(exit_on_term)\nwait(register('internal')[1])\necho()"),
        |function| function.timeout = Duration::from_secs(1),
    )
    .await;
    let error = local.invoke_error("\"hang\"").await;
    assert_eq!(error["errorType"], "Sandbox.Timedout");
    let lines = local.lines_until("REPORT").await;
    assert!(lines.iter().any(|line| line == "term"), "{lines:#?}");
    local.stop().await;
}
