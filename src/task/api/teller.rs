//! Who tells of tasks: from the desk, by the settings, to their owners alone.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, HeaderName, LOCATION, WWW_AUTHENTICATE};

use super::headers::{put, put_retry_after, put_static};
use super::json::{self, Aside, Link, Queue, Root};
use super::pace::{self, Outlook};
use super::problems;
use super::words::{Asked, Settings};
use crate::answer::Answer;
use crate::session::StoreError;
use crate::task::desk::{Desk, Live};
use crate::task::id::TaskId;
use crate::task::port::Found;
use crate::task::record::{Record, Viewer};
use crate::task::state::State;

#[derive(Clone)]
pub(super) struct Teller {
    pub(super) desk: Arc<Desk>,
    pub(super) settings: Arc<Settings>,
    /// Fields that say what `Location` says.
    pub(super) beside_location: Arc<[HeaderName]>,
}

impl Teller {
    /// The task, if it is the viewer's; else what to say.
    pub(super) async fn find(&self, id: TaskId, viewer: &Viewer) -> Result<Arc<Record>, Answer> {
        match self.kept(id).await {
            Ok(Found::Task(task)) if viewer.may_see(&task) => Ok(task),
            Ok(Found::Gone(left)) if viewer.may_mourn(&left) => Err(self.gone()),
            Ok(_) => Err(self.no_such_task()),
            Err(error) => Err(self.store_away(&error)),
        }
    }

    /// What is kept of a task. Of one whose time is up the store says whether it is still there: what purges it need
    /// not tell the desk.
    async fn kept(&self, id: TaskId) -> Result<Found, StoreError> {
        let found = self.desk.find(id).await?;
        let Found::Task(task) = &found else {
            return Ok(found);
        };
        if task.expires.is_none_or(|expires| self.desk.now() < expires) {
            return Ok(found);
        }
        Ok(self.desk.store().task(id).await.unwrap_or(found))
    }

    /// Waits until `enough` is true of a task, or it is over, but no longer than `wait`: how it is then.
    pub(super) async fn until(
        &self,
        task: Arc<Record>,
        wait: Duration,
        enough: impl Fn(&Record) -> bool + Send,
    ) -> Arc<Record> {
        let enough = |task: &Record| task.status.state().is_done() || enough(task);
        if enough(&task) {
            return task;
        }
        let Some(mut watch) = self.desk.watch(task.id) else {
            // It was over a moment ago.
            return match self.desk.find(task.id).await {
                Ok(Found::Task(task)) => task,
                _ => task,
            };
        };
        drop(tokio::time::timeout(wait, watch.wait_for(|now| enough(now))).await);
        let now = watch.borrow();
        now.clone()
    }

    pub(super) async fn until_done(&self, task: Arc<Record>, wait: Duration) -> Arc<Record> {
        self.until(task, wait, |_| false).await
    }

    /// Says where a task is asked for.
    pub(super) fn put_location(&self, answer: &mut Answer, own: &Link<'_>) {
        let own = own.to_string();
        put(answer, LOCATION, &own);
        for field in self.beside_location.iter() {
            put(answer, field.clone(), &own);
        }
    }

    pub(super) fn root<'a>(&'a self, base: Option<&'a str>) -> Root<'a> {
        Root {
            base: base.filter(|_| self.settings.absolute_urls).unwrap_or(""),
            prefix: &self.settings.prefix,
        }
    }

    /// The task as JSON, on one line.
    pub(super) fn json(&self, task: &Record, base: Option<&str>) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        self.write(task, base, &mut out);
        out
    }

    pub(super) fn write(&self, task: &Record, base: Option<&str>, out: &mut Vec<u8>) {
        let live = self.desk.live(task.id);
        json::write(
            task,
            self.aside(task, live.as_deref()),
            self.root(base),
            out,
        );
    }

    /// What is known of it beside its record, with what polls told of it.
    pub(super) fn aside<'l>(&self, task: &Record, live: Option<&'l Live>) -> Aside<'l> {
        Aside {
            queue: self.queue(task),
            live,
            cancelable: self.desk.is_cancelable(task),
        }
    }

    /// Where it stands in line.
    pub(super) fn queue(&self, task: &Record) -> Option<Queue> {
        let position = self.position(task);
        position.map(|position| Queue {
            position,
            seats: self.seats(task),
        })
    }

    fn position(&self, task: &Record) -> Option<usize> {
        let waits = task.status.state() == State::Scheduled;
        waits.then(|| self.desk.position(task)).flatten()
    }

    fn seats(&self, task: &Record) -> Option<u64> {
        let requested = &task.requested;
        let pool = (self.settings.pools)(&requested.upstream, &requested.pool)?;
        Some(pool.seats)
    }

    /// Seconds after which to ask for it again.
    pub(super) fn retry_after(&self, task: &Record) -> u64 {
        let requested = &task.requested;
        let position = self.position(task);
        let outlook = Outlook {
            mean: self
                .desk
                .expected_run(&requested.upstream, &requested.route),
            position,
            seats: position.and_then(|_| self.seats(task)),
        };
        pace::retry_after(task, outlook, self.desk.now(), self.die())
    }

    fn die(&self) -> f64 {
        (self.settings.dice)()
    }

    pub(super) fn problem(&self, name: &'static str, status: u16, detail: &str) -> Answer {
        problems::answer(self.root(None), name, status, detail)
    }

    /// The same for what is another's as for what never was.
    pub(super) fn no_such_task(&self) -> Answer {
        self.problem("not-found", 404, "There is no such task.")
    }

    pub(super) fn nothing_here(&self) -> Answer {
        self.problem("not-found", 404, "There is nothing at this path.")
    }

    pub(super) fn gone(&self) -> Answer {
        self.problem("gone", 410, "The task is over, and was forgotten.")
    }

    pub(super) fn who_asks(&self) -> Answer {
        let detail = "Send the session or the credentials that you use with the upstream.";
        let mut answer = self.problem("credentials-needed", 401, detail);
        put_static(&mut answer, WWW_AUTHENTICATE, "Upstream realm=\"tasks\"");
        answer
    }

    pub(super) fn wrong_method(&self, allowed: &[&str]) -> Answer {
        let allowed = allowed.join(", ");
        let detail = format!("Known here: {allowed}.");
        let mut answer = self.problem("method-not-allowed", 405, &detail);
        put(&mut answer, ALLOW, &allowed);
        answer
    }

    pub(super) fn too_many_polls(&self, seconds: u64) -> Answer {
        let detail = format!("This task is asked for too often; come back in {seconds} s.");
        let mut answer = self.problem("too-many-polls", 429, &detail);
        put_retry_after(&mut answer, seconds);
        answer
    }

    /// What the store says of itself is for the operator, not for clients.
    pub(super) fn store_away(&self, error: &StoreError) -> Answer {
        if error.lasting {
            // It does not pass by itself: somebody has to look at the file that it names.
            tracing::error!(%error, "a client's question about a task cannot be answered");
        } else {
            tracing::debug!(%error, "a client's question about a task cannot be answered");
        }
        let seconds = pace::some_time(self.die());
        let detail = format!("The store of tasks does not answer; come back in {seconds} s.");
        let mut answer = self.problem("store-unavailable", 503, &detail);
        put_retry_after(&mut answer, seconds);
        answer
    }

    /// How long this client wants to wait, seconds; never longer than may be.
    pub(super) fn wait(&self, asked: &Asked<'_>) -> Option<u64> {
        let wanted = super::Prefer::of(asked.headers).wait?;
        Some(wanted.min(self.settings.wait_max.as_secs()))
    }
}
