//! A variable's value that says where the value is: `ssm:/app/password`, `secretsmanager:app:password`.
//!
//! The parts behind the name are those of AWS: of GetParameter (`name:version`, `name:label`) and of the secrets in a task
//! definition of Amazon ECS (`id:json-key:version-stage:version-id`).

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;

const PARAMETER: &str = "ssm:";
const SECRET: &str = "secretsmanager:";

/// The credential that Lambda gave the process.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken(String);

impl SessionToken {
    /// As it stands in the environment.
    pub fn new(token: String) -> SessionToken {
        SessionToken(token)
    }

    /// For a header.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Not the token.
impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(…)")
    }
}

/// What PHP gets instead of the value that the process has.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// This: a backslash before the prefix was taken off.
    Literal(OsString),
    /// What stands there.
    Reference(Reference),
}

/// A place in AWS.
#[derive(Clone, PartialEq, Eq)]
pub enum Reference {
    /// Systems Manager's Parameter Store.
    Parameter {
        /// The name or the ARN.
        name: String,
        /// Which version; `None`: the newest.
        selector: Option<Selector>,
    },
    /// Secrets Manager.
    Secret {
        /// The name or the ARN.
        id: String,
        /// A member of the JSON object that the secret is; `None`: all of it.
        json_key: Option<String>,
        /// A staging label; `None`: AWSCURRENT.
        version_stage: Option<String>,
        /// A version's id.
        version_id: Option<String>,
    },
}

/// Which version of a parameter.
#[derive(Clone, PartialEq, Eq)]
pub enum Selector {
    /// Its number.
    Version(u64),
    /// A label that was given to it.
    Label(String),
}

impl Value {
    /// `None`: the value is what it seems to be. An error says what is wrong, as the rest of a sentence about the variable, and
    /// does not show the value.
    pub(super) fn parse(value: &OsStr) -> Option<Result<Value, String>> {
        let bytes = value.as_bytes();
        let behind_backslashes = &bytes[bytes.iter().take_while(|byte| **byte == b'\\').count()..];
        let prefix = [PARAMETER, SECRET]
            .into_iter()
            .find(|prefix| behind_backslashes.starts_with(prefix.as_bytes()))?;
        if bytes.len() > behind_backslashes.len() {
            let literal = OsStr::from_bytes(&bytes[1..]).to_owned();
            return Some(Ok(Value::Literal(literal)));
        }
        let rest = value.to_str().map(|value| &value[prefix.len()..]);
        let reference = match prefix {
            PARAMETER => rest.and_then(parameter),
            _ => rest.and_then(secret),
        };
        Some(reference.map(Value::Reference).ok_or_else(|| {
            let shapes = match prefix {
                PARAMETER => "ssm:NAME, ssm:NAME:VERSION or ssm:NAME:LABEL",
                _ => "secretsmanager:ID, or secretsmanager:ID:JSON-KEY:VERSION-STAGE:VERSION-ID, of which later parts can be empty or left out",
            };
            format!(
                "begins with {prefix} but names no place in AWS, allowed: {shapes}; a value that is meant literally has a backslash before it (\\{prefix}…)"
            )
        }))
    }
}

fn parameter(text: &str) -> Option<Reference> {
    let (name, selector) = split_off_name(text, 5);
    let selector = match selector {
        None | Some("") => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(Selector::Version(digits.parse().ok()?))
        }
        Some(label) if is_of(label, "_.-") => Some(Selector::Label(label.to_owned())),
        Some(_) => return None,
    };
    is_of(name, "_.-/:").then(|| Reference::Parameter {
        name: name.to_owned(),
        selector,
    })
}

fn secret(text: &str) -> Option<Reference> {
    let (id, parts) = split_off_name(text, 6);
    let mut parts = parts.unwrap_or_default().split(':').map(|part| {
        let part = part.to_owned();
        (!part.is_empty()).then_some(part)
    });
    let reference = Reference::Secret {
        id: id.to_owned(),
        json_key: parts.next().flatten(),
        version_stage: parts.next().flatten(),
        version_id: parts.next().flatten(),
    };
    (parts.next().is_none() && is_of(id, "/_+=.@-:!")).then_some(reference)
}

