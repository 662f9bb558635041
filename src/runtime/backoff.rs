//! A Runtime API that does not answer is asked again, later each time, until it is given up.

use std::time::Duration;

use crate::log::{Context, Level, Log};
use crate::runtime_api::Error;

/// Calls of `/next` that failed in a row.
#[derive(Default)]
pub(super) struct Failures(u32);

impl Failures {
    /// A Runtime API that cannot be reached so often is not there any more.
    const TOO_MANY: u32 = 5;

    /// Logs it and waits, longer each time: 10 ms to 1 s.
    pub(super) async fn wait_after(&mut self, error: &Error, log: Log) {
        self.0 += 1;
        let is_last = match error {
            Error::Fatal(_) => true,
            Error::Unreachable(_) => self.are_too_many(),
            // of one slot: its neighbours may be at work
            Error::Refused(_) => false,
        };
        if is_last {
            return;
        }
        log.write(&Context::default(), Level::Error, &error.to_string());
        let pause = Duration::from_millis(10) * 2u32.pow(self.0.min(8) - 1);
        tokio::time::sleep(pause.min(Duration::from_secs(1))).await;
    }

    pub(super) fn are_too_many(&self) -> bool {
        self.0 >= Self::TOO_MANY
    }
}
