//! A file system that fails when it is told to, for a process that is started with it (`shim/fs.c` says how it is told).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The library for `LD_PRELOAD`, compiled once in each test process.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("tidegate-shim-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let library = folder.join("fs.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/shim/fs.c");
        let compiler = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .args([library.as_os_str(), source.as_ref()])
            .output()
            .expect("a C compiler, as `cc`");
        let said = String::from_utf8_lossy(&compiler.stderr);
        assert!(compiler.status.success(), "{said}");
        library
    })
}

/// What fails now in the processes that were started with it.
pub struct Faults(PathBuf);

impl Faults {
    /// Nothing fails yet; `folder` is where it keeps what it tells them.
    pub fn new(folder: &Path) -> Self {
        let faults = Self(folder.join("faults"));
        faults.lift();
        faults
    }

    /// Has the process to come see this file system.
    pub fn on<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.envs(self.env())
    }

    /// The same, as variables of its environment.
    pub fn env(&self) -> [(&'static str, String); 2] {
        let library = library().to_str().unwrap().to_owned();
        let control = self.0.to_str().unwrap().to_owned();
        [("LD_PRELOAD", library), ("TIDEGATE_FS_CONTROL", control)]
    }

    /// From now on these fail: a line each, `CALL ERRNO [FILE]`, as `sync EIO wal`.
    pub fn set(&self, lines: &str) {
        // In one step: nobody reads half of it.
        let new = self.0.with_extension("new");
        std::fs::write(&new, lines).unwrap();
        std::fs::rename(new, &self.0).unwrap();
    }

    /// Nothing fails any more.
    pub fn lift(&self) {
        self.set("");
    }
}

/// Has the process to come kill itself at a sync: `before` or `after` (`when`) the `nth` of `file` (`wal`, `db`, `any`).
pub fn killed<'a>(command: &'a mut Command, when: &str, file: &str, nth: u32) -> &'a mut Command {
    command
        .env("LD_PRELOAD", library())
        .env("TIDEGATE_FS_KILL", format!("{when}:{file}:{nth}"))
}
