//! Frameworks that nobody here wrote, Debian's Symfony and Laravel, behind `public/index.php`: a file as the handler, as
//! docs/frameworks.md has it. The applications are in `tests/frameworks`.

use serde_json::{Value, json};

use crate::lambda::{Call, Function, Lambda, needs};

/// An application of `tests/frameworks`.
fn application(framework: &str) -> Function {
    Function::new("<?php echo 'SECRET';")
        .folder(&format!("tests/frameworks/{framework}"))
        .env("_HANDLER", "public/index.php")
}

fn symfony() -> Function {
    needs(
        "/usr/share/php/Symfony/Bundle/FrameworkBundle/autoload.php",
        "php-symfony-framework-bundle",
    );
    let function = application("symfony");
    let temp = function.temp_dir().display().to_string();
    function.env("APP_TEMP", &temp)
}

/// A request as a Function URL, an HTTP API with a domain of its own, or a load balancer sends it.
fn request(domain: &str, method: &str, path: &str, body: Option<&str>) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    json!({
        "version": "2.0", "rawPath": path, "rawQueryString": query,
        "headers": {
            "host": domain, "x-forwarded-proto": "https", "x-forwarded-port": "443", "x-forwarded-for": "203.0.113.9",
            "content-type": "application/x-www-form-urlencoded",
        },
        "requestContext": {
            "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.9" },
            "domainName": domain, "stage": "$default",
        },
        "body": body,
    })
    .to_string()
}

fn get(lambda: &mut Lambda, path: &str) -> Call {
    lambda.invoke(request("shop.example", "GET", path, None))
}

/// The values of a home page, which is JSON.
fn home(lambda: &mut Lambda) -> Value {
    serde_json::from_str(&get(lambda, "/").page()).unwrap()
}

/// The page that a form leads to.
fn sent_form(lambda: &mut Lambda) -> String {
    let event = request("shop.example", "POST", "/form", Some("a=b+c&d=%26"));
    lambda.invoke(event).page()
}

