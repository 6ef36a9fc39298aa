//! Questions how tasks fare: those that clients asked the gate, and those that the gate asked upstreams.

/// What was asked of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poll {
    /// How many tasks fare, by one call.
    List,
    /// How one fares.
    Single,
    /// Which there are: for a start whose answer was lost, or might be.
    Find,
}

impl Poll {
    /// Each.
    pub const ALL: [Self; 3] = [Self::List, Self::Single, Self::Find];

    /// As it stands in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Single => "single",
            Self::Find => "find",
        }
    }
}

/// Polls of one upstream's tasks, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Polls {
    /// Questions of clients that the gate answered itself.
    pub answered: u64,
    /// Calls to the upstream, in the order of [`Poll::ALL`].
    pub upstream: [u64; Poll::ALL.len()],
    /// Of these, those that told nothing.
    pub failed: u64,
}
