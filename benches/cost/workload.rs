//! What is invoked: a script, the event that it gets and the answer that is expected of it.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

/// The largest binary body, in bytes, whose base64 still fits into Lambda's 6,291,556 with some envelope: "5 MB" of a file
/// are 6.7 MB of base64, which Lambda takes in neither direction.
const LARGEST_BINARY: usize = 4_700_000;

/// A script and how it is invoked.
pub struct Workload {
    pub name: &'static str,
    /// `index.php`.
    script: String,
    /// Payload 2.0, as a Function URL sends it.
    pub event: Vec<u8>,
    /// Bytes of the answer's body, decoded.
    body_len: usize,
    /// From the beginning of one invocation to that of the next; `None`: at once.
    pub period: Option<Duration>,
    /// Invocations in each round.
    pub count: usize,
}

impl Workload {
    pub fn all() -> Vec<Workload> {
        vec![
            Workload {
                count: 500,
                ..Workload::hello()
            },
            Workload {
                name: "hello, one every 3 ms",
                period: Some(Duration::from_millis(3)),
                count: 80,
                ..Workload::hello()
            },
            Workload {
                name: "1 MB of text",
                count: 50,
                ..Workload::text(1_000_000)
            },
            Workload {
                name: "5 MB of text",
                count: 12,
                ..Workload::text(5_000_000)
            },
            Workload {
                name: "1 MB binary",
                count: 50,
                ..Workload::binary(1_000_000)
            },
            Workload {
                name: "4.7 MB binary",
                count: 12,
                ..Workload::largest_binary()
            },
            Workload {
                name: "4.7 MB upload",
                count: 12,
                ..Workload::largest_upload()
            },
        ]
    }

    pub fn hello() -> Workload {
        Workload {
            name: "hello, back to back",
            script: "<?php echo 'Hello World!';\n".into(),
            event: event("GET", None),
            body_len: 12,
            period: None,
            count: 1,
        }
    }

    /// Lines such as HTML has: with quotation marks, newlines and letters beyond ASCII, which make JSON longer and slower.
    pub fn text(len: usize) -> Workload {
        let line =
            "<li class=\"entry\">Grüße: the quick brown fox jumps over a lazy dog today</li>\n";
        assert_eq!(len % line.len(), 0, "a letter would be cut in two");
        let script = format!("<?php echo str_repeat('{line}', {});\n", len / line.len());
        Workload {
            name: "text",
            script,
            event: event("GET", None),
            body_len: len,
            period: None,
            count: 1,
        }
    }

    pub fn binary(len: usize) -> Workload {
        let script = format!(
            "<?php header('Content-Type: image/png');\n\
             echo substr(\"\\x89PNG\\r\\n\\x1a\\n\" . str_repeat(hash('sha512', '', true), intdiv({len}, 64) + 1), 0, {len});\n"
        );
        Workload {
            name: "binary",
            script,
            event: event("GET", None),
            body_len: len,
            period: None,
            count: 1,
        }
    }

    pub fn largest_binary() -> Workload {
        Workload::binary(LARGEST_BINARY)
    }

    pub fn largest_upload() -> Workload {
        let body: Vec<u8> = (0..LARGEST_BINARY)
            .map(|at| (at * 31 + at / 251) as u8)
            .collect();
        Workload {
            name: "upload",
            // one byte of the answer for each million read
            script:
                "<?php echo str_repeat('x', intdiv(strlen(file_get_contents('php://input')), 1000000));\n"
                    .into(),
            event: event("POST", Some(&body)),
            body_len: LARGEST_BINARY / 1_000_000,
            period: None,
            count: 1,
        }
    }

    /// Pieces that PHP flushes, each with the moment when it was printed: nanoseconds of CLOCK_MONOTONIC, 20 digits and a newline.
    pub fn pieces(count: usize, pause: Duration) -> Workload {
        let script = format!(
            "<?php for ($i = 0; $i < {count}; $i++) {{ if ($i) usleep({}); printf(\"%020d\\n\", hrtime(true)); flush(); }}\n",
            pause.as_micros()
        );
        Workload {
            name: "pieces",
            script,
            event: event("GET", None),
            body_len: count * 21,
            period: None,
            count: 1,
        }
    }

