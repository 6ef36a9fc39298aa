//! The class of a call: which kind of work it asks of the upstream.

use std::fmt;

/// The class of a call. Limits match on it, metrics are labelled with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Class {
    /// An ordinary REST call (`/api/…`, `/rest/…`).
    Rest,
    /// A JSON-RPC call of VMware's SDKs (`POST /api`).
    Rpc,
    /// A SOAP call (`/sdk`).
    Soap,
    /// A call that opens a login session.
    Login,
    /// A call that ends a login session.
    Logout,
    /// A call that blocks for as long as the work takes.
    Blocking,
    /// A call that waits for news and holds its connection meanwhile.
    LongPoll,
    /// A poll or cancel of a task.
    Task,
    /// Gigabytes, streamed: datastore files, log bundles, library up- and downloads.
    Transfer,
    /// Everything else: user interface, single sign-on.
    Other,
}

impl Class {
    /// Every class, in the order of its index.
    pub const ALL: [Self; 10] = [
        Self::Rest,
        Self::Rpc,
        Self::Soap,
        Self::Login,
        Self::Logout,
        Self::Blocking,
        Self::LongPoll,
        Self::Task,
        Self::Transfer,
        Self::Other,
    ];

    /// The word used in configuration, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Rpc => "rpc",
            Self::Soap => "soap",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::Blocking => "blocking",
            Self::LongPoll => "long_poll",
            Self::Task => "task",
            Self::Transfer => "transfer",
            Self::Other => "other",
        }
    }

    /// The class that `word` names, if any.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }

    /// Its place in [`Class::ALL`], for tables.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
