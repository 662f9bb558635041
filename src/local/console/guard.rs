//! Who may use the console: its own page, and programs of the user's.
//!
//! A page of another site can send requests here, and the browser of whoever reads it has access to this machine. Three
//! things tell those requests apart.
//!
//! - The name that the browser was given, in `Host`. Under DNS rebinding a site's own name suddenly leads here, and the
//!   browser takes what is here for that site. Names are therefore refused, but for `localhost` and those below it, which
//!   lead to this machine by definition (RFC 6761 section 6.3). An address is no name: nobody can rebind it, so each one
//!   under which this program can be reached is fine (a container's published port, a machine in the network).
//! - `Origin` and `Sec-Fetch-Site`, which browsers set and pages cannot.
//! - JSON as the media type of a POST, which no form can send and no script without being asked by CORS (here nobody is
//!   given leave).

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::{
    extract::Request,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// Lets a request pass, or says why not.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/_console/api/");
    match check(request.method(), request.headers(), is_api) {
        Ok(()) => next.run(request).await,
        Err((status, why)) => (status, format!("{why}\n")).into_response(),
    }
}

type Refused = (StatusCode, &'static str);

/// The page itself may be linked to from anywhere; only what tells or does something may not be asked for by others.
fn check(method: &Method, headers: &HeaderMap, is_api: bool) -> Result<(), Refused> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next().map(|host| host.to_str()), hosts.next()) {
        (Some(Ok(host)), None) if is_own(host) => host,
        _ => {
            return Err((
                StatusCode::FORBIDDEN,
                "the console opens under http://localhost or under an IP address: another name could be that of any web \
                 site which has made it lead here",
            ));
        }
    };
    if !is_api {
        return Ok(());
    }
    if let Some(site) = headers.get("sec-fetch-site") {
        if !matches!(site.as_bytes(), b"same-origin" | b"none") {
            return Err(FOREIGN);
        }
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        if !origin.to_str().is_ok_and(|origin| is_same(origin, host)) {
            return Err(FOREIGN);
        }
    }
    if *method == Method::POST && !is_json(headers) {
        return Err((
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send it with Content-Type: application/json",
        ));
    }
    Ok(())
}

const FOREIGN: Refused = (
    StatusCode::FORBIDDEN,
    "a page of another site may not use the console",
);

/// Whether `host` can only be this machine's or an address's.
fn is_own(host: &str) -> bool {
    let Ok(uri) = host.parse::<Uri>() else {
        return false;
    };
    // A Host header is a name or an address, and mostly a port, and nothing else.
    let name = uri.host().unwrap_or_default();
    let port = host.strip_prefix(name).unwrap_or("?");
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
        return false;
    }
    let name = name.to_ascii_lowercase();
    let is_ipv6 = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .is_some_and(|name| name.parse::<Ipv6Addr>().is_ok());
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<Ipv4Addr>().is_ok()
        || is_ipv6
}

/// Whether a page of `origin` is a page of `host`. The scheme is whatever a proxy before this program has made of it.
fn is_same(origin: &str, host: &str) -> bool {
    let authority = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn checked(method: Method, headers: &[(&'static str, &'static str)], is_api: bool) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        check(&method, &map, is_api).map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    #[test]
    fn names_that_could_be_rebound_are_refused_everywhere() {
        for own in [
            "localhost",
            "localhost:8080",
            "LOCALHOST:8080",
            "a.b.localhost:80",
            "127.0.0.1:8080",
            "127.1.2.3",
            "192.168.1.20:8080",
            "[::1]:8080",
            "[fe80::1]",
        ] {
            for is_api in [false, true] {
                assert_eq!(checked(Method::GET, &[("host", own)], is_api), 200, "{own}");
            }
        }
        for other in [
            "",
            "example.org",
            "example.org:8080",
            "localhost.example.org",
            "127.0.0.1.example.org",
            "notlocalhost",
            "localhost.",
            "localhost@example.org",
            "example.org@localhost",
            "localhost/x",
            "1.2.3",
            "2130706433",
            "0x7f.1",
            "[::1].example.org",
            "my-machine:8080",
            "http://localhost",
        ] {
            for is_api in [false, true] {
                assert_eq!(
                    checked(Method::GET, &[("host", other)], is_api),
                    403,
                    "{other}"
                );
            }
        }
        assert_eq!(checked(Method::GET, &[], false), 403);
        let two = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(checked(Method::GET, &two, false), 403);
    }

    #[test]
    fn pages_of_other_sites_get_the_page_and_nothing_else() {
        let host = ("host", "localhost:8080");
        for foreign in [
            ("origin", "http://example.org"),
            ("origin", "null"),
            ("origin", ""),
            ("origin", "http://localhost:8081"),
            ("origin", "http://localhost"),
            ("origin", "http://localhost:8080.example.org"),
            ("origin", "file://localhost:8080"),
            ("sec-fetch-site", "cross-site"),
            // Another port of localhost, and a neighbour below it.
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", ""),
        ] {
            assert_eq!(
                checked(Method::GET, &[host, foreign], true),
                403,
                "{foreign:?}"
            );
            assert_eq!(
                checked(Method::GET, &[host, foreign], false),
                200,
                "{foreign:?}"
            );
        }
        for own in [
            ("origin", "http://localhost:8080"),
            ("origin", "https://localhost:8080"),
            ("origin", "http://LOCALHOST:8080"),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "none"),
        ] {
            assert_eq!(checked(Method::GET, &[host, own], true), 200, "{own:?}");
        }
    }

    #[test]
    fn what_a_form_can_send_is_refused() {
        let host = ("host", "localhost:8080");
        for media_type in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=application/json",
            "text/plain; application/json",
            "",
        ] {
            let headers = [host, ("content-type", media_type)];
            assert_eq!(checked(Method::POST, &headers, true), 415, "{media_type}");
        }
        assert_eq!(checked(Method::POST, &[host], true), 415);
        for media_type in ["application/json", "Application/JSON; charset=utf-8"] {
            let headers = [host, ("content-type", media_type)];
            assert_eq!(checked(Method::POST, &headers, true), 200);
        }
    }
}
