//! The files of a site, which come without PHP: whole, in part, compressed, or unchanged.

use std::fs;

use crate::differential::binary;
use crate::lambda::chmod;
use crate::process::kilobytes;
use crate::sites::{ALL, Answer, CSS, Sender, get, get_with, send, site};

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
                let streams = matches!(sender, Sender::FunctionUrl | Sender::RestApi);
                assert_eq!(call.is_stream(), mode == "response_stream" && streams);
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

#[test]
fn a_file_that_cannot_be_read_is_explained_in_the_log() {
    let function = site()
        .file("public/closed.css", CSS)
        .file("public/open.css", CSS)
        .file("public/open.css.gz", "closed");
    for name in ["closed.css", "open.css.gz"] {
        chmod(function.task_root().join("public").join(name), 0o000);
    }
    let mut lambda = function.start();
    for (path, request, file) in [
        ("/closed.css", "request-1", "closed.css"),
        ("/open.css", "request-2", "open.css.gz"),
    ] {
        let event = Sender::FunctionUrl.event("GET", path, &[("accept-encoding", "gzip")]);
        let answer = Answer::of(&lambda.invoke(event));
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (403, "Forbidden.\n")
        );
        let log = lambda.log();
        let words = format!("{request}\tWARN\t{file} cannot be read");
        assert!(log.contains(&words) && log.contains("644"), "{log}");
    }
}

#[test]
fn what_is_too_large_for_an_answer_that_is_sent_whole_says_so() {
    let function = site().sparse_file("public/film.mp4", 60_000_000);
    let public = function.task_root().join("public");
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
    let mut lambda = site()
        .sparse_file("public/film.mp4", 60_000_000)
        .env("PHP_LAMBDA_INVOKE_MODE", "response_stream")
        .start();
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
