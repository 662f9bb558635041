//! Whole sites, whose handler is a folder: which script runs for which path, and what all tests of sites ask with.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::lambda::{Call, Function, Lambda, split_stream};

/// The answer of every script here: its name and what it sees.
const SHOW: &str = r#"<?php // SOURCE
$names = ['SCRIPT_NAME', 'SCRIPT_FILENAME', 'DOCUMENT_ROOT', 'DOCUMENT_URI', 'PHP_SELF', 'PATH_INFO', 'PATH_TRANSLATED',
    'REQUEST_URI', 'QUERY_STRING', 'REQUEST_METHOD', 'SERVER_NAME'];
header('Content-Type: application/json');
$seen = array_intersect_key($_SERVER, array_flip($names));
echo json_encode($seen + ['file' => __FILE__, 'folder' => getcwd(), 'body' => file_get_contents('php://input')],
    JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
"#;

pub const CSS: &str = "body { color: #123456 }\n";

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sender {
    HttpApi,
    FunctionUrl,
    RestApi,
    Alb,
    Lattice,
}

pub const ALL: [Sender; 5] = [
    Sender::HttpApi,
    Sender::FunctionUrl,
    Sender::RestApi,
    Sender::Alb,
    Sender::Lattice,
];

impl Sender {
    pub fn event(self, method: &str, path: &str, headers: &[(&str, &str)]) -> String {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let headers: BTreeMap<&str, &str> = headers.iter().copied().collect();
        let lists: BTreeMap<&str, [&str; 1]> = headers
            .iter()
            .map(|(name, value)| (*name, [*value]))
            .collect();
        let parameters: BTreeMap<&str, &str> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .collect();
        let event = match self {
            Sender::HttpApi | Sender::FunctionUrl => json!({
                "version": "2.0", "rawPath": path, "rawQueryString": query, "headers": headers,
                "requestContext": {
                    "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1" },
                    "stage": "$default",
                    "domainName": match self {
                        Sender::HttpApi => "example.com",
                        _ => "abc.lambda-url.eu-central-1.on.aws",
                    },
                },
            }),
            Sender::RestApi => json!({
                "httpMethod": method, "path": path, "multiValueHeaders": lists,
                "queryStringParameters": parameters, "requestContext": { "stage": "prod" },
            }),
            Sender::Alb => json!({
                "httpMethod": method, "path": path, "headers": headers,
                "queryStringParameters": parameters, "requestContext": { "elb": {} },
            }),
            Sender::Lattice => json!({
                "version": "2.0", "method": method, "path": path, "headers": lists,
                "queryStringParameters": parameters, "requestContext": { "serviceArn": "arn" },
            }),
        };
        event.to_string()
    }
}

/// An answer, whatever its dialect was and whether it was streamed.
pub struct Answer {
    pub status: u64,
    /// By their names in small letters.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    pub is_base64: bool,
}

