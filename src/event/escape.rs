//! Text as the content of a JSON string, RFC 8259 section 7.
//!
//! serde_json looks at each byte by itself, which took two thirds of the bootstrap's time for a page of a megabyte.

/// Appends `text` as the content of a JSON string, without the quotation marks.
pub(super) fn escape(text: &str, document: &mut Vec<u8>) {
    // the library writes both marks: the first one over the last byte that is there, which comes back
    let last = document.pop();
    let start = document.len();
    json_escape_simd::escape_into(text, document);
    match last {
        Some(byte) => document[start] = byte,
        None => drop(document.remove(start)),
    }
    document.pop();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that the widest vector instructions take at once.
    const BLOCK: usize = 32;

    #[test]
    fn as_serde_json_does_it_whatever_stands_where() {
        let characters = (0..=0x17f).chain([0x2028, 0xffff, 0x1f600]);
        for character in characters.map(|code| char::from_u32(code).unwrap()) {
            for neighbour in ["", "a", "\"", "\u{1f}", " ", "é", "\u{7f}"] {
                for before in 0..2 * BLOCK {
                    let text = format!(
                        "{}{neighbour}{character}{neighbour}{}",
                        "x".repeat(before),
                        "y".repeat(2 * BLOCK - before)
                    );
                    let mut document = b"\"".to_vec();
                    escape(&text, &mut document);
                    document.push(b'"');
                    let expected = serde_json::to_string(&text).unwrap();
                    assert_eq!(String::from_utf8(document).unwrap(), expected);
                }
            }
        }
    }

    #[test]
    fn it_is_appended_to_what_is_there_if_anything() {
        for before in ["", "x", "{\"body\":\""] {
            for text in ["", "a", "\"\n"] {
                let mut document = before.as_bytes().to_vec();
                escape(text, &mut document);
                escape(text, &mut document);
                let quoted = serde_json::to_string(text).unwrap();
                let content = &quoted[1..quoted.len() - 1];
                let expected = format!("{before}{content}{content}");
                assert_eq!(String::from_utf8(document).unwrap(), expected);
            }
        }
    }
}
