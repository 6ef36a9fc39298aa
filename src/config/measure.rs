//! Durations and sizes, as they are written in the file.

use std::time::Duration;

const DURATION: &str =
    "write a whole number and a unit (ms, s, m, h), as \"250ms\", \"5s\", \"10m\", \"24h\"";
const SIZE: &str = "write bytes, or a whole number and a unit (B, KiB, MiB, GiB), as \"64KiB\", \"7MiB\", \"1GiB\"";

/// Units of time, largest first, in milliseconds.
const TIMES: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
/// Units of size, largest first, in bytes.
const SIZES: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// Reads `"250ms"`, `"5s"`, `"10m"`, `"24h"`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text).ok_or_else(|| format!("is no duration; {DURATION}"))?;
    let factor = match TIMES.into_iter().find(|(name, _)| *name == unit) {
        Some((_, factor)) => factor,
        None if unit.is_empty() => return Err(format!("has no unit; {DURATION}")),
        None => return Err(format!("has the unknown unit {unit:?}; {DURATION}")),
    };
    number
        .checked_mul(factor)
        .map(Duration::from_millis)
        .ok_or_else(|| "is too long a time".to_owned())
}

/// Writes a duration so that [`parse_duration`] reads the same (to the millisecond).
pub(super) fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    show(millis, &TIMES, "ms")
}

/// A duration in a sentence: seconds up to ten minutes, since limits are thought of in seconds.
pub(super) fn say_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if duration.subsec_nanos() != 0 {
        format!("{} ms", duration.as_millis())
    } else if seconds <= 600 || !seconds.is_multiple_of(60) {
        format!("{seconds} s")
    } else if !seconds.is_multiple_of(3600) {
        format!("{} min", seconds / 60)
    } else {
        format!("{} h", seconds / 3600)
    }
}

/// Reads `"64KiB"`, `"7MiB"`, `"1GiB"`, `"512B"`, `"512"`.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text).ok_or_else(|| format!("is no size; {SIZE}"))?;
    let unit = if unit.is_empty() { "B" } else { unit };
    let Some((_, factor)) = SIZES.into_iter().find(|(name, _)| *name == unit) else {
        return Err(format!("has the unknown unit {unit:?}; {SIZE}"));
    };
    number
        .checked_mul(factor)
        .ok_or_else(|| "is too large a size".to_owned())
}

/// Writes a size so that [`parse_size`] reads the same.
pub(super) fn show_size(bytes: u64) -> String {
    if bytes == 0 {
        "0B".to_owned()
    } else {
        show(bytes, &SIZES, "B")
    }
}

/// A size in a sentence.
pub(super) fn say_size(bytes: u64) -> String {
    let shown = show_size(bytes);
    let digits = shown
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(shown.len());
    let (number, unit) = shown.split_at(digits);
    format!("{number} {unit}")
}

/// The number and the unit of `text`; `None` when it does not start with digits or does not fit 64 bits.
fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    number.parse().ok().map(|number| (number, unit))
}

/// `amount` in the largest of `units` that divides it.
fn show(amount: u64, units: &[(&str, u64)], smallest: &str) -> String {
    units
        .iter()
        .find(|(_, factor)| amount.is_multiple_of(*factor))
        .map_or_else(
            || format!("{amount}{smallest}"),
            |(unit, factor)| format!("{}{unit}", amount / factor),
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read() {
        for (text, millis) in [
            ("250ms", 250),
            ("5s", 5000),
            ("10m", 600_000),
            ("24h", 86_400_000),
            ("0s", 0),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_duration_is_told_apart() {
        for (text, part) in [
            ("5", "no unit"),
            ("", "no duration"),
            ("s", "no duration"),
            ("-5s", "no duration"),
            ("1.5s", "unknown unit \".5s\""),
            ("5 s", "unknown unit \" s\""),
            ("5d", "unknown unit \"d\""),
            ("1h30m", "unknown unit"),
            ("99999999999999999999s", "no duration"),
            ("9999999999999999999h", "too long"),
        ] {
            assert!(
                parse_duration(text).unwrap_err().contains(part),
                "{text}: {:?}",
                parse_duration(text)
            );
        }
    }

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("512", 512),
            ("512B", 512),
            ("64KiB", 65_536),
            ("7MiB", 7_340_032),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for (text, part) in [
            ("64KB", "unknown unit \"KB\""),
            ("64k", "unknown unit"),
            ("", "no size"),
            ("99999999999GiB", "too large"),
        ] {
            assert!(parse_size(text).unwrap_err().contains(part), "{text}");
        }
    }

    #[test]
    fn sentences_use_the_unit_people_would() {
        for (millis, said) in [
            (250, "250 ms"),
            (60_000, "60 s"),
            (600_000, "600 s"),
            (900_000, "15 min"),
            (86_400_000, "24 h"),
            (1_500, "1500 ms"),
        ] {
            assert_eq!(say_duration(Duration::from_millis(millis)), said);
        }
        assert_eq!(
            (say_size(7 << 20), say_size(0), say_size(1500)),
            ("7 MiB".into(), "0 B".into(), "1500 B".into())
        );
    }

    proptest! {
        #[test]
        fn durations_round_trip(millis in 0_u64..=u64::from(u32::MAX) * 1000) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
        }

        #[test]
        fn sizes_round_trip(bytes: u64, shift in 0_u32..31) {
            let bytes = (bytes >> shift) << shift;
            prop_assert_eq!(parse_size(&show_size(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            drop(parse_duration(&text));
            drop(parse_size(&text));
        }
    }
}
