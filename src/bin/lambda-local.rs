//! `lambda-local`: a local Lambda for any bootstrap.

use std::{error::Error, future::Future, io, process::ExitCode};

use clap::Parser;
use php_fpm_lambda::local::{
    self,
    log::Log,
    options::{Function, Options},
};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lambda-local: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let address = options.listen;
    let function = Function::try_from(options)?;
    let shutdown = shutdown()?;
    let listener = local::listen(address).await?;
    let log = Log::new(io::stdout())?;
    local::run(function, listener, log.clone(), shutdown).await?;
    log.flush();
    Ok(())
}

/// Ctrl-C, or a SIGTERM.
fn shutdown() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
