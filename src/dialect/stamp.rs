//! Moments as servers write them.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::DATE;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// What the clock of whoever answered says, by `Date`.
pub(super) fn clock(headers: &HeaderMap) -> Option<SystemTime> {
    let text = headers.get(DATE)?.to_str().ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(http_date(text.trim())?))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7) in seconds since 1970; the two obsolete forms
/// are not read.
pub(super) fn http_date(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let day = digits(words.next()?)?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let year = digits(words.next()?)?;
    let time = seconds_of(words.next()?)?;
    let is_gmt = words.next() == Some("GMT") && words.next().is_none();
    is_gmt.then_some(days((year, month, day))? * 86_400 + time)
}

/// `2026-03-01T10:15:02.651Z`, or with `+01:00` (RFC 3339 section 5.6).
pub(super) fn rfc3339(text: &str) -> Option<SystemTime> {
    let (date, rest) = text.trim().split_once(['T', 't', ' '])?;
    let mut date = date.split('-').map(digits);
    let date = (date.next()??, date.next()??, date.next()??);
    let at = rest.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = rest.split_at_checked(at)?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let seconds = days(date)? * 86_400 + seconds_of(time)?;
    let moment = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
    let moment = moment.checked_add(Duration::from_millis(thousandths(fraction)?))?;
    if matches!(zone, "Z" | "z") {
        return Some(moment);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let ahead = Duration::from_secs(digits(hours)? * 3600 + digits(minutes)? * 60);
    if zone.starts_with('-') {
        moment.checked_add(ahead)
    } else {
        moment.checked_sub(ahead)
    }
}

/// Days since 1970-01-01, in years that begin in March (H. Hinnant, "chrono-compatible low-level date algorithms").
fn days((year, month, day): (u64, u64, u64)) -> Option<u64> {
    let is_date =
        (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year.checked_sub(1)?, month + 9)
    };
    let leaps = year / 4 - year / 100 + year / 400;
    let days = year * 365 + leaps + (month * 153 + 2) / 5 + day.checked_sub(1)?;
    is_date.then(|| days.checked_sub(719_468))?
}

/// `08:49:37`.
fn seconds_of(clock: &str) -> Option<u64> {
    let mut parts = clock.split(':').map(digits);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let is_time = hour < 24 && minute < 60 && second <= 60 && parts.next().is_none();
    is_time.then_some(hour * 3600 + minute * 60 + second)
}

/// `651` of a second; finer digits are left out.
fn thousandths(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let three = format!("{digits:0<3}");
    is_number.then(|| three.get(..3)?.parse().ok())?
}

/// A whole number of at most nine digits.
fn digits(text: &str) -> Option<u64> {
    let is_number = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_with_their_zone_and_to_the_millisecond() {
        let millis = |text: &str| {
            let since = rfc3339(text)?.duration_since(SystemTime::UNIX_EPOCH);
            since.ok().map(|since| since.as_millis())
        };
        for (text, want) in [
            ("1994-11-06T08:49:37Z", 784_111_777_000),
            ("1994-11-06t08:49:37.5z", 784_111_777_500),
            ("1994-11-06T08:49:37.65123+00:00", 784_111_777_651),
            ("1994-11-06T09:49:37+01:00", 784_111_777_000),
            ("1994-11-06 02:19:37-06:30", 784_111_777_000),
        ] {
            assert_eq!(millis(text), Some(want), "{text}");
        }
        for wrong in [
            "",
            "now",
            "1994-11-06",
            "1994-11-06T08:49:37",
            "1994-13-06T08:49:37Z",
            "1994-11-06T24:49:37Z",
            "1994-11-06T08:49Z",
            "1994-11-06T08:49:37.Z",
            "1994-11-06T08:49:37+1",
            "1969-01-01T00:00:00Z",
            "99999999999999999999-11-06T08:49:37Z",
        ] {
            assert_eq!(millis(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_clock_of_an_answer_is_its_date() {
        let said = |value: &str| {
            let headers = HeaderMap::from_iter([(DATE, value.parse().unwrap())]);
            clock(&headers)
        };
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(said("Sun, 06 Nov 1994 08:49:37 GMT"), Some(then));
        assert_eq!(said("1994-11-06T08:49:37Z"), None);
        assert_eq!(clock(&HeaderMap::new()), None);
    }
}
