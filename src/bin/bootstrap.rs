//! The runtime that Lambda starts: `bootstrap [HANDLER]`, or `bootstrap --version`.

use std::process::ExitCode;

use php_fpm_lambda::{config::Config, runtime};

fn main() -> ExitCode {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == "--version")
    {
        println!("php-fpm-lambda {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    runtime::run(Config::read(
        |name| std::env::var_os(name),
        std::env::vars_os().map(|(name, _)| name),
        std::env::args_os().skip(1),
    ))
}
