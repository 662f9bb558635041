//! The function's log: how one line is written, in Lambda's text or JSON format.
//!
//! The formatting is pure; [`Log::write`] and [`Log::php`] are the only writers of the process's log (stderr,
//! which Lambda captures). Source: AWS Lambda Developer Guide, "Lambda function logs" and "Advanced logging controls".

use std::borrow::Cow;
use std::io::Write as _;
use std::time::SystemTime;

use serde::Deserialize;

/// `AWS_LAMBDA_LOG_FORMAT`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// Lines as they come.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Format {
    /// In any case of letters: AWS's emulator writes `json`, Lambda `JSON`.
    pub fn parse(text: &str) -> Option<Format> {
        match text.to_ascii_lowercase().as_str() {
            "text" => Some(Format::Text),
            "json" => Some(Format::Json),
            _ => None,
        }
    }
}

/// `AWS_LAMBDA_LOG_LEVEL`, the least important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// For developers.
    Debug,
    /// What PHP logs without saying how grave it is.
    Info,
    /// Something to look at.
    Warn,
    /// An invocation failed.
    Error,
    /// The runtime ends.
    Fatal,
}

impl Level {
    /// In any case of letters, with the longer names that log libraries use.
    pub fn parse(text: &str) -> Option<Level> {
        Some(match text.to_ascii_uppercase().as_str() {
            "TRACE" => Level::Trace,
            "DEBUG" => Level::Debug,
            "INFO" | "NOTICE" => Level::Info,
            "WARN" | "WARNING" => Level::Warn,
            "ERROR" => Level::Error,
            "FATAL" | "CRITICAL" | "ALERT" | "EMERGENCY" => Level::Fatal,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"][self as usize]
    }

    /// How grave a line of PHP's error log is: `PHP Warning:  …`.
    fn of_php(message: &str) -> Level {
        let Some(rest) = message.strip_prefix("PHP ") else {
            return Level::Info;
        };
        match rest.split_once(':').map(|(kind, _)| kind) {
            Some("Fatal error" | "Parse error" | "Recoverable fatal error") => Level::Error,
            Some("Warning") => Level::Warn,
            _ => Level::Info,
        }
    }
}

/// Whose line it is: one invocation's, or nobody's (start-up, between two invocations).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// The invocation's request id.
    pub request_id: Option<String>,
    /// Lambda's tenant id, where there is one.
    pub tenant_id: Option<String>,
}

/// The log with its settings.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    /// Text or JSON.
    pub format: Format,
    /// Lines below it are left out.
    pub level: Level,
}

impl Log {
    /// A line of the runtime's own.
    pub fn write(&self, context: &Context, level: Level, message: &str) {
        if let Some(line) = self.own_line(SystemTime::now(), context, level, message) {
            emit(line.as_bytes());
        }
    }

    /// An entry that PHP wrote, without the newline at its end; it may have newlines inside (a stack trace).
    pub fn php(&self, context: &Context, entry: &[u8]) {
        if let Some(line) = self.php_line(SystemTime::now(), context, entry) {
            emit(&line);
        }
    }

    /// `timestamp\trequestId\tLEVEL\tmessage`, or a JSON object.
    fn own_line(
        &self,
        now: SystemTime,
        context: &Context,
        level: Level,
        message: &str,
    ) -> Option<String> {
        (level >= self.level).then(|| match self.format {
            Format::Json => json_line(now, context, level, message),
            Format::Text => {
                let id = context.request_id.as_deref().unwrap_or("-");
                format!(
                    "{}\t{id}\t{}\t{message}\n",
                    humantime::format_rfc3339_millis(now),
                    level.name()
                )
            }
        })
    }

    /// Text: the bytes as PHP wrote them. JSON: PHP's date is dropped, as the object has a `timestamp`, and an entry that is
    /// a JSON object already stays as it is.
    fn php_line<'e>(
        &self,
        now: SystemTime,
        context: &Context,
        entry: &'e [u8],
    ) -> Option<Cow<'e, [u8]>> {
        if self.format == Format::Text {
            return Some(Cow::Owned([entry, b"\n"].concat()));
        }
        let text = String::from_utf8_lossy(without_date(entry));
        let message = text.trim_end_matches(['\r', '\n']);
        if message.starts_with('{') {
            if let Ok(object) = serde_json::from_str::<UsersLine>(message) {
                let level = object
                    .level
                    .as_ref()
                    .and_then(|level| Level::parse(level.as_str()?));
                // between the members of a JSON text a line break is white space, and inside a string there is none
                let line = format!("{}\n", message.replace(['\r', '\n'], " "));
                return level
                    .is_none_or(|level| level >= self.level)
                    .then(|| line.into_bytes().into());
            }
        }
        let level = Level::of_php(message);
        (level >= self.level).then(|| json_line(now, context, level, message).into_bytes().into())
    }
}

/// A JSON object that the user's own code logged.
#[derive(Deserialize)]
struct UsersLine {
    level: Option<serde_json::Value>,
}

fn json_line(now: SystemTime, context: &Context, level: Level, message: &str) -> String {
    let mut object = serde_json::Map::new();
    object.insert(
        "timestamp".into(),
        humantime::format_rfc3339_millis(now).to_string().into(),
    );
    object.insert("level".into(), level.name().into());
    if let Some(id) = &context.request_id {
        object.insert("requestId".into(), id.as_str().into());
    }
    if let Some(tenant) = &context.tenant_id {
        object.insert("tenantId".into(), tenant.as_str().into());
    }
    object.insert("message".into(), message.into());
    format!("{}\n", serde_json::Value::Object(object))
}

