//! What was said of a session, or of credentials, and how long that holds.

use std::time::Duration;

use crate::session::{User, VERIFIED};

/// How long an answer holds: that it is somebody's or accepted (or says nothing, where no more could be learned by asking
/// again); that it is nobody's, or the upstream silent; that nobody knows.
const HOLDS: Duration = VERIFIED;
const HOLDS_GONE: Duration = Duration::from_secs(30);
const HOLDS_UNKNOWN: Duration = Duration::from_secs(2);

/// What the upstream says of a session, or of credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::proxy) enum Verdict {
    /// It is this user's.
    User(User),
    /// They are good, and this user's where that could be told.
    Accepted(Option<User>),
    /// It is none; they are not good.
    Gone,
    /// It answered, and did not say whose it is.
    Untold,
    /// It could not say whose it is, or was not heard.
    Unknown,
    /// It says nothing of what was tried, and never will.
    Mute,
    /// It is not there, or broken.
    Silent,
    /// Nobody could ask it at this moment.
    Unasked,
    /// An answer put them in doubt, and none since said clearly whether they are good.
    Doubted,
}

impl Verdict {
    pub(super) const fn holds(&self) -> Duration {
        match self {
            Self::User(_) | Self::Accepted(_) | Self::Mute => HOLDS,
            Self::Gone | Self::Silent => HOLDS_GONE,
            Self::Untold | Self::Unknown | Self::Unasked | Self::Doubted => HOLDS_UNKNOWN,
        }
    }

    /// This verdict after what was heard before: what is no word takes none back that was against them. But where there will never
    /// be a word, a mere doubt is not for ever.
    pub(super) fn after(self, before: Option<&Self>) -> Self {
        let is_word = matches!(self, Self::User(_) | Self::Accepted(_) | Self::Gone);
        match before {
            Some(Self::Gone) if !is_word => Self::Gone,
            Some(Self::Doubted) if !is_word && !matches!(self, Self::Mute | Self::Untold) => {
                Self::Doubted
            }
            _ => self,
        }
    }
}
