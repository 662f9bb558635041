//! `lambda-local cli`: a console command for a function that another `lambda-local` serves.

use std::{
    error::Error,
    io::{self, Read, Write},
    net::SocketAddr,
};

use clap::Parser;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::local::{
    invoke_api,
    options::{address, key_value},
};

/// Run a command of the function's console (PHP_LAMBDA_CONSOLE) in a lambda-local that runs already.
///
/// Prints what the command printed, when it has ended, and exits with its exit code. The log of the other lambda-local
/// has each line as it comes.
#[derive(Debug, Parser)]
#[command(name = "lambda-local cli", version)]
pub struct Cli {
    /// Where the other lambda-local serves: its --listen
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080", value_parser = address)]
    pub address: SocketAddr,

    /// Environment variable of this command; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub env: Vec<(String, String)>,

    /// Give the command what this program reads on its own stdin; else it reads nothing
    #[arg(long)]
    pub stdin: bool,

    /// The command and its arguments, such as: -- migrate --force
    #[arg(
        value_name = "ARGUMENT",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub arguments: Vec<String>,
}

/// What came of a command.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// It ran.
    Command {
        /// Of the process; 1 where a signal ended it.
        exit_code: u8,
        /// What it printed, or the end of it.
        output: String,
        /// What is to be said beside that.
        note: Option<String>,
    },
    /// It did not, or it was stopped; the text says why.
    Failed(String),
}

/// Sends the event, prints the output, and returns the exit code.
///
/// # Errors
/// There is no lambda-local at that address, or the command did not run; the message says what to do.
pub async fn run(cli: Cli) -> Result<u8, Box<dyn Error>> {
    let address = cli.address;
    let event = event(cli, io::stdin())?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let response = client
        .post(format!("http://{address}{}", invoke_api::PATH))
        .body(event)
        .send()
        .await
        .map_err(|error| match error.is_connect() {
            true => format!(
                "nothing listens at {address}: start the function with lambda-local FUNCTION_DIR first, or name its address with --address"
            ),
            false => format!("{address} hung up: {error}"),
        })?;
    let is_error = !response.status().is_success()
        || response.headers().contains_key(invoke_api::FUNCTION_ERROR);
    let body = response.bytes().await?;
    match ended(is_error, &body) {
        Ended::Failed(text) => Err(text.into()),
        Ended::Command {
            exit_code,
            output,
            note,
        } => {
            // whoever reads no further does not want to know
            let _ = io::stdout().write_all(output.as_bytes());
            if let Some(note) = note {
                eprintln!("lambda-local: {note}");
            }
            Ok(exit_code)
        }
    }
}

fn event(cli: Cli, mut stdin: impl Read) -> Result<String, String> {
    let mut event = json!({ "cli": cli.arguments });
    if !cli.env.is_empty() {
        let variables = cli.env.into_iter();
        let variables = variables.map(|(name, value)| (name, value.into()));
        event["env"] = Value::Object(variables.collect::<Map<_, _>>());
    }
    if cli.stdin {
        let mut text = String::new();
        stdin
            .read_to_string(&mut text)
            .map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => {
                    "stdin is no UTF-8 text, and an event has nothing else: hand it on as base64"
                        .into()
                }
                _ => format!("stdin cannot be read: {error}"),
            })?;
        event["stdin"] = text.into();
    }
    Ok(event.to_string())
}

/// The bootstrap's answer, and its error.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    exit_code: Option<u8>,
    output: Option<String>,
    error_type: Option<String>,
    error_message: Option<String>,
    /// A refusal of the invoke API.
    #[serde(rename = "Message")]
    message: Option<String>,
}

