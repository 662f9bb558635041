//! An event that asks for a command: `{"cli": "migrate --force"}`.
//!
//! ```text
//! cli     what comes behind the console script: a string, which is split as a shell does, or a list of strings
//! env     optional: variables of this command alone, names and strings
//! stdin   optional: what the command reads, a string; without it, nothing
//! ```

use super::json::{self, Object, Text};

/// A command, as the event describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cli {
    /// Behind the console script.
    pub arguments: Vec<Vec<u8>>,
    /// Names and values.
    pub variables: Vec<Variable>,
    /// What the command reads.
    pub stdin: Vec<u8>,
}

/// A name and its value.
pub type Variable = (Vec<u8>, Vec<u8>);

/// Why no command can be made of the event; the text says what to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidCli(pub String);

const MEMBERS: [&str; 3] = ["cli", "env", "stdin"];

/// `None`: the event asks for no command.
pub(super) fn decode(event: &Object<'_>) -> Option<Result<Cli, InvalidCli>> {
    let cli = event.raw("cli")?;
    match cli.as_bytes().first() {
        Some(b'"' | b'[') => Some(command(event, cli).map_err(InvalidCli)),
        _ => None,
    }
}

fn command(event: &Object<'_>, cli: &str) -> Result<Cli, String> {
    // a member that is misspelt would be without effect
    if let Some(unknown) = event.names().find(|name| !is_member(name)) {
        return Err(format!(
            "the member {:?} is not known, allowed: {}",
            String::from_utf8_lossy(unknown),
            MEMBERS.join(", ")
        ));
    }
    let command = Cli {
        arguments: arguments(cli)?,
        variables: variables(event)?,
        stdin: match event.raw("stdin") {
            None | Some("null") => Vec::new(),
            Some(stdin) => json::text(stdin).ok_or("stdin is no string")?.into_owned(),
        },
    };
    match has_nul(&command) {
        true => Err("no argument and no variable can have a NUL in it".to_owned()),
        false => Ok(command),
    }
}

fn has_nul(command: &Cli) -> bool {
    let variables = command.variables.iter();
    let mut words = variables
        .flat_map(|(name, value)| [name, value])
        .chain(&command.arguments);
    words.any(|word| word.contains(&0))
}

fn is_member(name: &[u8]) -> bool {
    MEMBERS.iter().any(|member| member.as_bytes() == name)
}

fn arguments(cli: &str) -> Result<Vec<Vec<u8>>, String> {
    if cli.starts_with('[') {
        let items = json::items(cli).ok_or("cli is no list")?;
        let text = |item| json::text(item).map(Text::into_owned);
        let items: Option<Vec<Vec<u8>>> = items.into_iter().map(text).collect();
        return items
            .ok_or_else(|| "cli has an item that is no string: write numbers as \"3\"".to_owned());
    }
    let line = json::text(cli).ok_or("cli is no string")?;
    let line = std::str::from_utf8(&line).map_err(|_| "cli is no Unicode text")?;
    let words = shell_words::split(line)
        .map_err(|_| "cli has a quote without its end: add it, or give a list of arguments")?;
    Ok(words.into_iter().map(String::into_bytes).collect())
}

