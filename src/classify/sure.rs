//! How sure it is that a call is what a route or limit speaks of.

/// Whether a condition holds, over every way in which an upstream may read the call.
///
/// A call in plain spelling is read in one way: it is [`Sure::Yes`] or [`Sure::No`]. Where spellings
/// differ (an escape, a letter's case, a key of the query given twice), it depends on the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sure {
    /// In no reading.
    No,
    /// In some readings.
    Maybe,
    /// In every reading.
    Yes,
}

impl Sure {
    /// Both hold.
    pub(super) fn and(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::No => Self::No,
            one => one.min(other()),
        }
    }

    /// Whether two texts are the same to every reader, or to one that takes letters in either case.
    pub(super) fn same(text: &str, wanted: &str) -> Self {
        if text == wanted {
            Self::Yes
        } else if text.eq_ignore_ascii_case(wanted) {
            Self::Maybe
        } else {
            Self::No
        }
    }
}

impl From<bool> for Sure {
    fn from(certain: bool) -> Self {
        if certain { Self::Yes } else { Self::No }
    }
}

#[cfg(test)]
mod tests {
    use super::Sure::{self, Maybe, No, Yes};

    #[test]
    fn both_are_no_surer_than_the_less_sure() {
        for (one, other, both) in [
            (Yes, Yes, Yes),
            (Yes, Maybe, Maybe),
            (Maybe, Yes, Maybe),
            (Maybe, No, No),
            (No, Yes, No),
        ] {
            assert_eq!(one.and(|| other), both);
        }
    }

    #[test]
    fn letters_in_another_case_are_the_same_to_some() {
        assert_eq!(Sure::same("Login", "Login"), Yes);
        assert_eq!(Sure::same("LOGIN", "Login"), Maybe);
        assert_eq!(Sure::same("Login2", "Login"), No);
    }
}
