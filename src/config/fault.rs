//! What is wrong with a configuration, said so that it can be put right at once.

use std::fmt;
use std::sync::Arc;

/// Longest part of a value that is repeated in a fault, characters.
const SHOWN: usize = 80;

/// One fault: which key, what was written there, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Path of the key, as `upstream[0].limits.request_rate.window`; the file's name when the file itself is at fault.
    pub key: String,
    /// The value as it was written, shortened, secrets as `***`; empty when there is none or it is not for showing.
    pub value: String,
    /// What is wrong and what would be right.
    pub problem: String,
    /// Name of the upstream the key belongs to.
    pub upstream: Option<Arc<str>>,
    /// Where it was written.
    pub place: Place,
}

/// Where something was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The file, when it was not the operator's own configuration.
    pub file: Option<Origin>,
    /// Line, from 1; `None` for what is not there.
    pub line: Option<usize>,
}

/// A file that a configuration takes in, and what it is, as `profile vcenter-8.0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin(Arc<str>);

impl Origin {
    /// A profile by this name or path.
    pub(super) fn profile(name: &str) -> Self {
        Self(format!("profile {name}").into())
    }

    /// A dialect by this name or path.
    pub(super) fn dialect(name: &str) -> Self {
        Self(format!("dialect {name}").into())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Fault {
    /// A fault at `key`. Control characters are escaped, so that a fault is one line wherever it is printed.
    #[must_use]
    pub fn new(key: &str, value: &str, problem: &str) -> Self {
        Self {
            key: one_line(key),
            value: shorten(&without_password(value)),
            problem: one_line(problem),
            upstream: None,
            place: Place::default(),
        }
    }

    /// The same fault, with where it stands.
    #[must_use]
    pub fn at(mut self, place: Place, upstream: Option<Arc<str>>) -> Self {
        self.place = place;
        self.upstream = upstream;
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if !self.value.is_empty() {
            write!(f, " = {}", self.value)?;
        }
        let mut notes = Vec::new();
        notes.extend(
            self.upstream
                .as_ref()
                .map(|name| format!("upstream {name}")),
        );
        notes.extend(self.place.file.as_ref().map(ToString::to_string));
        notes.extend(self.place.line.map(|line| format!("line {line}")));
        if !notes.is_empty() {
            write!(f, " ({})", one_line(&notes.join(", ")))?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// Everything that is wrong with a configuration, in the order of its lines; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// `Err` with all of `faults`, in the order of their lines; `Ok` when there is none.
    ///
    /// # Errors
    /// When `faults` is not empty.
    pub fn check(mut faults: Vec<Fault>) -> Result<(), Self> {
        if faults.is_empty() {
            return Ok(());
        }
        // What is missing has no line and comes last; the operator's own file comes before any other.
        faults.sort_by_key(|fault| {
            let line = fault.place.line.unwrap_or(usize::MAX);
            (fault.place.file.clone(), line)
        });
        Err(Self(faults))
    }

    /// The faults.
    #[must_use]
    pub fn as_slice(&self) -> &[Fault] {
        &self.0
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl fmt::Display for Faults {
    /// A heading with their number, then one fault a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("1 fault in the configuration:")?,
            count => write!(f, "{count} faults in the configuration:")?,
        }
        for fault in &self.0 {
            write!(f, "\n  {fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// `text` with every control character escaped.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

fn shorten(value: &str) -> String {
    let first = value.lines().next().unwrap_or_default();
    let mut short: String = first.chars().take(SHOWN).collect();
    if short.len() < value.trim_end().len() {
        short.push('…');
    }
    one_line(&short)
}

/// Replaces `user:password@` after `://`: people do write passwords into addresses.
fn without_password(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else {
        return value.to_owned();
    };
    let end = rest.find(['/', '?', '#', '"', '\'']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://***@{host}{}", without_password(tail)),
        None => format!("{scheme}://{authority}{}", without_password(tail)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_one_line_and_shows_no_password() {
        let fault = Fault::new(
            "a\nb",
            "[\"https://u:p@h/x\", \"https://v:w@i/\"]\nmore",
            "x\ty",
        );
        assert_eq!(
            fault.to_string(),
            "a\\nb = [\"https://***@h/x\", \"https://***@i/\"]…: x\\ty"
        );
    }

    #[test]
    fn faults_come_in_the_order_of_lines_and_missing_things_last() {
        let at = |key: &str, line| Fault::new(key, "", "x").at(Place { file: None, line }, None);
        let faults = Faults::check(vec![
            at("none", None),
            at("late", Some(9)),
            at("early", Some(2)),
        ])
        .unwrap_err();
        let keys: Vec<_> = faults
            .as_slice()
            .iter()
            .map(|fault| fault.key.as_str())
            .collect();
        assert_eq!(keys, ["early", "late", "none"]);
        assert!(
            faults
                .to_string()
                .starts_with("3 faults in the configuration:\n  early (line 2): x\n")
        );
    }
}
