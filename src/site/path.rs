//! A request's path as names of files: what may name one at all.

use std::ops::Range;

use crate::cgi::params::percent_decode;

/// The one folder with a dot that belongs to the web (RFC 8615).
const WELL_KNOWN: &str = ".well-known";

/// What PHP, or somebody's server of another day, takes for PHP's source.
const PHP: [&str; 6] = ["php", "phtml", "phar", "pht", "phps", "inc"];

/// What is made from PHP files and is none: a mirror's `index.php.html`.
const MADE_OF_PHP: [&str; 4] = ["html", "htm", "css", "js"];

/// A path, decoded once, that tries no trick.
pub(super) struct Path<'p> {
    raw: &'p [u8],
    /// In the order of the path, without empty ones.
    segments: Vec<Segment>,
    ends_in_slash: bool,
}

struct Segment {
    /// `None`: it names no file that is served.
    name: Option<String>,
    /// In the raw path.
    place: Range<usize>,
}

impl<'p> Path<'p> {
    /// `None`: a path that climbs, or holds a NUL. Nothing of it is looked for.
    pub(super) fn parse(raw: &'p [u8]) -> Option<Path<'p>> {
        let mut segments = Vec::new();
        let mut start = 0;
        for text in raw.split(|&byte| byte == b'/') {
            let place = start..start + text.len();
            start = place.end + 1;
            let decoded = percent_decode(text);
            // a slash or a backslash that was encoded may separate for whoever decodes once more
            let mut parts = decoded.split(|byte| b"/\\".contains(byte));
            if decoded.contains(&0) || parts.any(|part| part == b"." || part == b"..") {
                return None;
            }
            if !decoded.is_empty() {
                let name = String::from_utf8(decoded).ok();
                let is_first = segments.is_empty();
                let name = name.filter(|name| is_served(name, is_first));
                segments.push(Segment { name, place });
            }
        }
        Some(Path {
            raw,
            segments,
            ends_in_slash: raw.ends_with(b"/"),
        })
    }

    /// Whether the path says that it is a folder's.
    pub(super) fn ends_in_slash(&self) -> bool {
        self.ends_in_slash
    }

    /// The whole path below the site's folder; empty for the folder itself.
    pub(super) fn whole(&self) -> Option<String> {
        self.first(self.segments.len())
    }

    /// Each beginning of the path that could be a script, the shortest first, and what is behind it, decoded.
    pub(super) fn scripts(&self) -> impl Iterator<Item = (String, Vec<u8>)> {
        let candidates = self.segments.iter().enumerate();
        candidates.filter_map(|(index, segment)| {
            let script = self.first(index + 1)?;
            let behind = &self.raw[segment.place.end..];
            (is_script(&script) && !behind.is_empty()).then(|| (script, percent_decode(behind)))
        })
    }

    /// What stands behind the last slash, as the client sent it.
    pub(super) fn last_raw(&self) -> &'p [u8] {
        let slash = self.raw.iter().rposition(|&byte| byte == b'/');
        &self.raw[slash.map_or(0, |slash| slash + 1)..]
    }

    fn first(&self, count: usize) -> Option<String> {
        let names: Option<Vec<&str>> = self.segments[..count]
            .iter()
            .map(|segment| segment.name.as_deref())
            .collect();
        Some(names?.join("/"))
    }
}

/// Whether a file or folder of this name may be served; `is_first`: it is in the site's folder itself.
pub(super) fn is_served(name: &str, is_first: bool) -> bool {
    let is_plain = !name.contains(['/', '\\']) && !name.contains(char::is_control);
    is_plain && (!name.starts_with('.') || (is_first && name == WELL_KNOWN))
}

/// Whether PHP runs a file of this name. In another case of letters it does not: php-fpm would refuse it.
pub(super) fn is_script(name: &str) -> bool {
    name.ends_with(".php")
}

