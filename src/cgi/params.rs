//! A request as FastCGI parameters: what a PHP developer finds in `$_SERVER` behind nginx, and Lambda's context.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::value::RawValue;

use super::headers;
use crate::event::http_request::HttpRequest;

/// Name and value of each parameter.
pub type Params<'a> = Vec<(Cow<'a, [u8]>, Cow<'a, [u8]>)>;

/// The script that runs, and what its variables are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The absolute path of the file.
    pub filename: String,
    /// The folder it is in.
    pub document_root: String,
    /// `/index.php`.
    pub name: String,
    /// A prefix to take off the request's path.
    pub base_path: Option<String>,
    /// Where `PATH_INFO` comes from.
    pub path_info: PathInfo,
}

/// What a path has behind the script's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathInfo {
    /// A path that begins with the script's name has it there.
    Behind,
    /// It was found with the script, and is decoded.
    Found(Option<Vec<u8>>),
}

impl Script {
    /// The script `handler`, relative to `task_root` (both without `..`).
    pub fn new(task_root: &str, handler: &str, base_path: Option<String>) -> Script {
        let filename = format!("{}/{handler}", task_root.trim_end_matches('/'));
        let slash = filename.rfind('/').expect("the line above wrote one");
        Script {
            document_root: filename[..slash].to_owned(),
            name: filename[slash..].to_owned(),
            filename,
            base_path,
            path_info: PathInfo::Behind,
        }
    }
}

/// What Lambda says of an invocation beside its event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LambdaContext<'a> {
    /// `Lambda-Runtime-Aws-Request-Id`.
    pub request_id: &'a str,
    /// `Lambda-Runtime-Deadline-Ms`, milliseconds since 1970.
    pub deadline_ms: Option<u64>,
    /// `Lambda-Runtime-Invoked-Function-Arn`.
    pub function_arn: Option<&'a str>,
    /// `Lambda-Runtime-Trace-Id`.
    pub trace_id: Option<&'a str>,
    /// `Lambda-Runtime-Client-Context`, JSON.
    pub client_context: Option<&'a str>,
    /// `Lambda-Runtime-Cognito-Identity`, JSON.
    pub identity: Option<&'a str>,
    /// `Lambda-Runtime-Aws-Tenant-Id`.
    pub tenant_id: Option<&'a str>,
}

/// The parameters of an HTTP request.
pub fn of_request<'a>(
    request: &'a HttpRequest<'a>,
    script: &'a Script,
    context: &LambdaContext<'a>,
) -> Params<'a> {
    let path = without_base(&request.path, script.base_path.as_deref());
    let mut params = common(script, context);
    let mut add = |name: &'static str, value: Cow<'a, [u8]>| {
        params.push((Cow::Borrowed(name.as_bytes()), value))
    };

    add("REQUEST_METHOD", Cow::Borrowed(&request.method));
    add("QUERY_STRING", Cow::Borrowed(&request.query));
    let uri = if request.query.is_empty() {
        path.clone()
    } else {
        [&path, &b"?"[..], &request.query].concat().into()
    };
    add("REQUEST_URI", uri);
    match &script.path_info {
        PathInfo::Behind => {
            if let Some(path_info) = path
                .strip_prefix(script.name.as_bytes())
                .filter(|rest| rest.starts_with(b"/"))
            {
                add("PATH_INFO", Cow::Owned(percent_decode(path_info)));
            }
        }
        PathInfo::Found(Some(path_info)) => {
            add("PATH_INFO", Cow::Borrowed(path_info));
            let translated = [script.document_root.as_bytes(), path_info].concat();
            add("PATH_TRANSLATED", Cow::Owned(translated));
        }
        PathInfo::Found(None) => {}
    }
    let protocol = request.protocol.as_deref().unwrap_or(b"HTTP/1.1");
    add("SERVER_PROTOCOL", Cow::Borrowed(protocol));
    add("SERVER_NAME", Cow::Borrowed(server_name(request)));
    add(
        "REMOTE_ADDR",
        client(request).to_string().into_bytes().into(),
    );

    let forwarded_proto = request.header("x-forwarded-proto").next().map(first_item);
    let is_https = forwarded_proto.map_or(request.https_by_default, |proto| {
        proto.eq_ignore_ascii_case(b"https")
    });
    let forwarded_port = request
        .header("x-forwarded-port")
        .next()
        .map(first_item)
        .filter(|port| is_port(port));
    let (scheme, port) = if is_https {
        ("https", "443")
    } else {
        ("http", "80")
    };
    if is_https {
        add("HTTPS", Cow::Borrowed(b"on"));
    }
    add("REQUEST_SCHEME", Cow::Borrowed(scheme.as_bytes()));
    add(
        "SERVER_PORT",
        Cow::Borrowed(forwarded_port.unwrap_or(port.as_bytes())),
    );

    if let Some(body) = &request.body {
        add("CONTENT_LENGTH", body.len().to_string().into_bytes().into());
    }
    if let Some(content_type) = request.header("content-type").last() {
        add("CONTENT_TYPE", Cow::Borrowed(content_type));
    }
    if let Some(request_context) = request.request_context {
        add(
            "LAMBDA_REQUEST_CONTEXT",
            Cow::Borrowed(request_context.as_bytes()),
        );
    }
    params.extend(headers::variables(request));
    params
}

