//! Events become CGI variables, and PHP's output becomes answers: each folder of `tests/cases` is one case.
//!
//! `tests/cases/README.md` says what the files of a case are. A wrong mapping is shown by a new folder, without any Rust.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use php_fpm_lambda::cgi::head::Parser;
use php_fpm_lambda::cgi::params::{LambdaContext, Params, Script, of_event, of_request};
use php_fpm_lambda::event::answer::Answer;
use php_fpm_lambda::event::outcome::Output;
use php_fpm_lambda::event::{Dialect, Event};
use php_fpm_lambda::slot::encode;
use serde_json::Value;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");

const TASK_ROOT: &str = "/var/task";

/// The folders below `tests/cases`: a case must be decoded as the dialect of its folder.
const DIALECTS: [&str; 6] = [
    "alb",
    "event",
    "function-url",
    "http-api",
    "lattice",
    "rest",
];

const FILES: [&str; 12] = [
    "answer",
    "answer.json",
    "base-path",
    "body",
    "context.json",
    "event.json",
    "function.php",
    "handler",
    "output",
    "output.base64",
    "params",
    "result.json",
];

/// The variables that a case need not name. Where it does, its own line holds.
const SAME_IN_EACH_CASE: [(&str, &str); 11] = [
    ("DOCUMENT_ROOT", "/var/task"),
    ("DOCUMENT_URI", "/index.php"),
    ("GATEWAY_INTERFACE", "CGI/1.1"),
    (
        "LAMBDA_INVOCATION_CONTEXT",
        r#"{"awsRequestId":"8476a536-e9f4-11e8-9739-2dfe598c3fcd","deadlineMs":1893456000000,"invokedFunctionArn":"arn:aws:lambda:us-east-1:123456789012:function:shop","traceId":"Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1"}"#,
    ),
    ("LAMBDA_REQUEST_ID", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
    ("REDIRECT_STATUS", "200"),
    ("SCRIPT_FILENAME", "/var/task/index.php"),
    ("SCRIPT_NAME", "/index.php"),
    ("SERVER_ADDR", "127.0.0.1"),
    (
        "SERVER_SOFTWARE",
        concat!(
            "php-fpm-lambda/",
            env!("CARGO_PKG_VERSION"),
            " (like nginx)"
        ),
    ),
    (
        "_X_AMZN_TRACE_ID",
        "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1",
    ),
];

#[test]
fn every_case_is_mapped_as_its_folder_says() {
    let folders = folders();
    let mut failures = String::new();
    let mut failed = 0;
    for folder in &folders {
        if let Err(difference) = Case::read(folder).and_then(|case| case.check()) {
            failed += 1;
            let name = folder.strip_prefix(CASES).unwrap_or(folder).display();
            writeln!(failures, "{name}:\n  {}\n", difference.trim())
                .expect("a String takes every write");
        }
    }
    let all = folders.len();
    assert!(
        failed == 0,
        "{failed} of {all} cases failed (- expected, + found)\n\n{failures}"
    );
}

#[test]
fn a_damaged_event_is_an_error_or_a_request_and_never_a_panic() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for folder in folders() {
        let case = match Case::read(&folder) {
            Ok(case) => case,
            Err(problem) => panic!("{}: {problem}", folder.display()),
        };
        let output = case.output.as_deref().unwrap_or(b"X-A: b\r\n\r\nbody");
        let try_event = |event: &[u8], output: &[u8]| {
            let run = || run_whole_chain(&case, event, output);
            if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
                panic!(
                    "{}: {}\nwith the event\n{}\nand the output\n{}",
                    folder.display(),
                    text.unwrap_or("panicked"),
                    event.escape_ascii(),
                    output.escape_ascii()
                );
            }
        };
        for cut in 0..=case.event.len() {
            try_event(&case.event[..cut], output);
        }
        for _ in 0..20 {
            try_event(&random.damage_bytes(&case.event), output);
            try_event(&case.event, &random.damage_bytes(output));
        }
        for _ in 0..40 {
            try_event(&random.damage_values(&case.event), output);
        }
    }
}

