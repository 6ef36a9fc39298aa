//! What the upstream's list of tasks shows before a start goes up, where only what is new in it can be that start. It is kept with
//! the start, for a gate that has to look for that after this one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::heard::answered;
use crate::dialect::adapter::{LARGEST, Request, batch_read, find_request};
use crate::task::record::{Owner, Record};
use crate::task::tally::Poll;
use crate::task::worker::asking::Asking;
use crate::task::worker::job::Job;
use crate::task::worker::recover::sent;

/// How long a start is kept back for it. One that goes up without is not looked for, should its answer be lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest text of names that is kept with a start, bytes. With more of them, none is found again by another gate.
const KEPT: usize = 4 * 1024;
/// How long after a start another gate takes what is new for it. Whoever else works on the same may have begun it in that time.
const NEW_FOR: Duration = Duration::from_mins(1);

/// What the list of one upstream showed last: one asks for it at a time, for all.
#[derive(Debug, Default)]
pub(in crate::task::worker) struct Shown(Mutex<Option<Sheet>>);

#[derive(Debug)]
struct Sheet {
    owner: Owner,
    request: Request,
    at: Instant,
    names: Arc<BTreeSet<String>>,
}

/// The names, as they are kept with the start; none where they are too long.
pub(in crate::task::worker) fn kept(names: &BTreeSet<String>) -> Option<Arc<str>> {
    let text = serde_json::to_string(names).ok()?;
    (text.len() <= KEPT).then(|| text.into())
}

/// What [`kept`] wrote.
fn read(text: &str) -> Option<Arc<BTreeSet<String>>> {
    serde_json::from_str(text).ok().map(Arc::new)
}

impl Job {
    /// The names that were there before a start whose answer was lost: as this gate saw them, or as one before it has kept them
    /// just now.
    pub(super) fn shown_before(&self, record: &Record) -> Option<Arc<BTreeSet<String>>> {
        let before = || {
            let is_new = self.works.desk.now().since(sent(record)) <= NEW_FOR;
            read(record.earlier.as_deref()?).filter(|_| is_new)
        };
        self.before.clone().or_else(before)
    }

    /// The names that are there before it goes up; none where its dialect does not ask for them, or they cannot be had.
    pub(in crate::task::worker) async fn look_before(
        &self,
        record: &Record,
        asking: &Asking,
    ) -> Option<Arc<BTreeSet<String>>> {
        let form = asking.form.as_deref()?;
        let find = form.native.find.as_ref().filter(|find| find.unseen)?;
        let form = if find.list.body.is_some() {
            let parcel = self.parcel().await.ok()?;
            form.clone().with_body(parcel.body)
        } else {
            form.clone()
        };
        let request = find_request(find, &form.adapter, &form.origin())?;
        let names = self.names(&record.requested.owner, (asking, request), find.every);
        let names = timeout(PATIENCE, names).await.ok().flatten();
        if names.is_none() {
            tracing::debug!(task = %self.id, "it is not known which tasks the upstream had before this start");
        }
        names
    }

    async fn names(
        &self,
        owner: &Owner,
        (asking, request): (&Asking, Request),
        fresh_for: Duration,
    ) -> Option<Arc<BTreeSet<String>>> {
        let shown = self.works.shown.get(asking.upstream.index())?;
        let mut sheet = shown.0.lock().await;
        let is_fresh = |sheet: &&Sheet| {
            sheet.owner == *owner && sheet.request == request && sheet.at.elapsed() < fresh_for
        };
        if let Some(sheet) = sheet.as_ref().filter(is_fresh) {
            return Some(sheet.names.clone());
        }
        let at = Instant::now();
        let list = asking.request(&request)?;
        let body = request.body.clone().unwrap_or_default().into();
        let answer = self.works.answer(&list, body, LARGEST, PATIENCE).await;
        let tally = self.works.desk.tally();
        tally.asked(asking.upstream.name(), Poll::Find, answer.is_some());
        let answer = answer?;
        let form = asking.form.as_deref()?;
        let find = form.native.find.as_ref()?;
        let entries = batch_read(&find.list, &answered(&answer))?;
        let names: BTreeSet<String> = entries.names().map(str::to_owned).collect();
        let names = Arc::new(names);
        *sheet = Some(Sheet {
            owner: owner.clone(),
            request,
            at,
            names: names.clone(),
        });
        Some(names)
    }
}
