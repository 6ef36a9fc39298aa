//! What a task is called: a ULID, in order of time, with 80 random bits.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use ulid::Ulid;

use crate::limit::Mutex;

/// The name of a task (ULID specification, <https://github.com/ulid/spec>): 48 bits of milliseconds and 80 random
/// ones, written as 26 letters. It is no permission: who asks for a task has to be its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(Ulid);

/// Not the name of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no task id: 26 letters of Crockford's base 32 are wanted")]
pub struct BadTaskId;

impl TaskId {
    /// A new one, at this time.
    #[must_use]
    pub fn new(at: SystemTime) -> Self {
        Self(Ulid::from_datetime(at))
    }

    /// Its 16 bytes, in order of time.
    #[must_use]
    pub const fn bytes(self) -> [u8; 16] {
        self.0.to_bytes()
    }

    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Ulid::from_bytes(bytes))
    }
}

/// Names tasks in the order in which it is asked, also within a millisecond and when the clock steps back: who was answered before
/// another came has the smaller name.
#[derive(Debug, Default)]
pub(super) struct Namer(Mutex<Option<TaskId>>);

/// By at most how much a name lies behind the last one: room for a million within a millisecond, and 60 bits of chance.
const STEP: u128 = (1 << 60) - 1;

/// Milliseconds by which a clock steps back as clocks do that are corrected: an hour. The reaper takes what lies further ahead for
/// tasks of the future.
const FAR: u64 = 3_600_000;

impl Namer {
    /// The next one, at this time or a little later. A clock that was set back by more than [`FAR`] is believed: names that went
    /// on in the old time would be of the future until it has caught up.
    pub(super) fn next(&self, at: SystemTime) -> TaskId {
        let fresh = TaskId::new(at);
        let mut last = self.0.lock();
        let next = match *last {
            Some(last)
                if fresh <= last
                    && last.0.timestamp_ms().saturating_sub(fresh.0.timestamp_ms()) <= FAR =>
            {
                let step = (fresh.0.0 & STEP) + 1;
                TaskId(Ulid(last.0.0.saturating_add(step)))
            }
            _ => fresh,
        };
        *last = Some(next);
        next
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TaskId {
    type Err = BadTaskId;

    /// Only as it is written: one task has one URL.
    fn from_str(text: &str) -> Result<Self, BadTaskId> {
        let id = Ulid::from_string(text).map_err(|_| BadTaskId)?;
        if id.to_string() != text {
            return Err(BadTaskId);
        }
        Ok(Self(id))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn names_are_in_the_order_in_which_they_are_given_whatever_the_clock_does() {
        let namer = Namer::default();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let mut last = namer.next(at);
        for nth in 0..1000_u64 {
            let back = Duration::from_millis(nth % 3);
            let next = namer.next(at - back);
            assert!(next > last, "{next} {last}");
            last = next;
        }
        let later = namer.next(at + Duration::from_secs(1));
        assert!(later > last);
        let set_back = at - Duration::from_hours(2);
        assert!(
            namer.next(set_back) < last,
            "a clock that was set is believed"
        );
    }

    #[test]
    fn an_id_is_read_as_it_is_written_and_in_no_other_way() {
        let id = TaskId::new(SystemTime::UNIX_EPOCH);
        assert_eq!(id.to_string().len(), 26);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(TaskId::from_bytes(id.bytes()), id);
        assert_eq!(
            id.to_string().to_lowercase().parse::<TaskId>(),
            Err(BadTaskId)
        );
        for bad in [
            "",
            "1",
            "01JQ7Z6V3M8Q4T9B2K5N7R1C0",
            "81JQ7Z6V3M8Q4T9B2K5N7R1C0D",
            "01JQ7Z6V3M8Q4T9B2K5N7R1C0U",
        ] {
            assert_eq!(bad.parse::<TaskId>(), Err(BadTaskId), "{bad}");
        }
    }
}