/// From the event to the answer, with what must hold whatever the event is.
fn run_whole_chain(case: &Case, event: &[u8], output: &[u8]) {
    let Ok(decoded) = Event::decode(event) else {
        return;
    };
    let context = case.context.lambda();
    let (params, body, http) = match &decoded {
        Event::Http(dialect, request) => {
            let is_head = request.method.eq_ignore_ascii_case(b"HEAD");
            let params = of_request(request, &case.script, &context);
            (params, request.body.as_deref(), Some((*dialect, is_head)))
        }
        Event::Cli(_) | Event::Other => {
            (of_event(event, &case.script, &context), Some(event), None)
        }
    };
    // a variable that is too long for FastCGI is an error, not a panic
    let _ = encode(&params);
    let found = by_name(&params).expect("no variable is set twice");
    let text = |name: &str| found.get(name.as_bytes()).map(Vec::as_slice);
    assert_eq!(
        text("LAMBDA_REQUEST_ID"),
        Some(context.request_id.as_bytes())
    );
    assert_eq!(
        text("SCRIPT_FILENAME"),
        Some(case.script.filename.as_bytes())
    );
    assert_eq!(text("HTTP_PROXY"), None);
    let length = body.map(|body| body.len().to_string().into_bytes());
    assert_eq!(text("CONTENT_LENGTH"), length.as_deref());
    let uri = text("REQUEST_URI").expect("each request has a URI");
    assert!(uri.starts_with(b"/"), "{}", uri.escape_ascii());

    // damaged output may have no head: that is an error, not an answer
    if let (Ok(document), Some(_)) = (answer(http, &[output]), http) {
        unique_json(&document).expect("an answer is JSON");
    }
}

struct Case {
    dialect: String,
    event: Vec<u8>,
    context: Context,
    script: Script,
    params: BTreeMap<Vec<u8>, Vec<u8>>,
    body: Option<Vec<u8>>,
    output: Option<Vec<u8>>,
    answer: Option<Expected>,
}

enum Expected {
    /// `answer.json`: the document's JSON.
    Json(Value),
    /// `answer`: each byte.
    Verbatim(Vec<u8>),
}

/// `context.json`. A member that is absent has the default, one that is null is not sent by Lambda.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Context {
    request_id: String,
    deadline_ms: Option<u64>,
    function_arn: Option<String>,
    trace_id: Option<String>,
    client_context: Option<String>,
    identity: Option<String>,
    tenant_id: Option<String>,
}

impl Default for Context {
    fn default() -> Context {
        Context {
            request_id: "8476a536-e9f4-11e8-9739-2dfe598c3fcd".into(),
            deadline_ms: Some(1_893_456_000_000),
            function_arn: Some("arn:aws:lambda:us-east-1:123456789012:function:shop".into()),
            trace_id: Some(
                "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1".into(),
            ),
            client_context: None,
            identity: None,
            tenant_id: None,
        }
    }
}

impl Context {
    fn lambda(&self) -> LambdaContext<'_> {
        LambdaContext {
            request_id: &self.request_id,
            deadline_ms: self.deadline_ms,
            function_arn: self.function_arn.as_deref(),
            trace_id: self.trace_id.as_deref(),
            client_context: self.client_context.as_deref(),
            identity: self.identity.as_deref(),
            tenant_id: self.tenant_id.as_deref(),
        }
    }
}

impl Case {
    fn read(folder: &Path) -> Result<Case, String> {
        let mut files = BTreeMap::new();
        for path in entries(folder) {
            let name = file_name(&path);
            if !FILES.contains(&name.as_str()) {
                return Err(format!("{name} is no file of a case; see README.md"));
            }
            files.insert(name, fs::read(&path).map_err(|error| error.to_string())?);
        }
        let mut take = |name: &str| files.remove(name);
        let dialect = folder.parent().map(file_name).unwrap_or_default();
        let context = match take("context.json") {
            Some(json) => {
                serde_json::from_slice(&json).map_err(|error| format!("context.json: {error}"))?
            }
            None => Context::default(),
        };
        let line = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim_end().to_owned();
        let handler = take("handler").map_or_else(|| "index.php".to_owned(), line);
        let base_path = take("base-path").map(line);
        let output = match (take("output"), take("output.base64").map(line)) {
            (Some(_), Some(_)) => return Err("both output and output.base64".into()),
            (None, Some(base64)) => Some(
                base64_simd::STANDARD
                    .decode_to_vec(base64)
                    .map_err(|_| "output.base64 is no base64")?,
            ),
            (output, None) => output,
        };
        let answer = match (take("answer.json"), take("answer"), dialect == "event") {
            (Some(json), None, false) => Some(Expected::Json(
                unique_json(&json).map_err(|error| format!("answer.json: {error}"))?,
            )),
            (None, Some(bytes), true) => Some(Expected::Verbatim(bytes)),
            (None, None, _) => None,
            _ => return Err("an HTTP case has an answer.json, any other an answer".into()),
        };
        if output.is_some() != answer.is_some() {
            return Err("output and answer come together".into());
        }
        // `functions_sources.rs` runs it
        match (
            take("function.php"),
            take("result.json"),
            dialect == "event",
        ) {
            (None, None, _) | (Some(_), Some(_), true) => {}
            _ => {
                return Err(
                    "function.php and result.json come together, in an event's case".into(),
                );
            }
        }
        let body = take("body");
        if body.is_some() && dialect == "event" {
            return Err("the body is event.json itself".into());
        }
        Ok(Case {
            event: take("event.json").ok_or("event.json is missing")?,
            context,
            script: Script::new(TASK_ROOT, &handler, base_path),
            params: expected_params(&take("params").ok_or("params is missing")?)?,
            body,
            output,
            answer,
            dialect,
        })
    }

