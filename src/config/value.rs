//! What a single value may be: each function turns a node into a plain value or says what would be right.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::measure::{parse_duration, parse_size, show_duration, show_size};
use super::nearest::nearest;
use super::node::{Node, Value};

/// A string.
pub(super) fn text(node: &Node) -> Result<String, String> {
    match &node.value {
        Value::Text(text) => Ok(text.clone()),
        other => Err(format!("is {}; a string in quotes is wanted", other.kind())),
    }
}

/// `true` or `false`.
pub(super) fn flag(node: &Node) -> Result<bool, String> {
    match &node.value {
        Value::Flag(flag) => Ok(*flag),
        other => Err(format!(
            "is {}; true or false is wanted, without quotes",
            other.kind()
        )),
    }
}

/// A whole number within `range`.
pub(super) fn whole(range: RangeInclusive<u64>) -> impl Fn(&Node) -> Result<u64, String> {
    move |node| {
        let wanted = || {
            format!(
                "a whole number from {} to {} is wanted",
                range.start(),
                range.end()
            )
        };
        match &node.value {
            Value::Whole(number) => u64::try_from(*number)
                .ok()
                .filter(|number| range.contains(number))
                .ok_or_else(|| format!("is out of range; {}", wanted())),
            other => Err(format!("is {}; {}", other.kind(), wanted())),
        }
    }
}

/// The same for numbers that are kept in 32 bits.
pub(super) fn whole_u32(range: RangeInclusive<u32>) -> impl Fn(&Node) -> Result<u32, String> {
    let wide = whole(u64::from(*range.start())..=u64::from(*range.end()));
    move |node| wide(node).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

/// A share from 0 to 1, in millionths.
pub(super) fn share(node: &Node) -> Result<u32, String> {
    let share = match node.value {
        Value::Real(share) => share,
        Value::Whole(0) => 0.0,
        Value::Whole(1) => 1.0,
        _ => {
            return Err(format!(
                "is {}; a share from 0 to 1 is wanted, as 0.05",
                node.value.kind()
            ));
        }
    };
    if !(0.0..=1.0).contains(&share) {
        return Err("is out of range; a share from 0 to 1 is wanted, as 0.05".to_owned());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and a million, as just checked"
    )]
    let millionths = (share * 1e6).round() as u32;
    Ok(millionths)
}

/// A duration within `range`.
pub(super) fn duration(
    range: RangeInclusive<Duration>,
) -> impl Fn(&Node) -> Result<Duration, String> {
    move |node| {
        let duration = match &node.value {
            Value::Text(text) => parse_duration(text)?,
            other => {
                return Err(format!(
                    "is {}; a duration in quotes is wanted, as \"250ms\", \"5s\", \"10m\", \"24h\"",
                    other.kind()
                ));
            }
        };
        if range.contains(&duration) {
            return Ok(duration);
        }
        Err(format!(
            "is out of range; from {} to {} is allowed",
            show_duration(*range.start()),
            show_duration(*range.end())
        ))
    }
}

/// A size in bytes within `range`: a number of bytes, or text as `"64KiB"`.
pub(super) fn size(range: RangeInclusive<u64>) -> impl Fn(&Node) -> Result<u64, String> {
    move |node| {
        let size = match &node.value {
            Value::Text(text) => parse_size(text)?,
            Value::Whole(number) => u64::try_from(*number)
                .map_err(|_| "is negative; a size is wanted, as \"64KiB\"".to_owned())?,
            other => {
                return Err(format!(
                    "is {}; a size is wanted, as \"64KiB\", \"7MiB\" or a number of bytes",
                    other.kind()
                ));
            }
        };
        if range.contains(&size) {
            return Ok(size);
        }
        Err(format!(
            "is out of range; from {} to {} is allowed",
            show_size(*range.start()),
            show_size(*range.end())
        ))
    }
}

/// One of `words`.
pub(super) fn word<T: Copy>(words: &[(&str, T)]) -> impl Fn(&Node) -> Result<T, String> {
    move |node| {
        let all = || {
            words
                .iter()
                .map(|(word, _)| format!("{word:?}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let Value::Text(text) = &node.value else {
            return Err(format!(
                "is {}; one of {} is wanted",
                node.value.kind(),
                all()
            ));
        };
        match words.iter().find(|(word, _)| word == text) {
            Some((_, value)) => Ok(*value),
            None => Err(match nearest(text, words.iter().map(|(word, _)| *word)) {
                Some(near) => format!(
                    "is unknown; did you mean {near:?}? One of {} is wanted",
                    all()
                ),
                None => format!("is unknown; one of {} is wanted", all()),
            }),
        }
    }
}

/// A name for people, logs and metric labels.
pub(super) fn name(node: &Node) -> Result<String, String> {
    let name = text(node)?;
    let fits = (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(&b));
    if fits {
        Ok(name)
    } else {
        Err("is no name; 1 to 64 letters, digits, and . _ : - are wanted".to_owned())
    }
}
