//! An application that nobody here wrote, Debian's Adminer on SQLite, as its user meets it: a browser, HTTP, `lambda-local`,
//! the bootstrap, php-fpm.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use reqwest::header::{HOST, LOCATION};
use reqwest::{Method, StatusCode, Url};

use crate::browser::{Browser, Page, Site, between};
use crate::differential::binary;
use crate::lambda::{Function, needs};

const ADMINER: &str = "/usr/share/adminer/adminer.php";

/// Adminer refuses a database without a password, which SQLite's are; this is the way around that its documentation names.
const INDEX_PHP: &str = r#"<?php
function adminer_object() {
    include_once "/usr/share/adminer/plugins/login-password-less.php";
    return new Adminer\Plugins([
        new AdminerLoginPasswordLess(password_hash("sesame", PASSWORD_BCRYPT, ["cost" => 4])),
    ]);
}
include "/usr/share/adminer/adminer.php";
"#;

impl Browser {
    /// The page behind a link of another page.
    async fn click(&mut self, page: &Page, link: &str) -> Page {
        let url = page.link(link);
        self.get(&url).await
    }

    /// Fills in the form of a page and sends it, as Adminer's forms go, to where the page came from.
    async fn submit(&mut self, page: &Page, fields: &[(&str, &str)]) -> Page {
        let token = page.token();
        self.fill(page, &[fields, &[("token", &token)]].concat())
            .await
    }

    /// A form with a file.
    async fn upload(
        &mut self,
        page: &Page,
        fields: &[(&str, &str)],
        (name, filename, file): (&str, &str, &[u8]),
    ) -> Page {
        const BOUNDARY: &str = "----0123456789abcdef";
        let token = page.token();
        let mut body = Vec::new();
        for (name, value) in fields.iter().chain(&[("token", token.as_str())]) {
            write!(
                body,
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            )
            .unwrap();
        }
        write!(
            body,
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{filename}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        )
        .unwrap();
        body.extend_from_slice(file);
        write!(body, "\r\n--{BOUNDARY}--\r\n").unwrap();
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        self.send(Method::POST, page.url.clone(), Some((content_type, body)))
            .await
    }

    async fn log_in(&mut self, password: &str) -> Page {
        let front = self.get(&self.base.clone()).await;
        let fields = [
            ("auth[driver]", "sqlite"),
            ("auth[server]", ""),
            ("auth[username]", ""),
            ("auth[password]", password),
            ("auth[db]", ""),
        ];
        let answer = self.submit(&front, &fields).await;
        self.follow(answer).await
    }
}

impl Page {
    /// It is a page of Adminer, whole, with this heading.
    fn is(&self, heading: &str) -> &Page {
        let text = self.text();
        let content = self.content();
        assert_eq!(between(&text, "<h2>", "</h2>"), Some(heading), "{content}");
        assert!(text.starts_with("<!DOCTYPE html>"), "{text}");
        assert!(text.trim_end().ends_with("</script>"), "{text}");
        assert_eq!(self.header("content-type"), "text/html; charset=utf-8");
        self
    }

    fn says(&self, what: &str) -> &Page {
        assert!(self.text().contains(what), "{what}: {}", self.content());
        self
    }

    fn says_not(&self, what: &str) -> &Page {
        assert!(!self.text().contains(what), "{what}: {}", self.content());
        self
    }

    /// What a failed test shows: not the menus around it.
    fn content(&self) -> String {
        let text = self.text();
        let content = between(&text, "<h2>", "<div id='foot'");
        content.unwrap_or(&text).to_owned()
    }

    /// Where the link with this text leads.
    fn link(&self, text: &str) -> Url {
        let page = self.text();
        let before = page
            .split_once(&format!(">{text}</a>"))
            .unwrap_or_else(|| panic!("no link {text:?} in {page}"))
            .0;
        let tag = before.rsplit_once("<a ").unwrap().1;
        let address = ["href='", "href=\""]
            .iter()
            .find_map(|start| between(tag, start, &start[5..]))
            .unwrap_or_else(|| panic!("no address in {tag}"));
        self.url.join(&address.replace("&amp;", "&")).unwrap()
    }

