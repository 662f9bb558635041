//! One variable after the other: looked up, parsed, and noted where its value is bad.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::reference::Value;
use super::variables::{OWN_PREFIX, VARIABLES};

pub(super) struct Reader<L> {
    pub(super) lookup: L,
    /// One sentence for each bad value.
    pub(super) problems: Vec<String>,
}

impl<L: Fn(&str) -> Option<OsString>> Reader<L> {
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        (self.lookup)(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.parsed(name, |text| Some(text.to_owned()))
    }

    /// Lambda starts a container image's ENTRYPOINT with its CMD, which is the handler.
    pub(super) fn argument(&mut self, arguments: impl Iterator<Item = OsString>) -> Option<String> {
        let arguments: Vec<OsString> = arguments.collect();
        match &arguments[..] {
            [] => None,
            [handler] if handler.is_empty() => None,
            [handler] if handler.to_str().is_some() => handler.to_str().map(str::to_owned),
            _ => {
                self.problems.push(format!(
                    "the bootstrap's arguments are {arguments:?}, allowed: the handler alone, such as index.php"
                ));
                None
            }
        }
    }

    pub(super) fn parsed<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = (self.lookup)(name).filter(|value| !value.is_empty())?;
        let parsed = value.to_str().and_then(parse);
        if parsed.is_none() {
            let variable = VARIABLES.iter().find(|variable| variable.name == name);
            let allowed = variable.map_or("UTF-8 text", |variable| variable.allowed);
            self.problems
                .push(format!("{name} is {value:?}, allowed: {allowed}"));
        }
        parsed
    }

    /// The user's own variables alone: Lambda's and the runtime's are read before there could be any other value.
    pub(super) fn replaced(&mut self, names: &[OsString]) -> Vec<(OsString, Value)> {
        let is_known = |name: &OsStr| VARIABLES.iter().any(|variable| name == variable.name);
        let is_users =
            |name: &OsStr| !name.as_encoded_bytes().starts_with(b"AWS_") && !is_known(name);
        let mut found = Vec::new();
        for name in names.iter().filter(|name| is_users(name)) {
            let value = name.to_str().and_then(|name| (self.lookup)(name));
            match value.as_deref().and_then(Value::parse) {
                Some(Ok(value)) => found.push((name.clone(), value)),
                // without the value, which may be a secret that begins so by chance
                Some(Err(problem)) => self
                    .problems
                    .push(format!("{} {problem}", name.to_string_lossy())),
                None => {}
            }
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found
    }

    pub(super) fn unknown_names(&mut self, names: impl Iterator<Item = OsString>) {
        let own = || {
            VARIABLES
                .iter()
                .map(|variable| variable.name)
                .filter(|name| name.starts_with(OWN_PREFIX))
        };
        let mut unknown: Vec<OsString> = names
            .filter(|name| name.as_encoded_bytes().starts_with(OWN_PREFIX.as_bytes()))
            .filter(|name| !own().any(|known| name == known))
            .collect();
        unknown.sort();
        for name in unknown {
            let shown = name.to_string_lossy();
            let value = (self.lookup)(&shown).unwrap_or_default();
            let known = own().collect::<Vec<_>>().join(", ");
            self.problems.push(format!(
                "{shown} is {value:?}, but there is no such variable, allowed: {known}"
            ));
        }
    }
}
