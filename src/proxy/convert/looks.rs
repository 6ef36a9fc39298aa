//! What was seen lately of resources that may be busy, for calls that are refused while they are: one look for all that ask
//! at the same time, and none for a while.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Mutex as Turnstile;

use crate::limit::{Moment, Mutex};

/// Resources that are remembered.
const MOST: usize = 4096;

/// Whose look, of which upstream, at which target.
pub(super) type Key = (usize, Arc<str>, String);

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// It is not busy: one may change it.
    Free,
    /// Nothing was said of it: who asks is not kept waiting for that.
    Unknown,
    /// Who asks may not see it, or has nothing there: that says nothing of it to anybody else.
    Unseen,
    /// It is: what a change is refused with.
    Busy(u16),
}

/// What was seen, and until when it counts.
pub(super) type Seen = (Sight, Moment);

/// What was seen lately.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Looks {
    seen: Mutex<HashMap<Key, Arc<Turnstile<Option<Seen>>>>>,
    /// Of each resource that is looked at at this moment, by how many, and how many changes have begun meanwhile.
    begun: Mutex<HashMap<Resource, (usize, u64)>>,
}

/// Of which upstream, and its name.
type Resource = (usize, String);

/// Sees whether a change begins while somebody looks: what is seen then may be how it was before.
pub(super) struct Watch<'a> {
    looks: &'a Looks,
    of: Resource,
    from: u64,
}

impl Watch<'_> {
    /// One has begun since this was made.
    pub(super) fn is_late(&self) -> bool {
        let begun = self.looks.begun.lock();
        begun
            .get(&self.of)
            .is_some_and(|(_, now)| *now != self.from)
    }

    /// One begins.
    pub(super) fn begin(&self) {
        if let Some((_, now)) = self.looks.begun.lock().get_mut(&self.of) {
            *now += 1;
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let mut begun = self.looks.begun.lock();
        if let Some((lookers, _)) = begun.get_mut(&self.of) {
            *lookers -= 1;
            if *lookers == 0 {
                begun.remove(&self.of);
            }
        }
    }
}

impl Looks {
    /// Watches a resource for as long as it is looked at.
    pub(super) fn watch(&self, of: Resource) -> Watch<'_> {
        let mut begun = self.begun.lock();
        let (lookers, from) = begun.entry(of.clone()).or_default();
        *lookers += 1;
        let from = *from;
        drop(begun);
        Watch {
            looks: self,
            of,
            from,
        }
    }

    /// What is seen at `key` now, by `look` where nothing is known. What was seen free counts for one alone: that one changes it.
    pub(super) async fn sight(
        &self,
        key: Key,
        now: impl Fn() -> Moment,
        look: impl Future<Output = Seen>,
    ) -> Seen {
        let place = self.place(key, now());
        let mut known = place.lock().await;
        if let Some(seen) = known.take_if(|(_, until)| now() <= *until) {
            if seen.0 != Sight::Free {
                *known = Some(seen);
            }
            return seen;
        }
        let seen = look.await;
        *known = Some(seen).filter(|(sight, _)| *sight != Sight::Free);
        seen
    }

    fn place(&self, key: Key, now: Moment) -> Arc<Turnstile<Option<Seen>>> {
        let mut all = self.seen.lock();
        if all.len() >= MOST {
            // Who looks at this moment holds it, and so it stays.
            all.retain(|_, place| {
                place
                    .try_lock()
                    .map_or(true, |seen| seen.is_some_and(|(_, until)| now <= until))
            });
        }
        if all.len() >= MOST {
            return Arc::default();
        }
        all.entry(key).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;

    fn at(second: u64) -> Moment {
        Moment::from_start(Duration::from_secs(second))
    }

    fn key(number: usize) -> Key {
        (0, "user:a".into(), format!("/configurations/{number}"))
    }

    #[tokio::test]
    async fn what_is_busy_is_looked_at_once_in_a_while_and_what_is_free_for_each_change() {
        let (looks, asked, now) = (Looks::default(), Cell::new(0), Cell::new(at(1)));
        let see = async |sight: Sight| {
            let look = async {
                asked.set(asked.get() + 1);
                (sight, at(5))
            };
            looks.sight(key(1), || now.get(), look).await.0
        };
        for _ in 0..3 {
            assert_eq!(see(Sight::Busy(423)).await, Sight::Busy(423));
        }
        assert_eq!(asked.get(), 1);
        now.set(at(6));
        assert_eq!(see(Sight::Free).await, Sight::Free);
        assert_eq!(see(Sight::Busy(423)).await, Sight::Busy(423));
        assert_eq!(asked.get(), 3);
    }

    /// Those that waited for a look without an answer do not each wait for another one.
    #[tokio::test]
    async fn a_look_that_said_nothing_is_not_made_again_at_once() {
        let (looks, asked) = (Looks::default(), Cell::new(0));
        for _ in 0..3 {
            let look = async {
                asked.set(asked.get() + 1);
                (Sight::Unknown, at(5))
            };
            assert_eq!(looks.sight(key(1), || at(4), look).await.0, Sight::Unknown);
        }
        assert_eq!(asked.get(), 1);
    }

    #[test]
    fn a_change_that_begins_while_another_looks_makes_that_look_late() {
        let looks = Looks::default();
        let of = |name: &str| (0, name.to_owned());
        let (one, same, other) = (
            looks.watch(of("/a")),
            looks.watch(of("/a")),
            looks.watch(of("/b")),
        );
        assert!(!one.is_late());
        one.begin();
        assert!(same.is_late() && !other.is_late());
        assert!(!looks.watch(of("/a")).is_late(), "it looks from now on");
        drop((one, same, other));
        assert!(looks.begun.lock().is_empty());
    }

    #[tokio::test]
    async fn only_so_much_is_remembered() {
        let looks = Looks::default();
        for number in 0..MOST + 10 {
            let seen = (Sight::Busy(423), at(u64::from(number > 9)));
            looks.sight(key(number), || at(0), async { seen }).await;
        }
        assert_eq!(looks.seen.lock().len(), MOST);
        looks
            .sight(key(MOST + 20), || at(2), async { (Sight::Free, at(3)) })
            .await;
        assert_eq!(looks.seen.lock().len(), 1);
    }
}
