//! Path and query with which the extension is asked for a place.

use std::fmt::Write as _;

use crate::config::{Reference, Selector};

/// What the extension does not see, a JSON key, is not in it: two keys of one secret are one question.
pub(super) fn of(reference: &Reference) -> String {
    let mut query = String::new();
    match reference {
        Reference::Parameter { name, selector } => {
            query.push_str("/systemsmanager/parameters/get");
            add(&mut query, '?', "name", name);
            add(&mut query, '&', "withDecryption", "true");
            match selector {
                Some(Selector::Version(version)) => {
                    add(&mut query, '&', "version", &version.to_string());
                }
                Some(Selector::Label(label)) => add(&mut query, '&', "label", label),
                None => {}
            }
        }
        Reference::Secret {
            id,
            version_stage,
            version_id,
            ..
        } => {
            query.push_str("/secretsmanager/get");
            add(&mut query, '?', "secretId", id);
            if let Some(stage) = version_stage {
                add(&mut query, '&', "versionStage", stage);
            }
            if let Some(id) = version_id {
                add(&mut query, '&', "versionId", id);
            }
        }
    }
    query
}

fn add(query: &mut String, sign: char, name: &str, value: &str) {
    query.push(sign);
    query.push_str(name);
    query.push('=');
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                query.push(byte.into());
            }
            // AWS's documentation demands it of slashes and colons
            _ => write!(query, "%{byte:02X}").expect("a String takes every write"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_aws_documents_it() {
        let parameter = |selector| Reference::Parameter {
            name: "/app/a b".to_owned(),
            selector,
        };
        let base = "/systemsmanager/parameters/get?name=%2Fapp%2Fa%20b&withDecryption=true";
        assert_eq!(of(&parameter(None)), base);
        let version = parameter(Some(Selector::Version(7)));
        assert_eq!(of(&version), format!("{base}&version=7"));
        let label = parameter(Some(Selector::Label("live".to_owned())));
        assert_eq!(of(&label), format!("{base}&label=live"));

        let secret = |stage: Option<&str>, version: Option<&str>| Reference::Secret {
            id: "arn:aws:x".to_owned(),
            json_key: Some("password".to_owned()),
            version_stage: stage.map(str::to_owned),
            version_id: version.map(str::to_owned),
        };
        let base = "/secretsmanager/get?secretId=arn%3Aaws%3Ax";
        assert_eq!(of(&secret(None, None)), base);
        let both = secret(Some("AWSPREVIOUS"), Some("v-1"));
        assert_eq!(
            of(&both),
            format!("{base}&versionStage=AWSPREVIOUS&versionId=v-1")
        );
    }
}