/// A name has no colon, an ARN has so many.
fn split_off_name(text: &str, colons_of_arn: usize) -> (&str, Option<&str>) {
    let colons = match text.starts_with("arn:") {
        true => colons_of_arn,
        false => 0,
    };
    match text.match_indices(':').nth(colons) {
        Some((at, _)) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

fn is_of(text: &str, signs: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || signs.contains(character))
}

/// It may be a secret that begins so by chance.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Value::Literal(_) => "Literal(…)",
            Value::Reference(_) => "Reference(…)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(value: &str) -> Reference {
        match Value::parse(OsStr::new(value)) {
            Some(Ok(Value::Reference(reference))) => reference,
            other => panic!("{value}: {other:?}"),
        }
    }

    #[test]
    fn parameters() {
        let arn = "arn:aws:ssm:eu-central-1:123456789012:parameter/app/password";
        for (value, name, selector) in [
            ("ssm:/app/password", "/app/password", None),
            ("ssm:password", "password", None),
            ("ssm:a.b_c-d:", "a.b_c-d", None),
            (
                "ssm:/app/password:12",
                "/app/password",
                Some(Selector::Version(12)),
            ),
            ("ssm:p:live", "p", Some(Selector::Label("live".to_owned()))),
            (&format!("ssm:{arn}"), arn, None),
            (&format!("ssm:{arn}:3"), arn, Some(Selector::Version(3))),
        ] {
            let expected = Reference::Parameter {
                name: name.to_owned(),
                selector,
            };
            assert!(reference(value) == expected, "{value}");
        }
    }

    #[test]
    fn secrets() {
        let arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app/db-AbCdEf";
        for (value, id, parts) in [
            ("secretsmanager:app/db", "app/db", ["", "", ""]),
            (
                "secretsmanager:app/db:password",
                "app/db",
                ["password", "", ""],
            ),
            ("secretsmanager:db:::", "db", ["", "", ""]),
            (
                "secretsmanager:db::AWSPREVIOUS:",
                "db",
                ["", "AWSPREVIOUS", ""],
            ),
            (
                "secretsmanager:db:user name::1-2",
                "db",
                ["user name", "", "1-2"],
            ),
            (&format!("secretsmanager:{arn}"), arn, ["", "", ""]),
            (
                &format!("secretsmanager:{arn}:password:s:v"),
                arn,
                ["password", "s", "v"],
            ),
        ] {
            let [json_key, version_stage, version_id] =
                parts.map(|part| (!part.is_empty()).then(|| part.to_owned()));
            let expected = Reference::Secret {
                id: id.to_owned(),
                json_key,
                version_stage,
                version_id,
            };
            assert!(reference(value) == expected, "{value}");
        }
    }

    #[test]
    fn a_backslash_is_the_way_out() {
        for (value, literal) in [
            (r"\ssm:x", "ssm:x"),
            (r"\\ssm:x", r"\ssm:x"),
            (r"\secretsmanager:", "secretsmanager:"),
        ] {
            let expected = Value::Literal(literal.into());
            assert_eq!(Value::parse(OsStr::new(value)), Some(Ok(expected)));
        }
        for value in [
            "",
            "x",
            r"\",
            r"\\",
            r"\x",
            "SSM:x",
            " ssm:x",
            "ssm",
            "https://ssm:x",
        ] {
            assert_eq!(Value::parse(OsStr::new(value)), None, "{value}");
        }
    }

    #[test]
    fn what_names_no_place_is_an_error_that_does_not_show_the_value() {
        for value in [
            "ssm:",
            "ssm:x y",
            "ssm:a:b:c",
            "ssm::3",
            "ssm:a:99999999999999999999",
            "ssm:a:b/c",
            "secretsmanager:",
            "secretsmanager:a:b:c:d:e",
            "secretsmanager::key",
            "secretsmanager:pass%word",
        ] {
            let error = Value::parse(OsStr::new(value)).unwrap().unwrap_err();
            let rest = value.split_once(':').unwrap().1;
            assert!(rest.len() < 2 || !error.contains(rest), "{error}");
            assert!(error.contains("backslash"), "{error}");
        }
        let no_text = OsStr::from_bytes(b"ssm:\xff");
        assert!(Value::parse(no_text).unwrap().is_err());
    }
}