    /// What is wrong.
    fn check(&self) -> Result<(), String> {
        let event = Event::decode(&self.event).map_err(|error| error.0)?;
        let context = self.context.lambda();
        let (params, body, http) = match &event {
            Event::Http(dialect, request) => {
                let is_head = request.method.eq_ignore_ascii_case(b"HEAD");
                let params = of_request(request, &self.script, &context);
                (params, request.body.as_deref(), Some((*dialect, is_head)))
            }
            // the body is the event itself
            Event::Cli(_) | Event::Other => {
                (of_event(&self.event, &self.script, &context), None, None)
            }
        };
        let is_right = match http.map(|(dialect, _)| dialect) {
            Some(Dialect::ApiGatewayV2) => {
                ["function-url", "http-api"].contains(&self.dialect.as_str())
            }
            Some(Dialect::FunctionUrl) => self.dialect == "function-url",
            Some(Dialect::ApiGatewayV1 { .. }) => self.dialect == "rest",
            Some(Dialect::Alb { .. }) => self.dialect == "alb",
            Some(Dialect::Lattice) => self.dialect == "lattice",
            None => self.dialect == "event",
        };
        if !is_right {
            return Err(format!(
                "  - decoded as {}\n  + decoded as {http:?}\n",
                self.dialect
            ));
        }

        let mut problems = String::new();
        let found = by_name(&params)?;
        if self.params != found {
            problems += &difference(&param_lines(&self.params), &param_lines(&found));
        }
        if body != self.body.as_deref() {
            let shown = |body: Option<&[u8]>| match body {
                Some(bytes) => vec![format!("body: {:?}", String::from_utf8_lossy(bytes))],
                None => vec!["no body".to_owned()],
            };
            problems += &difference(&shown(self.body.as_deref()), &shown(body));
        }
        if let (Some(output), Some(expected)) = (&self.output, &self.answer) {
            problems += &check_answer(http, output, expected);
        }
        match problems.is_empty() {
            true => Ok(()),
            false => Err(problems),
        }
    }
}

/// The answer to the whole output, to each cut of it, and to its single bytes.
fn check_answer(http: Option<(Dialect, bool)>, output: &[u8], expected: &Expected) -> String {
    let whole = match answer(http, &[output]) {
        Ok(document) => document,
        Err(problem) => return format!("  + {problem}\n"),
    };
    match expected {
        Expected::Verbatim(bytes) if *bytes == whole => {}
        Expected::Verbatim(bytes) => {
            let shown =
                |bytes: &[u8]| vec![format!("answer: {:?}", String::from_utf8_lossy(bytes))];
            return difference(&shown(bytes), &shown(&whole));
        }
        Expected::Json(expected) => match unique_json(&whole) {
            Ok(found) if found == *expected => {}
            Ok(found) => return difference(&json_lines(expected), &json_lines(&found)),
            Err(problem) => {
                return format!("  + {problem} in {}\n", String::from_utf8_lossy(&whole));
            }
        },
    }
    for cut in 0..=output.len() {
        let (first, second) = output.split_at(cut);
        if answer(http, &[first, second]).as_ref() != Ok(&whole) {
            return format!("  + another answer when the output is cut at byte {cut}\n");
        }
    }
    let bytes: Vec<&[u8]> = output.chunks(1).collect();
    if answer(http, &bytes).as_ref() != Ok(&whole) {
        return "  + another answer when the output comes byte by byte\n".to_owned();
    }
    String::new()
}

