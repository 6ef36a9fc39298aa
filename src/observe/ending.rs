//! How a request ended: two letters, who ended it and in which phase. They close each access log line.

use std::fmt::{self, Write as _};

/// Who ended the exchange (first letter).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    /// Nobody: the answer of the upstream, whatever its status, or one of the gate itself went out whole.
    Nobody,
    /// The client closed or reset its connection or stream.
    Client,
    /// The client was too slow for one of the `[listen]` deadlines.
    ClientTimeout,
    /// The upstream refused, reset, or answered what is not HTTP.
    Upstream,
    /// The upstream was silent for longer than `connect_timeout` or `response_timeout`.
    UpstreamTimeout,
    /// A limit refused; the line names it.
    Limit,
    /// The gate refused for another reason: malformed or too large, no such upstream, draining.
    Gate,
    /// The gate was told to stop before the exchange was over.
    Shutdown,
    /// A fault inside the gate, which is a bug.
    Internal,
}

impl Who {
    /// Every value, in the order of the table.
    pub const ALL: [Self; 9] = [
        Self::Nobody,
        Self::Client,
        Self::ClientTimeout,
        Self::Upstream,
        Self::UpstreamTimeout,
        Self::Limit,
        Self::Gate,
        Self::Shutdown,
        Self::Internal,
    ];

    /// Its letter.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Nobody => '-',
            Self::Client => 'C',
            Self::ClientTimeout => 'c',
            Self::Upstream => 'U',
            Self::UpstreamTimeout => 'u',
            Self::Limit => 'L',
            Self::Gate => 'G',
            Self::Shutdown => 'K',
            Self::Internal => 'I',
        }
    }

    /// What it means, for the table.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Nobody => "nobody: the answer went out whole, whatever its status",
            Self::Client => "the client closed or reset its connection or stream",
            Self::ClientTimeout => "the client was too slow for a deadline of `[listen]`",
            Self::Upstream => "the upstream refused, reset, or did not speak HTTP",
            Self::UpstreamTimeout => "the upstream was silent for too long",
            Self::Limit => "a limit refused; the line names it",
            Self::Gate => {
                "the gate refused for another reason: malformed, too large, no such upstream, draining"
            }
            Self::Shutdown => "the gate was told to stop first",
            Self::Internal => "a fault inside the gate: a bug, please report it",
        }
    }
}

/// In which phase it ended (second letter).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// All phases were passed.
    Finished,
    /// Reading the request head.
    Head,
    /// Reading the request body.
    Body,
    /// Classifying the call and claiming its limits.
    Admission,
    /// Connecting to the upstream, its TLS handshake included.
    Connecting,
    /// The request is sent; waiting for the response head.
    Response,
    /// Passing on the response, or the bytes of an upgraded connection.
    Data,
}

impl Phase {
    /// Every value, in the order of the table.
    pub const ALL: [Self; 7] = [
        Self::Finished,
        Self::Head,
        Self::Body,
        Self::Admission,
        Self::Connecting,
        Self::Response,
        Self::Data,
    ];

    /// Its letter.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Finished => '-',
            Self::Head => 'H',
            Self::Body => 'B',
            Self::Admission => 'A',
            Self::Connecting => 'C',
            Self::Response => 'R',
            Self::Data => 'D',
        }
    }

    /// What it means, for the table.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Finished => "finished: nothing was left to do",
            Self::Head => "reading the request head",
            Self::Body => "reading the request body",
            Self::Admission => "classifying the call and claiming its limits",
            Self::Connecting => "connecting to the upstream, TLS included",
            Self::Response => "waiting for the response head",
            Self::Data => "passing on the response, or an upgraded connection",
        }
    }
}

/// Who ended a request, and in which phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ending {
    /// First letter.
    pub who: Who,
    /// Second letter.
    pub phase: Phase,
}

impl Ending {
    /// `--`: the answer went out whole.
    pub const NORMAL: Self = Self::new(Who::Nobody, Phase::Finished);

    /// An ending of these two letters.
    #[must_use]
    pub const fn new(who: Who, phase: Phase) -> Self {
        Self { who, phase }
    }

    /// Both tables in Markdown, as the README shows them.
    #[must_use]
    pub fn table() -> String {
        let who = Who::ALL.map(|who| row(who.letter(), who.meaning()));
        let phase = Phase::ALL.map(|phase| row(phase.letter(), phase.meaning()));
        format!(
            "| first letter | who ended it |\n|---|---|\n{}\n| second letter | in which phase |\n|---|---|\n{}",
            who.concat(),
            phase.concat(),
        )
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char(self.who.letter())?;
        f.write_char(self.phase.letter())
    }
}

fn row(letter: char, meaning: &str) -> String {
    format!("| `{letter}` | {meaning} |\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn letters_are_distinct() {
        let who: BTreeSet<char> = Who::ALL.map(Who::letter).into();
        let phase: BTreeSet<char> = Phase::ALL.map(Phase::letter).into();
        assert_eq!(who.len(), Who::ALL.len());
        assert_eq!(phase.len(), Phase::ALL.len());
    }

    #[test]
    fn two_letters_close_a_line() {
        assert_eq!(Ending::NORMAL.to_string(), "--");
        assert_eq!(Ending::new(Who::Limit, Phase::Admission).to_string(), "LA");
        assert_eq!(
            Ending::new(Who::ClientTimeout, Phase::Head).to_string(),
            "cH"
        );
    }

    #[test]
    fn the_table_has_a_row_for_each_letter() {
        let table = Ending::table();
        let rows: Vec<&str> = table
            .lines()
            .filter(|line| line.starts_with("| `"))
            .collect();
        assert_eq!(rows.len(), Who::ALL.len() + Phase::ALL.len());
        assert!(table.contains("| `L` | a limit refused; the line names it |\n"));
        assert!(table.contains("| `R` | waiting for the response head |\n"));
    }
}