fn variables(event: &Object<'_>) -> Result<Vec<Variable>, String> {
    let env = match event.raw("env") {
        None | Some("null") => return Ok(Vec::new()),
        Some(env) => Object::parse(env).ok_or("env is no object")?,
    };
    let names: Vec<Text<'_>> = env.names().cloned().collect();
    let variable = |name: Text<'_>| {
        let shown = String::from_utf8_lossy(&name).into_owned();
        if name.is_empty() || name.contains(&b'=') {
            return Err(format!(
                "env has the name {shown:?}, which no variable can have"
            ));
        }
        let value = std::str::from_utf8(&name)
            .ok()
            .and_then(|name| env.text(name));
        let value = value.ok_or_else(|| format!("{shown} in env is no string"))?;
        Ok((name.into_owned(), value.into_owned()))
    };
    names.into_iter().map(variable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(event: &str) -> Option<Result<Cli, InvalidCli>> {
        decode(&Object::parse(event).unwrap())
    }

    fn cli(event: &str) -> Cli {
        read(event).unwrap().unwrap()
    }

    fn arguments_of(cli_value: serde_json::Value) -> Vec<String> {
        let event = serde_json::json!({ "cli": cli_value }).to_string();
        let arguments = cli(&event).arguments;
        let texts = arguments.into_iter().map(String::from_utf8);
        texts.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn a_string_is_split_as_a_shell_does_and_nothing_is_expanded() {
        for (line, expected) in [
            ("migrate --force", &["migrate", "--force"][..]),
            ("  a \t b\n", &["a", "b"]),
            ("", &[]),
            (
                r#"say "it's 1 \"o'clock\"" 'a "b" \n' c\ d"#,
                &["say", "it's 1 \"o'clock\"", "a \"b\" \\n", "c d"],
            ),
            (r#"a "" ''"#, &["a", "", ""]),
            (
                "$HOME `id` $(id) *.php ~ a;b|c&d>e",
                &["$HOME", "`id`", "$(id)", "*.php", "~", "a;b|c&d>e"],
            ),
            ("ü --name='Zoë'", &["ü", "--name=Zoë"]),
        ] {
            assert_eq!(arguments_of(line.into()), expected, "{line}");
        }
    }

    #[test]
    fn a_list_is_taken_as_it_is() {
        let list = serde_json::json!(["a b", "", "'c'", "\\", "$D"]);
        assert_eq!(arguments_of(list), ["a b", "", "'c'", "\\", "$D"]);
        assert_eq!(arguments_of(serde_json::json!([])), [""; 0]);
    }

    #[test]
    fn variables_and_stdin() {
        let command = cli(r#"{"stdin":"1\n2","cli":["x"],"env":{"A":"1","B":"","A":"2=3"}}"#);
        let pair = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        let expected = [pair("A", "2=3"), pair("B", ""), pair("A", "2=3")];
        assert_eq!(command.variables, expected, "the last one of a name counts");
        assert_eq!(command.stdin, b"1\n2");
        let none = cli(r#"{"cli":"x","env":null,"stdin":null}"#);
        assert!(none.variables.is_empty() && none.stdin.is_empty());
    }

    #[test]
    fn other_events_ask_for_no_command() {
        for event in [
            "{}",
            r#"{"cli":5}"#,
            r#"{"cli":null}"#,
            r#"{"cli":{"a":1}}"#,
            r#"{"Cli":"x"}"#,
        ] {
            assert_eq!(read(event), None, "{event}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (event, words) in [
            (
                r#"{"cli":"x","environment":{}}"#,
                "\"environment\" is not known, allowed: cli, env, stdin",
            ),
            (r#"{"cli":"a 'b"}"#, "a quote without its end"),
            (r#"{"cli":["a",3]}"#, "an item that is no string"),
            (r#"{"cli":"a","env":["A=b"]}"#, "env is no object"),
            (r#"{"cli":"a","env":{"A":1}}"#, "A in env is no string"),
            (r#"{"cli":"a","env":{"A=B":"1"}}"#, "\"A=B\""),
            (r#"{"cli":"a","env":{"":"1"}}"#, "\"\""),
            (r#"{"cli":"a","stdin":1}"#, "stdin is no string"),
            (r#"{"cli":["a\u0000b"]}"#, "NUL"),
            (r#"{"cli":"a","env":{"A":"\u0000"}}"#, "NUL"),
            (r#"{"cli":"\ud800"}"#, "no Unicode text"),
        ] {
            let InvalidCli(text) = read(event).unwrap().unwrap_err();
            assert!(text.contains(words), "{event}: {text}");
        }
    }
}
