//! `lambda-local`: a local Lambda for any bootstrap. `lambda-local cli`: a command for the function in it.

use std::{env, error::Error, fs, future::Future, io, process::ExitCode};

use clap::Parser;
use php_fpm_lambda::local::{
    self,
    cli::Cli,
    deployment::{self, Deployment},
    function::Function,
    log::Log,
    options::Options,
};
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
};

fn main() -> ExitCode {
    // a folder of this name is ./cli
    let is_cli = env::args_os().nth(1).is_some_and(|word| word == "cli");
    let ended = match is_cli {
        true => run_cli(Cli::parse_from(env::args_os().skip(1))),
        false => deploy_and_run(Options::parse()).map(|()| 0),
    };
    match ended {
        Ok(exit_code) => ExitCode::from(exit_code),
        Err(error) => {
            eprintln!("lambda-local: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_cli(cli: Cli) -> Result<u8, Box<dyn Error>> {
    event_loop()?.block_on(local::cli::run(cli))
}

/// Deploys before anything else is started: only a process of one thread can enter a namespace.
fn deploy_and_run(mut options: Options) -> Result<(), Box<dyn Error>> {
    let deployment = match options.packages() {
        Some((layers, function)) => Some(deployment::deploy(layers, function)?),
        None => None,
    };
    options.is_deployed = deployment.is_some();
    event_loop()?.block_on(run(options, deployment.as_ref()))
}

fn event_loop() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

async fn run(options: Options, deployment: Option<&Deployment>) -> Result<(), Box<dyn Error>> {
    let address = options.listen;
    let tell = |log: &Log| {
        let notes = deployment.iter().flat_map(|deployment| &deployment.notes);
        notes.for_each(|note| log.note(note));
    };
    let function = match Function::try_from(options) {
        Ok(function) => function,
        Err(error) => {
            // They may say why: that the bootstrap is in a folder of the zip.
            let log = Log::new(io::stderr())?;
            tell(&log);
            log.flush();
            return Err(error.into());
        }
    };
    let shutdown = shutdown()?;
    let listener = local::listen(address).await?;
    let log = Log::new(io::stdout())?;
    tell(&log);
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
