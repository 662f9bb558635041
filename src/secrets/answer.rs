//! What the extension answers: the JSON of GetParameter or GetSecretValue, or words about an error.
//!
//! No text that is made here has a part of an answer in it: it might be a part of a secret.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::config::Reference;

/// `{"Parameter":{"Value":"…",…},…}`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetParameter {
    parameter: Parameter,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    value: String,
}

/// `{"SecretString":"…",…}`, or `SecretBinary` in base64.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetSecretValue {
    secret_string: Option<String>,
    secret_binary: Option<String>,
}

/// Whether an error says that it will pass.
pub(super) fn is_not_ready(text: &str) -> bool {
    text.to_ascii_lowercase().contains("not ready")
}

/// The value at a place, of the body of an answer.
pub(super) fn value(reference: &Reference, body: &[u8]) -> Result<OsString, &'static str> {
    const UNKNOWN: &str =
        "the extension's answer has no value in it. Is it AWS's extension that listens there?";
    let value = match reference {
        Reference::Parameter { .. } => {
            let answer: GetParameter = serde_json::from_slice(body).map_err(|_| UNKNOWN)?;
            answer.parameter.value.into_bytes()
        }
        Reference::Secret { json_key, .. } => {
            let answer: GetSecretValue = serde_json::from_slice(body).map_err(|_| UNKNOWN)?;
            let secret = match (answer.secret_string, answer.secret_binary) {
                (Some(text), _) => text.into_bytes(),
                (None, Some(base64)) => base64_simd::STANDARD
                    .decode_to_vec(base64.as_bytes())
                    .map_err(|_| UNKNOWN)?,
                (None, None) => return Err(UNKNOWN),
            };
            match json_key {
                Some(key) => member(&secret, key)?,
                None => secret,
            }
        }
    };
    match value.contains(&0) {
        true => Err("its value has a NUL in it, which no variable can have"),
        false => Ok(OsString::from_vec(value)),
    }
}

fn member(secret: &[u8], key: &str) -> Result<Vec<u8>, &'static str> {
    const NO_JSON: &str = "a JSON key is asked for, and the secret is no JSON object";
    // as they stand there: a number may have more digits than any type for it
    let secret: BTreeMap<String, &RawValue> =
        serde_json::from_slice(secret).map_err(|_| NO_JSON)?;
    let member = secret.get(key).ok_or("the secret has no such JSON key")?;
    match member.get() {
        text if text.starts_with('"') => serde_json::from_str(text)
            .map(String::into_bytes)
            .map_err(|_| NO_JSON),
        other => Ok(other.as_bytes().to_vec()),
    }
}

