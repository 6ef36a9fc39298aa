//! A task that is gathered with others, as its job sees it: it joins, and waits until its queue is done with it.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};

use super::gathered::{Key, Way};
use super::plan::Item;
use super::queue::Asks;
use crate::dialect::adapter::{Patch, goes_alone};
use crate::forward::Upstream;
use crate::task::id::TaskId;
use crate::task::parcel::Parcel;
use crate::task::record::{Record, Requested};
use crate::task::worker::crew::Told;
use crate::task::worker::job::{Job, late, over};
use crate::task::worker::place::from_now;
use crate::task::worker::recover::sent;
use crate::task::worker::run::LONGEST_REST;
use crate::task::worker::works::Works;

/// How long after a queue broke its tasks begin another.
const BROKEN: Duration = Duration::from_secs(1);
/// How often a task that is on its way, and is to leave, looks whether it is back.
const BACK: Duration = Duration::from_millis(100);

/// A task that is gathered.
pub(in crate::task::worker) struct Gathering {
    key: Key,
    way: Way,
    item: Item,
    patch: Patch,
}

/// Others wait for this task, for as long as this is kept: it came before them.
pub(in crate::task::worker) struct Expected {
    works: Arc<Works>,
    key: Key,
    id: TaskId,
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.works.gathered.met(&self.key, self.id);
    }
}

/// What a task waits for in its queue.
enum Waited {
    /// The queue is done with it, or broke.
    Done(bool),
    /// It is too late to begin.
    Late,
    /// It ended otherwise, or nothing is begun any more.
    Over,
}

impl Works {
    /// Has others wait until this task has joined, if it may be one that is gathered. By its head alone: its job reads the rest.
    pub(in crate::task::worker) fn expected(self: &Arc<Self>, id: TaskId) -> Option<Expected> {
        let record = self.desk.watch(id)?.borrow().clone();
        let task = &record.requested;
        let upstream = self.upstream(&task.upstream)?;
        upstream.config().merge_period?;
        let bare = Parcel::bare(&task.target);
        let key = self.merging(upstream, task, &bare)?.0;
        self.gathered.expect(&key, id);
        Some(Expected {
            works: self.clone(),
            key,
            id,
        })
    }

    /// The resource that a call changes by a form whose calls are made one, and how they are.
    fn merging(
        &self,
        upstream: &Upstream,
        task: &Requested,
        parcel: &Parcel,
    ) -> Option<(Key, Arc<crate::config::Adapter>)> {
        let own = self.own.get(upstream.index())?;
        let (place, adapter) = own.merging(upstream, task, parcel)?;
        let path = parcel.target.split('?').next().unwrap_or_default();
        let key = Key {
            upstream: upstream.index(),
            place,
            path: path.into(),
        };
        Some((key, adapter))
    }
}

impl Job {
    /// How the task is gathered with others; none where it goes up by itself.
    pub(in crate::task::worker) async fn gathering(
        &mut self,
        record: &Record,
    ) -> Option<Gathering> {
        let gathering = self.gathers(record).await;
        if gathering.is_none() {
            self.expected = None;
        }
        gathering
    }

    async fn gathers(&self, record: &Record) -> Option<Gathering> {
        let works = &self.works;
        let requested = &record.requested;
        let upstream = works.upstream(&requested.upstream)?;
        let period = upstream.config().merge_period?;
        Method::from_bytes(requested.method.as_bytes()).ok()?;
        let parcel = works.parcel(self.id).await.ok()?;
        let (key, adapter) = works.merging(upstream, requested, &parcel)?;
        let merge = adapter.merge.clone()?;
        if goes_alone(&parcel.headers) {
            return None;
        }
        let patch = Patch::read(&adapter, &parcel.target, &parcel.body)?;
        let of_route = works.route(record).map(|route| route.work.fingerprint);
        let share = share(
            requested,
            &parcel,
            [&merge.same, &of_route.unwrap_or_default()],
        );
        let pin = said(&merge.period, &parcel.headers);
        Some(Gathering {
            key,
            way: Way {
                merge: Arc::new(merge),
                period,
                told: self.told.clone(),
            },
            item: Item::new(&patch, share, pin),
            patch,
        })
    }

