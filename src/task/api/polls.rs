//! Who asks for one task far too often is told so: an aid against loops without a pause, no limit for anybody else.

use std::hash::BuildHasher;
use std::time::Duration;

use foldhash::quality::RandomState;
use tokio::time::Instant;

use crate::limit::Mutex;
use crate::task::id::TaskId;
use crate::task::record::Viewer;

/// Pairs of viewer and task that are remembered. Two of the same place take turns in it, and so pass.
const PLACES: usize = 4096;
/// Seconds' worth of requests that may come at once.
const BURST_SECONDS: u32 = 5;

/// A bucket for each viewer and task, by a virtual schedule (GCRA), in memory that does not grow.
pub(super) struct Polls {
    /// Between two requests, over time. Zero: nothing is refused.
    gap: Duration,
    /// Those that may come at once.
    burst: u32,
    hash: RandomState,
    places: Box<[Mutex<Place>]>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    who: u64,
    /// When the bucket is full again.
    full: Instant,
}

impl Polls {
    pub(super) fn new(per_second: u32) -> Self {
        let gap = Duration::from_secs(1).checked_div(per_second);
        let place = Place {
            who: 0,
            full: Instant::now(),
        };
        Self {
            gap: gap.unwrap_or_default(),
            burst: per_second.saturating_mul(BURST_SECONDS).max(1),
            hash: RandomState::default(),
            places: (0..PLACES).map(|_| Mutex::new(place)).collect(),
        }
    }

    /// Counts a request. Seconds after which to come back, where it is one too many.
    pub(super) fn too_many(&self, id: TaskId, viewer: &Viewer) -> Option<u64> {
        if self.gap.is_zero() {
            return None;
        }
        let who = self.hash.hash_one((id, viewer.owners.first()));
        let at = usize::try_from(who).unwrap_or(usize::MAX) % PLACES;
        let now = Instant::now();
        let mut place = self.places.get(at)?.lock();
        if place.who != who {
            *place = Place { who, full: now };
        }
        let full = place.full.max(now);
        let most = self.gap * (self.burst - 1);
        let over = (full - now).saturating_sub(most);
        if over.is_zero() {
            place.full = full + self.gap;
            return None;
        }
        Some(over.as_secs() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::record::Owner;

    fn viewer(name: &str) -> Viewer {
        Viewer {
            upstream: "vc1".into(),
            owners: vec![Owner(name.into())],
        }
    }

    fn passed(polls: &Polls, id: TaskId, viewer: &Viewer, most: usize) -> usize {
        let asked = (0..most).take_while(|_| polls.too_many(id, viewer).is_none());
        asked.count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_at_once_and_twenty_a_second_pass() {
        let polls = Polls::new(20);
        let id = TaskId::from_bytes([1; 16]);
        let anna = viewer("user:anna");
        assert_eq!(passed(&polls, id, &anna, 1000), 100);
        assert_eq!(polls.too_many(id, &anna), Some(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(passed(&polls, id, &anna, 1000), 20);
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(passed(&polls, id, &anna, 1000), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn others_and_other_tasks_are_counted_apart() {
        let polls = Polls::new(20);
        let (one, other) = (TaskId::from_bytes([1; 16]), TaskId::from_bytes([2; 16]));
        let (anna, ben) = (viewer("user:anna"), viewer("user:ben"));
        assert_eq!(passed(&polls, one, &anna, 1000), 100);
        assert_eq!(passed(&polls, one, &ben, 50), 50);
        assert_eq!(passed(&polls, other, &anna, 50), 50);
    }

    #[tokio::test(start_paused = true)]
    async fn zero_refuses_nobody() {
        let polls = Polls::new(0);
        assert_eq!(
            passed(&polls, TaskId::from_bytes([1; 16]), &viewer("a"), 5000),
            5000
        );
    }
}