#[test]
fn symfonys_routes_lead_to_controllers_and_urls_lead_back() {
    let mut lambda = symfony().start();
    for (path, page) in [
        ("/users/Ada", "I am Ada, "),
        ("/users/Ada%20%26%20Bob?q=a%2Bb", "I am Ada & Bob, a+b"),
        ("/users/%C3%A9?q=%C3%A9", "I am é, é"),
        ("/index.php/users/Ada", "I am Ada, "),
    ] {
        assert_eq!(get(&mut lambda, path).page(), page, "{path}");
    }
    let expected = json!({
        "base": "", "path": "/", "client": "203.0.113.9", "secure": true,
        "relative": "/users/Ada%20%26%20Bob",
        "absolute": "https://shop.example/users/%C3%A9%20x?q=1%202",
    });
    assert_eq!(home(&mut lambda), expected);

    let old = get(&mut lambda, "/old").json();
    assert_eq!(old["statusCode"], 301);
    assert_eq!(old["headers"]["Location"], "https://shop.example/users/new");

    assert_eq!(sent_form(&mut lambda), r#"{"a":"b c","d":"\u0026"}"#);
    assert_eq!(get(&mut lambda, "/form").json()["statusCode"], 405);
    assert_eq!(get(&mut lambda, "/none").json()["statusCode"], 404);
}

#[test]
fn symfonys_urls_behind_a_load_balancer_keep_its_port() {
    let mut lambda = symfony().start();
    let event = json!({
        "httpMethod": "GET", "path": "/old", "requestContext": { "elb": {} },
        "headers": { "host": "shop.example:8080", "x-forwarded-proto": "http", "x-forwarded-port": "8080" },
    });
    let answer = lambda.invoke(event.to_string()).json();
    assert_eq!(
        answer["headers"]["Location"],
        "http://shop.example:8080/users/new"
    );
}

#[test]
fn an_exception_in_symfony_is_a_500_and_its_words_are_in_the_log() {
    let mut lambda = symfony().start();
    let call = get(&mut lambda, "/broken");
    assert_eq!(call.json()["statusCode"], 500);
    assert!(!call.page().contains("It broke."));
    assert!(
        call.log.contains("DomainException: \"It broke.\""),
        "{}",
        call.log
    );
    // and nothing but /tmp was written to
    let entries = std::fs::read_dir(lambda.function.task_root()).unwrap();
    assert_eq!(entries.count(), 3, "index.php, public, src");
    let written = std::fs::read_dir(lambda.function.temp_dir().join("cache"));
    assert!(written.unwrap().count() > 0, "the compiled container");
}

#[test]
fn as_a_site_symfony_has_its_assets_too() {
    let mut lambda = symfony()
        .file("public/build/app.css", "body {}")
        .file("public/users/readme.txt", "a folder named as a route")
        .env("_HANDLER", "public")
        .start();
    assert_eq!(get(&mut lambda, "/build/app.css").page(), "body {}");
    assert_eq!(get(&mut lambda, "/users/Ada").page(), "I am Ada, ");
    let home = home(&mut lambda);
    assert_eq!(home["base"], "");
    assert_eq!(home["relative"], "/users/Ada%20%26%20Bob");
    assert_eq!(get(&mut lambda, "/users").json()["statusCode"], 404);
}

fn laravel() -> Function {
    needs(
        "/usr/share/php/Illuminate/autoload.php",
        "php-laravel-framework",
    );
    let function = application("laravel");
    let temp = function.temp_dir().display().to_string();
    let caches = ["CONFIG", "EVENTS", "PACKAGES", "ROUTES", "SERVICES"];
    let function = caches.iter().fold(function, |function, cache| {
        let file = format!("{temp}/{}.php", cache.to_lowercase());
        function.env(&format!("APP_{cache}_CACHE"), &file)
    });
    function.env("LARAVEL_STORAGE_PATH", &format!("{temp}/storage"))
}

#[test]
fn laravels_routes_and_urls() {
    let mut lambda = laravel().start();
    for (path, page) in [
        ("/users/Ada", "<p>I am Ada</p>\n"),
        ("/users/%3Cb%3E%C3%A9", "<p>I am &lt;b&gt;é</p>\n"),
        ("/index.php/users/Ada", "<p>I am Ada</p>\n"),
    ] {
        assert_eq!(get(&mut lambda, path).page(), page, "{path}");
    }
    let expected = json!({
        "client": "203.0.113.9", "secure": true,
        "user": "https://shop.example/users/Ada%20&%20Bob",
        "asset": "https://shop.example/build/app.css",
    });
    assert_eq!(home(&mut lambda), expected);
    let old = get(&mut lambda, "/old").json();
    assert_eq!(old["statusCode"], 302);
    assert_eq!(old["headers"]["Location"], "https://shop.example/users/new");
    assert_eq!(sent_form(&mut lambda), r#"{"a":"b c","d":"&"}"#);
    assert_eq!(get(&mut lambda, "/none").json()["statusCode"], 404);

    // compiled templates are in /tmp, and nothing is in the code
    let storage = lambda.function.temp_dir().join("storage/framework/views");
    assert!(std::fs::read_dir(storage).unwrap().count() > 0);
    let entries = std::fs::read_dir(lambda.function.task_root()).unwrap();
    assert_eq!(
        entries.count(),
        6,
        "index.php, bootstrap, config, public, resources, routes"
    );
}

#[test]
fn laravels_session_in_a_cookie_needs_no_disk() {
    let mut lambda = laravel().start();
    let mut cookies = Vec::new();
    for visit in 1..=3 {
        let mut event: Value =
            serde_json::from_str(&request("shop.example", "GET", "/count", None)).unwrap();
        event["cookies"] = json!(cookies);
        let call = lambda.invoke(event.to_string());
        assert_eq!(call.page(), format!("Visit {visit}"));
        cookies = call.json()["cookies"]
            .as_array()
            .unwrap()
            .iter()
            .map(|cookie| {
                cookie
                    .as_str()
                    .unwrap()
                    .split(';')
                    .next()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert_eq!(
            cookies.len(),
            2,
            "the name of the session and what is in it"
        );
    }
}

#[test]
fn laravels_log_is_the_functions() {
    let mut lambda = laravel().start();
    let call = get(&mut lambda, "/log");
    assert_eq!(call.page(), "logged");
    assert!(
        call.log
            .contains("production.WARNING: from the log channel"),
        "{}",
        call.log
    );
    let call = get(&mut lambda, "/broken");
    assert_eq!(call.json()["statusCode"], 500);
    assert!(!call.page().contains("It broke."));
    assert!(
        call.log.contains("production.ERROR: It broke."),
        "{}",
        call.log
    );
}