fn ended(is_error: bool, body: &[u8]) -> Ended {
    let unknown = || {
        let text = String::from_utf8_lossy(&body[..body.len().min(1000)]).into_owned();
        Ended::Failed(format!(
            "the function took this for an event like any other: is its PHP_LAMBDA_CONSOLE set (--env)? It answered: {text}"
        ))
    };
    let Ok(answer) = serde_json::from_slice::<Answer>(body) else {
        return unknown();
    };
    match answer {
        Answer {
            output: Some(output),
            exit_code: Some(exit_code),
            ..
        } => Ended::Command {
            exit_code,
            output,
            note: None,
        },
        Answer {
            output: Some(output),
            error_message: Some(message),
            ..
        } if is_error => Ended::Command {
            exit_code: 1,
            output,
            // what follows the first sentence is the end of the output once more
            note: message.split_once(". ").map(|(how, _)| format!("{how}.")),
        },
        Answer {
            error_type,
            error_message: Some(message),
            ..
        } if is_error => {
            let error_type = error_type.map(|error_type| format!("{error_type}: "));
            Ended::Failed(error_type.unwrap_or_default() + &message)
        }
        Answer {
            message: Some(message),
            ..
        } if is_error => Ended::Failed(message),
        _ => unknown(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(arguments: &[&str]) -> Cli {
        Cli::try_parse_from([&["cli"], arguments].concat()).unwrap()
    }

    fn event_of(arguments: &[&str], stdin: &str) -> Value {
        let event = event(parse(arguments), stdin.as_bytes()).unwrap();
        serde_json::from_str(&event).unwrap()
    }

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_comes_behind_is_the_commands() {
        for arguments in [
            &["--", "migrate", "--force"][..],
            &["migrate", "--force"],
            &["--address", "9000", "migrate", "--force"],
        ] {
            assert_eq!(
                event_of(arguments, ""),
                json!({"cli": ["migrate", "--force"]})
            );
        }
        let event = event_of(&["--", "a b", "--env", "X=1", "--", "$HOME"], "ignored");
        assert_eq!(
            event,
            json!({"cli": ["a b", "--env", "X=1", "--", "$HOME"]})
        );
        assert_eq!(event_of(&[], ""), json!({"cli": []}));
        assert_eq!(
            parse(&["--address", "9000", "x"]).address.to_string(),
            "127.0.0.1:9000"
        );
    }

    #[test]
    fn variables_and_stdin() {
        let both = event_of(
            &["--env", "A=1", "--env", "B=x=y", "--stdin", "read"],
            "one\ntwo",
        );
        let expected = json!({"cli": ["read"], "env": {"A": "1", "B": "x=y"}, "stdin": "one\ntwo"});
        assert_eq!(both, expected);
        let no_text = event(parse(&["--stdin", "read"]), &b"\xff"[..]).unwrap_err();
        assert!(no_text.contains("stdin is no UTF-8 text"), "{no_text}");
    }

    #[test]
    fn what_came_of_it() {
        let command = |exit_code, output: &str, note: Option<&str>| Ended::Command {
            exit_code,
            output: output.to_owned(),
            note: note.map(str::to_owned),
        };
        for (is_error, body, expected) in [
            (
                false,
                r#"{"exitCode":0,"output":"a\n"}"#,
                command(0, "a\n", None),
            ),
            (
                true,
                r#"{"errorType":"Function.CommandFailed","errorMessage":"exited","stackTrace":[],"exitCode":3,"output":"b"}"#,
                command(3, "b", None),
            ),
            (
                true,
                r#"{"errorType":"Function.CommandFailed","errorMessage":"was killed. Its output ends with:\nb","exitCode":null,"output":"b"}"#,
                command(1, "b", Some("was killed.")),
            ),
            (
                true,
                r#"{"errorType":"Function.Timeout","errorMessage":"stopped"}"#,
                Ended::Failed("Function.Timeout: stopped".to_owned()),
            ),
            (
                true,
                r#"{"Type":"User","Message":"too large"}"#,
                Ended::Failed("too large".to_owned()),
            ),
        ] {
            assert_eq!(ended(is_error, body.as_bytes()), expected);
        }
        for body in ["hello", "{}", "[1]", r#"{"statusCode":200}"#, ""] {
            let Ended::Failed(text) = ended(false, body.as_bytes()) else {
                panic!("{body}");
            };
            assert!(
                text.contains("PHP_LAMBDA_CONSOLE") && text.ends_with(body),
                "{text}"
            );
        }
    }
}
