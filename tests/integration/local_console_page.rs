//! The test console in a browser: its page, who is turned away from it, and what hostile content can do.

use reqwest::StatusCode;

use crate::local::Local;
use crate::local_console::{OBEYS, is_over, lines};

#[tokio::test]
async fn the_page_is_whole_and_asks_for_nothing_else() {
    let local = Local::start(OBEYS).await;
    let mut wanted = vec![String::new(), "/".to_owned()];
    let mut seen = Vec::new();
    while let Some(path) = wanted.pop() {
        let response = local.console(&path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let headers = response.headers().clone();
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; "),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert!(
            headers["content-type"]
                .to_str()
                .unwrap()
                .ends_with("; charset=utf-8")
        );
        let text = response.text().await.unwrap();
        for forbidden in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "style=\"",
            "onclick=",
        ] {
            assert!(!text.contains(forbidden), "{path} has {forbidden}");
        }
        for address in text
            .split("http://")
            .skip(1)
            .chain(text.split("https://").skip(1))
        {
            let is_data = address.starts_with("www.w3.org/2000/svg") || path == "/templates.js";
            assert!(is_data, "{path} names {address:.40}");
        }
        let page = text.split("/_console/").skip(1).filter(|_| path.is_empty());
        let modules = text.split(" from './").skip(1);
        for name in page.chain(modules) {
            let name = format!("/{}", name.split(['"', '\'']).next().unwrap());
            if !seen.contains(&name) {
                seen.push(name.clone());
                wanted.push(name);
            }
        }
    }
    assert_eq!(seen.len(), 13, "{seen:?}");
    for other in [
        "/x",
        "/main.js/x",
        "/..%2fmain.js",
        "/api",
        "/api/x",
        "/api/records/x",
        "/api/records/99",
        "/api/records/1/html",
    ] {
        let response = local.console(other).send().await.unwrap();
        assert!(response.status().is_client_error(), "{other}");
    }
    let lines = local.stop_with_log().await;
    assert!(
        !lines.iter().any(|line| line.starts_with("START")),
        "{lines:#?}"
    );
}

#[tokio::test]
async fn pages_of_other_sites_and_rebound_names_are_turned_away() {
    let local = Local::start(OBEYS).await;
    let port = local.address.port();
    let own = format!("Host: localhost:{port}\r\n");
    let json = "Content-Type: application/json\r\nContent-Length: 2\r\n";
    for (line, headers, status) in [
        // Under a name of its own, which now leads here.
        ("GET /_console", "Host: attacker.test\r\n".to_owned(), 403),
        (
            "GET /_console/main.js",
            format!("Host: attacker.test:{port}\r\n"),
            403,
        ),
        (
            "GET /_console/api/events",
            format!("Host: attacker.test:{port}\r\n"),
            403,
        ),
        (
            "POST /_console/api/invoke",
            format!(
                "Host: attacker.test:{port}\r\nOrigin: http://attacker.test:{port}\r\nSec-Fetch-Site: same-origin\r\n{json}"
            ),
            403,
        ),
        // From its own page.
        (
            "POST /_console/api/invoke",
            format!("{own}Origin: http://attacker.test\r\n{json}"),
            403,
        ),
        (
            "POST /_console/api/invoke",
            format!("{own}Origin: null\r\n{json}"),
            403,
        ),
        (
            "POST /_console/api/invoke",
            format!("{own}Sec-Fetch-Site: cross-site\r\n{json}"),
            403,
        ),
        (
            "POST /_console/api/invoke",
            format!("{own}Sec-Fetch-Site: same-site\r\n{json}"),
            403,
        ),
        (
            "POST /_console/api/restart",
            format!("{own}Origin: http://attacker.test\r\n{json}"),
            403,
        ),
        (
            "GET /_console/api/events",
            format!("{own}Sec-Fetch-Site: cross-site\r\n"),
            403,
        ),
        (
            "GET /_console/api/records/1",
            format!("{own}Sec-Fetch-Site: cross-site\r\n"),
            403,
        ),
        (
            "GET /_console/api/records/1/html",
            format!("{own}Sec-Fetch-Site: cross-site\r\n"),
            403,
        ),
        // A form, and a script that asks first.
        (
            "POST /_console/api/invoke",
            format!("{own}Content-Type: text/plain\r\nContent-Length: 2\r\n"),
            415,
        ),
        (
            "POST /_console/api/restart",
            format!("{own}Content-Length: 2\r\n"),
            415,
        ),
        (
            "OPTIONS /_console/api/invoke",
            format!("{own}Origin: http://attacker.test\r\nAccess-Control-Request-Method: POST\r\n"),
            403,
        ),
        ("GET /_console/api/invoke", own.clone(), 405),
        (
            "GET /_console",
            "Host: localhost\r\nHost: localhost\r\n".to_owned(),
            403,
        ),
    ] {
        let request = format!("{line} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n{{}}");
        let answer = local.raw(&request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}: {answer}"
        );
        assert!(
            !answer.to_lowercase().contains("access-control-allow"),
            "{answer}"
        );
    }
    for host in [
        "localhost",
        "console.localhost:8080",
        "127.0.0.1:8080",
        "[::1]:8080",
        "192.168.1.20:9000",
    ] {
        let request = format!(
            "GET /_console HTTP/1.1\r\nHost: {host}\r\nSec-Fetch-Site: cross-site\r\nConnection: close\r\n\r\n"
        );
        let answer = local.raw(&request).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
    }
    let lines = local.stop_with_log().await;
    assert!(
        !lines
            .iter()
            .any(|line| line.starts_with("START") || line.contains("the sandbox ends")),
        "{lines:#?}"
    );
}