/// The parameters of an event that is no HTTP request: the event is the body of a POST.
pub fn of_event<'a>(event: &[u8], script: &'a Script, context: &LambdaContext<'a>) -> Params<'a> {
    let mut params = common(script, context);
    let fixed: [(&'static str, &'static str); 10] = [
        ("REQUEST_METHOD", "POST"),
        ("QUERY_STRING", ""),
        ("REQUEST_URI", "/"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_NAME", "localhost"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("HTTPS", "on"),
        ("REQUEST_SCHEME", "https"),
        ("SERVER_PORT", "443"),
        ("CONTENT_TYPE", "application/json"),
    ];
    params.extend(fixed.map(|(name, value)| {
        (
            Cow::Borrowed(name.as_bytes()),
            Cow::Borrowed(value.as_bytes()),
        )
    }));
    params.push((
        Cow::Borrowed(b"CONTENT_LENGTH"),
        event.len().to_string().into_bytes().into(),
    ));
    params
}

/// Has php-fpm run `runner` in the place of the script, which stands in DOCUMENT_ROOT and SCRIPT_NAME all the same.
pub fn run_by<'a>(runner: &'a str, params: &mut Params<'a>) {
    let filename = params
        .iter_mut()
        .find(|(name, _)| &**name == b"SCRIPT_FILENAME");
    if let Some((_, filename)) = filename {
        *filename = Cow::Borrowed(runner.as_bytes());
    }
}

/// What does not depend on the request.
fn common<'a>(script: &'a Script, context: &LambdaContext<'a>) -> Params<'a> {
    const SOFTWARE: &str = concat!(
        "php-fpm-lambda/",
        env!("CARGO_PKG_VERSION"),
        " (like nginx)"
    );
    let mut params: Params<'a> = Vec::with_capacity(64);
    let mut add = |name: &'static str, value: Cow<'a, [u8]>| {
        params.push((Cow::Borrowed(name.as_bytes()), value))
    };
    add("SCRIPT_FILENAME", Cow::Borrowed(script.filename.as_bytes()));
    add("SCRIPT_NAME", Cow::Borrowed(script.name.as_bytes()));
    add("DOCUMENT_URI", Cow::Borrowed(script.name.as_bytes()));
    add(
        "DOCUMENT_ROOT",
        Cow::Borrowed(script.document_root.as_bytes()),
    );
    add("GATEWAY_INTERFACE", Cow::Borrowed(b"CGI/1.1"));
    // WordPress and others look for a known server's name before they make clean URLs
    add("SERVER_SOFTWARE", Cow::Borrowed(SOFTWARE.as_bytes()));
    add("SERVER_ADDR", Cow::Borrowed(b"127.0.0.1"));
    add("REDIRECT_STATUS", Cow::Borrowed(b"200"));
    context_variables(context).for_each(|(name, value)| add(name, value));
    params
}

/// Lambda's context, names and values.
pub fn context_variables<'a>(
    context: &LambdaContext<'a>,
) -> impl Iterator<Item = (&'static str, Cow<'a, [u8]>)> {
    let trace_id = context.trace_id.map(str::as_bytes).map(Cow::Borrowed);
    [
        (
            "LAMBDA_REQUEST_ID",
            Some(Cow::Borrowed(context.request_id.as_bytes())),
        ),
        (
            "LAMBDA_INVOCATION_CONTEXT",
            Some(Cow::Owned(invocation_context(context))),
        ),
        ("_X_AMZN_TRACE_ID", trace_id),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
}

/// JSON, with the names that PHP applications on Lambda read already.
fn invocation_context(context: &LambdaContext<'_>) -> Vec<u8> {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Json<'a> {
        aws_request_id: &'a str,
        deadline_ms: u64,
        invoked_function_arn: &'a str,
        trace_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        tenant_id: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        client_context: Option<&'a RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        identity: Option<&'a RawValue>,
    }
    let json = Json {
        aws_request_id: context.request_id,
        // applications read these four without asking whether they are there
        deadline_ms: context.deadline_ms.unwrap_or_default(),
        invoked_function_arn: context.function_arn.unwrap_or_default(),
        trace_id: context.trace_id.unwrap_or_default(),
        tenant_id: context.tenant_id,
        client_context: context
            .client_context
            .and_then(|json| serde_json::from_str(json).ok()),
        identity: context
            .identity
            .and_then(|json| serde_json::from_str(json).ok()),
    };
    serde_json::to_vec(&json).expect("strings and numbers always have a JSON form")
}

/// The path behind the prefix that the configuration takes off.
pub fn without_base<'a>(path: &'a [u8], base: Option<&str>) -> Cow<'a, [u8]> {
    match base.and_then(|base| path.strip_prefix(base.as_bytes())) {
        Some(b"") => Cow::Borrowed(b"/"),
        Some(rest) if rest[0] == b'/' => Cow::Borrowed(rest),
        _ => Cow::Borrowed(path),
    }
}

