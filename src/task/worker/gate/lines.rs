//! The lines of all resources, and what was seen of each last.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::line::{Line, Place};
use crate::forward::OwnAnswer;
use crate::limit::Mutex;
use crate::task::id::TaskId;
use crate::task::record::Owner;
use crate::task::worker::works::Works;

/// A resource of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) upstream: usize,
    pub(super) resource: String,
}

/// The lines of all resources. A resource that nobody waits for has none.
#[derive(Debug, Default)]
pub(in crate::task::worker) struct Lines(Mutex<HashMap<Key, Book>>);

/// One resource.
#[derive(Debug, Default)]
struct Book {
    line: Line,
    look: Option<Look>,
    /// Somebody looks at this moment.
    is_looked_at: bool,
    /// Looks in a row that said nothing.
    failed: u32,
}

/// What was seen of a resource.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// Where was looked.
    pub(super) target: String,
    pub(super) sight: Sight,
    /// It counts until then.
    pub(super) until: Instant,
}

/// What was seen.
#[derive(Debug, Clone)]
pub(super) enum Sight {
    /// It can be changed: how it is.
    Free(Arc<OwnAnswer>),
    /// It cannot be changed now, or nothing was said: it is to be looked at again.
    Wait,
}

/// What one who waits is to do.
#[derive(Debug)]
pub(super) enum Next {
    /// Wait to be told.
    Sleep,
    /// Wait until then, or to be told.
    Until(Instant),
    /// Look.
    Look(Looking),
    /// It is its turn, and this is what it changes.
    Go(Arc<OwnAnswer>, Instant),
}

/// A task's place in the line of what it changes. Dropped, it leaves.
pub(in crate::task::worker) struct Turn {
    works: Arc<Works>,
    key: Key,
    owner: Owner,
    place: Place,
    pub(super) wake: Arc<Notify>,
}

impl Turn {
    /// Comes to wait, or, where its change goes on already, to be waited for.
    pub(super) fn new(
        works: Arc<Works>,
        key: Key,
        (owner, place): (Owner, Place),
        up: bool,
    ) -> Self {
        let wake = Arc::new(Notify::new());
        {
            let mut books = works.lines.0.lock();
            let line = &mut books.entry(key.clone()).or_default().line;
            line.enter(&owner, place, wake.clone());
            // Should it have to be made once more, it has its place.
            if up {
                line.enter_up(place.1);
            }
        }
        Self {
            works,
            key,
            owner,
            place,
            wake,
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Book) -> T) -> Option<T> {
        self.works.lines.0.lock().get_mut(&self.key).map(work)
    }

    const fn id(&self) -> TaskId {
        self.place.1
    }

    pub(super) const fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn resource(&self) -> &str {
        &self.key.resource
    }

    /// What is to be done next, by one who would look at `target`.
    pub(super) fn next(&self, target: &str, now: Instant) -> Next {
        let next = self.with(|book| {
            if !book.line.is_next(self.id()) || book.is_looked_at {
                return Next::Sleep;
            }
            match book.look.as_ref().filter(|look| look.target == target) {
                Some(look) if now <= look.until => match &look.sight {
                    Sight::Free(seen) => Next::Go(seen.clone(), look.until),
                    Sight::Wait => Next::Until(look.until),
                },
                _ => {
                    book.is_looked_at = true;
                    Next::Look(Looking {
                        works: self.works.clone(),
                        key: self.key.clone(),
                    })
                }
            }
        });
        next.unwrap_or(Next::Sleep)
    }

    /// Its change begins. False where it is not its turn any more.
    pub(in crate::task::worker) fn take(&self) -> bool {
        let taken = self.with(|book| {
            let taken = book.line.take(self.id());
            if taken {
                // From now on it is not what it was.
                book.look = None;
            }
            taken
        });
        taken.unwrap_or(false)
    }

    /// Its change was refused: it rests before it comes [back](Self::back).
    pub(super) fn rest(&self) {
        self.with(|book| book.line.rest(self.id()));
    }

    /// Its change did not begin after all, or it has rested.
    pub(in crate::task::worker) fn back(&self) {
        self.with(|book| book.line.back(self.id()));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut books = self.works.lines.0.lock();
        if let Some(book) = books.get_mut(&self.key) {
            book.line.leave(&self.owner, self.place);
            if book.line.is_empty() {
                books.remove(&self.key);
            }
        }
    }
}

/// Somebody looks: nobody else does meanwhile.
pub(super) struct Looking {
    works: Arc<Works>,
    key: Key,
}

impl std::fmt::Debug for Looking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Looking")
    }
}

impl Looking {
    /// Notes what was seen; nothing where that says nothing of the resource, but of who looked.
    pub(super) fn saw(self, look: Option<Look>) {
        let mut books = self.works.lines.0.lock();
        if let Some(book) = books.get_mut(&self.key) {
            book.failed = 0;
            book.look = look;
        }
    }

    /// Which look in a row this is that said nothing; the first is 1.
    pub(super) fn failed(&self) -> u32 {
        let mut books = self.works.lines.0.lock();
        let book = books.get_mut(&self.key);
        book.map_or(1, |book| {
            book.failed = book.failed.saturating_add(1);
            book.failed
        })
    }

    /// As [`Looking::saw`], of a look that said nothing.
    pub(super) fn saw_nothing(self, look: Look) {
        let mut books = self.works.lines.0.lock();
        if let Some(book) = books.get_mut(&self.key) {
            book.look = Some(look);
        }
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        let mut books = self.works.lines.0.lock();
        if let Some(book) = books.get_mut(&self.key) {
            book.is_looked_at = false;
            book.line.wake();
        }
    }
}
