//! The access log under load, on rotation, and at its end.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

use super::*;
use crate::observe::record::sample;

const PATIENCE: Duration = Duration::from_secs(10);

/// A folder of its own that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tidegate-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        thread::yield_now();
    }
}

fn lines(path: &PathBuf) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

/// A sink that says when it is first written to and stays stuck until it is let go.
struct Stuck {
    reached: Sender<()>,
    gate: Arc<Mutex<()>>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.reached.send(()).ok();
        let _held = self.gate.lock();
        self.written.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stuck_sink_drops_and_counts_lines_and_never_blocks_a_worker() {
    let gate = Arc::new(Mutex::new(()));
    let written = Arc::new(Mutex::new(Vec::new()));
    let (reached, arrived) = channel();
    let mut sink = Some(Stuck {
        reached,
        gate: Arc::clone(&gate),
        written: Arc::clone(&written),
    });
    let open: Open = Box::new(move || Ok(Box::new(sink.take().unwrap())));
    let held = gate.lock();
    let log = AccessLog::start_with(open, LogFormat::Text, 8).unwrap();

    log.write(&sample());
    arrived.recv_timeout(PATIENCE).unwrap();
    // The writer is stuck with the first line; eight more fit, the rest is lost.
    for _ in 0..100 {
        log.write(&sample());
    }
    assert_eq!(log.dropped(), 92);
    assert!(
        !log.close(Duration::from_millis(1)),
        "a stuck sink cannot be flushed in time"
    );

    drop(held);
    assert!(log.close(PATIENCE));
    let text = String::from_utf8(written.lock().clone()).unwrap();
    assert_eq!(
        text.lines().count(),
        9,
        "every line that was taken is written, whole"
    );
    assert!(text.lines().all(|line| line.ends_with(" --")));
    log.write(&sample());
    assert_eq!(log.dropped(), 93, "a closed log takes no line and says so");
}

#[test]
fn lines_reach_the_file_without_being_asked_for_and_all_of_them_at_the_end() {
    let folder = Folder::new("access");
    let path = folder.0.join("access.log");
    let log = AccessLog::start(&Goal::File(path.clone()), LogFormat::Json).unwrap();
    assert!(log.is_on());
    log.write(&sample());
    eventually("the first line is in the file", || lines(&path) == 1);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1000).for_each(|_| log.write(&sample())));
        }
    });
    assert!(log.close(PATIENCE));
    assert_eq!(log.dropped(), 0);
    assert_eq!(lines(&path), 4001);
    for line in fs::read_to_string(&path).unwrap().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["ending"], "--");
    }
}

#[test]
fn a_rotated_file_is_let_go() {
    let folder = Folder::new("rotate");
    let (path, old) = (folder.0.join("access.log"), folder.0.join("access.log.1"));
    let log = AccessLog::start(&Goal::File(path.clone()), LogFormat::Text).unwrap();
    log.write(&sample());
    eventually("the first line is in the file", || lines(&path) == 1);
    fs::rename(&path, &old).unwrap();
    log.reopen();
    eventually("the file is made anew", || path.exists());
    log.write(&sample());
    assert!(log.close(PATIENCE));
    assert_eq!((lines(&old), lines(&path)), (1, 1));
}

#[test]
fn a_sink_that_fails_costs_lines_and_is_counted() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let log = AccessLog::start_with(Box::new(|| Ok(Box::new(Full))), LogFormat::Text, 8).unwrap();
    log.write(&sample());
    eventually("the lost line is counted", || log.dropped() == 1);
    assert!(log.close(PATIENCE));
}

#[test]
fn off_is_off_and_a_folder_that_is_not_there_is_a_fault() {
    let log = AccessLog::start(&Goal::Off, LogFormat::Text).unwrap();
    assert!(!log.is_on());
    log.write(&sample());
    log.reopen();
    assert_eq!(log.dropped(), 0);
    assert!(log.close(Duration::ZERO));
    let nowhere = Goal::File(PathBuf::from("/nonexistent/tidegate/access.log"));
    assert!(AccessLog::start(&nowhere, LogFormat::Text).is_err());
}
