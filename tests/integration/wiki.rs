//! A classic application that nobody here wrote, Debian's DokuWiki, as a site: many scripts, many files, many images.

use std::process::Command;

use reqwest::{Method, StatusCode, Url};

use crate::browser::{Browser, Page, Site, between};
use crate::differential::binary;
use crate::lambda::Function;

fn wiki() -> Site {
    let function = Function::new("<?php echo 'SECRET';");
    let root = function.task_root();
    let assemble = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dokuwiki/assemble");
    let made = Command::new(assemble).arg(&root).output().unwrap();
    let words = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{words}");
    let temp = function.temp_dir().display().to_string();
    let ini = format!("session.save_path = \"{temp}\"\nupload_tmp_dir = \"{temp}\"\n");
    let data = format!("WIKI_DATA={temp}/wiki");
    let options = ["--handler", "public", "--env", &data];
    Site::start_with(function.file("php.ini", &ini), &options)
}

impl Browser {
    async fn open(&mut self, site: &Site, path: &str) -> Page {
        self.get(&site.base.join(path).unwrap()).await
    }

    async fn sign_in(&mut self, site: &Site) -> Page {
        let form = self.open(site, "/doku.php/start?do=login").await;
        let token = sectok(&form);
        let fields = [
            ("sectok", token.as_str()),
            ("do", "login"),
            ("u", "admin"),
            ("p", "sesame"),
        ];
        let page = self.fill(&form, &fields).await;
        self.follow(page).await
    }
}

/// The secret with which a form proves that this site sent it.
fn sectok(page: &Page) -> String {
    page.part("name=\"sectok\" value=\"", "\"")
}

