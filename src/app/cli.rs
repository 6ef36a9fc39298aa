//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// A rate-limiting reverse proxy for infrastructure management APIs.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, about, arg_required_else_help = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the gate. SIGTERM drains and stops it, SIGINT stops it now.
    Run {
        /// The configuration file.
        #[arg(
            long,
            value_name = "FILE",
            default_value = "/etc/tidegate/tidegate.toml"
        )]
        config: PathBuf,
    },
    /// Check a configuration and say in plain words what each limit means. Exits 0 when it is sound, else 1.
    Check {
        /// The configuration file.
        #[arg(
            long,
            value_name = "FILE",
            default_value = "/etc/tidegate/tidegate.toml"
        )]
        config: PathBuf,
    },
    /// Run a gate in front of a built-in imitation of a vCenter, and print what to try.
    Demo,
}
