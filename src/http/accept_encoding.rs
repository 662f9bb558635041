//! `Accept-Encoding` (RFC 9110 12.5.3): which of the files that are there the client wants.

use crate::event::http_request::HttpRequest;

/// A coding in which a static file can be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// `br`, the file beside it with `.br` at its end.
    Brotli,
    /// `gzip`, the file with `.gz`.
    Gzip,
}

impl Coding {
    /// The smaller one first.
    pub const ALL: [Coding; 2] = [Coding::Brotli, Coding::Gzip];

    /// As in `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Coding::Brotli => "br",
            Coding::Gzip => "gzip",
        }
    }

    /// What the name of the file ends with.
    pub fn suffix(self) -> &'static str {
        match self {
            Coding::Brotli => ".br",
            Coding::Gzip => ".gz",
        }
    }
}

/// The coding of those `available` that the request prefers; `None`: the file as it is, which nobody can refuse.
pub fn choose(request: &HttpRequest<'_>, available: &[Coding]) -> Option<Coding> {
    let accepted = Accepted::of(request);
    let mut best = None;
    // without a word on it, the plain file is the second choice to whatever is named
    let mut least = accepted.weight("identity").unwrap_or(0);
    for &coding in available {
        let weight = accepted.weight_or_any(coding.name());
        let is_better = match best {
            None => weight > 0 && weight >= least,
            Some(_) => weight > least,
        };
        if is_better {
            (best, least) = (Some(coding), weight);
        }
    }
    best
}

/// Each coding that was named, in small letters, with its weight in thousandths.
struct Accepted(Vec<(String, u16)>);

impl Accepted {
    fn of(request: &HttpRequest<'_>) -> Accepted {
        let mut accepted = Vec::new();
        for value in request.header("accept-encoding") {
            for item in String::from_utf8_lossy(value).split(',') {
                let mut parts = item.split(';').map(str::trim);
                let name = parts.next().unwrap_or_default().to_ascii_lowercase();
                let name = match name.as_str() {
                    "" => continue,
                    // RFC 9110 8.4.1.3
                    "x-gzip" => "gzip".to_owned(),
                    _ => name,
                };
                let weight = parts.find_map(|part| part.strip_prefix(['q', 'Q']));
                let weight = match weight.map(|rest| rest.trim_start().strip_prefix('=')) {
                    None => Some(1000),
                    Some(number) => number.and_then(|number| thousandths(number.trim())),
                };
                // what cannot be read is not taken for a wish
                accepted.push((name, weight.unwrap_or(0)));
            }
        }
        Accepted(accepted)
    }

    fn weight(&self, name: &str) -> Option<u16> {
        let found = self.0.iter().find(|(named, _)| named == name);
        found.map(|(_, weight)| *weight)
    }

    fn weight_or_any(&self, name: &str) -> u16 {
        self.weight(name)
            .or_else(|| self.weight("*"))
            .unwrap_or_default()
    }
}

/// RFC 9110 12.4.2: `0` to `1` with at most three digits behind the point.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" if is_number => Some(fraction),
        "1" if is_number && fraction == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Coding::{Brotli, Gzip};
    use super::*;
    use crate::http::conditional::tests::request;

    #[test]
    fn the_heaviest_that_is_there_wins() {
        for (accepted, both, gzip_alone) in [
            ("gzip, deflate, br, zstd", Some(Brotli), Some(Gzip)),
            ("gzip", Some(Gzip), Some(Gzip)),
            ("x-GZIP", Some(Gzip), Some(Gzip)),
            ("br", Some(Brotli), None),
            ("br;q=0.8, gzip", Some(Gzip), Some(Gzip)),
            ("gzip;q=0.8,br;q=0.8", Some(Brotli), Some(Gzip)),
            ("gzip;q=0.5", Some(Gzip), Some(Gzip)),
            ("gzip;q=0, br;q=0.001", Some(Brotli), None),
            ("gzip;q=0", None, None),
            ("gzip ; q = 0.000", None, None),
            ("*", Some(Brotli), Some(Gzip)),
            ("*;q=0.3, br;q=0", Some(Gzip), Some(Gzip)),
            ("*;q=0", None, None),
            ("identity", None, None),
            ("identity, gzip;q=0.5", None, None),
            ("identity;q=0.5, gzip;q=0.5", Some(Gzip), Some(Gzip)),
            ("identity;q=0.5, gzip;q=0.9", Some(Gzip), Some(Gzip)),
            ("identity;q=0, deflate", None, None),
            ("gzip;q=2", None, None),
            ("gzip;q=1.001", None, None),
            ("gzip;q=a", None, None),
            ("gzip;q", None, None),
            ("gzip;level=9", Some(Gzip), Some(Gzip)),
            ("gzipped, brr", None, None),
            ("", None, None),
            (",,", None, None),
        ] {
            let request = request(&[("Accept-Encoding", accepted)]);
            assert_eq!(choose(&request, &Coding::ALL), both, "{accepted}");
            assert_eq!(choose(&request, &[Gzip]), gzip_alone, "{accepted}");
            assert_eq!(choose(&request, &[]), None, "{accepted}");
        }
        assert_eq!(choose(&request(&[]), &Coding::ALL), None);
    }

    #[test]
    fn several_headers_are_one_list() {
        let request = request(&[("accept-encoding", "gzip;q=0.1"), ("Accept-Encoding", "br")]);
        assert_eq!(choose(&request, &Coding::ALL), Some(Brotli));
    }
}
