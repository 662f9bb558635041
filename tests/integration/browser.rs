//! A site that `lambda-local` serves, and its visitors.

use std::collections::BTreeMap;

use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{Client, Method, StatusCode, Url};

use crate::lambda::{Function, PATIENCE, bootstrap};
use crate::program::{FREE_PORT, Program, lambda_local};

/// A running `lambda-local`.
pub struct Site {
    program: Program,
    pub base: Url,
    pub function: Function,
}

impl Site {
    pub fn start(function: Function) -> Site {
        Site::start_with(function, &[])
    }

    /// With more options of `lambda-local`.
    pub fn start_with(function: Function, options: &[&str]) -> Site {
        let mut command = lambda_local();
        command
            .args(FREE_PORT)
            .arg("--bootstrap")
            .arg(bootstrap())
            .arg("--env")
            .arg(format!("TMPDIR={}", function.temp_dir().display()))
            .args(options)
            .arg(function.task_root());
        let mut program = Program::start(&mut command).unwrap();
        let base = Url::parse(&program.url()).unwrap();
        Site {
            program,
            base,
            function,
        }
    }

    pub fn browser(&self) -> Browser {
        Browser {
            client: Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .timeout(PATIENCE)
                .build()
                .unwrap(),
            base: self.base.clone(),
            cookies: BTreeMap::new(),
        }
    }

    /// Ends it, and returns what its log has beside lambda-local's own lines: nothing, when all is well.
    pub fn complaints(self) -> Vec<String> {
        let mut lines = self.program.stop();
        lines.retain(|line| {
            ["START ", "END ", "REPORT "]
                .iter()
                .all(|start| !line.starts_with(start))
        });
        lines
    }
}

/// A visitor: keeps cookies, and follows a redirect when told to.
pub struct Browser {
    pub client: Client,
    pub base: Url,
    pub cookies: BTreeMap<String, String>,
}

/// An answer, with the address that it came from.
pub struct Page {
    pub url: Url,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Browser {
    pub async fn send(
        &mut self,
        method: Method,
        url: Url,
        content: Option<(String, Vec<u8>)>,
    ) -> Page {
        let mut request = self.client.request(method, url.clone());
        if !self.cookies.is_empty() {
            let cookies: Vec<_> = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            request = request.header(COOKIE, cookies.join("; "));
        }
        if let Some((content_type, body)) = content {
            request = request.header(CONTENT_TYPE, content_type).body(body);
        }
        let response = request.send().await.unwrap();
        for cookie in response.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            // the site is plain HTTP: a browser would not send such a cookie back
            assert!(!attributes.to_lowercase().contains("secure"), "{cookie}");
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        Page {
            url,
            status: response.status(),
            headers: response.headers().clone(),
            body: response.bytes().await.unwrap().to_vec(),
        }
    }

    pub async fn get(&mut self, url: &Url) -> Page {
        self.send(Method::GET, url.clone(), None).await
    }

    /// Sends a form to where the page came from.
    pub async fn fill(&mut self, page: &Page, fields: &[(&str, &str)]) -> Page {
        let mut form = Url::parse("form:").unwrap();
        form.query_pairs_mut().extend_pairs(fields);
        let content = (
            "application/x-www-form-urlencoded".to_owned(),
            form.query().unwrap().as_bytes().to_vec(),
        );
        self.send(Method::POST, page.url.clone(), Some(content))
            .await
    }

    /// The page that a redirect leads to, which is of this site.
    pub async fn follow(&mut self, page: Page) -> Page {
        assert_eq!(page.status, StatusCode::FOUND, "{}", page.text());
        let location = page.headers[LOCATION].to_str().unwrap();
        let url = page.url.join(location).unwrap();
        assert_eq!(url.origin(), self.base.origin(), "{location}");
        self.get(&url).await
    }
}

impl Page {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// The text between these two, such as the value of a form's hidden field, which must be there.
    pub fn part(&self, start: &str, end: &str) -> String {
        let text = self.text();
        let part = between(&text, start, end);
        part.unwrap_or_else(|| panic!("no {start} in {text}"))
            .to_owned()
    }
}

/// What stands between these two in a text.
pub fn between<'t>(text: &'t str, start: &str, end: &str) -> Option<&'t str> {
    Some(text.split_once(start)?.1.split_once(end)?.0)
}
