//! Those who do the tasks, on a runtime of their own: a thousand that come due together do not delay who comes in.

use std::any::Any;
use std::num::NonZeroU32;
use std::sync::Arc;

use http::HeaderMap;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::app::gate::StartError;
use crate::app::people::{StateError, on};
use crate::call::{Caller, Spoken};
use crate::config;
use crate::dialect::user;
use crate::proxy::Shared;
use crate::task::{Crew, Lever, Means, Requested, Roster, TaskId};

/// The crew and where it works.
pub(in crate::app) struct Hands {
    crew: Crew,
    runtime: Option<Runtime>,
}

impl Hands {
    /// Takes up what the store remembers of tasks, and begins to do them.
    pub(in crate::app) fn start(
        config: &config::Tasks,
        shared: &Arc<Shared>,
        arriving: mpsc::UnboundedReceiver<TaskId>,
    ) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("crew")
            .enable_all()
            .build()?;
        let clock = shared.clone();
        let means = Means {
            desk: shared.desk.clone(),
            upstreams: shared.hosts.all().to_vec(),
            roster: Arc::new(Users(shared.clone())),
            clock: Arc::new(move || clock.now()),
            max_blocking: config.max_blocking,
            reconcile: config.reconcile,
        };
        let started = on(&runtime, Crew::start(means, arriving));
        let (crew, found) = match started {
            Ok(started) => started,
            Err(error) => {
                runtime.shutdown_background();
                return Err(StateError::Load(error).into());
            }
        };
        tracing::info!(?found, "tasks");
        Ok(Self {
            crew,
            runtime: Some(runtime),
        })
    }

    /// What the operator frees seats of lost calls by.
    pub(in crate::app) fn lever(&self) -> Lever {
        self.crew.lever()
    }

    /// Nothing more goes up.
    pub(in crate::app) fn drain(&self) {
        self.crew.drain();
    }

    /// Tasks that are up.
    pub(in crate::app) fn in_flight(&self) -> u64 {
        u64::try_from(self.crew.in_flight()).unwrap_or(u64::MAX)
    }

    /// Drops everything now: units are given back, and the store remembers the rest.
    pub(in crate::app) fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            on(&runtime, self.crew.stop());
            runtime.shutdown_background();
        }
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Who the users of tasks are, by what the proxy knows.
struct Users(Arc<Shared>);

impl Roster for Users {
    fn caller(&self, upstream: usize, task: &Requested) -> (Caller, NonZeroU32) {
        let people = &self.0.people;
        let user = task.user.as_deref().map(user::id);
        let home = people.home(upstream);
        let caller = Caller {
            user,
            session: task.session,
            privileged: user.is_some_and(|user| people.is_privileged(user)),
        };
        (
            caller,
            home.map_or(NonZeroU32::MIN, |home| home.weight(user)),
        )
    }

    fn answered(&self, upstream: usize, asked: (Spoken, &HeaderMap), status: u16) {
        self.0.note_regard(upstream, asked, status);
    }

    fn busy(&self, task: &Requested) -> Option<Box<dyn Any + Send>> {
        let in_use = self.0.people.ledger().begin(&task.session?, self.0.now())?;
        Some(Box::new(in_use))
    }
}
