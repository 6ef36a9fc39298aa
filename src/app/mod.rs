//! The one room that knows all others: build, command line, signals, shutdown.

mod addresses;
mod background;
mod cli;
pub mod demo;
mod early;
mod files;
mod gate;
mod log;
mod door;
mod operator;
mod own;
mod people;
mod serve;
mod task_rows;
mod tasks;
mod view;
mod whose;

pub use gate::{Drained, Options, Running, StartError, start};
pub use serve::main;
pub use tasks::Post;
