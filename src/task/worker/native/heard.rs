//! Polls: what is asked, and what is made of the answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::member::{End, Followed, Word};
use super::rounds::Key;
use crate::config::{Batch, Became};
use crate::dialect::adapter::{
    Answered, Entries, LARGEST, Reading, Request, Seen, Verdict, batch_read, batch_request,
    is_whole, poll_request, read, told,
};
use crate::dialect::come_back;
use crate::forward::OwnAnswer;
use crate::task::tally::Poll;
use crate::task::worker::works::Works;

/// Polls of one round that are under way at the same time.
const AT_ONCE: usize = 8;
/// Statuses by which an upstream says that it has no such list.
const NO_LIST: [u16; 4] = [400, 404, 405, 501];

impl Works {
    /// Asks the list for all of these, with the credentials of `lead`.
    pub(super) async fn ask_list(
        self: &Arc<Self>,
        key: &Key,
        all: &[Arc<Followed>],
        lead: &Arc<Followed>,
    ) {
        let Some(list) = lead.form.native.poll.batch.clone() else {
            return;
        };
        let mut alone = Vec::new();
        for some in all.chunks(list.at_most.max(1)) {
            let handles: Vec<&str> = some.iter().map(|one| &*one.handle).collect();
            let request = batch_request(&list, &handles);
            let answer = self.ask(lead, request).await;
            let told = answer.as_ref();
            let told = told.and_then(|answer| batch_read(&list, &answered(answer)));
            self.polled(lead, Poll::List, told.is_some());
            let Some(answer) = answer else {
                self.list_failed(key, some, None);
                continue;
            };
            if NO_LIST.contains(&answer.status) {
                tracing::info!(upstream = %lead.asking.upstream.name(), list = %list.name, status = answer.status, "the upstream does not have this list of its tasks: each is asked for by itself");
                self.rounds
                    .with(key, |round| round.has_no_list(Instant::now()));
                return;
            }
            match told {
                Some(entries) => self.list_told(key, (&list, &entries), some, &mut alone),
                None => self.list_failed(key, some, Some(&answer)),
            }
        }
        self.ask_each(key, alone).await;
    }

    fn list_told(
        &self,
        key: &Key,
        (list, entries): (&Batch, &Entries),
        some: &[Arc<Followed>],
        alone: &mut Vec<Arc<Followed>>,
    ) {
        self.rounds.with(key, super::round::Round::told);
        for one in some {
            let seen = entries.get(&one.handle);
            let origin = one.form.origin();
            let reading = seen
                .as_ref()
                .map(|seen| read(&one.form.native, &origin, seen, None));
            match (seen, reading) {
                (Some(seen), Some(reading)) if is_whole(list, &reading) => {
                    self.heard(key, one, &reading, (&seen, None));
                }
                // It is over, and the list says no more; or the list does not have it.
                _ => alone.push(one.clone()),
            }
        }
    }

    fn list_failed(&self, key: &Key, some: &[Arc<Followed>], answer: Option<&OwnAnswer>) {
        let stated =
            answer.and_then(|answer| come_back::retry_after(&answer.headers, SystemTime::now()));
        let spread = self.spread.next();
        self.rounds.with(key, |round| {
            round.failed(Instant::now(), spread, stated);
        });
        for one in some {
            self.told_nothing(one);
        }
    }

    /// Asks for each of these by itself.
    pub(super) async fn ask_each(self: &Arc<Self>, key: &Key, due: Vec<Arc<Followed>>) {
        let mut due = shared(due).into_iter();
        let mut under_way = JoinSet::new();
        loop {
            while under_way.len() < AT_ONCE
                && let Some(some) = due.next()
            {
                let (works, key) = (self.clone(), key.clone());
                under_way.spawn(async move { works.ask_one(&key, &some).await });
            }
            if under_way.join_next().await.is_none() {
                return;
            }
        }
    }

    /// Asks once for all of these.
    async fn ask_one(&self, key: &Key, some: &[Arc<Followed>]) {
        let Some(first) = some.first() else {
            return;
        };
        let request = poll_request(&first.form.native, &first.form.origin(), &first.handle);
        let answer = match request {
            Some(request) => self.ask(first, request).await,
            None => None,
        };
        let stated = answer
            .as_ref()
            .and_then(|answer| come_back::retry_after(&answer.headers, SystemTime::now()));
        let seen = answer.as_ref().map(|answer| Seen::new(&answered(answer)));
        let mut told = false;
        for one in some {
            let (Some(seen), Some(answer)) = (&seen, &answer) else {
                self.rounds.heard(key, one.id, None, self.spread.next());
                self.told_nothing(one);
                continue;
            };
            let (native, origin) = (&one.form.native, one.form.origin());
            let reading = read(native, &origin, seen, one.earlier.as_ref());
            told |= reading.verdict != Verdict::Unclear;
            self.heard(key, one, &reading, (seen, Some(answer)));
            if let Some(stated) = stated {
                let now = Instant::now();
                self.rounds
                    .with(key, |round| round.rests(one.id, now, stated));
            }
        }
        self.polled(first, Poll::Single, told);
    }

