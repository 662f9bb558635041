//! `Range` (RFC 9110 14): which bytes of a representation are asked for.

use std::ops::Range;

use super::conditional::{Validators, is_still};
use crate::event::http_request::HttpRequest;

/// A client that asks for more parts than this gets the whole: so many are a mistake or an attack (RFC 9110 14.2).
const MOST_PARTS: usize = 16;

/// What of the representation is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All of it, with 200.
    Whole,
    /// At least one part with 206, in the representation's order; they do not touch one another.
    Parts(Vec<Range<u64>>),
    /// 416: it ends before every part.
    Unsatisfiable,
}

/// What a GET request asks for of `len` bytes. A `Range` that cannot be read counts as none.
pub fn select(request: &HttpRequest<'_>, len: u64, validators: &Validators) -> Selection {
    let mut headers = request.header("range");
    let (Some(header), None) = (headers.next(), headers.next()) else {
        return Selection::Whole;
    };
    let Some(specs) = specs(header) else {
        return Selection::Whole;
    };
    // of nothing the last n bytes are nothing, for which 206 has no words
    let is_all_of_nothing = len == 0
        && specs
            .iter()
            .any(|spec| matches!(spec, Spec::Last(count) if *count > 0));
    if !is_still(request, validators) || is_all_of_nothing {
        return Selection::Whole;
    }
    let mut parts: Vec<Range<u64>> = specs.iter().filter_map(|spec| spec.of(len)).collect();
    parts.sort_by_key(|part| part.start);
    parts.dedup_by(|next, part| {
        let is_joined = next.start <= part.end;
        if is_joined {
            part.end = part.end.max(next.end);
        }
        is_joined
    });
    match parts.is_empty() {
        true => Selection::Unsatisfiable,
        false => Selection::Parts(parts),
    }
}

#[derive(Debug, Clone, Copy)]
enum Spec {
    /// `first-last`, and `first-` with the largest number.
    From(u64, u64),
    /// `-count`.
    Last(u64),
}

impl Spec {
    fn of(self, len: u64) -> Option<Range<u64>> {
        let part = match self {
            Spec::From(first, last) => first..last.saturating_add(1).min(len),
            Spec::Last(count) => len.saturating_sub(count)..len,
        };
        (part.start < part.end).then_some(part)
    }
}

fn specs(header: &[u8]) -> Option<Vec<Spec>> {
    let text = std::str::from_utf8(header).ok()?;
    let (unit, set) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let items = set
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty());
    let specs: Vec<Spec> = items.map(spec).collect::<Option<_>>()?;
    (1..=MOST_PARTS).contains(&specs.len()).then_some(specs)
}

fn spec(text: &str) -> Option<Spec> {
    match text.split_once('-')? {
        ("", count) => Some(Spec::Last(number(count)?)),
        (first, "") => Some(Spec::From(number(first)?, u64::MAX)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::From(first, last))
        }
    }
}

/// Past the largest number it is the largest: no file is so long.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::Selection::{Unsatisfiable, Whole};
    use super::*;
    use crate::http::conditional::tests::{request, validators};

    fn selected(range: &str, len: u64) -> Selection {
        select(&request(&[("Range", range)]), len, &validators())
    }

    #[test]
    fn parts_of_ten_bytes() {
        let cases: &[(&str, &[Range<u64>])] = &[
            ("bytes=0-0", &[0..1]),
            ("bytes=2-4", &[2..5]),
            ("BYTES = 2-4", &[2..5]),
            ("bytes=9-", &[9..10]),
            ("bytes=0-", &[0..10]),
            ("bytes=5-99999999999999999999999", &[5..10]),
            ("bytes=-3", &[7..10]),
            ("bytes=-30", &[0..10]),
            ("bytes=0-1,4-5", &[0..2, 4..6]),
            ("bytes= 4-5 ,, 0-1,", &[0..2, 4..6]),
            ("bytes=0-3,2-5", &[0..6]),
            ("bytes=0-8,2-3", &[0..9]),
            ("bytes=0-1,2-3", &[0..4]),
            ("bytes=1-1,20-30", &[1..2]),
        ];
        for (range, parts) in cases {
            assert_eq!(
                selected(range, 10),
                Selection::Parts(parts.to_vec()),
                "{range}"
            );
        }
    }

    #[test]
    fn what_lies_behind_the_end() {
        for range in [
            "bytes=10-",
            "bytes=10-20",
            "bytes=-0",
            "bytes=99999999999999999999999-",
            "bytes=10-,11-12",
        ] {
            assert_eq!(selected(range, 10), Unsatisfiable, "{range}");
        }
        assert_eq!(selected("bytes=0-", 0), Unsatisfiable);
        assert_eq!(selected("bytes=-5", 0), Whole);
        assert_eq!(selected("bytes=-0", 0), Unsatisfiable);
    }

    #[test]
    fn what_cannot_be_read_asks_for_nothing() {
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-4",
            "bytes=1-2-3",
            "bytes=+1-2",
            "bytes=1 - 2",
            "bytes=0x1-2",
            "lines=1-2",
            "1-2",
            "bytes=0-1,x",
        ] {
            assert_eq!(selected(range, 10), Whole, "{range}");
        }
        assert_eq!(select(&request(&[]), 10, &validators()), Whole);
        let twice = request(&[("Range", "bytes=0-1"), ("range", "bytes=4-5")]);
        assert_eq!(select(&twice, 10, &validators()), Whole);
    }

    #[test]
    fn too_many_parts_are_the_whole() {
        let parts = |count: u64| {
            let parts: Vec<String> = (0..count).map(|n| format!("{}-{}", 3 * n, 3 * n)).collect();
            selected(&format!("bytes={}", parts.join(",")), 1000)
        };
        assert!(matches!(parts(16), Selection::Parts(parts) if parts.len() == 16));
        assert_eq!(parts(17), Whole);
    }

    #[test]
    fn another_state_is_sent_whole() {
        for (tag, expected) in [("\"a,b\"", Selection::Parts(vec![0..2])), ("\"x\"", Whole)] {
            let request = request(&[("Range", "bytes=0-1"), ("If-Range", tag)]);
            assert_eq!(select(&request, 10, &validators()), expected, "{tag}");
        }
    }
}
