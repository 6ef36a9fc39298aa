//! Messages in hand, a lane for each receiver: one that is dead or slow keeps nobody waiting but itself.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::Bound;

use super::receiver::receiver;
use crate::task::port::{Hook, HookId};

/// Messages that are tried at the same time.
const AT_ONCE: usize = 16;
/// Of these, to one receiver.
const AT_ONCE_TO_ONE: usize = 2;
/// Messages of one receiver in hand, those that are tried included.
const LONGEST: usize = 64;

/// The lanes.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    by_receiver: BTreeMap<String, Lane>,
    in_hand: HashSet<HookId>,
    tried: usize,
    /// Whose turn it was: the next in order comes next.
    last: String,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Hook>,
    tried: usize,
}

impl Lanes {
    /// Messages in hand.
    pub(super) fn len(&self) -> usize {
        self.in_hand.len()
    }

    /// Whether a message is in hand.
    pub(super) fn has(&self, id: HookId) -> bool {
        self.in_hand.contains(&id)
    }

    /// Takes a message in hand, or gives it back where its lane is full.
    pub(super) fn add(&mut self, hook: Hook) -> Option<Hook> {
        let lane = self.by_receiver.entry(receiver(&hook.url)).or_default();
        if lane.waiting.len() + lane.tried >= LONGEST {
            return Some(hook);
        }
        self.in_hand.insert(hook.id);
        lane.waiting.push_back(hook);
        None
    }

    /// The next message to be tried: receivers take turns.
    pub(super) fn next(&mut self) -> Option<Hook> {
        if self.tried >= AT_ONCE {
            return None;
        }
        let behind = (Bound::Excluded(&self.last), Bound::Unbounded);
        let behind = self.by_receiver.range::<String, _>(behind);
        let in_turn = behind.chain(self.by_receiver.range::<String, _>(..=&self.last));
        let is_ready = |lane: &Lane| lane.tried < AT_ONCE_TO_ONE && !lane.waiting.is_empty();
        let (name, _) = in_turn.into_iter().find(|(_, lane)| is_ready(lane))?;
        self.last = name.clone();
        let lane = self.by_receiver.get_mut(&self.last)?;
        lane.tried += 1;
        self.tried += 1;
        lane.waiting.pop_front()
    }

    /// A message was tried, and what came of it is noted.
    pub(super) fn done(&mut self, hook: &Hook) {
        if !self.in_hand.remove(&hook.id) {
            return;
        }
        let receiver = receiver(&hook.url);
        self.tried = self.tried.saturating_sub(1);
        if let Some(lane) = self.by_receiver.get_mut(&receiver) {
            lane.tried = lane.tried.saturating_sub(1);
            if lane.tried == 0 && lane.waiting.is_empty() {
                self.by_receiver.remove(&receiver);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::task::{Millis, TaskId};

    fn hook(number: u8, receiver: &str) -> Hook {
        Hook {
            id: TaskId::from_bytes([number; 16]),
            task: TaskId::from_bytes([0; 16]),
            url: format!("http://{receiver}/x").into(),
            body: Bytes::new(),
            next: Millis(0),
            tries: 0,
        }
    }

    #[test]
    fn a_receiver_gets_two_at_a_time_and_the_others_their_turns() {
        let mut lanes = Lanes::default();
        for number in 0..10 {
            assert_eq!(lanes.add(hook(number, "dead")), None);
        }
        assert_eq!(lanes.add(hook(10, "alive")), None);
        let tried: Vec<_> = std::iter::from_fn(|| lanes.next()).collect();
        let of: Vec<_> = tried.iter().map(|hook| receiver(&hook.url)).collect();
        assert_eq!(of, ["alive", "dead", "dead"]);
        assert!(lanes.has(tried[0].id));
        lanes.done(&tried[1]);
        assert_eq!(
            lanes.next().map(|hook| receiver(&hook.url)).unwrap(),
            "dead"
        );
        assert_eq!(lanes.next(), None);
        lanes.done(&tried[0]);
        lanes.done(&tried[0]);
        assert!(!lanes.has(tried[0].id) && lanes.len() == 9);
    }

    #[test]
    fn all_together_are_bounded_and_a_long_lane_takes_no_more() {
        let mut lanes = Lanes::default();
        let mut number = 0;
        for receiver in 0..20 {
            for _ in 0..3 {
                assert_eq!(lanes.add(hook(number, &format!("r{receiver}"))), None);
                number += 1;
            }
        }
        assert_eq!(std::iter::from_fn(|| lanes.next()).count(), AT_ONCE);
        for more in 0..LONGEST {
            let id = u8::try_from(more).unwrap() + 100;
            assert_eq!(lanes.add(hook(id, "long")), None, "{more}");
        }
        assert_eq!(lanes.add(hook(99, "long")), Some(hook(99, "long")));
        assert!(!lanes.has(hook(99, "long").id));
    }
}
