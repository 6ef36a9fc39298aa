//! Which of two classes is the stricter: the one that holds when a call can be read as either.

use crate::call::Class;

/// The class under which a call is held to more.
///
/// ```text
///   transfer < other < logout < task < soap < rest < rpc < login < long_poll < blocking
/// ```
pub(super) const fn stricter(one: Class, other: Class) -> Class {
    if strictness(one) >= strictness(other) {
        one
    } else {
        other
    }
}

/// Whether a call of class `one` is held to at least as much as one of class `other`.
pub(super) const fn strictness(class: Class) -> u8 {
    match class {
        // Free even of the deadlines and sizes of an ordinary body.
        Class::Transfer => 0,
        // Those hold, and the limits on connections; nothing else does.
        Class::Other => 1,
        // Counted at the REST endpoint, but let past every layer of sessions and blocking calls and
        // first in line: nothing may get here by a spelling that its upstream takes for more.
        Class::Logout => 2,
        // The same, and in the seats of the service providers too.
        Class::Task => 3,
        // Ordinary work, with limits of its own.
        Class::Soap => 4,
        // Ordinary work at the REST endpoint: its sockets, its rate, the size of its answers.
        Class::Rest => 5,
        // The same; and its body says what it is.
        Class::Rpc => 6,
        // Takes a session, which stays when the call is over.
        Class::Login => 7,
        // Holds its seat until there is news: taken for ordinary work it would hold one of those.
        Class::LongPoll => 8,
        // The fewest seats, held the longest.
        Class::Blocking => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_classes_are_as_strict() {
        let mut all = Class::ALL.map(strictness);
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn what_is_always_let_pass_gives_way_to_every_work() {
        let favoured = [Class::Logout, Class::Task];
        for class in Class::ALL {
            let work =
                !favoured.contains(&class) && class != Class::Other && class != Class::Transfer;
            for favour in favoured.into_iter().filter(|_| work) {
                assert_eq!(stricter(favour, class), class);
                assert_eq!(stricter(class, favour), class);
            }
        }
    }
}