    /// The secret with which a form proves that this site sent it.
    fn token(&self) -> String {
        self.part("name='token' value='", "'")
    }
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = Command::new("gzip")
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip can be started; where it is missing: apt-get install gzip");
    let mut input = gzip.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let mut output = Vec::new();
    gzip.stdout
        .take()
        .unwrap()
        .read_to_end(&mut output)
        .unwrap();
    writer.join().unwrap().unwrap();
    assert!(gzip.wait().unwrap().success());
    output
}

fn adminer() -> Site {
    needs(ADMINER, "adminer");
    let function = Function::new(INDEX_PHP);
    // its sessions, and its count of refused visitors, are not those of another test
    let temp = function.temp_dir().display().to_string();
    let settings = ["session.save_path", "upload_tmp_dir", "sys_temp_dir"];
    let ini = settings.map(|name| format!("{name} = \"{temp}\"\n"));
    Site::start(function.file("php.ini", &ini.concat()))
}

#[tokio::test]
async fn who_may_come_in() {
    let site = adminer();
    let mut browser = site.browser();
    let front = browser.get(&site.base).await;
    front.is("Login");
    assert_eq!(front.status, StatusCode::OK);
    let first_session = browser.cookies["adminer_sid"].clone();

    let refused = browser.log_in("wrong").await;
    refused
        .is("Login")
        .says("Database does not support password.");
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.cookies.len(), 3, "{:?}", browser.cookies);

    let servers = browser.log_in("sesame").await;
    servers.is("Select database").says_not("class='error'");
    assert_ne!(browser.cookies["adminer_sid"], first_session);

    // somebody without the cookie, in between, and then the owner of it again
    let mut stranger = site.browser();
    let refused = stranger.get(&servers.url).await;
    refused.is("Login");
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    browser.get(&servers.url).await.is("Select database");

    let goodbye = browser.submit(&servers, &[("logout", "Logout")]).await;
    let goodbye = browser.follow(goodbye).await;
    goodbye.says("Logout successful.");
    browser.get(&servers.url).await.is("Login");
    assert_eq!(site.complaints(), [""; 0]);
}

#[tokio::test]
async fn what_is_no_page_arrives_too() {
    let site = adminer();
    let mut browser = site.browser();
    let front = browser.get(&site.base).await;
    let text = front.text();

    let style = between(&text, "<link rel=\"stylesheet\" href=\"", "\"").unwrap();
    let style = front.url.join(&style.replace("&amp;", "&")).unwrap();
    let style = browser.get(&style).await;
    assert_eq!(style.header("content-type"), "text/css; charset=utf-8");
    assert_eq!(style.header("cache-control"), "immutable");
    style.says("body{");

    // the browser asks again for what it has
    let again = browser
        .client
        .get(style.url.clone())
        .header("If-Modified-Since", style.header("last-modified"));
    let again = again.send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(again.bytes().await.unwrap(), "");

    let logo = between(&text, "<link rel='apple-touch-icon' href='", "'").unwrap();
    let logo = front.url.join(&logo.replace("&amp;", "&")).unwrap();
    let logo = browser.get(&logo).await;
    assert_eq!(logo.header("content-type"), "image/png");
    assert!(logo.body.starts_with(b"\x89PNG\r\n\x1a\n"));
    // the last chunk of a whole PNG
    assert!(logo.body.ends_with(b"IEND\xaeB\x60\x82"));

    let head = browser.send(Method::HEAD, site.base.clone(), None).await;
    assert_eq!(head.status, StatusCode::OK);
    assert!(head.body.is_empty());
    for name in ["content-type", "x-frame-options", "cache-control"] {
        assert_eq!(head.headers[name], front.headers[name]);
    }

    // there is one script, whatever the path is
    let elsewhere = site.base.join("/some/where?lang=de").unwrap();
    browser.get(&elsewhere).await.is("Login");
    assert_eq!(site.complaints(), [""; 0]);
}

