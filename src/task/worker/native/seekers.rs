//! Starts whose answers are lost, while they are looked for: no task of the upstream's is taken for two of the gate's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderMap;

use super::form::Form;
use crate::dialect::adapter::{Seen, Sought, could_be};
use crate::limit::Mutex;
use crate::task::id::TaskId;
use crate::task::record::Millis;

/// Names that are remembered because nobody can tell whose they are. Where there are more, the oldest are forgotten.
const MOST_CONTESTED: usize = 4096;
/// Tasks that are remembered as looked for in vain.
const MOST_LOOKED: usize = 4096;

/// A start that is looked for.
#[derive(Debug)]
pub(super) struct Seeker {
    /// The name of its upstream.
    pub(super) upstream: Arc<str>,
    pub(super) form: Form,
    pub(super) sought: Sought,
    /// When it went up.
    pub(super) sent: Millis,
}

/// An entry of a list, and the answer that it stood in.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    pub(super) seen: &'a Seen<'a>,
    /// Fields of the answer.
    pub(super) headers: &'a HeaderMap,
    /// When it came.
    pub(super) came: SystemTime,
    /// When this name was first seen.
    pub(super) first: Millis,
}

impl Seeker {
    /// Whether the entry could be what is looked for.
    pub(super) fn could_be(&self, entry: Entry<'_>) -> bool {
        self.could_be_of(&self.sought, self.sent, entry)
    }

    /// Whether it could be what went up then, by another who says the same of it but for this.
    pub(super) fn could_be_of(&self, sought: &Sought, sent: Millis, entry: Entry<'_>) -> bool {
        let Some(find) = &self.form.native.find else {
            return false;
        };
        let (named, came) = ((entry.name, entry.seen), (entry.headers, entry.came));
        sent <= entry.first && could_be(find, &self.form.origin(), named, sought, came)
    }
}

/// Every start that is looked for.
#[derive(Debug, Default)]
pub(in crate::task::worker) struct Seekers(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    seeking: BTreeMap<TaskId, Arc<Seeker>>,
    /// By upstream and name.
    contested: BTreeSet<(Arc<str>, String)>,
    order: VecDeque<(Arc<str>, String)>,
    /// Those that were looked for in vain.
    looked: BTreeSet<TaskId>,
}

/// It is looked for as long as this is kept.
pub(super) struct Seeking<'a> {
    seekers: &'a Seekers,
    id: TaskId,
}

impl Drop for Seeking<'_> {
    fn drop(&mut self) {
        self.seekers.0.lock().seeking.remove(&self.id);
    }
}

impl Seekers {
    /// From now on this one is looked for.
    pub(super) fn enter(&self, id: TaskId, seeker: Arc<Seeker>) -> Seeking<'_> {
        self.0.lock().seeking.insert(id, seeker);
        Seeking { seekers: self, id }
    }

    /// Whether an entry that could be what `seeker` looks for, for `id`, could be another's too, or was before.
    pub(super) fn is_contested(&self, id: TaskId, seeker: &Seeker, entry: Entry<'_>) -> bool {
        let (others, known) = {
            let pages = self.0.lock();
            let name = (seeker.upstream.clone(), entry.name.to_owned());
            let others = pages.seeking.iter();
            let others =
                others.filter(|(other, one)| **other != id && one.upstream == seeker.upstream);
            let others: Vec<Arc<Seeker>> = others.map(|(_, one)| one.clone()).collect();
            (others, pages.contested.contains(&name))
        };
        let is_shared = || {
            others.iter().any(|other| {
                // Whose it is that nobody knows may be the same one's.
                let user = other.sought.user.clone();
                let sought = Sought {
                    user: user.or_else(|| seeker.sought.user.clone()),
                    ..other.sought.clone()
                };
                other.could_be_of(&sought, other.sent, entry)
            })
        };
        let is_contested = known || is_shared();
        if is_contested && !known {
            self.contest(&seeker.upstream, entry.name);
        }
        is_contested
    }

    /// From now on nobody takes this name.
    pub(super) fn contest(&self, upstream: &Arc<str>, name: &str) {
        let mut pages = self.0.lock();
        let name = (upstream.clone(), name.to_owned());
        if pages.contested.insert(name.clone()) {
            pages.order.push_back(name);
        }
        while pages.order.len() > MOST_CONTESTED
            && let Some(oldest) = pages.order.pop_front()
        {
            pages.contested.remove(&oldest);
        }
    }

    /// It was looked for in vain.
    pub(super) fn give_up(&self, id: TaskId) {
        let mut pages = self.0.lock();
        pages.looked.insert(id);
        if pages.looked.len() > MOST_LOOKED {
            pages.looked.pop_first();
        }
    }

    /// Whether it is looked for, or was.
    pub(super) fn knows(&self, id: TaskId) -> bool {
        let pages = self.0.lock();
        pages.seeking.contains_key(&id) || pages.looked.contains(&id)
    }
}
