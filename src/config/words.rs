//! The words of the file that stand for one of a few things, for reading and for showing.

use super::types::{Adaptive, Convert, Counts, Interim, Key, LogFormat, LogLevel, Mode, Priority};
use crate::call::Class;

/// `counts`.
pub(super) const COUNTS: [(&str, Counts); 6] = [
    ("upstream_connections", Counts::UpstreamConnections),
    ("requests_in_flight", Counts::RequestsInFlight),
    ("requests", Counts::Requests),
    ("sessions", Counts::Sessions),
    ("session_creations", Counts::SessionCreations),
    ("response_bytes", Counts::ResponseBytes),
];

/// `key`.
pub(super) const KEY: [(&str, Key); 4] = [
    ("all", Key::All),
    ("user", Key::User),
    ("address", Key::Address),
    ("session", Key::Session),
];

/// `mode`; `None` takes the limit away.
pub(super) const MODE: [(&str, Option<Mode>); 3] = [
    ("enforce", Some(Mode::Enforce)),
    ("shadow", Some(Mode::Shadow)),
    ("off", None),
];

/// `async`.
pub(super) const CONVERT: [(&str, Convert); 3] = [
    ("never", Convert::Never),
    ("prefer", Convert::Prefer),
    ("always", Convert::Always),
];

/// `priority`.
pub(super) const PRIORITY: [(&str, Priority); 2] = [
    ("interactive", Priority::Interactive),
    ("batch", Priority::Batch),
];

/// `adaptive`.
pub(super) const ADAPTIVE: [(&str, Adaptive); 2] =
    [("off", Adaptive::Off), ("gradient", Adaptive::Gradient)];

/// `tasks.interim`.
pub(super) const INTERIM: [(&str, Interim); 3] = [
    ("off", Interim::Off),
    ("processing", Interim::Processing),
    ("early-hints", Interim::EarlyHints),
];

/// `log.format`.
pub(super) const LOG_FORMAT: [(&str, LogFormat); 2] =
    [("json", LogFormat::Json), ("text", LogFormat::Text)];

/// `log.level`.
pub(super) const LOG_LEVEL: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

/// `class`.
pub(super) fn classes() -> [(&'static str, Class); 10] {
    Class::ALL.map(|class| (class.as_str(), class))
}

/// The word for `value`.
pub(super) fn of<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
    words
        .iter()
        .find(|(_, other)| other == value)
        .map_or("", |(word, _)| word)
}
