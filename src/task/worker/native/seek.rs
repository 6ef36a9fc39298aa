//! A start whose answer was lost is looked for among the upstream's tasks: the one that it can only be is followed as if it had been
//! named.
//!
//! ```text
//!   the list ─▶ entries that it could be ─▶ not those that a task of the gate has ─▶ one alone, twice in a row,
//!               (dialect: find)                                                      and no other start's ─▶ POLLING
//! ```
//!
//! Where there are several, or none, it stays in doubt.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::{Instant, sleep};

use super::heard::answered;
use super::seekers::{Entry, Seeker};
use crate::config::Find;
use crate::dialect::adapter::{LARGEST, Sought, batch_read, find_request};
use crate::dialect::user::{Aliases, normal};
use crate::forward::OwnAnswer;
use crate::session::StoreError;
use crate::task::desk::Change;
use crate::task::port::SeatChange;
use crate::task::record::{Millis, Mode, Record};
use crate::task::state::{Event, State};
use crate::task::tally::Poll;
use crate::task::worker::asking::Asking;
use crate::task::worker::job::Job;
use crate::task::worker::recover::sent;

/// Looks in a row that have to show the same one.
const SURE: u32 = 2;

/// What one look showed.
enum Look {
    /// It can be this one alone.
    One(String),
    /// Several, or none, or one that may be another's.
    Unclear,
}

/// What was seen so far.
#[derive(Default)]
struct Sights {
    /// When each name was first there.
    first: BTreeMap<String, Millis>,
    /// Those that it could be, as of the last look.
    last: BTreeSet<String>,
}

impl Job {
    /// Looks for the upstream's own task of a start whose answer was lost. True where it was found: it is followed from here on.
    pub(in crate::task::worker) async fn is_found(&mut self, record: &Arc<Record>) -> bool {
        if record.mode != Mode::Native || record.upstream_task.is_some() {
            return false;
        }
        let Some((seeker, asking, body)) = self.seeker(record).await else {
            return false;
        };
        let Some(name) = self.seek(&seeker, &asking, &body).await else {
            return false;
        };
        tracing::info!(task = %self.id, upstream_task = %name, "the upstream's own task of a start whose answer was lost is found");
        // It was taken: that call is over, and no other of the task.
        self.works.ghosts.lay_one(self.id, record.fence);
        let change = Change {
            seat: SeatChange::Free,
            mode: Some(Mode::Native),
            upstream_task: Some(Arc::from(name)),
            ..Change::default()
        };
        self.works.settle(self.id, Event::Found, change, None).await;
        true
    }

    /// What is looked for, and how its list is asked for; none where its dialect does not say.
    async fn seeker(&self, record: &Record) -> Option<(Arc<Seeker>, Asking, Vec<u8>)> {
        let (asking, form) = Box::pin(self.following(record)).await?;
        let find = form.native.find.as_ref()?;
        let request = find_request(find, &form.adapter, &form.origin())?;
        let list = asking.request(&request)?;
        let sent = sent(record);
        let upstream = asking.upstream.config();
        // No start is waited for longer.
        let longest = sent.after(upstream.response_timeout);
        let given_up = lost(record).unwrap_or(longest).min(longest);
        let aliases = Aliases::new(&upstream.speech.domains);
        let user = record.requested.user.as_deref();
        let user = user.and_then(|user| normal(user, &aliases));
        let before = self.shown_before(record);
        // Without these none could be told to be it.
        if (find.unseen && before.is_none()) || (find.user.is_some() && user.is_none()) {
            return None;
        }
        let seeker = Seeker {
            upstream: asking.upstream.name().clone(),
            sought: Sought {
                user,
                aliases,
                up: (sent.into(), given_up.into()),
                before,
            },
            form,
            sent,
        };
        Some((Arc::new(seeker), list, request.body.unwrap_or_default()))
    }

