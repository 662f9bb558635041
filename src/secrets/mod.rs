//! The values that variables refer to, from AWS's Parameters and Secrets extension on the sandbox's loopback.
//!
//! Source: "Using Parameter Store parameters in AWS Lambda functions" (Systems Manager) and "Use Secrets Manager secrets in
//! Lambda functions" in AWS's documentation. What neither says: the extension answers with 400 and `not ready to serve
//! traffic, please wait` until Lambda has told it of the first invocation.

mod answer;
mod query;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderName, HeaderValue};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::config::{SessionToken, Value};
use crate::process::environment::Environment;

const TOKEN: HeaderName = HeaderName::from_static("x-aws-parameters-secrets-token");

/// How many are asked for at once: more only wait inside the extension.
const AT_ONCE: usize = 10;

/// The extension is started before the runtime; it listens within this time.
const APPEARANCE: Duration = Duration::from_secs(1);

/// Between two questions to an extension that is not there yet or not ready.
const PAUSE: Duration = Duration::from_millis(10);

/// The client of the extension.
pub struct Extension {
    client: reqwest::Client,
    port: u16,
    token: HeaderValue,
}

/// Why there are no values.
#[derive(Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// The extension is there, and does not serve yet.
    NotReady,
    /// Which variables have none, and what to do.
    Failed(String),
}

/// How long to wait.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For an extension that is not ready.
    pub until_ready: Instant,
    /// For all values.
    pub until: Instant,
}

impl Extension {
    /// The extension that listens on `port`.
    pub fn new(port: u16, token: &SessionToken) -> Extension {
        let client = reqwest::Client::builder()
            // the function's proxy is for the function's own calls, and must not see a secret
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build();
        let mut token = HeaderValue::from_bytes(token.as_bytes())
            .unwrap_or_else(|_| HeaderValue::from_static(""));
        token.set_sensitive(true);
        Extension {
            client: client.expect("the client has no TLS and no resolver that could fail"),
            port,
            token,
        }
    }

    /// Asks for each place once, for several at a time.
    pub async fn resolve(
        &self,
        variables: &[(OsString, Value)],
        patience: Patience,
    ) -> Result<Environment, Unresolved> {
        let mut answers = self.ask_for_all(variables, patience).await;
        let is_not_ready = |asked: &Asked| matches!(asked, Err(Problem::NotReady));
        let mut problems = Vec::new();
        let mut environment = Environment::default();
        for (name, value) in variables {
            let reference = match value {
                Value::Literal(value) => {
                    environment.set(name, value);
                    continue;
                }
                Value::Reference(reference) => reference,
            };
            let found = match answers.get_mut(&query::of(reference)) {
                Some(Ok(body)) => answer::value(reference, body).map_err(str::to_owned),
                Some(Err(Problem::Other(text))) => Err(text.clone()),
                Some(Err(Problem::Refused(status, body))) => {
                    Err(answer::refusal(reference, *status, body))
                }
                Some(Err(Problem::NotReady)) => continue,
                None => Err("the extension did not answer in time. Look at its lines in the log; in a VPC, AWS's services need an endpoint or a NAT gateway".to_owned()),
            };
            match found {
                Ok(value) => environment.set(name, value),
                Err(problem) => problems.push(format!("{}: {problem}", name.to_string_lossy())),
            }
        }
        if !problems.is_empty() {
            let text = format!(
                "There is no value for {}. See docs/secrets.md of php-fpm-lambda.",
                problems.join("; ")
            );
            return Err(Unresolved::Failed(text));
        }
        match answers.values().any(is_not_ready) {
            true => Err(Unresolved::NotReady),
            false => Ok(environment),
        }
    }

    /// By query; one that is missing had no answer in time.
    async fn ask_for_all(
        &self,
        variables: &[(OsString, Value)],
        patience: Patience,
    ) -> BTreeMap<String, Asked> {
        let mut answers = BTreeMap::new();
        let places = variables.iter().filter_map(|(_, value)| match value {
            Value::Reference(reference) => Some(query::of(reference)),
            Value::Literal(_) => None,
        });
        let places: std::collections::BTreeSet<String> = places.collect();
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let mut questions = JoinSet::new();
        for query in places {
            let question = Question {
                client: self.client.clone(),
                url: format!("http://127.0.0.1:{}{query}", self.port),
                token: self.token.clone(),
                port: self.port,
                until_ready: patience.until_ready,
            };
            let turns = turns.clone();
            questions.spawn_local(async move {
                let _turn = turns.acquire().await;
                (query, question.ask().await)
            });
        }
        while let Ok(Some(Ok((query, asked)))) =
            timeout_at(patience.until, questions.join_next()).await
        {
            answers.insert(query, asked);
        }
        answers
    }
}

/// The body of an answer, or why there is none.
type Asked = Result<Vec<u8>, Problem>;

enum Problem {
    NotReady,
    /// With what it says.
    Refused(StatusCode, String),
    Other(String),
}

/// One place.
struct Question {
    client: reqwest::Client,
    url: String,
    token: HeaderValue,
    port: u16,
    until_ready: Instant,
}

impl Question {
    async fn ask(&self) -> Asked {
        let begun = Instant::now();
        loop {
            let request = self.client.get(&self.url).header(TOKEN, &self.token);
            let response = match request.send().await {
                Ok(response) => response,
                Err(error) if !error.is_connect() => return Err(self.broken_off()),
                Err(_) if begun.elapsed() >= APPEARANCE => return Err(self.nobody()),
                Err(_) => {
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let status = response.status();
            let Ok(body) = response.bytes().await else {
                return Err(self.broken_off());
            };
            if status.is_success() {
                return Ok(body.to_vec());
            }
            let text = String::from_utf8_lossy(&body).into_owned();
            if !answer::is_not_ready(&text) {
                return Err(Problem::Refused(status, text));
            }
            if Instant::now() >= self.until_ready {
                return Err(Problem::NotReady);
            }
            sleep(PAUSE).await;
        }
    }

    fn nobody(&self) -> Problem {
        Problem::Other(format!(
            "nothing listens at 127.0.0.1:{}. Add the layer of AWS's Parameters and Secrets extension to the function; \
             on your own machine give the value itself, lambda-local --env NAME=VALUE",
            self.port
        ))
    }

    fn broken_off(&self) -> Problem {
        let what = "what listens at 127.0.0.1:";
        let text = format!(
            "{what}{} broke its answer off. Look at the extension's lines in the log",
            self.port
        );
        Problem::Other(text)
    }
}