#[tokio::test]
async fn pages_are_written_and_images_uploaded() {
    let site = wiki();
    let mut browser = site.browser();

    // the site's index.php sends to the wiki
    let front = browser.open(&site, "/").await;
    let front = browser.follow(front).await;
    assert_eq!(front.url.path(), "/doku.php/start");
    assert!(
        front.text().contains("A wiki on Lambda"),
        "{}",
        front.text()
    );

    // who is not known may not write
    let refused = browser.open(&site, "/doku.php/start?do=edit").await;
    assert!(!refused.text().contains("wikitext"), "{}", refused.text());
    let welcome = browser.sign_in(&site).await;
    assert!(welcome.text().contains("Ada Admin"), "{}", welcome.text());

    // a page, in a namespace: its name is PATH_INFO
    let form = browser.open(&site, "/doku.php/travel/zürich?do=edit").await;
    let token = sectok(&form);
    let words = "====== Zürich & more ======\n{{:travel:lake.png}} **bold** 🐘 100 % [[start]]\n";
    let fields = [
        ("sectok", token.as_str()),
        ("id", "travel:zürich"),
        ("rev", "0"),
        ("date", ""),
        ("prefix", "."),
        ("suffix", ""),
        ("changecheck", ""),
        ("target", "section"),
        ("wikitext", words),
        ("summary", "first"),
        ("do[save]", "1"),
    ];
    let saved = browser.fill(&form, &fields).await;
    let page = browser.follow(saved).await;
    assert_eq!(page.url.path(), "/doku.php/travel/z%C3%BCrich");
    let text = page.text();
    for part in [
        "Zürich &amp; more</h1>",
        "<strong>bold</strong>",
        "🐘 100 %",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    // an image of every byte, through the wiki's own uploader
    let mut image = b"\x89PNG\r\n\x1a\n".to_vec();
    image.extend(binary(300_000));
    let upload = site
        .base
        .join(
            "/lib/exe/ajax.php?call=mediaupload&ns=travel&id=lake.png&qqfile=lake.png&ow=0&sectok=",
        )
        .unwrap();
    let upload = Url::parse(&format!("{upload}{token}")).unwrap();
    let content = Some(("application/octet-stream".to_owned(), image.clone()));
    let uploaded = browser.send(Method::POST, upload, content).await;
    assert!(
        uploaded.text().contains("\"success\":true"),
        "{}",
        uploaded.text()
    );

    // and back to the byte, by a script that takes its name from PATH_INFO, whole and in part
    let text = browser.get(&page.url).await.text();
    let name = between(&text, "src=\"/lib/exe/fetch.php/", "\"");
    let name = name.unwrap_or_else(|| panic!("no image in {text}"));
    assert!(name.starts_with("travel/lake.png"), "{name}");
    let src = format!("/lib/exe/fetch.php/{}", name.replace("&amp;", "&"));
    let fetched = browser.open(&site, &src).await;
    assert_eq!(fetched.header("content-type"), "image/png");
    assert!(fetched.body == image, "{} bytes", fetched.body.len());

    // somebody else reads it
    let mut visitor = site.browser();
    let page = visitor.open(&site, "/doku.php/travel/z%C3%BCrich").await;
    assert!(page.text().contains("<strong>bold</strong>"));
    assert!(!page.text().contains("Ada Admin"));

    // and searches for it
    let found = visitor.open(&site, "/doku.php?do=search&q=bold").await;
    assert_eq!(found.status, StatusCode::OK);
    assert_eq!(site.complaints(), [""; 0]);
}

#[tokio::test]
async fn styles_scripts_and_images_come_without_php() {
    let site = wiki();
    let mut browser = site.browser();
    let front = browser.open(&site, "/doku.php").await;
    let text = front.text();

    // made by scripts
    for (path, media_type, part) in [
        (
            "/lib/exe/css.php?t=dokuwiki",
            "text/css; charset=utf-8",
            "#dokuwiki__",
        ),
        (
            "/lib/exe/js.php?t=dokuwiki",
            "application/javascript; charset=utf-8",
            "DOKU_BASE",
        ),
        (
            "/lib/exe/jquery.php",
            "application/javascript; charset=utf-8",
            "jQuery",
        ),
        (
            "/lib/exe/manifest.php",
            "application/manifest+json",
            "A wiki on Lambda",
        ),
        ("/feed.php", "text/xml; charset=utf-8", "<rdf:RDF"),
    ] {
        let page = browser.open(&site, path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(page.text().contains(part), "{path}: {}", page.text());
        let found = page.header("content-type").to_lowercase();
        assert_eq!(found, media_type, "{path}");
    }

    // files
    let logo = between(&text, "<img src=\"", "\"").unwrap();
    for (path, media_type) in [
        (logo, "image/png"),
        ("/lib/tpl/dokuwiki/images/favicon.ico", "image/x-icon"),
        ("/lib/tpl/dokuwiki/images/page-gradient.png", "image/png"),
        ("/lib/images/throbber.gif", "image/gif"),
        ("/lib/images/smileys/smile.svg", "image/svg+xml"),
        ("/lib/scripts/edit.js", "text/javascript; charset=utf-8"),
        ("/lib/styles/screen.css", "text/css; charset=utf-8"),
    ] {
        let file = browser.open(&site, path).await;
        assert_eq!(
            (file.status, file.header("content-type")),
            (StatusCode::OK, media_type),
            "{path}"
        );
        let on_disk = std::fs::read(site.function.task_root().join("public").join(&path[1..]));
        assert!(file.body == on_disk.unwrap(), "{path}");
        let again = browser
            .client
            .get(file.url.clone())
            .header("If-None-Match", file.header("etag"));
        assert_eq!(
            again.send().await.unwrap().status(),
            StatusCode::NOT_MODIFIED,
            "{path}"
        );
    }

    // what is beside the site, and what it hides
    for path in [
        "/conf/users.auth.php",
        "/../conf/users.auth.php",
        "/..%2fconf%2fusers.auth.php",
        "/.htaccess",
        "/inc/.htaccess",
        "/share/php/IXR/autoload.php",
    ] {
        let url = format!("{}{}", site.base.as_str().trim_end_matches('/'), path);
        let page = browser
            .client
            .get(url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        assert!(
            !page.contains("admin:") && !page.contains("Require"),
            "{path}: {page}"
        );
    }
    assert_eq!(site.complaints(), [""; 0]);
}
