//! What waits to be written, and for whom.

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot};

use crate::session::StoreError;

/// Most that waits; who comes then waits for room.
const WAITING: usize = 1024;
/// Most work in one transaction.
const GROUP: usize = 256;
/// Most bytes in one transaction, but for those of its last work.
const GROUP_BYTES: usize = 8 << 20;

/// A change. It is done within a transaction, with others, and may be done again: only the last time counts.
#[async_trait]
pub(super) trait Work: Send + Sync + 'static {
    /// What there is to say of it.
    type Said: Send;

    /// Makes the change.
    async fn run(&self, on: &mut SqliteConnection) -> Result<Self::Said, sqlx::Error>;

    /// Bytes that it writes, about.
    fn bytes(&self) -> usize {
        0
    }
}

/// Work of any kind.
#[async_trait]
pub(super) trait Queued: Send {
    async fn run(&mut self, on: &mut SqliteConnection) -> Result<(), sqlx::Error>;
    fn bytes(&self) -> usize;
    /// Tells who waits: that it is committed, or why not.
    fn answer(self: Box<Self>, how: Result<(), StoreError>);
}

struct Waiting<W: Work> {
    work: W,
    said: Option<W::Said>,
    reply: oneshot::Sender<Result<W::Said, StoreError>>,
}

#[async_trait]
impl<W: Work> Queued for Waiting<W> {
    async fn run(&mut self, on: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        self.said = Some(self.work.run(on).await?);
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.work.bytes()
    }

    fn answer(self: Box<Self>, how: Result<(), StoreError>) {
        let said = match (how, self.said) {
            (Ok(()), Some(said)) => Ok(said),
            (Err(error), _) => Err(error),
            (Ok(()), None) => return,
        };
        // Nobody waits any more: it is written all the same.
        drop(self.reply.send(said));
    }
}

type Job = Box<dyn Queued>;

/// The two ways in: sessions have one of their own, so that neither holds the other up.
#[derive(Debug, Clone)]
pub(super) struct Door {
    tasks: mpsc::Sender<Job>,
    sessions: mpsc::Sender<Job>,
}

/// Which way.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    Tasks,
    Sessions,
}

impl Door {
    /// Hands `work` in and waits until it is committed. It is, though nobody waits for it to the end. None once the
    /// writer is gone.
    pub(super) async fn ask<W: Work>(
        self,
        way: Way,
        work: W,
    ) -> Option<Result<W::Said, StoreError>> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Waiting {
            work,
            said: None,
            reply,
        });
        let door = match way {
            Way::Tasks => &self.tasks,
            Way::Sessions => &self.sessions,
        };
        door.send(job).await.ok()?;
        // Or the writer would never hear that the last one has left.
        drop(self);
        answer.await.ok()
    }
}

/// Where work comes out.
pub(super) struct Queue {
    tasks: mpsc::Receiver<Job>,
    sessions: mpsc::Receiver<Job>,
}

/// A queue, and its door.
pub(super) fn queue() -> (Door, Queue) {
    let (tasks, tasks_out) = mpsc::channel(WAITING);
    let (sessions, sessions_out) = mpsc::channel(WAITING);
    let door = Door { tasks, sessions };
    let queue = Queue {
        tasks: tasks_out,
        sessions: sessions_out,
    };
    (door, queue)
}

impl Queue {
    /// Waits for work, and takes what else is there: of sessions one, which may be thousands of changes. None once
    /// every door is closed and nothing waits.
    pub(super) async fn next(&mut self) -> Option<Vec<Job>> {
        let first = tokio::select! {
            biased;
            Some(job) = self.tasks.recv() => job,
            Some(job) = self.sessions.recv() => return Some(self.with(job, GROUP)),
            else => return None,
        };
        let mut group = self.with(first, GROUP);
        if let Ok(job) = self.sessions.try_recv() {
            group.push(job);
        }
        Some(group)
    }

    fn with(&mut self, first: Job, most: usize) -> Vec<Job> {
        let mut bytes = first.bytes();
        let mut group = vec![first];
        while group.len() < most && bytes < GROUP_BYTES {
            let Ok(job) = self.tasks.try_recv() else {
                break;
            };
            bytes += job.bytes();
            group.push(job);
        }
        group
    }
}