#[tokio::test]
async fn a_database_from_its_creation_to_its_export() {
    let site = adminer();
    let mut browser = site.browser();
    let servers = browser.log_in("sesame").await;

    // a database
    let file = site.function.temp_dir().join("Zażółć & so.db");
    let form = browser.click(&servers, "Create database").await;
    let forged = browser
        .send(
            Method::POST,
            form.url.clone(),
            Some((
                "application/x-www-form-urlencoded".to_owned(),
                format!("name={}&token=1:2", file.display()).into_bytes(),
            )),
        )
        .await;
    forged.says("Invalid CSRF token.");
    assert!(!file.exists());
    let created = browser
        .submit(
            &form,
            &[("name", file.to_str().unwrap()), ("collation", "")],
        )
        .await;
    let database = browser.follow(created).await;
    database
        .is(&format!(
            "Database: {}",
            file.to_str().unwrap().replace('&', "&amp;")
        ))
        .says("Database has been created.")
        .says("No tables.");
    assert!(file.exists());
    // the message was for once
    let database = browser.get(&database.url).await;
    database.says_not("Database has been created.");

    // a table
    let form = browser.click(&database, "Create table").await;
    let fields = [
        ("name", "Dinge & Söhne"),
        ("auto_increment_col", "1"),
        ("fields[1][field]", "id"),
        ("fields[1][type]", "integer"),
        ("fields[2][field]", "name"),
        ("fields[2][type]", "text"),
        ("fields[2][null]", "1"),
        ("fields[3][field]", "data"),
        ("fields[3][type]", "blob"),
        ("fields[3][null]", "1"),
    ];
    let created = browser.submit(&form, &fields).await;
    let table = browser.follow(created).await;
    table
        .is("Table: Dinge &amp; Söhne")
        .says("Table has been created.");

    // a row with a file of every byte, two megabytes of them
    let blob = binary(2_000_000);
    let form = browser.click(&table, "New item").await;
    form.is("Insert: Dinge &amp; Söhne");
    let fields = [
        ("fields[id]", ""),
        ("function[name]", ""),
        ("fields[name]", "first\r\nrow"),
        ("function[data]", ""),
        ("save", "1"),
    ];
    let inserted = browser
        .upload(&form, &fields, ("fields-data", "a b.bin", &blob))
        .await;
    let rows = browser.follow(inserted).await;
    rows.says("Item 1 has been inserted.")
        .says("<i>2,000,000 bytes</i>");

    // changed
    let form = browser.click(&rows, "edit").await;
    form.is("Edit: Dinge &amp; Söhne")
        .says("first\r\nrow</textarea>");
    let fields = [
        ("fields[id]", "1"),
        ("function[name]", ""),
        (
            "fields[name]",
            "\"zażółć\" <b>gęślą</b> & 'jaźń' 🐘 100 % + 1",
        ),
        ("save", "1"),
    ];
    let updated = browser.submit(&form, &fields).await;
    let rows = browser.follow(updated).await;
    rows.says("Item has been updated.")
        .says("&quot;zażółć&quot; &lt;b&gt;gęślą&lt;/b&gt; &amp; &#039;jaźń&#039; 🐘 100 % + 1");

    // and back to the byte
    let download = browser.click(&rows, "<i>2,000,000 bytes</i>").await;
    assert_eq!(download.header("content-type"), "application/octet-stream");
    assert_eq!(
        download.header("content-disposition"),
        "attachment; filename=Dinge---S--hne-1.data"
    );
    assert_eq!(download.header("content-length"), "2000000");
    assert!(download.body == blob);

    // a file with SQL
    let mut sql = String::from("CREATE TABLE numbers (n INTEGER, t TEXT);\n");
    for number in 0..3_000 {
        sql += &format!("INSERT INTO numbers VALUES ({number}, 'łęk; it''s {number}');\n");
    }
    let form = browser.click(&database, "Import").await;
    let fields = [("error_stops", "1"), ("only_errors", "1")];
    let imported = browser
        .upload(
            &form,
            &fields,
            ("sql_file[]", "numbers.sql", sql.as_bytes()),
        )
        .await;
    imported
        .is("Import")
        .says("3,001 queries executed OK.")
        .says_not("class='error'");

    // everything out again, compressed
    let form = browser.click(&imported, "Export").await;
    let fields = [
        ("output", "gz"),
        ("format", "sql"),
        ("table_style", "DROP+CREATE"),
        ("data_style", "INSERT"),
        ("tables[]", "numbers"),
        ("data[]", "numbers"),
        ("tables[]", "Dinge & Söhne"),
        ("data[]", "Dinge & Söhne"),
    ];
    let export = browser.submit(&form, &fields).await;
    assert_eq!(export.header("content-type"), "application/x-gzip");
    let dump = String::from_utf8(gunzip(&export.body)).unwrap();
    assert_eq!(dump.matches("INSERT INTO \"numbers\"").count(), 3_000);
    for number in [0, 2_999] {
        assert!(dump.contains(&format!("({number},\t'łęk; it''s {number}')")));
    }
    let hex = blob.iter().map(|byte| format!("{byte:02x}"));
    assert!(
        dump.to_lowercase()
            .contains(&format!("x'{}'", hex.collect::<String>()))
    );

    // and as a table to the byte
    let fields = [
        ("output", "file"),
        ("format", "csv"),
        ("table_style", ""),
        ("data_style", "INSERT"),
        ("data[]", "numbers"),
    ];
    let export = browser.submit(&form, &fields).await;
    assert_eq!(export.header("content-type"), "text/csv; charset=utf-8");
    let rows = (1..3_000).map(|number| format!("{number},\"łęk; it's {number}\"\r\n"));
    // Adminer begins with a byte order mark, and puts a zero in quotes
    let first = "\u{feff}\"0\",\"łęk; it's 0\"\r\n".to_owned();
    assert!(export.text() == first + &rows.collect::<String>());

    // what is not there
    let mut nowhere = database.url.clone();
    nowhere.query_pairs_mut().clear().extend_pairs([
        ("sqlite", ""),
        ("username", ""),
        ("db", "nowhere.db"),
    ]);
    let missing = browser.get(&nowhere).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    missing.says("Invalid database.");
    fs::remove_file(&file).unwrap();
    let missing = browser.get(&database.url).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert_eq!(site.complaints(), [""; 0]);
}

