//! The access log: workers hand over finished lines, one thread writes them.
//!
//! A worker never waits for a disk or a pipe. The line goes into a bounded queue; when that is full
//! it is dropped and counted. The writer is woken for the first line after a silence only, and then
//! looks again every [`ROUND`]: waking a thread for each line would cost more than writing it.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::num::NonZeroU32;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Thread};
use std::time::Duration;

use parking_lot::Mutex;

use crate::config::{AccessLog as Goal, LogFormat};

use super::{Record, Throttle, line};

/// Most lines that wait to be written. With the longest line that is about 42 MB; usually 5.
pub const LINES_WAITING: usize = 16_384;

/// How long the writer rests between two looks into a queue that had something in it.
const ROUND: Duration = Duration::from_millis(20);

/// The access log. Shared by all workers.
#[derive(Debug)]
pub struct AccessLog {
    format: LogFormat,
    writer: Option<Handle>,
}

/// Opens what the log is written to, at the start and again on [`AccessLog::reopen`].
type Open = Box<dyn FnMut() -> io::Result<Box<dyn Write + Send>> + Send>;

#[derive(Debug)]
struct Handle {
    queue: SyncSender<Order>,
    signs: Arc<Signs>,
    thread: Thread,
    ended: Mutex<Receiver<()>>,
}

#[derive(Debug)]
enum Order {
    Line(Vec<u8>),
    /// Look at the signs.
    Look,
}

#[derive(Debug, Default)]
struct Signs {
    reopen: AtomicBool,
    stop: AtomicBool,
    dropped: AtomicU64,
}

impl AccessLog {
    /// Opens the log that `goal` names and starts its writer. A file is appended to, and made with mode 0640.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread not be started.
    pub fn start(goal: &Goal, format: LogFormat) -> io::Result<Self> {
        let open: Open = match goal {
            Goal::Off => {
                return Ok(Self {
                    format,
                    writer: None,
                });
            }
            Goal::Stdout => Box::new(|| Ok(Box::new(io::stdout()))),
            Goal::File(path) => {
                let path = path.clone();
                Box::new(move || {
                    let file = OpenOptions::new()
                        .append(true)
                        .create(true)
                        .mode(0o640)
                        .open(&path)?;
                    Ok(Box::new(file))
                })
            }
        };
        Self::start_with(open, format, LINES_WAITING)
    }

    fn start_with(mut open: Open, format: LogFormat, lines_waiting: usize) -> io::Result<Self> {
        let (queue, inbox) = sync_channel(lines_waiting);
        let (end, ended) = sync_channel(1);
        let signs = Arc::new(Signs::default());
        let writer = Writer {
            out: BufWriter::with_capacity(64 * 1024, open()?),
            open,
            inbox,
            signs: Arc::clone(&signs),
            faults: Throttle::new(NonZeroU32::MIN),
            unwritten: 0,
            lines_waiting,
        };
        let joined = thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || {
                writer.run();
                // Nobody listens any more when the log was not closed but dropped.
                end.send(()).ok();
            })?;
        let thread = joined.thread().clone();
        let ended = Mutex::new(ended);
        Ok(Self {
            format,
            writer: Some(Handle {
                queue,
                signs,
                thread,
                ended,
            }),
        })
    }

    /// Whether lines are written at all; when not, a record's target and names are never looked at.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.writer.is_some()
    }

    /// Hands over the line of `record`. Never waits.
    pub fn write(&self, record: &Record<'_>) {
        let Some(writer) = &self.writer else { return };
        let order = Order::Line(line::write(record, self.format));
        if writer.queue.try_send(order).is_err() {
            writer.signs.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines lost since the start: the queue was full, or they could not be written.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.writer
            .as_ref()
            .map_or(0, |writer| writer.signs.dropped.load(Ordering::Relaxed))
    }

    /// Opens the file again under its name, after a log rotation moved it away. Returns at once.
    pub fn reopen(&self) {
        if let Some(writer) = &self.writer {
            writer.signs.reopen.store(true, Ordering::Release);
            writer.nudge();
        }
    }

    /// Writes what waits and ends the writer; `false` when `deadline` came first. Later lines are dropped.
    pub fn close(&self, deadline: Duration) -> bool {
        let Some(writer) = &self.writer else {
            return true;
        };
        writer.signs.stop.store(true, Ordering::Release);
        writer.nudge();
        !matches!(
            writer.ended.lock().recv_timeout(deadline),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout)
        )
    }
}

impl Handle {
    /// Makes the writer look at its signs: asleep in `recv` it takes the order, resting it is unparked, and
    /// when the queue is full it is awake anyway.
    fn nudge(&self) {
        self.queue.try_send(Order::Look).ok();
        self.thread.unpark();
    }
}

struct Writer {
    out: BufWriter<Box<dyn Write + Send>>,
    open: Open,
    inbox: Receiver<Order>,
    signs: Arc<Signs>,
    faults: Throttle,
    /// Lines handed to the buffer since it was last flushed.
    unwritten: u64,
    lines_waiting: usize,
}

impl Writer {
    fn run(mut self) {
        while let Ok(first) = self.inbox.recv() {
            self.take(first);
            self.round();
            if self.signs.reopen.swap(false, Ordering::AcqRel) {
                self.reopen();
            }
            if self.signs.stop.load(Ordering::Acquire) {
                // What was handed over between the round and the sign.
                return self.round();
            }
            thread::park_timeout(ROUND);
        }
    }

    /// Writes what waits, at most one queue full, and flushes.
    fn round(&mut self) {
        for _ in 0..self.lines_waiting {
            match self.inbox.try_recv() {
                Ok(order) => self.take(order),
                Err(_) => break,
            }
        }
        let flushed = self.out.flush();
        self.settle(flushed);
        self.unwritten = 0;
    }

    fn take(&mut self, order: Order) {
        if let Order::Line(line) = order {
            self.unwritten += 1;
            let written = self.out.write_all(&line);
            self.settle(written);
        }
    }

    /// Lines of a buffer that could not be written count as dropped.
    fn settle(&mut self, done: io::Result<()>) {
        let Err(error) = done else { return };
        self.signs
            .dropped
            .fetch_add(self.unwritten, Ordering::Relaxed);
        self.unwritten = 0;
        if let Some(suppressed) = self.faults.pass() {
            tracing::error!(%error, suppressed, "the access log cannot be written; lines are lost");
        }
    }

    fn reopen(&mut self) {
        match (self.open)() {
            Ok(out) => self.out = BufWriter::with_capacity(64 * 1024, out),
            Err(error) => {
                tracing::error!(%error, "the access log cannot be opened again; the old file stays in use");
            }
        }
    }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