/// The length of PHP's `[22-Nov-2026 15:55:03 Europe/Berlin] ` at the beginning of an entry, 0 where there is none.
pub fn date_len(entry: &[u8]) -> usize {
    const SHAPE: &[u8] = b"[dd-aaa-dddd dd:dd:dd ";
    let matches = |byte: u8, shape: u8| match shape {
        b'd' => byte.is_ascii_digit(),
        b'a' => byte.is_ascii_alphabetic(),
        exact => byte == exact,
    };
    if entry.len() < SHAPE.len()
        || !SHAPE
            .iter()
            .zip(entry)
            .all(|(&shape, &byte)| matches(byte, shape))
    {
        return 0;
    }
    let zone = &entry[SHAPE.len()..entry.len().min(SHAPE.len() + 64)];
    let end = zone.windows(2).position(|pair| pair == b"] ");
    end.map_or(0, |end| SHAPE.len() + end + 2)
}

fn without_date(entry: &[u8]) -> &[u8] {
    &entry[date_len(entry)..]
}

/// One write a line. A closed stderr is no reason to fail an invocation.
fn emit(line: &[u8]) {
    let _ = std::io::stderr().lock().write_all(line);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const ENTRY: &[u8] =
        b"[22-Nov-2026 15:55:03 UTC] PHP Warning:  oh \xff in /var/task/a.php on line 3";

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_363_201_123)
    }

    fn context() -> Context {
        Context {
            request_id: Some("id-1".into()),
            tenant_id: Some("blue".into()),
        }
    }

    fn json(level: Level) -> Log {
        Log {
            format: Format::Json,
            level,
        }
    }

    fn php(log: Log, entry: &[u8]) -> Option<String> {
        log.php_line(now(), &context(), entry)
            .map(|line| String::from_utf8(line.into_owned()).unwrap())
    }

    #[test]
    fn text_leaves_phps_lines_unchanged() {
        let log = Log {
            format: Format::Text,
            level: Level::Error,
        };
        let line = log.php_line(now(), &context(), ENTRY).unwrap();
        assert_eq!(line.as_ref(), [ENTRY, b"\n"].concat());
    }

    #[test]
    fn text_of_the_runtime() {
        let log = Log {
            format: Format::Text,
            level: Level::Info,
        };
        let line = log
            .own_line(now(), &context(), Level::Warn, "slow")
            .unwrap();
        assert_eq!(line, "2026-11-22T16:00:01.123Z\tid-1\tWARN\tslow\n");
        let nobodys = log
            .own_line(now(), &Context::default(), Level::Info, "up")
            .unwrap();
        assert_eq!(nobodys, "2026-11-22T16:00:01.123Z\t-\tINFO\tup\n");
        assert_eq!(
            log.own_line(now(), &context(), Level::Debug, "detail"),
            None
        );
    }

    #[test]
    fn json_is_one_object_with_id_level_and_tenant() {
        let line = php(json(Level::Trace), ENTRY).unwrap();
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["timestamp"], "2026-11-22T16:00:01.123Z");
        assert_eq!(object["level"], "WARN");
        assert_eq!(object["requestId"], "id-1");
        assert_eq!(object["tenantId"], "blue");
        assert_eq!(
            object["message"],
            "PHP Warning:  oh \u{fffd} in /var/task/a.php on line 3"
        );
        assert_eq!(line.matches('\n').count(), 1);
        let nobodys = json(Level::Info)
            .own_line(now(), &Context::default(), Level::Info, "up")
            .unwrap();
        let object: serde_json::Value = serde_json::from_str(&nobodys).unwrap();
        let expected = serde_json::json!({"timestamp": "2026-11-22T16:00:01.123Z", "level": "INFO", "message": "up"});
        assert_eq!(object, expected);
    }

    #[test]
    fn json_objects_of_the_user_pass_unchanged() {
        let object = br#"{"message":"m","level":"INFO", "x":1e400}"#;
        let dated = [b"[22-Nov-2026 15:55:03 UTC] ".as_slice(), object].concat();
        let expected = String::from_utf8([object.as_slice(), b"\n"].concat()).unwrap();
        assert_eq!(php(json(Level::Info), object).unwrap(), expected);
        assert_eq!(php(json(Level::Info), &dated).unwrap(), expected);
        assert_eq!(php(json(Level::Warn), object), None);
        let pretty = php(json(Level::Info), b"{\n  \"a\": \"x\"\n}").unwrap();
        assert_eq!(pretty, "{   \"a\": \"x\" }\n");
        let number = php(json(Level::Fatal), br#"{"level":200}"#);
        assert_eq!(number.unwrap(), "{\"level\":200}\n");
    }

    #[test]
    fn json_filters_by_phps_own_words() {
        for (entry, level) in [
            ("PHP Fatal error:  x", Level::Error),
            ("PHP Parse error:  x", Level::Error),
            ("PHP Warning:  x", Level::Warn),
            ("PHP Deprecated:  x", Level::Info),
            ("{ no object", Level::Info),
        ] {
            assert!(php(json(level), entry.as_bytes()).is_some(), "{entry}");
            let above = if level == Level::Error {
                Level::Fatal
            } else {
                Level::Error
            };
            assert_eq!(php(json(above), entry.as_bytes()), None, "{entry}");
        }
    }

    #[test]
    fn dates_with_any_zone_and_no_other_bracket() {
        assert_eq!(
            date_len(b"[22-Nov-2026 15:55:03 America/Argentina/Buenos_Aires] x"),
            54
        );
        assert_eq!(date_len(b"[22-Nov-2026 15:55:03 UTC]"), 0);
        assert_eq!(date_len(b"[error] 22-Nov-2026 15:55:03 UTC] x"), 0);
        assert_eq!(date_len(b""), 0);
    }
}
