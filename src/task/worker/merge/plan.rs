//! Which of the requests that were gathered go up together: pure, as of one moment.
//!
//! Requests that change the same entry keep their order, whoever made them. What changes other entries may go before.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::config::Merge;
use crate::dialect::adapter::{Action, EntryKey, Patch};
use crate::task::id::TaskId;

/// A request, as far as it matters with which others it goes.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// Only those that say the same here may go up as one: whose they are, and fields that change their meaning.
    pub(super) share: Arc<str>,
    /// All of one period say the same here.
    pub(super) pin: Arc<str>,
    /// The entries that it changes.
    pub(super) keys: Arc<[EntryKey]>,
    /// Its only action.
    pub(super) only: Option<Action>,
    /// Bytes that it takes of a merged body, at most.
    pub(super) size: usize,
}

impl Item {
    pub(super) fn new(patch: &Patch, share: String, pin: String) -> Self {
        Self {
            share: share.into(),
            pin: pin.into(),
            keys: patch.keys().cloned().collect(),
            only: patch.only(),
            size: patch.size(),
        }
    }
}

/// Requests that go up as one.
#[derive(Debug, Default)]
struct Call {
    members: Vec<TaskId>,
    size: usize,
}

impl Call {
    fn has_room(&self, merge: &Merge, item: &Item) -> bool {
        self.members.len() < merge.at_most && self.size.saturating_add(item.size) <= merge.largest
    }
}

/// The calls of one period, in the order in which they are made, of these requests in the order in which they came. Who says
/// something else than the first where a period has one word waits for the next; so does what changes an entry of `blocked`,
/// or one that somebody changes who waits.
pub(super) fn plan<'i>(
    merge: &Merge,
    items: impl Iterator<Item = (TaskId, &'i Item)>,
    blocked: impl Iterator<Item = &'i EntryKey>,
) -> Vec<Vec<TaskId>> {
    let mut blocked: HashSet<&EntryKey> = blocked.collect();
    let mut calls: Vec<Call> = Vec::new();
    // The last call that each key is changed by, and the last of each kind.
    let mut last_of_key: HashMap<&EntryKey, usize> = HashMap::new();
    let mut last_of_kind: HashMap<(&str, Option<Action>), usize> = HashMap::new();
    let mut pin: Option<&str> = None;
    for (id, item) in items {
        if item.keys.iter().any(|key| blocked.contains(key))
            || pin.is_some_and(|pin| *pin != *item.pin)
        {
            blocked.extend(item.keys.iter());
            continue;
        }
        pin = Some(&item.pin);
        let after = item.keys.iter().filter_map(|key| last_of_key.get(key));
        let after = after.max().copied().unwrap_or(0);
        let kind = (&*item.share, item.only.filter(|_| merge.one_action));
        let own = last_of_kind.get(&kind).copied();
        let own = own.filter(|at| {
            let call = calls.get(*at);
            *at >= after && call.is_some_and(|call| call.has_room(merge, item))
        });
        let at = own.unwrap_or(calls.len());
        if at == calls.len() {
            calls.push(Call::default());
        }
        if let Some(call) = calls.get_mut(at) {
            call.members.push(id);
            call.size = call.size.saturating_add(item.size);
        }
        last_of_kind.insert(kind, at);
        last_of_key.extend(item.keys.iter().map(|key| (key, at)));
    }
    calls.into_iter().map(|call| call.members).collect()
}