/// What to do about an error of AWS.
pub(super) fn refusal(reference: &Reference, status: StatusCode, text: &str) -> String {
    let (action, kind) = match reference {
        Reference::Parameter { .. } => ("ssm:GetParameter", "parameter"),
        Reference::Secret { .. } => ("secretsmanager:GetSecretValue", "secret"),
    };
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["AccessDenied", "not authorized"]) {
        format!(
            "the function's role may not read it. Allow it {action}, and kms:Decrypt where a key of your own encrypts it"
        )
    } else if says(&["NotFound"]) {
        format!("there is no such {kind}, or not this version of it, in the function's region")
    } else if says(&["session token"])
        || status == StatusCode::UNAUTHORIZED
        || status == StatusCode::FORBIDDEN
    {
        "the extension does not take AWS_SESSION_TOKEN, which Lambda sets. Is the variable overwritten?".to_owned()
    } else {
        format!(
            "the extension answered with the status {}, and its lines in the log say why. Mostly the function's role lacks {action} (or kms:Decrypt), or there is no such {kind} in its region",
            status.as_u16()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter() -> Reference {
        Reference::Parameter {
            name: "p".to_owned(),
            selector: None,
        }
    }

    fn secret(json_key: Option<&str>) -> Reference {
        Reference::Secret {
            id: "s".to_owned(),
            json_key: json_key.map(str::to_owned),
            version_stage: None,
            version_id: None,
        }
    }

    #[test]
    fn of_a_parameter() {
        let body = r#"{"Parameter":{"ARN":"arn:aws:ssm:x:1:parameter/p","DataType":"text","LastModifiedDate":"2026-01-01T00:00:00Z","Name":"/p","Selector":null,"SourceResult":null,"Type":"SecureString","Value":"a\n=ü","Version":3},"ResultMetadata":{}}"#;
        assert_eq!(value(&parameter(), body.as_bytes()).unwrap(), "a\n=ü");
    }

    #[test]
    fn of_a_secret() {
        let string = r#"{"ARN":"a","CreatedDate":"2026-01-01T00:00:00Z","Name":"s","SecretBinary":null,"SecretString":"{\"user\":\"u\",\"port\":5432,\"tls\":true,\"o\":{\"b\": 1, \"a\":2},\"n\":null,\"pin\":12345678901234567890123,\"price\":1.50,\"\\u0061\\\"\":\"\\u0062\\\"\"}","VersionId":"v","VersionStages":["AWSCURRENT"],"ResultMetadata":{}}"#;
        let of = |key| value(&secret(key), string.as_bytes());
        assert!(of(None).unwrap().to_str().unwrap().starts_with("{\"user\""));
        for (key, expected) in [
            ("user", "u"),
            ("port", "5432"),
            ("tls", "true"),
            ("o", "{\"b\": 1, \"a\":2}"),
            ("n", "null"),
            ("pin", "12345678901234567890123"),
            ("price", "1.50"),
            ("a\"", "b\""),
        ] {
            assert_eq!(of(Some(key)).unwrap(), expected);
        }
        assert!(of(Some("x")).unwrap_err().contains("no such JSON key"));
        let binary = br#"{"Name":"s","SecretBinary":"AP8=","SecretString":null}"#;
        assert!(value(&secret(None), binary).unwrap_err().contains("NUL"));
        let binary = br#"{"Name":"s","SecretBinary":"/w==","SecretString":null}"#;
        let bytes = value(&secret(None), binary).unwrap();
        assert_eq!(bytes.into_vec(), b"\xff");
    }

    #[test]
    fn no_error_shows_what_was_answered() {
        for body in [
            "hunter2",
            "{\"Parameter\":\"hunter2\"}",
            "{\"SecretString\":5,\"x\":\"hunter2\"}",
            "{\"SecretBinary\":\"hunter2 no base64\"}",
            "{}",
            "",
        ] {
            for reference in [parameter(), secret(None), secret(Some("hunter"))] {
                let error = value(&reference, body.as_bytes()).unwrap_err();
                assert!(!error.contains("hunter"), "{error}");
            }
        }
        for text in [
            "hunter2",
            r#"[\"hunter2\"]"#,
            r#"{\"k\":\"hunter2\\ud800\"}"#,
        ] {
            let body = format!("{{\"SecretString\":\"{text}\"}}");
            let error = value(&secret(Some("k")), body.as_bytes()).unwrap_err();
            assert!(error.contains("no JSON") && !error.contains("hunter"));
        }
        for status in [400, 401, 403, 500] {
            let status = StatusCode::from_u16(status).unwrap();
            for text in [
                "hunter2",
                "AccessDeniedException hunter2",
                "ParameterNotFound hunter2",
            ] {
                assert!(!refusal(&parameter(), status, text).contains("hunter"));
            }
        }
    }

    #[test]
    fn what_to_do_about_a_refusal() {
        let bad = StatusCode::BAD_REQUEST;
        let denied = "operation error SSM: GetParameter, https response error StatusCode: 400, RequestID: x, api error AccessDeniedException: User: arn:aws:sts::1:assumed-role/r/f is not authorized to perform: ssm:GetParameter";
        assert!(refusal(&parameter(), bad, denied).contains("Allow it ssm:GetParameter"));
        assert!(refusal(&secret(None), bad, denied).contains("secretsmanager:GetSecretValue"));
        let missing = "api error ParameterNotFound: ";
        assert!(refusal(&parameter(), bad, missing).contains("no such parameter"));
        let missing = "ResourceNotFoundException: Secrets Manager can't find the specified secret.";
        assert!(refusal(&secret(None), bad, missing).contains("no such secret"));
        let token = "bad session token or header key";
        assert!(refusal(&parameter(), bad, token).contains("AWS_SESSION_TOKEN"));
        let other = "an unexpected error occurred while executing request";
        let words = refusal(&parameter(), bad, other);
        assert!(
            words.contains("status 400") && words.contains("ssm:GetParameter"),
            "{words}"
        );
        assert!(is_not_ready("not ready to serve traffic, please wait") && !is_not_ready(other));
    }
}