    /// Waits with others until the task went up with them, and is done.
    pub(in crate::task::worker) async fn gathered(
        &mut self,
        record: &Record,
        seen: &mut watch::Receiver<Arc<Record>>,
        gathering: Gathering,
    ) -> bool {
        let Gathering { key, way, item, .. } = gathering;
        let now = self.works.desk.now();
        let age = now.since(record.created);
        let rest = record.not_before.map(|until| until.since(now));
        // No longer than it was put off at most, whatever became of the clock.
        let put_off = rest.map(|rest| Instant::now() + rest.min(LONGEST_REST));
        let joins = (item, age, put_off);
        let (place, mut done) = self.works.gather((&key, &way), self.id, joins);
        self.expected = None;
        let start_by = record.requested.start_deadline;
        let start_by = start_by.map(|by| from_now(by.since(now)));
        loop {
            let waited = self.in_queue(seen, start_by, &mut done).await;
            let is_late = matches!(waited, Waited::Late);
            match waited {
                Waited::Done(true) => return true,
                Waited::Done(false) => {
                    self.broken().await;
                    return true;
                }
                Waited::Late | Waited::Over if place.leave() => {
                    if is_late {
                        self.expires().await;
                        return true;
                    }
                    return !self.is_told();
                }
                // Its time was up while its call was at work: nothing that comes of that is about it.
                Waited::Over if seen.borrow().status.state().is_done() => return true,
                // It is on its way: what comes of that is what it is.
                Waited::Late | Waited::Over => {
                    if let Ok(came) = tokio::time::timeout(BACK, &mut done).await {
                        if came.is_err() {
                            self.broken().await;
                        }
                        return true;
                    }
                }
            }
        }
    }

    async fn in_queue(
        &self,
        seen: &mut watch::Receiver<Arc<Record>>,
        start_by: Option<Instant>,
        done: &mut oneshot::Receiver<()>,
    ) -> Waited {
        let mut told = self.told.clone();
        tokio::select! {
            biased;
            come = done => Waited::Done(come.is_ok()),
            _ = told.wait_for(|told| *told != Told::Work) => Waited::Over,
            () = over(seen) => Waited::Over,
            () = late(start_by) => Waited::Late,
        }
    }

    /// Waits until it is known what became of the task, whose call was lost.
    pub(in crate::task::worker) async fn doubted(
        &mut self,
        record: &Record,
        gathering: Gathering,
    ) -> bool {
        let Gathering {
            key,
            way,
            item,
            patch,
        } = gathering;
        let works = self.works.clone();
        let Some(upstream) = works.upstream(&record.requested.upstream) else {
            return false;
        };
        // Measured once: no jump of the clock moves it.
        let longest = upstream.config().response_timeout;
        let left = sent(record).after(longest).since(works.desk.now());
        let now = Instant::now();
        let times = (now + left.min(longest), now + works.reconcile);
        let asked = (Arc::new(patch), item.share);
        let (_place, done) =
            works.gather_doubt((&key, &way), self.id, |done| Asks::new(asked, times, done));
        self.expected = None;
        if done.await.is_err() {
            self.broken().await;
        }
        true
    }

    /// The queue broke, and nothing of it is left: who comes to the next one waits until this task is there again.
    async fn broken(&mut self) {
        self.expected = self.works.expected(self.id).map(Box::new);
        sleep(BROKEN).await;
    }
}

/// Who may go up as one: those of one owner who agree in their query, and in the fields that change what they mean.
fn share(task: &Requested, parcel: &Parcel, names: [&Vec<String>; 2]) -> String {
    let query = parcel.target.split_once('?').map_or("", |(_, query)| query);
    let [of_dialect, of_route] = names.map(|names| said(names, &parcel.headers));
    format!("{}\n{query}\n{of_dialect}\n{of_route}", task.owner.0)
}

/// What these fields say, so that none can be taken for another.
fn said(names: &[String], headers: &HeaderMap) -> String {
    let mut said = String::new();
    for name in names {
        for value in headers.get_all(name) {
            said.push_str(name);
            said.push('=');
            said.push_str(&value.as_bytes().escape_ascii().to_string());
            said.push('\n');
        }
    }
    said
}