    /// Far more than fits into an answer that is not streamed, printed 32 KiB at a time.
    pub fn large(len: usize) -> Workload {
        assert_eq!(len % 32_768, 0, "whole pieces");
        let script = format!(
            "<?php header('Content-Type: application/octet-stream'); $piece = str_repeat('0123456789abcdef', 2048);\n\
             for ($i = 0; $i < {}; $i++) echo $piece;\n",
            len / 32_768
        );
        Workload {
            name: "large",
            script,
            event: event("GET", None),
            body_len: len,
            period: None,
            count: 1,
        }
    }

    /// Puts the script where the function's code is.
    pub fn install(&self, task_root: &Path) {
        let path = task_root.join("index.php");
        fs::write(&path, &self.script).expect("the task root can be written");
        make_old(&path);
    }

    /// That it is the work that was asked for, and not a quick error.
    pub fn check(&self, answer: &[u8]) {
        assert_eq!(body_of(answer).len(), self.body_len, "{}", self.name);
    }
}

/// The body of an answer; it must be a success.
pub fn body_of(answer: &[u8]) -> Vec<u8> {
    let json: Value = serde_json::from_slice(answer).expect("an answer is JSON");
    assert_eq!(
        json["statusCode"],
        200,
        "{}",
        String::from_utf8_lossy(&answer[..answer.len().min(999)])
    );
    let body = json["body"].as_str().expect("a body");
    match json["isBase64Encoded"] == true {
        true => base64_simd::STANDARD.decode_to_vec(body).expect("base64"),
        false => body.as_bytes().to_vec(),
    }
}

/// opcache does not keep a script that has just been written (opcache.file_update_protection).
pub fn make_old(path: &Path) {
    let file = File::options().write(true).open(path);
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    file.and_then(|file| file.set_modified(hour_ago))
        .expect("the script is ours");
}

fn event(method: &str, body: Option<&[u8]>) -> Vec<u8> {
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/some/page",
        "rawQueryString": "a=1&b=two",
        "cookies": ["session=0123456789abcdef0123456789abcdef", "theme=dark"],
        "headers": {
            "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            "accept-encoding": "gzip, deflate, br",
            "accept-language": "en-GB,en;q=0.5",
            "host": "abcdefghijklmnopqrstuvwxyz012345.lambda-url.eu-central-1.on.aws",
            "sec-fetch-dest": "document",
            "sec-fetch-mode": "navigate",
            "sec-fetch-site": "none",
            "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "x-amzn-trace-id": "Root=1-67b9c6e5-0123456789abcdef01234567",
            "x-forwarded-for": "198.51.100.7",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "queryStringParameters": {"a": "1", "b": "two"},
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "abcdefghijklmnopqrstuvwxyz012345",
            "domainName": "abcdefghijklmnopqrstuvwxyz012345.lambda-url.eu-central-1.on.aws",
            "domainPrefix": "abcdefghijklmnopqrstuvwxyz012345",
            "http": {
                "method": method,
                "path": "/some/page",
                "protocol": "HTTP/1.1",
                "sourceIp": "198.51.100.7",
                "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            },
            "requestId": "e2f3e4d5-0c1b-4a29-8d3e-4f5061728394",
            "routeKey": "$default",
            "stage": "$default",
            "time": "22/Nov/2026:15:55:03 +0000",
            "timeEpoch": 1_795_362_903_000_u64,
        },
        "isBase64Encoded": body.is_some(),
    });
    if let Some(body) = body {
        event["headers"]["content-type"] = "application/octet-stream".into();
        event["headers"]["content-length"] = body.len().to_string().into();
        event["body"] = base64_simd::STANDARD.encode_to_string(body).into();
    }
    event.to_string().into_bytes()
}
