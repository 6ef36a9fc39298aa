//! The command: run, check, demo.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use super::cli::{Cli, Command};
use super::gate::{Options, Running, start};
use super::{demo, files, log};
use crate::config::{self, Config};
use crate::listen::Inherited;

/// What the process was told.
enum Told {
    Drain,
    Stop,
}

/// Runs the command line; the exit code is 0, or 1 with the reason on standard error.
#[must_use]
pub fn main() -> ExitCode {
    // Before any thread is started: it takes variables out of the environment.
    let inherited = Inherited::from_environment();
    let done = match Cli::parse().command {
        Command::Run { config } => run(&config, inherited),
        Command::Check { config } => check(&config),
        Command::Demo => run_demo(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidegate: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(path: &Path, inherited: Inherited) -> Result<()> {
    let config = config::load(path)?;
    log::start(&config.log)?;
    let gate = open(&config, inherited)?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        http = ?gate.http(), https = ?gate.https(), admin = %gate.admin(),
        "the gate stands"
    );
    until_told(gate)
}

fn open(config: &Config, inherited: Inherited) -> Result<Running> {
    files::raise_limit(config).map_err(anyhow::Error::msg)?;
    Ok(start(
        config,
        Options {
            inherited,
            ..Options::default()
        },
    )?)
}

fn check(path: &Path) -> Result<()> {
    let config = config::load(path)?;
    print!("{}", config::describe(&config));
    Ok(())
}

fn run_demo() -> Result<()> {
    let stage = demo::Stage::set().context("demo")?;
    log::start(&stage.config().log)?;
    let gate = open(stage.config(), Inherited::default())
        .context("the demo listens on fixed ports of loopback: is one of them taken?")?;
    println!("{}", stage.what_to_try());
    let done = until_told(gate);
    drop(stage);
    done
}

/// Waits for a signal, then ends the gate as it says.
fn until_told(gate: Running) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let told = runtime.block_on(listen_to_signals(&gate))?;
    match told {
        Told::Drain => {
            tracing::info!(in_flight = gate.in_flight(), "told to stop: draining");
            let drained = gate.drain();
            tracing::info!(cut = drained.cut, "stopped");
        }
        Told::Stop => {
            tracing::info!("told to stop at once");
            drop(gate);
        }
    }
    Ok(())
}

async fn listen_to_signals(gate: &Running) -> Result<Told> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(Told::Drain),
            _ = interrupt.recv() => return Ok(Told::Stop),
            _ = hang_up.recv() => {
                tracing::warn!(
                    "SIGHUP: this version does not reload its configuration; restart it to load the file \
                     again. The access log's file is opened anew"
                );
                gate.reopen_access_log();
            }
        }
    }
}
