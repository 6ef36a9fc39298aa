//! Calls that did what several tasks ask for.

use std::sync::Arc;

use super::{Tally, count};

/// What came of such a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merged {
    /// The upstream answered, for all of them.
    Known,
    /// The upstream rejected it: each half goes up by itself, until what is bad is alone.
    Halved,
    /// It was refused, and provably not executed.
    Refused,
    /// The answer was lost.
    Unknown,
}

impl Merged {
    /// Each.
    pub const ALL: [Self; 4] = [Self::Known, Self::Halved, Self::Refused, Self::Unknown];

    /// As it stands in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Halved => "halved",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

/// Merged calls to one upstream, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Merges {
    /// Calls, in the order of [`Merged::ALL`].
    pub calls: [u64; Merged::ALL.len()],
    /// Requests of tasks that went up in them, each as often as it went up.
    pub requests: u64,
}

impl Tally {
    /// What became of the merged calls to an upstream.
    #[must_use]
    pub fn merges(&self, upstream: &str) -> Merges {
        let all = self.merges.lock();
        all.get(upstream).copied().unwrap_or_default()
    }

    /// It is known what came of a call of so many requests.
    pub(in crate::task) fn merged(&self, upstream: &Arc<str>, came: Merged, requests: usize) {
        let requests = u64::try_from(requests).unwrap_or(u64::MAX);
        let mut all = self.merges.lock();
        let merges = match all.get_mut(upstream) {
            Some(merges) => merges,
            None => all.entry(upstream.clone()).or_default(),
        };
        count(&mut merges.calls, &Merged::ALL, came);
        merges.requests = merges.requests.saturating_add(requests);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_what_came_of_them_and_so_is_what_they_carried() {
        let tally = Tally::default();
        let (one, other): (Arc<str>, Arc<str>) = ("avi1".into(), "avi2".into());
        tally.merged(&one, Merged::Halved, 3);
        tally.merged(&one, Merged::Known, 2);
        tally.merged(&one, Merged::Known, 1);
        tally.merged(&other, Merged::Unknown, 1000);
        let wanted = Merges {
            calls: [2, 1, 0, 0],
            requests: 6,
        };
        assert_eq!(tally.merges("avi1"), wanted);
        assert_eq!(tally.merges("avi2").calls, [0, 0, 0, 1]);
        assert_eq!(tally.merges("avi3"), Merges::default());
    }
}
