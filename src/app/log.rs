//! The log: what the gate says of itself. Requests have their own, the access log.

use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat, LogLevel};

/// Libraries that tell heads and bodies, tokens and passwords in them, at their lower levels. They stay
/// silent at every level, and no variable of the environment makes them speak: what a request did
/// stands in the access log, and what failed in ours.
const SILENT: [&str; 2] = ["pingora", "h2"];

/// Starts the log as `[log]` says, on standard error.
///
/// # Errors
/// When a log was started before in this process.
pub(super) fn start(log: &Log) -> Result<(), tracing_subscriber::util::TryInitError> {
    let level = level(log.level);
    let filter = EnvFilter::builder()
        .with_default_directive(level.into())
        .parse_lossy("")
        // It tells each handshake's failure again: at the levels that people run it stays silent.
        .add_directive(directive("rustls", quiet(level)));
    let filter = SILENT.iter().fold(filter, |filter, library| {
        filter.add_directive(directive(library, LevelFilter::OFF))
    });
    let registry = tracing_subscriber::registry().with(filter);
    match log.format {
        LogFormat::Json => {
            let lines = fmt::layer()
                .json()
                .flatten_event(true)
                .with_writer(std::io::stderr);
            registry.with(lines).try_init()
        }
        LogFormat::Text => {
            let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
            registry.with(lines).try_init()
        }
    }
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

fn quiet(level: LevelFilter) -> LevelFilter {
    if level >= LevelFilter::DEBUG {
        level
    } else {
        LevelFilter::OFF
    }
}

fn directive(library: &str, level: LevelFilter) -> tracing_subscriber::filter::Directive {
    format!("{library}={level}")
        .parse()
        .unwrap_or_else(|_| level.into())
}
