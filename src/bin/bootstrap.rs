//! The runtime that Lambda starts.

use std::process::ExitCode;

use php_fpm_lambda::{config::Config, runtime};

fn main() -> ExitCode {
    runtime::run(Config::read(
        |name| std::env::var_os(name),
        std::env::vars_os().map(|(name, _)| name),
    ))
}
