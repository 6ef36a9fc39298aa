//! The command `tidegate`.

use std::process::ExitCode;

/// Gives memory of closed connections back, and keeps open ones small.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tidegate::app::main()
}
