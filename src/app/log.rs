//! The log: what the gate says of itself. Requests have their own, the access log.

use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat, LogLevel};

/// Starts the log as `[log]` says, on standard error. The variable `RUST_LOG` adds to the level.
///
/// # Errors
/// When a log was started before in this process.
pub(super) fn start(log: &Log) -> Result<(), tracing_subscriber::util::TryInitError> {
    let level = level(log.level);
    let filter = EnvFilter::builder()
        .with_default_directive(level.into())
        .from_env_lossy()
        // Libraries tell each request's failures again; at the levels that people run they stay silent.
        .add_directive(directive("pingora", level))
        .add_directive(directive("h2", level))
        .add_directive(directive("rustls", level));
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

fn directive(library: &str, level: LevelFilter) -> tracing_subscriber::filter::Directive {
    let level = if level >= LevelFilter::DEBUG {
        level
    } else {
        LevelFilter::OFF
    };
    format!("{library}={level}")
        .parse()
        .unwrap_or_else(|_| level.into())
}
