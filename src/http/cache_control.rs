//! `Cache-Control` as a setting: checked where it is read, since a wrong one would show in no log.

/// Directives whose value is a number of seconds.
const SECONDS: [&str; 4] = [
    "max-age",
    "s-maxage",
    "stale-while-revalidate",
    "stale-if-error",
];

/// `text`, if it is a list of directives (RFC 9111 5.2).
pub fn parse(text: &str) -> Option<String> {
    let is_list = !text.is_empty() && text.split(',').all(|item| is_directive(item.trim()));
    is_list.then(|| text.to_owned())
}

fn is_directive(item: &str) -> bool {
    let (name, value) = match item.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (item, None),
    };
    // every directive that there is begins with a letter: "3600" is a max-age that lacks its name
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic()) && is_token(name);
    let is_seconds = SECONDS.iter().any(|known| name.eq_ignore_ascii_case(known));
    let is_value = match value {
        None => !is_seconds,
        Some(value) if is_seconds => {
            !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit())
        }
        Some(value) => is_token(value.trim_matches('"')),
    };
    is_name && is_value
}

/// RFC 9110 5.6.2, as far as directives use it.
fn is_token(text: &str) -> bool {
    let is_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !text.is_empty() && text.bytes().all(is_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_directives() {
        for text in [
            "no-cache",
            "public, max-age=31536000, immutable",
            "PRIVATE,Max-Age=0",
            "no-cache=\"set-cookie\"",
            "max-age=60, stale-while-revalidate=30",
        ] {
            assert_eq!(parse(text).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_none() {
        for text in [
            "",
            " ",
            ",",
            "public,",
            "3600",
            "max-age",
            "max-age=",
            "max-age=1h",
            "max-age = 60",
            "max-age:60",
            "public max-age=60",
            "public\r\nX-A: b",
            "é",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