/// Says where it believes to be, and redirects with a whole address, as frameworks do.
const WHERE: &str = r#"<?php
$scheme = ($_SERVER['HTTPS'] ?? '') === 'on' ? 'https' : 'http';
header("Location: $scheme://$_SERVER[HTTP_HOST]/there?x=%20y");
header('Content-Type: application/json');
$names = ['REQUEST_SCHEME', 'SERVER_NAME', 'SERVER_PORT', 'REMOTE_ADDR', 'HTTP_X_FORWARDED_FOR', 'HTTP_X_FORWARDED_PROTO',
    'HTTP_X_FORWARDED_PORT', 'HTTP_X_FORWARDED_HOST'];
print json_encode(array_map(fn ($name) => $_SERVER[$name] ?? null, $names));
"#;

#[tokio::test]
async fn addresses_lead_back_to_where_the_visitor_is() {
    let site = Site::start(Function::new(WHERE));
    let client = site.browser().client;
    let port = site.base.port().unwrap().to_string();
    let ask = async |headers: &[(&str, &str)]| {
        let mut request = client.get(site.base.clone());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let location = response.headers()[LOCATION].to_str().unwrap().to_owned();
        let seen: Vec<Option<String>> =
            serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        let seen: Vec<String> = seen.into_iter().map(Option::unwrap_or_default).collect();
        (location, seen)
    };
    let seen = |values: [&str; 8]| -> Vec<String> { values.map(str::to_owned).to_vec() };

    // as it was started
    let here = format!("{}there?x=%20y", site.base);
    let (location, values) = ask(&[]).await;
    assert_eq!(location, here);
    let plain = seen([
        "http",
        "127.0.0.1",
        &port,
        "127.0.0.1",
        "127.0.0.1",
        "http",
        &port,
        "",
    ]);
    assert_eq!(values, plain);

    // behind a mapped port, a name, and the port that needs no naming
    for (host, name, port) in [
        ("localhost:9000", "localhost", "9000"),
        ("shop.example:8443", "shop.example", "8443"),
        ("shop.example", "shop.example", "80"),
    ] {
        let (location, values) = ask(&[(HOST.as_str(), host)]).await;
        assert_eq!(location, format!("http://{host}/there?x=%20y"));
        let expected = seen([
            "http",
            name,
            port,
            "127.0.0.1",
            "127.0.0.1",
            "http",
            port,
            "",
        ]);
        assert_eq!(values, expected, "{host}");
    }

    // what a visitor claims of himself: the chain grows, the rest is lambda-local's to say
    let claims = [
        ("X-Forwarded-For", "203.0.113.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Port", "1"),
        ("X-Forwarded-Host", "evil.example"),
    ];
    let (location, values) = ask(&claims).await;
    assert_eq!(location, here);
    let expected = seen([
        "http",
        "127.0.0.1",
        &port,
        "127.0.0.1",
        "203.0.113.7, 127.0.0.1",
        "http",
        &port,
        "evil.example",
    ]);
    assert_eq!(values, expected);
}
