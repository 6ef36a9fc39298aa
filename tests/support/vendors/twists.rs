//! How work ends, and what may come between its truth and what readers are shown.

use serde_json::Value;

/// How far work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Queued,
    Running,
    Ended,
}

/// How work ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// With this result.
    Done(Value),
    /// In part: what went wrong with the rest.
    Partial(Vec<String>),
    Canceled,
    Failed {
        /// The vendor's word for it.
        code: String,
        message: String,
    },
    /// It failed, and the vendor says so without an error of its own.
    Unexplained,
    /// It failed and was taken back (NSX-V's ROLLBACK; elsewhere as [`Ending::Failed`]).
    RolledBack,
}

impl Ending {
    pub fn failed(code: &str, message: &str) -> Self {
        Self::Failed {
            code: code.to_owned(),
            message: message.to_owned(),
        }
    }

    /// The vendor's word and the message of what is no success, with `word` where there is none.
    pub(super) fn fault(&self, word: &str) -> Option<(String, String)> {
        match self {
            Self::Done(_) | Self::Partial(_) => None,
            Self::Canceled => Some(("CANCELED".to_owned(), "The task was canceled.".to_owned())),
            Self::Failed { code, message } => Some((code.clone(), message.clone())),
            Self::Unexplained => Some((word.to_owned(), String::new())),
            Self::RolledBack => Some((word.to_owned(), "Rolled back.".to_owned())),
        }
    }
}

/// What is odd about a piece of work. Readings are counted from 1, whoever makes them: alone or in a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Twist {
    /// So many readings from the `from`th on find nothing.
    Gone {
        from: u64,
        readings: u64,
    },
    /// The first so many readings after the end still say that it runs.
    Lags {
        readings: u64,
    },
    /// The first reading of the end is true; the next so many say again that it runs.
    Flaps {
        back: u64,
    },
    /// The first so many readings of the end have neither a result nor an end time.
    Bare {
        readings: u64,
    },
    /// The first so many readings say that it waits for resources, where the vendor has a word for that.
    Blocked {
        readings: u64,
    },
    /// It ends like this, without an effect (a part of it, where it ends in part).
    Ends(Ending),
    NotCancelable,
}

impl Twist {
    /// Started work is to be seen only after `readings` that find nothing.
    pub fn slow_commit(readings: u64) -> Self {
        Self::Gone { from: 1, readings }
    }

    /// The `at`th reading finds nothing; the next one does.
    pub fn vanishes_once(at: u64) -> Self {
        Self::Gone {
            from: at,
            readings: 1,
        }
    }

    pub fn vanishes_for_good(at: u64) -> Self {
        Self::Gone {
            from: at,
            readings: u64::MAX,
        }
    }

    /// It fails with this word of the vendor's.
    pub fn fails(code: &str, message: &str) -> Self {
        Self::Ends(Ending::failed(code, message))
    }

    pub(super) fn ending(&self) -> Option<Ending> {
        match self {
            Self::Ends(ending) => Some(ending.clone()),
            _ => None,
        }
    }
}

/// How far work is as readers are shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct View {
    pub(super) phase: Phase,
    pub(super) is_blocked: bool,
    pub(super) is_bare: bool,
    /// Hundredths that are done.
    pub(super) progress: u64,
}

/// What one reading shows.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) target: String,
    pub(super) user: String,
    /// Where the end is shown.
    pub(super) ending: Option<Ending>,
    pub(super) started: String,
    pub(super) ended: Option<String>,
    pub(super) cancelable: bool,
    pub(super) view: View,
}

/// How often a piece of work has been read.
#[derive(Debug, Default)]
pub(super) struct Shown {
    readings: u64,
    of_running: u64,
    of_end: u64,
}

impl Shown {
    /// Counts a reading; what it shows, or `None` where it finds nothing.
    pub(super) fn next(&mut self, twists: &[Twist], phase: Phase) -> Option<View> {
        self.readings += 1;
        let is_gone = |twist: &Twist| {
            let Twist::Gone { from, readings } = twist else {
                return false;
            };
            let until = from.saturating_add(*readings);
            (*from..until).contains(&self.readings)
        };
        if twists.iter().any(is_gone) {
            return None;
        }
        let phase = if phase == Phase::Ended {
            self.of_end += 1;
            self.end_seen_through(twists)
        } else {
            phase
        };
        if phase == Phase::Running {
            self.of_running += 1;
        }
        Some(View {
            phase,
            is_blocked: phase == Phase::Running && twists.iter().any(|t| self.is_blocked(t)),
            is_bare: phase == Phase::Ended && twists.iter().any(|t| self.is_bare(t)),
            progress: match phase {
                Phase::Queued => 0,
                // It only grows.
                Phase::Running => (41 + self.of_running).min(99),
                Phase::Ended => 100,
            },
        })
    }

    fn end_seen_through(&self, twists: &[Twist]) -> Phase {
        let is_hidden = twists.iter().any(|twist| match twist {
            Twist::Lags { readings } => self.of_end <= *readings,
            Twist::Flaps { back } => (2..=1 + back).contains(&self.of_end),
            _ => false,
        });
        if is_hidden {
            Phase::Running
        } else {
            Phase::Ended
        }
    }

    fn is_blocked(&self, twist: &Twist) -> bool {
        matches!(twist, Twist::Blocked { readings } if self.readings <= *readings)
    }

    fn is_bare(&self, twist: &Twist) -> bool {
        matches!(twist, Twist::Bare { readings } if self.of_end <= *readings)
    }
}
