//! The crew: one job for each task that is not over, and who sees to it that none is left behind.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::{Id, JoinError, JoinHandle, JoinSet};

use super::gate::Turn;
use super::job::Job;
use super::lever::Lever;
use super::recover::Recovered;
use super::works::{Means, Works};
use crate::session::StoreError;
use crate::task::id::TaskId;

/// How often a job may break before its task is given up.
const MOST_BREAKS: u32 = 3;

/// What the crew was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Told {
    /// To work.
    Work,
    /// To begin nothing more.
    Drain,
    /// To drop everything.
    Stop,
}

/// Those who do the tasks of a desk.
pub struct Crew {
    works: Arc<Works>,
    told: watch::Sender<Told>,
    foreman: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Crew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Crew")
    }
}

impl Crew {
    /// Takes up what the store remembers, and begins; `arriving` is where the desk names its tasks. It runs on the runtime
    /// that this is called on.
    ///
    /// # Errors
    /// When the store cannot be read: then it is not known which calls are at work, and none may be sent up.
    pub async fn start(
        means: Means,
        arriving: mpsc::UnboundedReceiver<TaskId>,
    ) -> Result<(Self, Recovered), StoreError> {
        let works = Arc::new(Works::new(means));
        let found = works.recover().await?;
        let (told, hears) = watch::channel(Told::Work);
        let foreman = Foreman {
            works: works.clone(),
            hears,
            jobs: JoinSet::new(),
            names: HashMap::new(),
        };
        let foreman = tokio::spawn(foreman.work(arriving));
        let crew = Self {
            works,
            told,
            foreman: Mutex::new(Some(foreman)),
        };
        Ok((crew, found))
    }

    /// Begins nothing more; what is up is finished.
    pub fn drain(&self) {
        self.told
            .send_if_modified(|told| std::mem::replace(told, Told::Drain.max(*told)) != *told);
    }

    /// What the operator frees seats of lost calls by.
    #[must_use]
    pub fn lever(&self) -> Lever {
        Lever::new(self.works.clone())
    }

    /// Tasks that are up, or about to go.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.works.at_work()
    }

    /// Drops everything now: every unit is given back, and the next start takes up what the store remembers.
    pub async fn stop(&self) {
        self.told.send_replace(Told::Stop);
        if let Some(foreman) = self.foreman.lock().await.take() {
            // Broken or not, it is over.
            drop(foreman.await);
        }
        self.works.gathered.stop().await;
        self.works.rounds.stop();
        self.works.ghosts.lay_all();
    }
}

/// Hands out jobs.
struct Foreman {
    works: Arc<Works>,
    hears: watch::Receiver<Told>,
    jobs: JoinSet<()>,
    /// Whose each job is, and how often it broke.
    names: HashMap<Id, (TaskId, u32)>,
}

impl Foreman {
    async fn work(mut self, mut arriving: mpsc::UnboundedReceiver<TaskId>) {
        let mut hears = self.hears.clone();
        self.begin_recovered(&mut arriving);
        loop {
            tokio::select! {
                biased;
                // An error means that the crew is gone.
                _ = hears.wait_for(|told| *told == Told::Stop) => break,
                Some(ended) = self.jobs.join_next_with_id() => self.ended(ended),
                Some(id) = arriving.recv() => self.begin(self.stands(id), 0),
            }
        }
        self.jobs.shutdown().await;
    }

    /// All that was recovered stands in line before any of it is worked on: what is up is waited for by whoever is older, too.
    fn begin_recovered(&mut self, arriving: &mut mpsc::UnboundedReceiver<TaskId>) {
        let recovered = std::iter::from_fn(|| arriving.try_recv().ok());
        let recovered: Vec<_> = recovered.map(|id| self.stands(id)).collect();
        for standing in recovered {
            self.begin(standing, 0);
        }
    }

    /// A task, with its place in the line of what it changes.
    fn stands(&self, id: TaskId) -> (TaskId, Option<Turn>) {
        (id, self.works.turn(id, (self.works.clock)()))
    }

    fn begin(&mut self, (id, turn): (TaskId, Option<Turn>), breaks: u32) {
        // Jobs stand in line by the order in which they were named.
        let since = (self.works.clock)();
        let job = Job::new(self.works.clone(), (id, turn), since, self.hears.clone());
        let job = match breaks {
            MOST_BREAKS.. => self.jobs.spawn(job.give_up()),
            0 => self.jobs.spawn(job.expected().work()),
            _ => self.jobs.spawn(job.take_over()),
        };
        self.names.insert(job.id(), (id, breaks));
    }

    /// A job that broke begins anew, from what the store knows.
    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        match ended {
            Ok((job, ())) => drop(self.names.remove(&job)),
            Err(error) => {
                let Some((task, breaks)) = self.names.remove(&error.id()) else {
                    return;
                };
                if error.is_panic() {
                    tracing::error!(%task, "the work on a task failed inside the gate; it begins anew");
                    self.begin(self.stands(task), breaks + 1);
                }
            }
        }
    }
}
