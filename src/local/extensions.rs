//! The Extensions API's part of the state: who has registered, and who has come so far that it waits for events.
//!
//! Only for internal extensions, those within the runtime's own process, and without events: an extension that has
//! registered for none is how a runtime comes by a SIGTERM before its end. Refusals carry the error types of AWS's
//! runtime interface emulator.

use std::convert::Infallible;

use tokio::sync::oneshot;

use crate::local::refusal::Refusal;

/// As many as Lambda takes.
const MOST: usize = 10;

#[derive(Debug, Default)]
pub(crate) struct Extensions {
    registered: Vec<Extension>,
    is_closed: bool,
}

#[derive(Debug)]
struct Extension {
    name: String,
    identifier: String,
    /// Its calls of `/event/next`, which are never answered.
    polls: Vec<oneshot::Sender<Result<Infallible, Refusal>>>,
}

impl Extensions {
    /// Takes an extension in under a new identifier.
    pub(crate) fn register(
        &mut self,
        name: &str,
        events: &[String],
        identifier: String,
    ) -> Result<(), Refusal> {
        if let Some(event) = events.first() {
            let why = match event.as_str() {
                "SHUTDOWN" => "ShutdownEventNotSupportedForInternalExtension",
                "INVOKE" => "lambda-local has no events for extensions: register for none",
                _ => "ErrorInvalidEventType",
            };
            return refused("Extension.InvalidEventType", &format!("{event}: {why}"));
        }
        if self.is_closed {
            let why = "Extension registration closed already";
            return refused("Extension.RegistrationClosed", why);
        }
        if self.registered.iter().any(|other| other.name == name) {
            let why = "Extension with this name already registered";
            return refused("Extension.InvalidExtensionState", why);
        }
        if self.registered.len() == MOST {
            let why = format!("Extension limit ({MOST}) reached");
            return refused("Extension.TooManyExtensions", &why);
        }
        self.registered.push(Extension {
            name: name.to_owned(),
            identifier,
            polls: Vec::new(),
        });
        Ok(())
    }

    /// Takes a call of `/event/next`, by which an extension says that it has started; tells whether its identifier is
    /// one of those that were given out.
    pub(crate) fn wait(
        &mut self,
        identifier: &str,
        reply: oneshot::Sender<Result<Infallible, Refusal>>,
    ) -> bool {
        let mut all = self.registered.iter_mut();
        match all.find(|extension| extension.identifier == identifier) {
            Some(extension) => {
                extension.polls.push(reply);
                true
            }
            None => {
                let why = format!("Unknown extension {identifier}");
                let refusal = Refusal::extension("Extension.UnknownExtensionIdentifier", &why);
                // It fails when the client has gone.
                let _ = reply.send(Err(refusal));
                false
            }
        }
    }

    /// The runtime has asked for its first invocation: from now on nobody registers.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
    }

    pub(crate) fn are_there(&self) -> bool {
        !self.registered.is_empty()
    }

    /// Whether all that have registered have started.
    pub(crate) fn have_started(&self) -> bool {
        let mut all = self.registered.iter();
        all.all(|extension| !extension.polls.is_empty())
    }
}

fn refused(error_type: &'static str, message: &str) -> Result<(), Refusal> {
    Err(Refusal::extension(error_type, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(extensions: &mut Extensions, name: &str) -> Option<&'static str> {
        let result = extensions.register(name, &[], format!("id of {name}"));
        result.err().map(|refusal| refusal.error_type)
    }

    #[test]
    fn all_that_have_registered_must_have_started() {
        let mut extensions = Extensions::default();
        assert!(extensions.have_started() && !extensions.are_there());
        assert_eq!(register(&mut extensions, "one"), None);
        assert_eq!(register(&mut extensions, "two"), None);
        assert!(extensions.are_there());
        for (identifier, is_known, have_started) in [
            ("id of one", true, false),
            ("other", false, false),
            ("id of two", true, true),
            ("id of two", true, true),
        ] {
            let (reply, mut answer) = oneshot::channel();
            assert_eq!(extensions.wait(identifier, reply), is_known);
            assert_eq!(answer.try_recv().is_ok(), !is_known);
            assert_eq!(extensions.have_started(), have_started);
        }
    }

    #[test]
    fn who_may_not_register_is_told_why() {
        let mut extensions = Extensions::default();
        for event in ["INVOKE", "SHUTDOWN", "OTHER"] {
            let refusal = extensions.register("name", &[event.to_owned()], String::new());
            assert_eq!(
                refusal.unwrap_err().error_type,
                "Extension.InvalidEventType"
            );
        }
        for number in 0..MOST {
            assert_eq!(register(&mut extensions, &number.to_string()), None);
        }
        let name_is_taken = Some("Extension.InvalidExtensionState");
        assert_eq!(register(&mut extensions, "0"), name_is_taken);
        let too_many = Some("Extension.TooManyExtensions");
        assert_eq!(register(&mut extensions, "another"), too_many);
        extensions.close();
        let closed = Some("Extension.RegistrationClosed");
        assert_eq!(register(&mut extensions, "0"), closed);
    }
}
