//! What kinds of functions there are.

use std::time::Duration;

/// What Lambda calls the initialization type: how a sandbox comes about, and how many invocations it serves at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initialization {
    /// The default: init when an invocation needs it, one at a time.
    OnDemand,
    /// Init ahead of all invocations, a snapshot of what that left, and a restore of it where a sandbox is needed.
    SnapStart,
    /// Managed Instances: init ahead of all invocations, several at a time.
    ManagedInstances {
        /// `AWS_LAMBDA_MAX_CONCURRENCY`.
        concurrency: u16,
    },
}

impl Initialization {
    /// `AWS_LAMBDA_INITIALIZATION_TYPE`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::SnapStart => "snap-start",
            Self::ManagedInstances { .. } => "lambda-managed-instances",
        }
    }

    pub(crate) fn concurrency(self) -> usize {
        match self {
            Self::OnDemand | Self::SnapStart => 1,
            Self::ManagedInstances { concurrency } => concurrency.into(),
        }
    }

    /// How long Lambda lets an init take: 10 seconds on demand, else 130 seconds or the function's time-out, whichever
    /// is longer (docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html).
    pub(crate) fn init_limit(self, timeout: Duration) -> Duration {
        match self {
            Self::OnDemand => Duration::from_secs(10),
            Self::SnapStart | Self::ManagedInstances { .. } => {
                timeout.max(Duration::from_secs(130))
            }
        }
    }
}