/// The Host header without its port, else the domain of the event, else `localhost`.
fn server_name<'a>(request: &'a HttpRequest<'_>) -> &'a [u8] {
    let host = request.header("host").next().map(|host| {
        let port = host
            .iter()
            .rposition(|&byte| byte == b':')
            .filter(|&colon| host.len() == colon + 1 || is_port(&host[colon + 1..]));
        &host[..port.unwrap_or(host.len())]
    });
    let known = [host, request.domain_name.as_deref()];
    known
        .into_iter()
        .flatten()
        .find(|name| !name.is_empty())
        .unwrap_or(b"localhost")
}

/// Who asked: as the event says, else the last hop that a load balancer noted.
fn client(request: &HttpRequest<'_>) -> IpAddr {
    let forwarded = || {
        request
            .header("x-forwarded-for")
            .last()?
            .rsplit(|&byte| byte == b',')
            .next()
    };
    let text = request
        .source_ip
        .as_deref()
        .or_else(forwarded)
        .unwrap_or_default();
    let text = std::str::from_utf8(text).unwrap_or_default().trim();
    let address = text
        .trim_matches(['[', ']'])
        .parse()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

fn first_item(list: &[u8]) -> &[u8] {
    list.split(|&byte| byte == b',')
        .next()
        .unwrap_or_default()
        .trim_ascii()
}

fn is_port(text: &[u8]) -> bool {
    (1..=5).contains(&text.len()) && text.iter().all(u8::is_ascii_digit)
}

/// PATH_INFO is decoded, unlike the path (RFC 3875 4.1.5). What is no escape stays.
pub fn percent_decode(text: &[u8]) -> Vec<u8> {
    let hex = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        let decoded = match (first, behind) {
            (b'%', &[high, low, ..]) => {
                hex(high).zip(hex(low)).map(|(high, low)| (high << 4) | low)
            }
            _ => None,
        };
        bytes.push(decoded.unwrap_or(first));
        rest = if decoded.is_some() {
            &behind[2..]
        } else {
            behind
        };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts() {
        let script = Script::new("/var/task", "public/index.php", None);
        assert_eq!(script.filename, "/var/task/public/index.php");
        assert_eq!(script.document_root, "/var/task/public");
        assert_eq!(script.name, "/index.php");
        assert_eq!(
            Script::new("/var/task/", "index.php", None).document_root,
            "/var/task"
        );
        assert_eq!(Script::new("/", "index.php", None).filename, "/index.php");
    }

    #[test]
    fn a_runner_takes_the_place_of_the_script_and_leaves_its_name() {
        let script = Script::new("/var/task", "src/worker.php", None);
        let context = LambdaContext::default();
        let mut params = of_event(b"{}", &script, &context);
        run_by("/tmp/event.php", &mut params);
        let all = |wanted: &str| -> Vec<&[u8]> {
            let named = params
                .iter()
                .filter(|(name, _)| &**name == wanted.as_bytes());
            named.map(|(_, value)| &**value).collect()
        };
        assert_eq!(all("SCRIPT_FILENAME"), [b"/tmp/event.php"]);
        assert_eq!(all("DOCUMENT_ROOT"), [b"/var/task/src"]);
        assert_eq!(all("SCRIPT_NAME"), [b"/worker.php"]);
    }

    #[test]
    fn base_paths() {
        for (path, base, expected) in [
            ("/v1/x", Some("/v1"), "/x"),
            ("/v1", Some("/v1"), "/"),
            ("/v10/x", Some("/v1"), "/v10/x"),
            ("/x/v1", Some("/v1"), "/x/v1"),
            ("/v1/x", None, "/v1/x"),
        ] {
            assert_eq!(
                &*without_base(path.as_bytes(), base),
                expected.as_bytes(),
                "{path}"
            );
        }
    }

    #[test]
    fn percent_decoding_leaves_what_is_no_escape() {
        assert_eq!(
            percent_decode(b"/a%20b%c3%A9%%2%zz%"),
            b"/a b\xc3\xa9%%2%zz%"
        );
    }

    #[test]
    fn the_context_embeds_json_and_always_has_its_first_four_members() {
        let context = LambdaContext {
            request_id: "id",
            deadline_ms: Some(5),
            ..LambdaContext::default()
        };
        assert_eq!(
            invocation_context(&context),
            br#"{"awsRequestId":"id","deadlineMs":5,"invokedFunctionArn":"","traceId":""}"#
        );
        let context = LambdaContext {
            client_context: Some(r#"{"custom":{"a":1.50}}"#),
            identity: Some("no json"),
            tenant_id: Some("t"),
            ..context
        };
        let expected = br#"{"awsRequestId":"id","deadlineMs":5,"invokedFunctionArn":"","traceId":"","tenantId":"t","clientContext":{"custom":{"a":1.50}}}"#;
        assert_eq!(invocation_context(&context), expected);
    }
}
