//! Whole sites: the handler is a folder. Scripts by their paths, files without PHP, and nothing from outside of the folder.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use crate::differential::binary;
use crate::lambda::{Call, Function, Lambda};
use crate::process::kilobytes;

/// The answer of every script here: its name and what it sees.
const SHOW: &str = r#"<?php // SOURCE
$names = ['SCRIPT_NAME', 'SCRIPT_FILENAME', 'DOCUMENT_ROOT', 'DOCUMENT_URI', 'PHP_SELF', 'PATH_INFO', 'PATH_TRANSLATED',
    'REQUEST_URI', 'QUERY_STRING', 'REQUEST_METHOD', 'SERVER_NAME'];
header('Content-Type: application/json');
$seen = array_intersect_key($_SERVER, array_flip($names));
echo json_encode($seen + ['file' => __FILE__, 'folder' => getcwd(), 'body' => file_get_contents('php://input')],
    JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
"#;

const CSS: &str = "body { color: #123456 }\n";

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sender {
    HttpApi,
    FunctionUrl,
    RestApi,
    Alb,
    Lattice,
}

const ALL: [Sender; 5] = [
    Sender::HttpApi,
    Sender::FunctionUrl,
    Sender::RestApi,
    Sender::Alb,
    Sender::Lattice,
];

impl Sender {
    fn event(self, method: &str, path: &str, headers: &[(&str, &str)]) -> String {
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
struct Answer {
    status: u64,
    /// By their names in small letters.
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
    is_base64: bool,
}

impl Answer {
    fn of(call: &Call) -> Answer {
        assert!(
            call.path.ends_with("/response"),
            "{} {}",
            call.path,
            call.text()
        );
        let is_stream = call
            .headers
            .contains_key("lambda-runtime-function-response-mode");
        let (head, streamed) = match is_stream {
            true => {
                let end = call
                    .body
                    .windows(8)
                    .position(|bytes| bytes == [0; 8])
                    .unwrap();
                let head: Value = serde_json::from_slice(&call.body[..end]).unwrap();
                (head, Some(call.body[end + 8..].to_vec()))
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

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A variable of a script's answer; empty where it is not set.
    fn seen(&self, name: &str) -> String {
        let seen: Value = serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no script answered: {} {}", self.status, self.text()));
        seen[name].as_str().unwrap_or_default().to_owned()
    }
}

/// A site in `public`, and beside it what must never be seen.
fn site() -> Function {
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

fn get(lambda: &mut Lambda, path: &str) -> Answer {
    get_with(lambda, path, &[])
}

fn get_with(lambda: &mut Lambda, path: &str, headers: &[(&str, &str)]) -> Answer {
    Answer::of(&lambda.invoke(Sender::FunctionUrl.event("GET", path, headers)))
}

fn send(lambda: &mut Lambda, method: &str, path: &str) -> Answer {
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
fn a_file_reaches_every_sender_byte_for_byte() {
    let image = binary(100_001);
    for mode in ["buffered", "response_stream"] {
        let function = site();
        fs::write(function.task_root().join("public/photo.png"), &image).unwrap();
        let mut lambda = function.env("PHP_LAMBDA_INVOKE_MODE", mode).start();
        for sender in ALL {
            let mut ask = |method: &str, path: &str, headers: &[(&str, &str)]| {
                let call = lambda.invoke(sender.event(method, path, headers));
                let is_stream = call
                    .headers
                    .contains_key("lambda-runtime-function-response-mode");
                let streams = matches!(sender, Sender::FunctionUrl | Sender::RestApi);
                assert_eq!(is_stream, mode == "response_stream" && streams);
                Answer::of(&call)
            };
            let photo = ask("GET", "/photo.png", &[]);
            assert_eq!(photo.status, 200);
            assert!(photo.body == image, "{sender:?}");
            assert_eq!(photo.header("content-type"), "image/png");
            assert_eq!(photo.header("content-length"), "100001");
            assert_eq!(photo.header("accept-ranges"), "bytes");
            for absent in ["cache-control", "vary", "content-encoding"] {
                assert_eq!(photo.header(absent), "", "{absent}");
            }
            let style = ask("GET", "/style.css?v=1", &[]);
            assert_eq!((style.text().as_str(), style.is_base64), (CSS, false));
            assert_eq!(style.header("content-type"), "text/css; charset=utf-8");

            let head = ask("HEAD", "/photo.png", &[]);
            assert_eq!(head.headers, photo.headers);
            assert_eq!((head.status, head.body), (200, Vec::new()));

            let tag = photo.header("etag").to_owned();
            let again = ask("GET", "/photo.png", &[("if-none-match", &tag)]);
            assert_eq!((again.status, again.body), (304, Vec::new()));
            assert_eq!(again.headers.get("etag"), Some(&tag));
            assert!(!again.headers.contains_key("content-length"));

            let part = ask("GET", "/photo.png", &[("range", "bytes=70000-")]);
            assert_eq!(part.status, 206);
            assert!(part.body == image[70_000..], "{sender:?}");
            assert_eq!(part.header("content-range"), "bytes 70000-100000/100001");
            assert_eq!(part.header("content-length"), "30001");
        }
        assert_eq!(lambda.log(), "");
    }
}

#[test]
fn the_tag_follows_the_contents_and_the_date_is_told_where_it_is_known() {
    let function = site();
    let path = function.task_root().join("public/style.css");
    let set_time = |seconds: u64| {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(time)
            .unwrap();
    };
    set_time(784_111_777);
    let mut lambda = function.start();
    let first = get(&mut lambda, "/style.css");
    assert_eq!(
        first.header("last-modified"),
        "Sun, 06 Nov 1994 08:49:37 GMT"
    );
    let tag = first.header("etag").to_owned();

    // deployed again: another time, the same file
    set_time(1_600_000_000);
    let answer = get_with(&mut lambda, "/style.css", &[("if-none-match", &tag)]);
    assert_eq!(answer.status, 304);
    let since = ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(get_with(&mut lambda, "/style.css", &[since]).status, 200);
    let since = ("if-modified-since", "Sun, 13 Sep 2020 12:26:40 GMT");
    assert_eq!(get_with(&mut lambda, "/style.css", &[since]).status, 304);
    let wrong = ("if-none-match", "\"other\"");
    assert_eq!(
        get_with(&mut lambda, "/style.css", &[wrong, since]).status,
        200
    );

    // another file of the same length and time, as tools make them that set every time to one value
    for time in [0, 315_532_800, 315_576_000, 4_000_000_000] {
        fs::write(&path, CSS).unwrap();
        set_time(time);
        let before = get(&mut lambda, "/style.css");
        assert_eq!(before.header("last-modified"), "", "{time}");
        assert_eq!(before.header("etag"), tag);
        fs::write(&path, CSS.replace('1', "9")).unwrap();
        set_time(time);
        let all = [("if-none-match", tag.as_str()), since];
        assert_eq!(
            get_with(&mut lambda, "/style.css", &all).status,
            200,
            "{time}"
        );
        assert_eq!(
            get_with(&mut lambda, "/style.css", &[since]).status,
            200,
            "{time}"
        );
    }
    let failed = get_with(&mut lambda, "/style.css", &[("if-match", &tag)]);
    assert_eq!(failed.status, 412);
}

#[test]
fn ranges() {
    let text: String = (0..1000).map(|n| format!("{n:09}\n")).collect();
    for mode in ["buffered", "response_stream"] {
        let mut lambda = site()
            .file("public/n.txt", &text)
            .env("PHP_LAMBDA_INVOKE_MODE", mode)
            .start();
        let whole = get(&mut lambda, "/n.txt");
        let tag = whole.header("etag").to_owned();
        for (range, content_range, body) in [
            ("bytes=0-8", "bytes 0-8/10000", &text[..9]),
            ("bytes=-10", "bytes 9990-9999/10000", &text[9990..]),
            ("bytes=9990-20000", "bytes 9990-9999/10000", &text[9990..]),
            ("bytes=0-4,5-8", "bytes 0-8/10000", &text[..9]),
        ] {
            let part = get_with(&mut lambda, "/n.txt", &[("range", range)]);
            assert_eq!((part.status, part.text().as_str()), (206, body), "{range}");
            assert_eq!(part.header("content-range"), content_range);
            assert_eq!(part.header("content-length"), body.len().to_string());
            assert_eq!(part.header("etag"), tag);
        }
        for (headers, status) in [
            (
                &[("range", "bytes=0-8"), ("if-range", tag.as_str())][..],
                206,
            ),
            (&[("range", "bytes=0-8"), ("if-range", "\"old\"")], 200),
            (&[("range", "bytes=0-8"), ("if-none-match", &tag)], 304),
            (&[("range", "pages=0-8")], 200),
            (&[("range", "bytes=8-0")], 200),
            (&[("range", "bytes=10000-")], 416),
        ] {
            let answer = get_with(&mut lambda, "/n.txt", headers);
            assert_eq!(answer.status, status, "{headers:?}");
            match status {
                200 => assert_eq!(answer.text(), text),
                416 => assert_eq!(answer.header("content-range"), "bytes */10000"),
                _ => {}
            }
        }
        // of HEAD and POST it says nothing
        let head = Answer::of(&lambda.invoke(Sender::FunctionUrl.event(
            "HEAD",
            "/n.txt",
            &[("range", "bytes=0-8")],
        )));
        assert_eq!((head.status, head.header("content-length")), (200, "10000"));

        let several = get_with(&mut lambda, "/n.txt", &[("range", "bytes=20-28,0-8,-10")]);
        assert_eq!(several.status, 206);
        let boundary = several
            .header("content-type")
            .strip_prefix("multipart/byteranges; boundary=")
            .unwrap();
        let part = |range: &str, body: &str| {
            format!(
                "\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
                 Content-Range: bytes {range}/10000\r\n\r\n{body}"
            )
        };
        let expected = [
            part("0-8", &text[..9]),
            part("20-28", &text[20..29]),
            part("9990-9999", &text[9990..]),
            format!("\r\n--{boundary}--\r\n"),
        ];
        assert_eq!(several.text(), expected.concat());
        assert_eq!(
            several.header("content-length"),
            several.body.len().to_string()
        );
        assert_eq!(several.header("content-range"), "");
    }
}

#[test]
fn compressed_files_beside_the_plain_one() {
    let mut lambda = site()
        .file("public/app.js", "plain")
        .file("public/app.js.br", "brotli!")
        .file("public/app.js.gz", "gzip")
        .file("public/one.css", "plain")
        .file("public/one.css.gz", "gzip")
        .file("public/gone.css.gz", "gzip")
        .file("public/folder.css", "plain")
        .file("public/folder.css.gz/x", "")
        .start();
    let mut tags = Vec::new();
    for (path, accepted, coding, body, varies) in [
        ("/app.js", "gzip, deflate, br", "br", "brotli!", true),
        ("/app.js", "gzip", "gzip", "gzip", true),
        ("/app.js", "br;q=0, gzip;q=0.5", "gzip", "gzip", true),
        ("/app.js", "br;q=0.5, gzip", "gzip", "gzip", true),
        ("/app.js", "identity", "", "plain", true),
        ("/app.js", "", "", "plain", true),
        ("/one.css", "br", "", "plain", true),
        ("/one.css", "br, gzip", "gzip", "gzip", true),
        ("/folder.css", "gzip", "", "plain", false),
        ("/style.css", "gzip", "", CSS, false),
    ] {
        let headers = [("accept-encoding", accepted)];
        let answer = get_with(&mut lambda, path, &headers);
        assert_eq!(answer.text(), body, "{path} {accepted}");
        assert_eq!(answer.header("content-encoding"), coding);
        let vary = if varies { "Accept-Encoding" } else { "" };
        assert_eq!(answer.header("vary"), vary, "{path} {accepted}");
        assert_eq!(answer.is_base64, !coding.is_empty());
        let kind = if path.ends_with("js") {
            "javascript"
        } else {
            "css"
        };
        assert_eq!(
            answer.header("content-type"),
            format!("text/{kind}; charset=utf-8")
        );
        let tag = answer.header("etag").to_owned();
        let again = get_with(&mut lambda, path, &[headers[0], ("if-none-match", &tag)]);
        assert_eq!((again.status, again.header("vary")), (304, vary));
        if path == "/app.js" {
            tags.push(tag);
        }
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 3, "each form has a tag of its own");
    // a compressed file is one of its own, too; and it is not there for one that is not
    let answer = get(&mut lambda, "/app.js.gz");
    assert_eq!(answer.header("content-type"), "application/gzip");
    assert_eq!(answer.header("content-encoding"), "");
    let answer = get_with(&mut lambda, "/gone.css", &[("accept-encoding", "gzip")]);
    assert_eq!(answer.seen("SCRIPT_NAME"), "/index.php");
}

#[test]
fn methods() {
    let mut lambda = site().start();
    for (method, status) in [
        ("POST", 405),
        ("PUT", 405),
        ("DELETE", 405),
        ("PROPFIND", 405),
        ("OPTIONS", 204),
    ] {
        for path in ["/style.css", "/plain/"] {
            let answer = send(&mut lambda, method, path);
            assert_eq!(answer.status, status, "{method} {path}");
            assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS");
        }
        // a script decides for itself
        let answer = send(&mut lambda, method, "/x.php");
        assert_eq!(answer.seen("REQUEST_METHOD"), method);
    }
}

#[test]
fn cache_control_is_a_setting() {
    let mut lambda = site()
        .env("PHP_LAMBDA_STATIC_CACHE_CONTROL", "public, max-age=60")
        .start();
    let answer = get(&mut lambda, "/style.css");
    assert_eq!(answer.header("cache-control"), "public, max-age=60");
    let tag = ("if-none-match", answer.header("etag"));
    let answer = get_with(&mut lambda, "/style.css", &[tag]);
    assert_eq!(answer.status, 304);
    assert_eq!(answer.header("cache-control"), "public, max-age=60");
    // what is no file's
    for path in ["/x.php", "/blog"] {
        assert_eq!(get(&mut lambda, path).header("cache-control"), "", "{path}");
    }
}

/// Fills the site with traps.
fn trapped(mode: &str) -> Function {
    let mut function = site()
        .file("public/.env", "SECRET")
        .file("public/.git/config", "SECRET")
        .file("public/.git/hook.php", "<?php echo 'SECRET';")
        .file("public/.htaccess", "SECRET")
        .file("public/blog/.user.ini", "SECRET")
        .file("public/.well-known/security.txt", "well known")
        .file("public/.well-known/.secret", "SECRET")
        .env("PHP_LAMBDA_INVOKE_MODE", mode);
    for name in [
        "a.PHP",
        "b.pHp",
        "c.php.",
        "d.php ",
        "e.phtml",
        "f.phar",
        "g.inc",
        "h.php5",
        "i.php~",
        "j.php.bak",
        "k.phps",
        "l.php.txt",
        "m.php_old",
        "n.Phar",
    ] {
        function = function.file(&format!("public/{name}"), "<?php // SOURCE");
    }
    let public = function.task_root().join("public");
    for (name, target) in [
        ("outside", "../secret.txt"),
        ("parent", ".."),
        ("passwd", "/etc/passwd"),
        ("root", "/"),
        ("task.php", "../index.php"),
        ("source.txt", "x.php"),
        ("source.css", "a.PHP"),
        ("env.txt", ".env"),
        ("git", ".git"),
        ("loop", "loop"),
        ("zero.png", "/dev/zero"),
        ("proc", "/proc/self"),
        ("style.css.gz", "../secret.txt"),
    ] {
        symlink(target, public.join(name)).unwrap();
    }
    for name in ["pipe.txt", "pipe.php", "style.css.br"] {
        let mode = Mode::from_raw_mode(0o666);
        mknodat(CWD, public.join(name), FileType::Fifo, mode, 0).unwrap();
    }
    function
}

#[test]
fn no_path_leaves_the_folder_or_shows_a_source() {
    // the front controller's; nothing of PHP's
    let refused = [
        "/../secret.txt",
        "/../index.php",
        "/../public-secret/a.txt",
        "/blog/../../secret.txt",
        "/blog/../style.css",
        "/..",
        "/%2e%2e/secret.txt",
        "/%2E%2e/secret.txt",
        "/.%2e/secret.txt",
        "/..%2fsecret.txt",
        "/..%2Fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/%252e%252e/secret.txt",
        "/%252e%252e%252fsecret.txt",
        "/..%252fsecret.txt",
        "/..%c0%afsecret.txt",
        "/..%c1%9csecret.txt",
        "/%c0%ae%c0%ae/secret.txt",
        "/%uff0e%uff0e/secret.txt",
        "/..\\secret.txt",
        "/..%5csecret.txt",
        "/blog/..%5c..%5csecret.txt",
        "/....//secret.txt",
        "/.../secret.txt",
        "/..;/secret.txt",
        "/./../secret.txt",
        "//../secret.txt",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/%2fetc%2fpasswd",
        "/etc/passwd",
        "/blog%2fpost.php",
        "/style.css%00",
        "/style.css%00.png",
        "/x.php%00.css",
        "/%00",
        "/../secret.txt%00.css",
        "/file:///etc/passwd",
        "/php://filter/resource=x.php",
        "/index.php/../x.php",
        "/index.php/..",
        "/x.php/../../secret.txt",
        "/x.php/..%2f..%2fsecret.txt",
        "/index.php/%2e%2e/style.css",
        "/style.css/../x.php",
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/.git/hook.php",
        "/.git/hook.php/x",
        "/.git/",
        "/.git",
        "/.htaccess",
        "/blog/.user.ini",
        "/.well-known/.secret",
        "/blog/.well-known/x",
        "/a.PHP",
        "/a.PHP/x",
        "/b.pHp",
        "/c.php.",
        "/d.php%20",
        "/x.php.",
        "/x.php%20",
        "/x.php%2e",
        "/x.php%0a",
        "/x.php::$DATA",
        "/X.php",
        "/x.PHP",
        "/e.phtml",
        "/f.phar",
        "/g.inc",
        "/h.php5",
        "/i.php~",
        "/j.php.bak",
        "/k.phps",
        "/l.php.txt",
        "/m.php_old",
        "/n.Phar",
        "/outside",
        "/parent/secret.txt",
        "/parent/index.php",
        "/passwd",
        "/root/etc/passwd",
        "/task.php",
        "/task.php/x",
        "/source.txt",
        "/source.css",
        "/env.txt",
        "/git/config",
        "/git/hook.php",
        "/loop",
        "/zero.png",
        "/proc/environ",
        "/proc/root/etc/passwd",
        "/pipe.txt",
        "/pipe.php",
        "/pipe.php/x",
        "/style.css.br",
        "/style.css.gz",
        "/x.php.gz",
    ];
    for mode in ["buffered", "response_stream"] {
        let mut lambda = trapped(mode).start();
        for path in refused {
            for sender in [Sender::FunctionUrl, Sender::Alb] {
                let answer = Answer::of(&lambda.invoke(sender.event("GET", path, &[])));
                let text = answer.text();
                assert_eq!(answer.status, 200, "{path} {text}");
                assert_eq!(answer.seen("SCRIPT_NAME"), "/index.php", "{path}");
                assert_eq!(answer.seen("PATH_INFO"), "", "{path}");
                assert!(
                    !text.contains("SECRET") && !text.contains("SOURCE"),
                    "{path}"
                );
            }
        }
        // and each way in that is none of these is open
        for path in ["/.well-known/security.txt", "/parent/public/style.css"] {
            let answer = get_with(&mut lambda, path, &[("accept-encoding", "gzip, br")]);
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.header("content-type").starts_with("text/"), "{path}");
        }
        // neither a fifo nor a link to the outside is the compressed form
        let answer = get_with(
            &mut lambda,
            "/style.css",
            &[("accept-encoding", "gzip, br")],
        );
        assert_eq!((answer.text().as_str(), answer.header("vary")), (CSS, ""));
        assert_eq!(lambda.log(), "");
    }
}

#[test]
fn without_a_front_controller_the_same_paths_are_404() {
    let function = trapped("buffered");
    fs::remove_file(function.task_root().join("public/index.php")).unwrap();
    let mut lambda = function.start();
    for path in [
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/.env",
        "/a.PHP",
        "/x.php.",
        "/source.txt",
        "/passwd",
        "/pipe.txt",
        "/zero.png",
        "/x.php/../y",
    ] {
        assert_eq!(get(&mut lambda, path).status, 404, "{path}");
    }
}

#[test]
fn links_within_the_folder_are_followed() {
    let function = site();
    let public = function.task_root().join("public");
    symlink("style.css", public.join("link.css")).unwrap();
    symlink(public.join("style.css"), public.join("absolute.css")).unwrap();
    symlink("blog", public.join("news")).unwrap();
    symlink("../x.php", public.join("blog/up.php")).unwrap();
    let mut lambda = function.start();
    for path in ["/link.css", "/absolute.css"] {
        assert_eq!(get(&mut lambda, path).text(), CSS, "{path}");
    }
    for (path, name) in [
        ("/news/", "/news/index.php"),
        ("/blog/up.php", "/blog/up.php"),
    ] {
        assert_eq!(get(&mut lambda, path).seen("SCRIPT_NAME"), name);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_explained_in_the_log() {
    let function = site().file("public/closed.css", CSS);
    let path = function.task_root().join("public/closed.css");
    fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    let mut lambda = function.start();
    let call = lambda.invoke(Sender::FunctionUrl.event("GET", "/closed.css", &[]));
    let answer = Answer::of(&call);
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (403, "Forbidden.\n")
    );
    let log = lambda.log();
    assert!(
        log.contains("closed.css cannot be read") && log.contains("644"),
        "{log}"
    );
    assert!(log.contains("request-1\tWARN"), "{log}");
}

/// A file of this length that takes no room.
fn sparse(path: &Path, len: u64) {
    fs::File::create(path).unwrap().set_len(len).unwrap();
}

#[test]
fn what_is_too_large_for_an_answer_that_is_sent_whole_says_so() {
    let function = site();
    let public = function.task_root().join("public");
    sparse(&public.join("film.mp4"), 60_000_000);
    fs::write(public.join("photo.png"), binary(5_000_000)).unwrap();
    fs::write(public.join("list.txt"), "0123456789\n".repeat(500_000)).unwrap();
    fs::write(public.join("mega.txt"), "0123456789\n".repeat(100_000)).unwrap();
    let mut lambda = function.start();
    // the file is too long, or what becomes of it is
    for (sender, path) in [
        (Sender::FunctionUrl, "/film.mp4"),
        (Sender::FunctionUrl, "/photo.png"),
        (Sender::Alb, "/mega.txt"),
        (Sender::Alb, "/photo.png"),
    ] {
        let call = lambda.invoke(sender.event("GET", path, &[]));
        let answer = Answer::of(&call);
        let text = answer.text();
        assert_eq!(answer.status, 413, "{path} {text}");
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        assert!(
            text.contains("PHP_LAMBDA_INVOKE_MODE=response_stream"),
            "{text}"
        );
        let len = fs::metadata(public.join(&path[1..])).unwrap().len();
        assert!(text.contains(&len.to_string()), "{text}");
        let log = call.log;
        assert!(log.contains(&path[1..]) && log.contains("S3"), "{log}");
    }
    assert_eq!(get(&mut lambda, "/list.txt").body.len(), 5_500_000);
    // its length and its parts can be had all the same
    let head = send(&mut lambda, "HEAD", "/film.mp4");
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, "60000000")
    );
    for (sender, range, first) in [
        (Sender::FunctionUrl, "bytes=0-", 0u64),
        (Sender::FunctionUrl, "bytes=100-59999999", 100),
        (Sender::FunctionUrl, "bytes=100-199,300-", 100),
        (Sender::Alb, "bytes=1000-", 1000),
    ] {
        let event = sender.event("GET", "/film.mp4", &[("range", range)]);
        let call = lambda.invoke(event);
        let answer = Answer::of(&call);
        assert_eq!(answer.status, 206, "{range}");
        let limit = if sender == Sender::Alb {
            1 << 20
        } else {
            6_291_556
        };
        assert!(call.body.len() <= limit, "{range}: {}", call.body.len());
        let len = answer.body.len() as u64;
        let expected = format!("bytes {first}-{}/60000000", first + len - 1);
        assert_eq!(answer.header("content-range"), expected);
        assert!(range.contains(',') || len > 700_000, "{range}: {len}");
    }
}

#[test]
fn a_streamed_file_of_any_size_takes_no_memory() {
    let function = site().env("PHP_LAMBDA_INVOKE_MODE", "response_stream");
    sparse(&function.task_root().join("public/film.mp4"), 60_000_000);
    let mut lambda = function.start();
    assert_eq!(get(&mut lambda, "/style.css").text(), CSS);
    let before = kilobytes(lambda.pid(), "VmHWM");
    for (range, status, len) in [
        ("", 200, 60_000_000),
        ("bytes=1-", 206, 59_999_999),
        ("bytes=0-0,2-", 206, 59_999_999),
    ] {
        let answer = get_with(&mut lambda, "/film.mp4", &[("range", range)]);
        assert_eq!(answer.status, status);
        assert!(answer.body.len().abs_diff(len) < 500, "{range}");
        assert_eq!(
            answer.header("content-length"),
            answer.body.len().to_string()
        );
    }
    let grown = kilobytes(lambda.pid(), "VmHWM") - before;
    assert!(grown < 4_000, "{grown} kB");
}

#[test]
fn files_cost_the_worker_nothing() {
    let mut lambda = site()
        .file(
            "public/pid.php",
            "<?php echo json_encode(['pid' => (string) getmypid()]);",
        )
        .env("PHP_LAMBDA_MAX_REQUESTS", "2")
        .start();
    let pid = get(&mut lambda, "/pid.php").seen("pid");
    for _ in 0..5 {
        assert_eq!(get(&mut lambda, "/style.css").status, 200);
    }
    assert_eq!(get(&mut lambda, "/pid.php").seen("pid"), pid);
    assert_ne!(get(&mut lambda, "/pid.php").seen("pid"), pid);
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
        let form = crate::lambda::request(
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
        let event = crate::lambda::request("POST", "/admin/", "", &headers, Some(&body));
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