/// As an invocation does it: the head, then the body piece by piece.
fn answer(http: Option<(Dialect, bool)>, pieces: &[&[u8]]) -> Result<Vec<u8>, String> {
    enum Begun {
        Http(Answer),
        Other(Output),
    }
    let push = |answer: &mut Begun, piece: &[u8]| match answer {
        Begun::Http(answer) => answer.push(piece),
        Begun::Other(output) => output.push(piece),
    };
    let mut parser = Parser::default();
    let mut answer: Option<Begun> = None;
    for piece in pieces {
        if let Some(answer) = &mut answer {
            push(answer, piece);
        } else if let Some((head, body_start)) = parser
            .push(piece)
            .map_err(|invalid| format!("no header line: {}", invalid.0))?
        {
            let mut begun = match http {
                Some((dialect, is_head)) => Begun::Http(Answer::new(dialect, &head, is_head)),
                None => Begun::Other(Output::new("8476a536-e9f4-11e8-9739-2dfe598c3fcd")),
            };
            push(&mut begun, &piece[body_start..]);
            answer = Some(begun);
        }
    }
    match answer.ok_or("a header block without an end")? {
        Begun::Http(answer) => answer
            .finish()
            .map_err(|error| format!("too large: {error:?}")),
        Begun::Other(output) => {
            let document = output.finish().document;
            document.map_err(|none| format!("no document: {none:?}"))
        }
    }
}

/// `tests/cases/<dialect>/<case>`; nothing else may be there, and no dialect without a case.
pub fn folders() -> Vec<PathBuf> {
    let dialects = entries(Path::new(CASES));
    let dialects = dialects
        .iter()
        .filter(|path| file_name(path) != "README.md");
    let found: Vec<String> = dialects.clone().map(|path| file_name(path)).collect();
    assert_eq!(found, DIALECTS, "the folders in tests/cases");
    let mut folders = Vec::new();
    for dialect in dialects {
        let cases = entries(dialect);
        assert!(!cases.is_empty(), "{} has no case", dialect.display());
        folders.extend(cases);
    }
    folders
}

/// Sorted, so that failures come in the same order everywhere.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{} is no folder: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a folder that opened can be read").path())
        .collect();
    paths.sort();
    paths
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The invocation context is JSON, and the order of its members means nothing: both sides get the same one.
fn ordered(name: &[u8], value: &[u8]) -> Vec<u8> {
    match unique_json(value) {
        Ok(json) if name == b"LAMBDA_INVOCATION_CONTEXT" => json.to_string().into_bytes(),
        _ => value.to_vec(),
    }
}

/// The defaults and the case's own lines over them: `NAME=value`, or `!NAME` where it must be absent.
fn expected_params(file: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, String> {
    let defaults = SAME_IN_EACH_CASE
        .map(|(name, value)| (name.into(), ordered(name.as_bytes(), value.as_bytes())));
    let mut params: BTreeMap<Vec<u8>, Vec<u8>> = defaults.into();
    let mut named = BTreeSet::new();
    for line in file
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let shown = || String::from_utf8_lossy(line).into_owned();
        let name = if let Some(name) = line.strip_prefix(b"!") {
            params.remove(name);
            name
        } else {
            let equals = line.iter().position(|&byte| byte == b'=');
            let equals = equals.ok_or_else(|| format!("params: {} has no =", shown()))?;
            let name = &line[..equals];
            params.insert(name.to_vec(), ordered(name, &line[equals + 1..]));
            name
        };
        if !named.insert(name) {
            return Err(format!("params: {} comes twice", shown()));
        }
    }
    Ok(params)
}

fn by_name(params: &Params<'_>) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, String> {
    let mut found = BTreeMap::new();
    for (name, value) in params {
        if found.insert(name.to_vec(), ordered(name, value)).is_some() {
            return Err(format!(
                "  + {} is set twice\n",
                String::from_utf8_lossy(name)
            ));
        }
    }
    Ok(found)
}

