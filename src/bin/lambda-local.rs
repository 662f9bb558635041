//! `lambda-local`: a local Lambda for any bootstrap. `lambda-local cli`: a command for the function in it.

use std::{env, error::Error, fs, future::Future, io, process::ExitCode};

use clap::Parser;
use php_fpm_lambda::local::{
    self,
    cli::Cli,
    log::Log,
    options::{Function, Options},
};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // a folder of this name is ./cli
    let is_cli = env::args_os().nth(1).is_some_and(|word| word == "cli");
    let ended = match is_cli {
        true => local::cli::run(Cli::parse_from(env::args_os().skip(1))).await,
        false => run(Options::parse()).await.map(|()| 0),
    };
    match ended {
        Ok(exit_code) => ExitCode::from(exit_code),
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

/// Ctrl-C, Ctrl-\, a terminal that is closed, or a SIGTERM.
fn shutdown() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = if ignores_hang_up()? {
        None
    } else {
        Some(signal(SignalKind::hangup())?)
    };
    Ok(async move {
        let hung_up = async {
            match &mut hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = quit.recv() => {}
            _ = terminate.recv() => {}
            _ = hung_up => {}
        }
    })
}

/// Whether `nohup` started this program; listening to the signal would undo that.
fn ignores_hang_up() -> io::Result<bool> {
    let status = fs::read_to_string("/proc/self/status")?;
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let hang_up = 1 << (SignalKind::hangup().as_raw_value() - 1);
    Ok(mask.is_some_and(|mask| mask & hang_up != 0))
}