impl Answer {
    pub fn of(call: &Call) -> Answer {
        assert!(
            call.path.ends_with("/response"),
            "{} {}",
            call.path,
            call.text()
        );
        let (head, streamed) = match call.is_stream() {
            true => {
                let (prelude, body) = split_stream(&call.body);
                (prelude, Some(body))
            }
            false => (call.json(), None),
        };
        let mut headers = BTreeMap::new();
        for kind in ["headers", "multiValueHeaders"] {
            for (name, value) in head[kind].as_object().into_iter().flatten() {
                let value = value.as_str().or_else(|| value[0].as_str()).unwrap();
                headers.insert(name.to_ascii_lowercase(), value.to_owned());
            }
        }
        let is_base64 = head["isBase64Encoded"] == true;
        let body = streamed.unwrap_or_else(|| {
            let body = head["body"].as_str().unwrap();
            match is_base64 {
                true => base64_simd::STANDARD.decode_to_vec(body).unwrap(),
                false => body.as_bytes().to_vec(),
            }
        });
        Answer {
            status: head["statusCode"].as_u64().unwrap(),
            headers,
            body,
            is_base64,
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A variable of a script's answer; empty where it is not set.
    pub fn seen(&self, name: &str) -> String {
        let seen: Value = serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no script answered: {} {}", self.status, self.text()));
        seen[name].as_str().unwrap_or_default().to_owned()
    }
}

/// A site in `public`, and beside it what must never be seen.
pub fn site() -> Function {
    Function::new("<?php echo 'SECRET';")
        .file("secret.txt", "SECRET")
        .file("public-secret/a.txt", "SECRET")
        .file("public/index.php", SHOW)
        .file("public/x.php", SHOW)
        .file("public/style.css", CSS)
        .file("public/a b/é.txt", "text")
        .file("public/blog/index.php", SHOW)
        .file("public/blog/post.php", SHOW)
        .file("public/plain/index.html", "<h1>Plain</h1>")
        .file("public/both/index.html", "<h1>No</h1>")
        .file("public/both/index.php", SHOW)
        .file("public/images/a.txt", "a")
        .env("_HANDLER", "public")
}

pub fn get(lambda: &mut Lambda, path: &str) -> Answer {
    get_with(lambda, path, &[])
}

pub fn get_with(lambda: &mut Lambda, path: &str, headers: &[(&str, &str)]) -> Answer {
    Answer::of(&lambda.invoke(Sender::FunctionUrl.event("GET", path, headers)))
}

pub fn send(lambda: &mut Lambda, method: &str, path: &str) -> Answer {
    Answer::of(&lambda.invoke(Sender::FunctionUrl.event(method, path, &[])))
}

#[test]
fn scripts_run_by_their_paths_with_the_variables_that_nginx_gives() {
    let function = site();
    let root = function.task_root().join("public").display().to_string();
    let mut lambda = function.start();
    for (path, name, path_info) in [
        ("/", "/index.php", None),
        ("/?a=b%20c", "/index.php", None),
        ("/index.php", "/index.php", None),
        ("/x.php", "/x.php", None),
        ("/x.php?q=1", "/x.php", None),
        ("//x.php", "/x.php", None),
        ("/%78.php", "/x.php", None),
        ("/x.php/", "/x.php", Some("/")),
        ("/x.php/rest", "/x.php", Some("/rest")),
        ("/x.php/a%20b%2Fc//d.css?q", "/x.php", Some("/a b/c//d.css")),
        ("/x.php/style.css", "/x.php", Some("/style.css")),
        ("/index.php/users/1", "/index.php", Some("/users/1")),
        ("/blog/", "/blog/index.php", None),
        ("/blog/post.php", "/blog/post.php", None),
        ("/blog/post.php/x", "/blog/post.php", Some("/x")),
        ("/both/", "/both/index.php", None),
        // nothing of this name, so the front controller's
        ("/users/1", "/index.php", None),
        ("/users/", "/index.php", None),
        ("/none.php", "/index.php", None),
        ("/none.css", "/index.php", None),
        ("/blog/none", "/index.php", None),
        ("/images", "/index.php", None),
        ("/images/", "/index.php", None),
        ("/style.css/", "/index.php", None),
        ("/style.css/x", "/index.php", None),
        ("/X.PHP", "/index.php", None),
    ] {
        let answer = get(&mut lambda, path);
        assert_eq!(answer.status, 200, "{path}");
        let behind = path_info.unwrap_or_default();
        let translated = path_info.map(|info| format!("{root}{info}"));
        let filename = format!("{root}{name}");
        let folder = filename.rsplit_once('/').unwrap().0.to_owned();
        let query = path.split_once('?').map_or("", |(_, query)| query);
        for (variable, expected) in [
            ("SCRIPT_NAME", name.to_owned()),
            ("DOCUMENT_URI", name.to_owned()),
            ("SCRIPT_FILENAME", filename.clone()),
            ("file", filename),
            ("folder", folder),
            ("DOCUMENT_ROOT", root.clone()),
            ("PATH_INFO", behind.to_owned()),
            ("PATH_TRANSLATED", translated.unwrap_or_default()),
            ("PHP_SELF", format!("{name}{behind}")),
            ("REQUEST_URI", path.to_owned()),
            ("QUERY_STRING", query.to_owned()),
        ] {
            assert_eq!(answer.seen(variable), expected, "{variable} of {path}");
        }
    }
    assert_eq!(lambda.log(), "");
}

#[test]
fn a_post_reaches_its_script_with_its_body() {
    let mut lambda = site().start();
    for (path, name) in [
        ("/blog/post.php", "/blog/post.php"),
        ("/blog/", "/blog/index.php"),
        ("/none", "/index.php"),
    ] {
        let answer = Answer::of(&lambda.invoke(crate::lambda::post(path, b"a=b")));
        assert_eq!(answer.seen("SCRIPT_NAME"), name);
        assert_eq!(answer.seen("body"), "a=b");
        assert_eq!(answer.seen("REQUEST_METHOD"), "POST");
    }
}

#[test]
fn a_folder_may_be_spelt_in_several_ways() {
    for (handler, path) in [
        ("public/", "/style.css"),
        ("./public", "/style.css"),
        (".", "/public/style.css"),
        ("./", "/public/style.css"),
    ] {
        let mut lambda = site().env("_HANDLER", handler).start();
        assert_eq!(get(&mut lambda, path).text(), CSS, "{handler}");
    }
    let mut lambda = site().env("_HANDLER", "none.php").arg("public").start();
    assert_eq!(get(&mut lambda, "/style.css").text(), CSS);
}

#[test]
fn a_site_that_is_the_task_root_keeps_the_runtimes_settings_to_itself() {
    let function = site()
        .file("index.php", SHOW)
        .file("php.ini", "; SECRET")
        .file("php/conf.d/a.ini", "; SECRET")
        .file("php/own.txt", "own")
        .env("_HANDLER", ".");
    let root = function.task_root().display().to_string();
    let mut lambda = function.start();
    for path in ["/php.ini", "/php/conf.d/a.ini"] {
        assert_eq!(get(&mut lambda, path).seen("SCRIPT_NAME"), "/index.php");
    }
    assert_eq!(get(&mut lambda, "/php/own.txt").text(), "own");
    let answer = get(&mut lambda, "/public/x.php/y");
    assert_eq!(answer.seen("DOCUMENT_ROOT"), root);
    assert_eq!(answer.seen("SCRIPT_NAME"), "/public/x.php");
}

#[test]
fn a_folder_without_its_slash_is_sent_there_and_nowhere_else() {
    let mut lambda = site()
        .file("public/a b/c:d/index.html", "<h1>Odd</h1>")
        .file("public/evil.example/index.html", "<h1>Odd</h1>")
        .start();
    for (path, location) in [
        ("/blog", "./blog/"),
        ("/blog?a=1&b=%20", "./blog/?a=1&b=%20"),
        ("/plain", "./plain/"),
        ("/a%20b/c:d", "./c:d/"),
        ("//evil.example", "./evil.example/"),
    ] {
        let answer = get(&mut lambda, path);
        assert_eq!(
            (answer.status, answer.header("location")),
            (301, location),
            "{path}"
        );
        // as a client reads it
        let base = reqwest::Url::parse(&format!("https://example.com{path}")).unwrap();
        let there = base.join(location).unwrap();
        assert_eq!(there.host_str(), Some("example.com"));
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        assert_eq!(there.path(), format!("{path}/"));
        assert_eq!(there.query().unwrap_or_default(), query);
    }
    // a form stays a form
    let answer = send(&mut lambda, "POST", "/blog?a=1");
    assert_eq!(
        (answer.status, answer.header("location")),
        (308, "./blog/?a=1")
    );
}

#[test]
fn behind_a_base_path() {
    let mut lambda = site().env("PHP_LAMBDA_BASE_PATH", "/shop/v1").start();
    for (path, name, uri) in [
        ("/shop/v1", "/index.php", "/"),
        ("/shop/v1/x.php/y", "/x.php", "/x.php/y"),
        ("/shop/v1/blog/?a", "/blog/index.php", "/blog/?a"),
        ("/x.php", "/x.php", "/x.php"),
    ] {
        let answer = get(&mut lambda, path);
        assert_eq!(answer.seen("SCRIPT_NAME"), name, "{path}");
        assert_eq!(answer.seen("REQUEST_URI"), uri, "{path}");
    }
    assert_eq!(get(&mut lambda, "/shop/v1/style.css").text(), CSS);
    let answer = get(&mut lambda, "/shop/v1/blog");
    assert_eq!(answer.header("location"), "./blog/");
}

#[test]
fn without_a_front_controller_what_is_not_there_is_404() {
    let function = Function::new("<?php echo 'SECRET';")
        .file("public/index.html", "<h1>Hello</h1>")
        .file("public/form.php", SHOW)
        .file("public/empty/x.txt", "")
        .env("_HANDLER", "public");
    let mut lambda = function.start();
    let answer = get(&mut lambda, "/");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "<h1>Hello</h1>")
    );
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(
        get(&mut lambda, "/form.php").seen("SCRIPT_NAME"),
        "/form.php"
    );
    for path in [
        "/none",
        "/none.php",
        "/empty",
        "/empty/",
        "/.env",
        "/../index.php",
    ] {
        let answer = get(&mut lambda, path);
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (404, "Not found.\n"),
            "{path}"
        );
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    }
    assert_eq!(
        get(&mut lambda, "/empty/x.txt").header("content-length"),
        "0"
    );
    // nothing of this is worth a line
    assert_eq!(lambda.log(), "");
}

