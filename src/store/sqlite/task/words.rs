//! The words that stand in rows. They never change: old rows have them.

use std::collections::BTreeSet;

use crate::limit::Mutex;
use crate::task::{Mode, Outcome, Replay, Source};

/// Most kinds of faults that are told apart.
const MOST_KINDS: usize = 256;
/// What is said of those that are not.
const SOME_KIND: &str = "failed";

/// Both ways between values and words.
macro_rules! words {
    ($of:ident $read:ident $type:ident { $($value:ident = $word:literal,)* }) => {
        pub(super) const fn $of(value: $type) -> &'static str {
            match value {
                $($type::$value => $word,)*
            }
        }

        pub(super) fn $read(word: &str) -> Option<$type> {
            Some(match word {
                $($word => $type::$value,)*
                _ => return None,
            })
        }
    };
}

words! { of_mode mode Mode { Queued = "queued", Native = "native", Merged = "merged", } }
words! { of_replay replay Replay { AtMostOnce = "at-most-once", AtLeastOnce = "at-least-once", } }
words! { of_outcome outcome Outcome { Known = "known", Unknown = "unknown", NotApplied = "not-applied", } }
words! { of_source source Source { Answer = "answer", Probe = "probe", } }

/// A kind of fault is a constant of the program: one that a row names is made one, once.
pub(super) fn kind(word: &str) -> &'static str {
    static KINDS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut kinds = KINDS.lock();
    if let Some(kind) = kinds.get(word) {
        return kind;
    }
    if kinds.len() == MOST_KINDS {
        return SOME_KIND;
    }
    let kind: &'static str = Box::leak(word.into());
    kinds.insert(kind);
    kind
}