    /// The upstream was asked in the name of `one`.
    fn polled(&self, one: &Followed, what: Poll, told: bool) {
        let upstream = one.asking.upstream.name();
        self.desk.tally().asked(upstream, what, told);
    }

    /// A poll told something of a task.
    fn heard(
        &self,
        key: &Key,
        one: &Followed,
        reading: &Reading,
        (seen, answer): (&Seen<'_>, Option<&OwnAnswer>),
    ) {
        if reading.verdict == Verdict::Unclear {
            self.told_nothing(one);
        } else {
            self.show(one, reading);
        }
        let spread = self.spread.next();
        let Some((holds, tell)) = self.rounds.heard(key, one.id, Some(reading), spread) else {
            return;
        };
        let word = match holds {
            Verdict::State(Became::Running, beside) => Word::Runs(beside),
            Verdict::State(became, _) => {
                let told = told(
                    &one.form.native,
                    &one.form.origin(),
                    seen,
                    reading,
                    &one.handle,
                );
                Word::Over(Box::new(End {
                    became,
                    error: reading.error.clone(),
                    told,
                    read: answer.map(copy).or_else(|| of_entry(seen)),
                    unmade: reading.unmade,
                    proves: reading.proves,
                }))
            }
            Verdict::Gone => Word::Gone,
            Verdict::Unclear => return,
        };
        // A job that is busy hears it with the next poll.
        drop(tell.try_send(word));
    }

    /// Shows what a poll told.
    fn show(&self, one: &Followed, reading: &Reading) {
        let may_be = one.form.native.cancel.is_some();
        self.desk.show(one.id, |live| {
            live.percent = reading.percent.or(live.percent);
            if let Some(message) = &reading.message
                && live.message.as_deref() != Some(message.as_str())
            {
                live.message = Some(Arc::from(message.as_str()));
            }
            live.unreachable_since = None;
            live.cancelable = may_be && reading.cancelable.unwrap_or(live.cancelable);
        });
    }

    /// Shows that a poll told nothing. That only delays.
    fn told_nothing(&self, one: &Followed) {
        let now = self.desk.now();
        self.desk.show(one.id, |live| {
            live.poll_errors += 1;
            live.unreachable_since.get_or_insert(now);
        });
    }

    /// One answer to a request in the name of a task.
    pub(super) async fn ask(&self, one: &Followed, request: Request) -> Option<OwnAnswer> {
        let asking = one.asking.request(&request)?;
        let patience = asking.upstream.config().response_timeout;
        let body = request.body.unwrap_or_default().into();
        self.answer(&asking, body, LARGEST, patience).await
    }
}

/// Those that ask for the same together.
fn shared(due: Vec<Arc<Followed>>) -> Vec<Vec<Arc<Followed>>> {
    let mut by_target = BTreeMap::<_, Vec<_>>::new();
    let mut each = Vec::new();
    for one in due {
        match one.target.clone() {
            Some(target) => by_target.entry(target).or_default().push(one),
            None => each.push(vec![one]),
        }
    }
    by_target.into_values().chain(each).collect()
}

pub(super) fn answered(answer: &OwnAnswer) -> Answered<'_> {
    Answered {
        status: answer.status,
        headers: &answer.headers,
        body: &answer.body,
    }
}

/// What a list said of one task, as if that had been asked for by itself; none where it does not read as JSON.
fn of_entry(seen: &Seen<'_>) -> Option<OwnAnswer> {
    let body = seen.entry_json()?;
    let json = HeaderValue::from_static("application/json");
    Some(OwnAnswer {
        status: 200,
        headers: HeaderMap::from_iter([(CONTENT_TYPE, json)]),
        body: body.into(),
    })
}

pub(super) fn copy(answer: &OwnAnswer) -> OwnAnswer {
    OwnAnswer {
        status: answer.status,
        headers: answer.headers.clone(),
        body: answer.body.clone(),
    }
}
