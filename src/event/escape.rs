//! Text as the content of a JSON string, RFC 8259 section 7.
//!
//! serde_json looks at each byte by itself, which took two thirds of the bootstrap's time for a page of a megabyte.

/// Bytes that are looked at together.
const WORD: usize = size_of::<u64>();

/// Appends `text` as the content of a JSON string, without the quotation marks.
pub(super) fn escape(text: &str, document: &mut Vec<u8>) {
    document.reserve(text.len());
    let mut rest = text.as_bytes();
    loop {
        let (plain, others) = rest.split_at(plain_len(rest));
        document.extend_from_slice(plain);
        let Some((special, others)) = others.split_first() else {
            return;
        };
        match special {
            b'"' => document.extend_from_slice(b"\\\""),
            b'\\' => document.extend_from_slice(b"\\\\"),
            b'\n' => document.extend_from_slice(b"\\n"),
            b'\r' => document.extend_from_slice(b"\\r"),
            b'\t' => document.extend_from_slice(b"\\t"),
            0x08 => document.extend_from_slice(b"\\b"),
            0x0c => document.extend_from_slice(b"\\f"),
            control => document.extend_from_slice(format!("\\u{control:04x}").as_bytes()),
        }
        rest = others;
    }
}

/// The number of bytes before the first that has to be escaped.
fn plain_len(bytes: &[u8]) -> usize {
    let mut len = 0;
    while let Some(word) = bytes[len..].first_chunk() {
        match first_special(u64::from_le_bytes(*word)) {
            None => len += WORD,
            Some(at) => return len + at,
        }
    }
    let rest = &bytes[len..];
    let is_special = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
    len + rest.iter().position(is_special).unwrap_or(rest.len())
}

/// The place of the first byte, the lowest one being 0, that has to be escaped.
///
/// Subtracting a limit from all bytes at once sets the highest bit of those below it. A borrow can reach a byte behind such a
/// one, so that the first alone is sure; a byte that had the bit before is part of a letter beyond ASCII.
/// Source: Henry S. Warren, Hacker's Delight, "Find first 0-byte".
fn first_special(word: u64) -> Option<usize> {
    const EACH: u64 = u64::from_le_bytes([1; WORD]);
    let is_below = |word: u64, limit: u8| word.wrapping_sub(EACH * u64::from(limit)) & !word;
    let is = |byte: u8| is_below(word ^ (EACH * u64::from(byte)), 1);
    let found = (is_below(word, 0x20) | is(b'"') | is(b'\\')) & (EACH << 7);
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_serde_json_does_it_whatever_stands_where() {
        let characters = (0..=0x17f).chain([0x2028, 0xffff, 0x1f600]);
        for character in characters.map(|code| char::from_u32(code).unwrap()) {
            for neighbour in ["", "a", "\"", "\u{1f}", " ", "é", "\u{7f}"] {
                for before in 0..2 * WORD {
                    let text = format!(
                        "{}{neighbour}{character}{neighbour}{}",
                        "x".repeat(before),
                        "y".repeat(2 * WORD - before)
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
}
