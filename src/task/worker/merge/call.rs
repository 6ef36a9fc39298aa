//! The calls of a period: each waits for its limits once, is committed for all its members before its first byte goes up, and what
//! comes of it is said of each.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::gathered::{Key, Way};
use crate::admit::Claim;
use crate::dialect::adapter::Patch;
use crate::forward::{Carrier, Upstream};
use crate::task::desk::Change;
use crate::task::id::TaskId;
use crate::task::parcel::IDEMPOTENCY_KEY;
use crate::task::record::{Fault, Outcome, Record};
use crate::task::state::Event;
use crate::task::worker::asking::Asking;
use crate::task::worker::crew::Told;
use crate::task::worker::job::gone;
use crate::task::worker::pause::back_off;
use crate::task::worker::place::Standing;
use crate::task::worker::wake::Wake;
use crate::task::worker::works::Works;

/// Most calls of a period beyond those that were planned: each request that is bad costs two for each halving. What is left then
/// waits for the next period.
const MOST_MORE: usize = 256;

/// A request that is to go up with others.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) id: TaskId,
    target: String,
    pub(super) headers: HeaderMap,
    pub(super) patch: Patch,
    /// As it was when it last went up.
    pub(super) record: Arc<Record>,
}

/// What became of a call.
pub(super) enum After {
    /// It is over for all its members.
    Over,
    /// These were not executed, and go up next, each of these calls by itself.
    Next(Vec<Vec<TaskId>>),
    /// None was executed; they wait, and so does what changes the same. Others need not: it may be one user who is over a limit.
    Rest(Duration),
    /// Its answer is lost: what goes up behind it is to be looked at anew.
    Lost,
    /// Nothing is begun any more.
    Stopped,
}

/// Everything that a call has as it goes up.
pub(super) struct Up {
    /// Who has its seats if whoever sees to it breaks; none before its first byte. Dropped before the claim.
    pub(super) wake: Option<Wake>,
    pub(super) claim: Claim,
    pub(super) upstream: Arc<Upstream>,
    pub(super) asking: Arc<Asking>,
    /// Whose credentials it shows.
    pub(super) lead: TaskId,
    pub(super) went: Instant,
}

impl Up {
    /// When it can be at work no more.
    pub(super) fn hard(&self) -> Instant {
        self.went + self.upstream.config().response_timeout
    }

    /// The call is over upstream: its seats have no heir any more.
    pub(super) fn ended(self) -> (Claim, Arc<Upstream>) {
        drop(self.wake);
        (self.claim, self.upstream)
    }
}

impl Works {
    /// Makes these calls one after the other, and whatever follows from them.
    pub(super) async fn merge(self: &Arc<Self>, key: &Key, way: &Way, calls: Vec<Vec<TaskId>>) {
        let mut budget = calls.len() + MOST_MORE;
        let mut next: VecDeque<Vec<TaskId>> = calls.into();
        let mut loaded = HashMap::new();
        // Those that are back wait no longer than that.
        let mut rest = Duration::ZERO;
        while let Some(call) = next.pop_front() {
            if budget == 0 {
                next.push_front(call);
                rest = way.period;
                break;
            }
            budget -= 1;
            let after = self.call((key, way), &call, &mut loaded).await;
            match after {
                After::Over => continue,
                After::Next(calls) => {
                    for call in calls.into_iter().rev() {
                        next.push_front(call);
                    }
                    continue;
                }
                After::Rest(long) => {
                    let until = Instant::now() + long;
                    self.gathered.with(key, |queue| queue.put_off(&call, until));
                }
                After::Lost => {}
                // Its jobs leave by themselves.
                After::Stopped => rest = way.period.max(Duration::from_secs(1)),
            }
            next.push_front(call);
            break;
        }
        let left: Vec<TaskId> = next.into_iter().flatten().collect();
        let from = Instant::now() + rest;
        self.gathered.with(key, |queue| queue.release(&left, from));
    }

    async fn call(
        self: &Arc<Self>,
        (key, way): (&Key, &Way),
        call: &[TaskId],
        cache: &mut HashMap<TaskId, Loaded>,
    ) -> After {
        let mut members = self.loaded(key, call, cache).await;
        let Some((_, asking)) = self.lead(key, &mut members).await else {
            return After::Over;
        };
        let standing = Standing {
            since: (self.clock)(),
            sent_back: members.iter().any(|one| one.record.attempts > 0),
        };
        let Some((claim, carrier)) = self.way_up(way, &asking, standing).await else {
            put_back(cache, members);
            return After::Stopped;
        };
        let _at_work = self.goes_up();
        // One that is not among them is over: its job leaves.
        let ids: Vec<TaskId> = members.iter().map(|one| one.id).collect();
        let taken = self.gathered.with(key, |queue| queue.take(&ids));
        let taken: HashSet<TaskId> = taken.into_iter().flatten().collect();
        members.retain(|one| taken.contains(&one.id));
        // Whose credentials it was to show may be gone by now.
        let Some((lead, asking)) = self.lead(key, &mut members).await else {
            return After::Over;
        };
        let up = Up {
            wake: None,
            claim,
            upstream: asking.upstream.clone(),
            asking: Arc::new(asking),
            lead,
            went: Instant::now(),
        };
        let (members, after) = self.send_up((key, way), up, carrier, members).await;
        put_back(cache, members);
        after
    }

