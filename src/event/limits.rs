//! What the sender of an event will refuse although Lambda does not: warnings for the log.
//!
//! Source: the quotas of API Gateway and of Application Load Balancers with Lambda targets in AWS's documentation.

use super::Dialect;
use super::answer::ALB_LIMIT;
use crate::cgi::head::{Head, Header};

/// Texts for the log; `len` is the size of the whole answer in bytes.
pub fn warnings(dialect: Dialect, head: &Head, len: usize) -> Vec<String> {
    let is_alb = matches!(dialect, Dialect::Alb { .. });
    let answer = (is_alb && len > ALB_LIMIT).then(|| {
        format!("the answer has {len} bytes, and a load balancer refuses more than {ALB_LIMIT}")
    });
    [headers(dialect, head), cookies(dialect, head), answer]
        .into_iter()
        .flatten()
        .collect()
}

fn headers(dialect: Dialect, head: &Head) -> Option<String> {
    let (sender, limit) = match dialect {
        Dialect::ApiGatewayV1 { .. } | Dialect::ApiGatewayV2 | Dialect::FunctionUrl => {
            ("API Gateway", 10_240)
        }
        Dialect::Alb { .. } => ("a load balancer", 32_768),
        Dialect::Lattice => return None,
    };
    // a line is "name: value\r\n"
    let size = |header: &Header| header.name.len() + header.value.len() + 4;
    let total: usize = head.headers.iter().map(size).sum();
    let largest = head.headers.iter().max_by_key(|header| size(header))?;
    (total > limit).then(|| {
        format!(
            "the answer's headers have {total} bytes, and {sender} refuses more than {limit}; \
             the largest is {} with {} bytes",
            largest.name,
            size(largest)
        )
    })
}

fn cookies(dialect: Dialect, head: &Head) -> Option<String> {
    let what_happens = match dialect {
        Dialect::Alb { multi_value: false } | Dialect::ApiGatewayV1 { multi_value: false } => {
            "the last one arrives; turn multi-value headers on for the target group"
        }
        Dialect::Lattice => "they are joined into one header",
        _ => return None,
    };
    let cookies = head.headers.iter().filter(|header| header.is("set-cookie"));
    let count = cookies.count();
    (count > 1).then(|| {
        format!(
            "the answer sets {count} cookies, but the event's sender takes one Set-Cookie header: \
             {what_happens}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgi::head::Parser;

    const ALB: Dialect = Dialect::Alb { multi_value: true };

    fn head(block: &str) -> Head {
        let found = Parser::default().push(block.as_bytes());
        found.unwrap().unwrap().0
    }

    #[test]
    fn large_headers_are_named() {
        let large = head(&format!("Small: a\nLarge: {}\n\n", "x".repeat(11_000)));
        let [warning] = &warnings(Dialect::ApiGatewayV2, &large, 0)[..] else {
            panic!("one warning");
        };
        assert!(warning.contains("11019 bytes"), "{warning}");
        assert!(warning.contains("Large with 11009 bytes"), "{warning}");
        assert_eq!(warnings(ALB, &large, 0), [""; 0]);
        for (dialect, limit) in [
            (Dialect::ApiGatewayV2, 10_240),
            (Dialect::FunctionUrl, 10_240),
            (Dialect::ApiGatewayV1 { multi_value: true }, 10_240),
            (ALB, 32_768),
        ] {
            for (len, count) in [(limit, 0), (limit + 1, 1)] {
                let head = head(&format!("A: {}\n\n", "x".repeat(len - "A: \r\n".len())));
                assert_eq!(
                    warnings(dialect, &head, 0).len(),
                    count,
                    "{dialect:?} {len}"
                );
            }
        }
    }

    #[test]
    fn cookies_that_get_lost_are_counted() {
        let cookies = head("Set-Cookie: a=1\nSet-Cookie: b=2\n\n");
        for (dialect, warned) in [
            (Dialect::ApiGatewayV2, 0),
            (Dialect::ApiGatewayV1 { multi_value: true }, 0),
            (Dialect::ApiGatewayV1 { multi_value: false }, 1),
            (Dialect::Alb { multi_value: false }, 1),
            (Dialect::Lattice, 1),
        ] {
            assert_eq!(warnings(dialect, &cookies, 0).len(), warned, "{dialect:?}");
        }
    }

    #[test]
    fn a_load_balancer_takes_one_megabyte() {
        let head = head("\n");
        assert_eq!(warnings(ALB, &head, ALB_LIMIT), [""; 0]);
        assert!(warnings(ALB, &head, ALB_LIMIT + 1)[0].contains("1048577"));
        assert_eq!(
            warnings(Dialect::ApiGatewayV2, &head, ALB_LIMIT + 1),
            [""; 0]
        );
    }
}