#[tokio::test]
async fn hostile_content_is_told_as_it_is() {
    let local = Local::start(OBEYS).await;
    let event = "{\"do\":\"print\",\"text\":\"</script><img src=x onerror=alert(1)>\\u001b[31m \\u202e data: x\\n\\nevent: forged\\n\"}";
    local.answer(event).await;
    let path = "/%3Cscript%3E?'&{}%0d%0a";
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-A: </script>\r\nConnection: close\r\n\r\n");
    local.raw(&request).await;
    let mut events = local.events().await;
    // That the feed can be read at all says that nothing has broken out of its event.
    let listed = events
        .until(|record| is_over(record) && record["source"] == "http")
        .await;
    assert_eq!(listed["label"], format!("GET {path}"));
    let printed = local
        .record(|record| is_over(record) && record["source"] == "console")
        .await;
    assert_eq!(printed["calls"][0]["response"]["text"], event);
    let lines = lines(&printed);
    assert_eq!(
        lines[1..5],
        [
            "function: </script><img src=x onerror=alert(1)>\u{1b}[31m \u{202e} data: x",
            "function: ",
            "function: event: forged",
            "function: "
        ]
    );
    local.stop().await;
}

#[tokio::test]
async fn html_is_shown_in_a_frame_that_can_do_nothing() {
    let local = Local::start(OBEYS).await;
    local.answer(r#"{"do":"page"}"#).await;
    let page = local.record(is_over).await["number"].clone();
    let html = local
        .console(&format!("/api/records/{page}/html"))
        .send()
        .await
        .unwrap();
    let policy = html.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        policy.starts_with("sandbox; default-src 'none'; "),
        "{policy}"
    );
    assert!(
        !policy.contains("script") && !policy.contains("allow-"),
        "{policy}"
    );
    assert_eq!(html.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(html.headers()["x-content-type-options"], "nosniff");
    assert_eq!(html.text().await.unwrap(), "<script>alert(1)</script>");
    local.answer("{}").await;
    let json = local
        .record(|record| is_over(record) && record["number"] == 3)
        .await["number"]
        .clone();
    let none = local
        .console(&format!("/api/records/{json}/html"))
        .send()
        .await
        .unwrap();
    assert_eq!(none.status(), StatusCode::NOT_FOUND);
    local.stop().await;
}