    async fn seek(&self, seeker: &Arc<Seeker>, asking: &Asking, body: &[u8]) -> Option<String> {
        let works = self.works.clone();
        let find = seeker.form.native.find.clone()?;
        let _seeking = works.seekers.enter(self.id, seeker.clone());
        let until = Instant::now() + find.within;
        let (mut sights, mut same) = (Sights::default(), (None, 0));
        loop {
            let patience = asking.upstream.config().response_timeout.min(find.within);
            let body = body.to_vec().into();
            let answer = works.answer(asking, body, LARGEST, patience).await;
            let upstream = asking.upstream.name();
            let tally = works.desk.tally();
            tally.asked(upstream, Poll::Find, answer.is_some());

            let look = match answer {
                Some(answer) => self.read_list((seeker, &find), &answer, &mut sights).await,
                None => Look::Unclear,
            };
            same = match look {
                Look::One(name) if same.0.as_ref() == Some(&name) => (Some(name), same.1 + 1),
                Look::One(name) => (Some(name), 1),
                Look::Unclear => (None, 0),
            };
            if same.1 >= SURE {
                return same.0;
            }
            if Instant::now() >= until {
                break;
            }
            sleep(find.every).await;
        }
        // Any of these may be it.
        for name in &sights.last {
            works.seekers.contest(&seeker.upstream, name);
        }
        works.seekers.give_up(self.id);
        None
    }

    async fn read_list(
        &self,
        (seeker, find): (&Seeker, &Find),
        answer: &OwnAnswer,
        sights: &mut Sights,
    ) -> Look {
        let Some(entries) = batch_read(&find.list, &answered(answer)) else {
            return Look::Unclear;
        };
        let now = self.works.desk.now();
        let came = now.into();
        let all = entries.names().map(|name| {
            let first = *sights.first.entry(name.to_owned()).or_insert(now);
            (name.to_owned(), first)
        });
        let all: Vec<(String, Millis)> = all.collect();
        let entry = |name: &str| entries.get(name);
        let mut left = BTreeSet::new();
        let mut is_shared = false;
        for (name, first) in &all {
            let Some(seen) = entry(name) else { continue };
            let entry = Entry {
                name,
                seen: &seen,
                headers: &answer.headers,
                came,
                first: *first,
            };
            if !seeker.could_be(entry) {
                continue;
            }
            match self.is_taken(seeker, name).await {
                Ok(false) => {}
                Ok(true) => continue,
                // Nobody can say: it is looked at again.
                Err(_) => return Look::Unclear,
            }
            is_shared |= self.may_be_anothers(seeker, entry);
            left.insert(name.clone());
        }
        let one = left
            .first()
            .filter(|_| left.len() == 1 && !is_shared)
            .cloned();
        sights.last = left;
        one.map_or(Look::Unclear, Look::One)
    }

    /// Whether another task of the gate has this name.
    async fn is_taken(&self, seeker: &Seeker, name: &str) -> Result<bool, StoreError> {
        let upstream = &seeker.upstream;
        let has = |task: &Arc<Record>| {
            task.upstream_task.as_deref() == Some(name) && task.requested.upstream == *upstream
        };
        if self.works.desk.open().iter().any(has) {
            return Ok(true);
        }
        let whose = self.works.desk.store().task_of(upstream, name).await?;
        Ok(whose.is_some_and(|id| id != self.id))
    }

    /// Whether it could be that of another start: of one that is looked for, or whose answer is not there yet.
    fn may_be_anothers(&self, seeker: &Seeker, entry: Entry<'_>) -> bool {
        let works = &self.works;
        let upstream = &seeker.upstream;
        let is_open = |task: &Arc<Record>| {
            task.id != self.id
                && task.mode == Mode::Native
                && task.status.state() == State::Running
                && task.upstream_task.is_none()
                && task.requested.upstream == *upstream
                && !works.seekers.knows(task.id)
        };
        let could_be = |task: &Arc<Record>| {
            let user = task.requested.user.as_deref();
            let user = user.and_then(|user| normal(user, &seeker.sought.aliases));
            let sought = Sought {
                // Whose it is that nobody knows may be the same one's.
                user: user.or_else(|| seeker.sought.user.clone()),
                up: (sent(task).into(), entry.came),
                ..seeker.sought.clone()
            };
            seeker.could_be_of(&sought, sent(task), entry)
        };
        let open = works.desk.open();
        works.seekers.is_contested(self.id, seeker, entry)
            || open.iter().filter(|task| is_open(task)).any(could_be)
    }
}

/// When its answer was last given up.
fn lost(record: &Record) -> Option<Millis> {
    let mut moves = record.history.iter().rev();
    moves
        .find(|moved| moved.event == Event::Lost)
        .map(|moved| moved.at)
}
