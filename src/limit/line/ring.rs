//! The turns of users in one lane of a line, a ring for each rank.

use std::collections::VecDeque;

use super::Rank;

/// What waits in one lane.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) rings: [Ring; Rank::COUNT],
    pub(super) waiting: usize,
}

/// Users of one rank, in the order of their turns.
#[derive(Debug, Default)]
pub(super) struct Ring {
    pub(super) turns: VecDeque<usize>,
    pub(super) waiting: usize,
    /// Queues in `turns` that are empty: their users went away.
    pub(super) empty: usize,
    /// At index n, how many users have more than n calls here.
    deeper_than: Vec<u32>,
}

impl Lane {
    #[expect(clippy::indexing_slicing, reason = "there is a ring for each rank")]
    pub(super) fn ring(&mut self, rank: Rank) -> &mut Ring {
        &mut self.rings[rank.index()]
    }
}

impl Ring {
    /// A queue that was `depth` deep has one more.
    pub(super) fn grew(&mut self, depth: usize) {
        self.waiting += 1;
        if self.deeper_than.len() <= depth {
            self.deeper_than.resize(depth + 1, 0);
        }
        if let Some(users) = self.deeper_than.get_mut(depth) {
            *users += 1;
        }
    }

    /// A queue that is `depth` deep now had one more.
    pub(super) fn shrank(&mut self, depth: usize) {
        self.waiting -= 1;
        if let Some(users) = self.deeper_than.get_mut(depth) {
            *users -= 1;
        }
    }

    /// How many users have more than `depth` calls here.
    pub(super) fn users_deeper_than(&self, depth: usize) -> u64 {
        self.deeper_than.get(depth).copied().map_or(0, u64::from)
    }
}