fn param_lines(params: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<String> {
    let line = |(name, value): (&Vec<u8>, &Vec<u8>)| {
        let value = value.utf8_chunks().fold(String::new(), |text, chunk| {
            text + chunk.valid() + &chunk.invalid().escape_ascii().to_string()
        });
        format!("{}={value}", String::from_utf8_lossy(name))
    };
    params.iter().map(line).collect()
}

fn json_lines(json: &Value) -> Vec<String> {
    format!("{json:#}").lines().map(str::to_owned).collect()
}

/// The lines that are in one list alone; both lists whole when that shows nothing.
fn difference(expected: &[String], found: &[String]) -> String {
    if expected == found {
        return String::new();
    }
    let show = |mark: &str, lines: &[String], other: &[String]| -> String {
        let lines = lines.iter().filter(|line| !other.contains(line));
        lines.map(|line| format!("  {mark} {line}\n")).collect()
    };
    match show("-", expected, found) + &show("+", found, expected) {
        nothing if nothing.is_empty() => show("-", expected, &[]) + &show("+", found, &[]),
        some => some,
    }
}

/// Reads JSON and refuses a member that comes twice, which `Value` alone would hide.
fn unique_json(json: &[u8]) -> Result<Value, String> {
    struct Unique(Value);

    impl<'de> serde::Deserialize<'de> for Unique {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = Value;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("JSON")
                }

                fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                    Ok(value.into())
                }

                fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                    Ok(value.into())
                }

                fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                    Ok(value.into())
                }

                fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                    Ok(value.into())
                }

                fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                    Ok(value.into())
                }

                fn visit_unit<E>(self) -> Result<Value, E> {
                    Ok(Value::Null)
                }

                fn visit_seq<A: serde::de::SeqAccess<'de>>(
                    self,
                    mut seq: A,
                ) -> Result<Value, A::Error> {
                    let mut items = Vec::new();
                    while let Some(Unique(item)) = seq.next_element()? {
                        items.push(item);
                    }
                    Ok(items.into())
                }

                fn visit_map<A: serde::de::MapAccess<'de>>(
                    self,
                    mut map: A,
                ) -> Result<Value, A::Error> {
                    let mut members = serde_json::Map::new();
                    while let Some((name, Unique(value))) = map.next_entry::<String, _>()? {
                        if members.insert(name.clone(), value).is_some() {
                            let text = format!("the member {name} comes twice");
                            return Err(serde::de::Error::custom(text));
                        }
                    }
                    Ok(members.into())
                }
            }
            deserializer.deserialize_any(Visitor).map(Unique)
        }
    }

    let unique: Result<Unique, _> = serde_json::from_slice(json);
    unique
        .map(|unique| unique.0)
        .map_err(|error| error.to_string())
}

/// A generator with a fixed seed (xorshift64): a failure comes back in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or_default() % limit.max(1)
    }

    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len + 1);
        start..start + self.below((len - start).min(64) + 1)
    }

    /// Flips bytes, deletes a range or repeats one: mostly no JSON any more.
    fn damage_bytes(&mut self, event: &[u8]) -> Vec<u8> {
        let mut damaged = event.to_vec();
        for _ in 0..=self.below(3) {
            match self.below(3) {
                0 if !damaged.is_empty() => {
                    let at = self.below(damaged.len());
                    damaged[at] ^= 1 << self.below(8);
                }
                1 => {
                    let range = self.range(damaged.len());
                    damaged.drain(range);
                }
                _ => {
                    let range = self.range(damaged.len());
                    let again = damaged[range.clone()].to_vec();
                    damaged.splice(range.end..range.end, again);
                }
            }
        }
        damaged
    }

    /// Puts odd values in the place of others: JSON still, of an unexpected shape.
    fn damage_values(&mut self, event: &[u8]) -> Vec<u8> {
        const ODD: [&str; 18] = [
            "null",
            "true",
            "0",
            "-1.5e300",
            "[]",
            "{}",
            "\"\"",
            "[null,[],{},\"\",7]",
            "{\"\":\"\",\"a\":[\"\",null],\"Host\":\":\",\"a_b\":1}",
            "\"\\ud800\"",
            "\"\\u0000\\r\\n\"",
            "\"%\"",
            "\"/%f\"",
            "\"?\"",
            "\"[::1\"",
            "\"é\u{1f600}\"",
            "\"=\"",
            "\"2.0\"",
        ];
        let Ok(text) = std::str::from_utf8(event) else {
            return Vec::new();
        };
        let mut text = text.to_owned();
        for _ in 0..=self.below(2) {
            let values = value_ranges(text.as_bytes());
            let Some(range) = values.get(self.below(values.len())) else {
                break;
            };
            text.replace_range(range.clone(), ODD[self.below(ODD.len())]);
        }
        text.into_bytes()
    }
}

/// Where the values (and names) in a JSON text are, each object and list as a whole too.
fn value_ranges(json: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let mut open = Vec::new();
    let mut at = 0;
    while at < json.len() {
        let start = at;
        at += 1;
        match json[start] {
            b'{' | b'[' => open.push(start),
            b'}' | b']' => ranges.extend(open.pop().map(|open| open..at)),
            b'"' => {
                while at < json.len() && json[at] != b'"' {
                    at += if json[at] == b'\\' { 2 } else { 1 };
                }
                at = (at + 1).min(json.len());
                ranges.push(start..at);
            }
            b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => {
                while at < json.len() && !b",:]} \t\r\n".contains(&json[at]) {
                    at += 1;
                }
                ranges.push(start..at);
            }
        }
    }
    ranges
}