/// Whether the file is, or once was, PHP's source, in whatever spelling: `x.PHP`, `x.php.bak`, `x.php~`, `x.inc`.
pub(super) fn is_source(name: &str) -> bool {
    let mut extensions = name.split('.').skip(1).map(|extension| {
        extension
            .trim_matches(|c: char| !c.is_ascii_alphanumeric())
            .trim_end_matches(|c: char| !c.is_ascii_alphabetic())
            .to_ascii_lowercase()
    });
    let is_php = |extension: &String| {
        PHP.contains(&extension.as_str())
            // x.php_old, x.php-2024, x.php copy
            || extension
                .strip_prefix("php")
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphabetic()))
    };
    let is_made_of_php = MADE_OF_PHP
        .iter()
        .any(|made| name.ends_with(&format!(".{made}")));
    extensions.any(|extension| is_php(&extension)) && !is_made_of_php
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(raw: &str) -> Option<String> {
        Path::parse(raw.as_bytes()).and_then(|path| path.whole())
    }

    #[test]
    fn what_names_a_file() {
        for (raw, name) in [
            ("/", ""),
            ("/style.css", "style.css"),
            ("/a/b/", "a/b"),
            ("//a///b", "a/b"),
            ("/a%20b/%C3%A9.png", "a b/é.png"),
            ("/a+b", "a+b"),
            // decoded once
            ("/%2561", "%61"),
            ("/%252e%252e/x", "%2e%2e/x"),
            ("/100%", "100%"),
            (
                "/.well-known/acme-challenge/t",
                ".well-known/acme-challenge/t",
            ),
            ("/...", "..."),
            ("/a..b", "a..b"),
        ] {
            let expected = if name == "..." { None } else { Some(name) };
            assert_eq!(whole(raw).as_deref(), expected, "{raw}");
        }
    }

    #[test]
    fn what_climbs_is_not_even_looked_at() {
        for raw in [
            "/..",
            "/../x",
            "/a/../x",
            "/a/..",
            "/./x",
            "/%2e%2e/x",
            "/.%2E/x",
            "/..%2fx",
            "/a%2f..%2fx",
            "/..%5cx",
            "/a/..\\x",
            "/x%00.css",
            "/%00",
            "/x.php/../y",
            "/x.php/..%2fy",
            "/x.php/.",
        ] {
            assert!(Path::parse(raw.as_bytes()).is_none(), "{raw}");
        }
    }

    #[test]
    fn what_names_no_file_that_is_served() {
        for raw in [
            "/.env",
            "/a/.git/config",
            "/.well-known/.env",
            "/a/.well-known/x",
            "/%2ehtaccess",
            "/a%2fb",
            "/%2fetc/passwd",
            "/a%5cb",
            "/a%0ab",
            "/caf%e9",
        ] {
            let path = Path::parse(raw.as_bytes());
            assert_eq!(path.expect("no trick").whole(), None, "{raw}");
        }
    }

    #[test]
    fn scripts_and_what_is_behind_them() {
        let scripts = |raw: &str| -> Vec<(String, String)> {
            let path = Path::parse(raw.as_bytes()).unwrap();
            let text = |(script, behind)| (script, String::from_utf8(behind).unwrap());
            path.scripts().map(text).collect()
        };
        for (raw, expected) in [
            ("/x.php", &[][..]),
            ("/x.php/", &[("x.php", "/")]),
            ("/x.php/a/b", &[("x.php", "/a/b")]),
            ("/x.php//a%20b%2Fc", &[("x.php", "//a b/c")]),
            (
                "/a.php/b.php/c",
                &[("a.php", "/b.php/c"), ("a.php/b.php", "/c")],
            ),
            ("/d/x.php/.hidden", &[("d/x.php", "/.hidden")]),
            ("/.d/x.php/y", &[]),
            ("/x.PHP/y", &[]),
            ("/x.php5/y", &[]),
        ] {
            let expected: Vec<_> = expected
                .iter()
                .map(|(script, behind): &(&str, &str)| (script.to_string(), behind.to_string()))
                .collect();
            assert_eq!(scripts(raw), expected, "{raw}");
        }
    }

    #[test]
    fn the_last_segment_as_it_came() {
        for (raw, last) in [("/a%20b", "a%20b"), ("/a/b", "b"), ("/a/", ""), ("//", "")] {
            let path = Path::parse(raw.as_bytes()).unwrap();
            assert_eq!(path.last_raw(), last.as_bytes(), "{raw}");
        }
    }

    #[test]
    fn php_source_in_every_spelling() {
        for name in [
            "x.php",
            "x.PHP",
            "x.pHp",
            "x.php.",
            "x.php ",
            "x.php~",
            "x.php_",
            "x.php-",
            "x.php5",
            "x.php7",
            "x.php8.4",
            "x.phtml",
            "x.pht",
            "x.phar",
            "x.phps",
            "x.inc",
            "x.INC",
            "x.php.bak",
            "x.php.txt",
            "x.php.1",
            "x.php.swp",
            "x.php.old",
            "x.php.gz",
            "x.inc.php",
            "x.inc.txt",
            "x.php_old",
            "x.php-2024",
            "x.php copy",
            "#x.php#",
            "x.php.orig.2",
        ] {
            assert!(is_source(name), "{name}");
        }
        for name in [
            "x",
            "php",
            "php.css",
            "x.txt",
            "x.phpx",
            "index.php.html",
            "x.php.js",
            "x.include",
            "x.incl",
            "phpinfo",
            "a-php-b.png",
            "x.phone",
        ] {
            assert!(!is_source(name), "{name}");
        }
    }
}