    /// The last of them whose credentials can be shown, and the call by these; none where there is none. Who cannot go up fails.
    async fn lead(&self, key: &Key, members: &mut Vec<Loaded>) -> Option<(TaskId, Asking)> {
        loop {
            let lead = members.last()?;
            match self.asks_for(key, lead) {
                Ok(asking) => return Some((lead.id, asking)),
                Err(fault) => {
                    let id = lead.id;
                    members.pop();
                    self.fail_alone(key, id, fault).await;
                }
            }
        }
    }

    /// The requests of these, but for those that cannot be read any more: they fail.
    async fn loaded(
        self: &Arc<Self>,
        key: &Key,
        call: &[TaskId],
        cache: &mut HashMap<TaskId, Loaded>,
    ) -> Vec<Loaded> {
        let mut reads = JoinSet::new();
        for id in call.iter().copied().filter(|id| !cache.contains_key(id)) {
            let works = self.clone();
            reads.spawn(async move { (id, works.load(id).await) });
        }
        while let Some(read) = reads.join_next().await {
            match read {
                Ok((id, Ok(Some(loaded)))) => drop(cache.insert(id, loaded)),
                // It is over: nothing of it goes up.
                Ok((id, Ok(None))) => drop(self.gathered.with(key, |queue| queue.finish(&[id]))),
                Ok((id, Err(fault))) => self.fail_alone(key, id, fault).await,
                // It stays where it is, and is tried again.
                Err(_) => {}
            }
        }
        call.iter().filter_map(|id| cache.remove(id)).collect()
    }

    /// The request of a task; none where it is over.
    pub(super) async fn load(&self, id: TaskId) -> Result<Option<Loaded>, Fault> {
        let seen = self.desk.watch(id);
        let Some(record) = seen.map(|seen| seen.borrow().clone()) else {
            return Ok(None);
        };
        let parcel = match self.parcel(id).await {
            Ok(parcel) => parcel,
            // What is over has none any more.
            Err(_) if self.desk.watch(id).is_none() => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let upstream = self.upstream(&record.requested.upstream);
        let patch = upstream.and_then(|upstream| {
            let own = self.own.get(upstream.index())?;
            let (_, adapter) = own.merging(upstream, &record.requested, &parcel)?;
            Patch::read(&adapter, &parcel.target, &parcel.body)
        });
        let Some(patch) = patch else {
            let detail = "the request is none that can be merged any more".to_owned();
            return Err(gone("request-refused", detail));
        };
        Ok(Some(Loaded {
            id,
            target: parcel.target,
            headers: parcel.headers,
            patch,
            record,
        }))
    }

    /// One of them fails; the others go on.
    async fn fail_alone(&self, key: &Key, id: TaskId, fault: Fault) {
        let change = Change {
            outcome: Some(Outcome::NotApplied),
            error: Some(fault),
            not_executed: true,
            ..Change::default()
        };
        self.settle(id, Event::Fail, change, None).await;
        self.gathered.with(key, |queue| queue.finish(&[id]));
    }

    /// The call that is made with the credentials of `lead`.
    pub(super) fn asks_for(&self, key: &Key, lead: &Loaded) -> Result<Asking, Fault> {
        let requested = &lead.record.requested;
        let Some(upstream) = self.upstream(&requested.upstream).cloned() else {
            let detail = format!(
                "the configuration has no upstream {} any more",
                requested.upstream
            );
            return Err(gone("upstream-gone", detail));
        };
        let mut headers = lead.headers.clone();
        // Its answer is read by whoever asked, whatever codings each takes.
        headers.remove(ACCEPT_ENCODING);
        // A key stands for one request alone.
        headers.remove(IDEMPOTENCY_KEY);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let caller = self.roster.caller(key.upstream, requested);
        let sent = (lead.target.clone(), headers);
        let asking = Asking::new(upstream, requested, sent, caller);
        asking.map_err(|error| gone("request-refused", error.to_string()))
    }

    /// Waits for every limit of the call and for a connection; none where nothing is begun any more.
    async fn way_up(
        &self,
        way: &Way,
        asking: &Asking,
        standing: Standing,
    ) -> Option<(Claim, Carrier)> {
        let mut told = way.told.clone();
        let up = async {
            for failed in 1.. {
                // Routes that could read it a moment ago can read it now.
                let claim = Box::pin(self.admitted(asking, standing)).await.ok()?;
                if !self.is_clogged() {
                    match Box::pin(asking.upstream.carrier(claim.socket_group())).await {
                        Ok(carrier) => return Some((claim, carrier)),
                        // Nothing was sent.
                        Err(_) => drop(claim),
                    }
                }
                sleep(back_off(failed, self.spread.next())).await;
            }
            None
        };
        tokio::select! {
            biased;
            _ = told.wait_for(|told| *told != Told::Work) => None,
            up = up => up,
        }
    }
}

fn put_back(cache: &mut HashMap<TaskId, Loaded>, members: Vec<Loaded>) {
    cache.extend(members.into_iter().map(|one| (one.id, one)));
}
