//! Variables that a child process gets beside those of this one, which never change.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::process::Command;

/// Names and values; the values may be secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(Vec<(OsString, OsString)>);

impl Environment {
    /// A later value of a name counts more.
    pub fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.0.push((name.into(), value.into()));
    }

    /// Gives them to a command.
    pub fn apply(&self, command: &mut Command) {
        command.envs(self.0.iter().map(|(name, value)| (name, value)));
    }

    /// The value of a name.
    pub fn get(&self, name: impl AsRef<OsStr>) -> Option<&OsStr> {
        let mut latest = self.0.iter().rev();
        latest
            .find(|(known, _)| known == name.as_ref())
            .map(|(_, value)| &**value)
    }
}

/// The names alone.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_shown() {
        let mut environment = Environment::default();
        environment.set("PASSWORD", "hunter2");
        environment.set("PASSWORD", "hunter3");
        assert_eq!(format!("{environment:?}"), r#"["PASSWORD", "PASSWORD"]"#);
        assert_eq!(environment.get("PASSWORD"), Some(OsStr::new("hunter3")));
        assert_eq!(environment.get("OTHER"), None);
    }
}