#[test]
fn an_event_that_is_no_request_runs_the_index() {
    let mut lambda = site().start();
    let call = lambda.invoke("{\"Records\":[]}");
    assert!(call.text().contains("/public/index.php"), "{}", call.text());

    let mut lambda = site()
        .file("worker.php", "<?php echo '\"worked\"';")
        .env("PHP_LAMBDA_EVENT_HANDLER", "worker.php")
        .start();
    assert_eq!(lambda.invoke("1").text(), "\"worked\"");

    let mut lambda = Function::new("")
        .file("public/a.txt", "")
        .env("_HANDLER", "public")
        .start();
    let call = lambda.invoke("{}");
    assert_eq!(call.error_type(), "Runtime.NoSuchHandler");
    assert!(call.error_message().contains("PHP_LAMBDA_EVENT_HANDLER"));
    assert_eq!(get(&mut lambda, "/a.txt").status, 200);
}

#[test]
fn a_status_may_fail_the_invocation_here_too() {
    for mode in ["buffered", "response_stream"] {
        let mut lambda = Function::new("")
            .file("public/a.txt", "a")
            .env("_HANDLER", "public")
            .env("PHP_LAMBDA_ERROR_STATUS_CODES", "404")
            .env("PHP_LAMBDA_INVOKE_MODE", mode)
            .start();
        let call = lambda.invoke(Sender::FunctionUrl.event("GET", "/none", &[]));
        assert_eq!(call.error_type(), "Function.HttpStatus");
        assert_eq!(get(&mut lambda, "/a.txt").text(), "a");
    }
}
