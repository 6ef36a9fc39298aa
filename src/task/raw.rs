//! The upstream's own word on its task, beside the answer that is made of it for who called (tasks.md section 6.4): a store
//! keeps both as one answer.
//!
//! ```text
//!   fields   those of the answer · ":": "STATUS LENGTH" · ":name" for each field of the raw one
//!   body     the answer's, and behind it LENGTH bytes of the raw one
//! ```
//!
//! No field that came from an upstream begins with a colon. An answer that is kept for its raw one alone has the status 0.

use bytes::Bytes;

use super::port::Answer;

/// Longest body that is kept beside an answer, bytes.
pub(super) const LONGEST: usize = 64 * 1024;
/// What marks a field as one of the raw answer; alone it is the name of the one that says where that begins.
const MARK: &str = ":";
/// Status of no answer.
const NONE: u16 = 0;

/// What the upstream itself said of its task when that was over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Raw {
    /// The answer itself is it.
    Same,
    /// Another than the answer.
    Apart(Answer),
}

/// What is kept of the end of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ending {
    /// The answer to the call.
    pub(super) answer: Option<Answer>,
    pub(super) raw: Option<Raw>,
}

impl Raw {
    /// One that is no answer to the call; none where it is too long to be kept beside that.
    pub(super) fn apart(answer: Answer) -> Option<Self> {
        (answer.body.len() <= LONGEST).then_some(Self::Apart(answer))
    }
}

/// Both as one answer; none where there is nothing to keep.
pub(super) fn joined(answer: Option<Answer>, raw: Option<Raw>) -> Option<Answer> {
    let Some(raw) = raw else {
        return answer;
    };
    let mut both = match (answer, &raw) {
        (Some(answer), _) => answer,
        (None, Raw::Same) => return None,
        (None, Raw::Apart(_)) => Answer {
            status: NONE,
            headers: Vec::new(),
            body: Bytes::new(),
        },
    };
    let own = match raw {
        Raw::Same => {
            both.headers.push((MARK.to_owned(), Bytes::new()));
            return Some(both);
        }
        Raw::Apart(own) => own,
    };
    let begins = format!("{} {}", own.status, own.body.len());
    both.headers.push((MARK.to_owned(), begins.into()));
    let fields = own.headers.into_iter();
    both.headers
        .extend(fields.map(|(name, value)| (format!("{MARK}{name}"), value)));
    both.body = [&*both.body, &*own.body].concat().into();
    Some(both)
}

/// The two again. What was kept without a raw one has none.
pub(super) fn parted(kept: Answer) -> Ending {
    let Answer {
        status,
        headers,
        mut body,
    } = kept;
    let is_raw = |(name, _): &(String, Bytes)| name.starts_with(MARK);
    let (own, headers): (Vec<_>, Vec<_>) = headers.into_iter().partition(is_raw);
    let raw = cut(own, &mut body);
    let answer = (status != NONE).then_some(Answer {
        status,
        headers,
        body,
    });
    Ending { answer, raw }
}

/// The raw answer by its fields; its body is taken off the end of `body`.
fn cut(own: Vec<(String, Bytes)>, body: &mut Bytes) -> Option<Raw> {
    let (_, begins) = own.iter().find(|(name, _)| name == MARK)?;
    if begins.is_empty() {
        return Some(Raw::Same);
    }
    let (status, at) = parts(begins, body)?;
    let fields = own.into_iter().filter_map(|(name, value)| {
        let name = name.strip_prefix(MARK).filter(|name| !name.is_empty())?;
        Some((name.to_owned(), value))
    });
    Some(Raw::Apart(Answer {
        status,
        headers: fields.collect(),
        body: body.split_off(at),
    }))
}

/// Status of the raw answer, and where in `body` its own begins; none where that cannot be read.
fn parts(begins: &[u8], body: &[u8]) -> Option<(u16, usize)> {
    let (status, length) = std::str::from_utf8(begins).ok()?.split_once(' ')?;
    let length: usize = length.parse().ok()?;
    Some((status.parse().ok()?, body.len().checked_sub(length)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static [u8]) -> Answer {
        let name = format!("x-{status}");
        Answer {
            status,
            headers: vec![
                ("content-type".to_owned(), Bytes::from_static(b"text/plain")),
                (name, Bytes::from_static(b"\xff")),
            ],
            body: Bytes::from_static(body),
        }
    }

    #[test]
    fn what_is_joined_is_parted_again() {
        let apart = |body| Raw::apart(answer(202, body));
        for (given, raw) in [
            (Some(answer(200, b"\"vm-7\"")), apart(b"{\"result\":1}")),
            (Some(answer(204, b"")), apart(b"{}")),
            (Some(answer(200, b"body")), apart(b"")),
            (Some(answer(200, b"body")), Some(Raw::Same)),
            (Some(answer(200, b"body")), None),
            (None, apart(b"{\"status\":\"FAILED\"}")),
        ] {
            let kept = joined(given.clone(), raw.clone()).unwrap();
            assert_eq!(parted(kept), Ending { answer: given, raw });
        }
        assert_eq!(joined(None, None), None);
        assert_eq!(joined(None, Some(Raw::Same)), None);
    }

    #[test]
    fn what_is_too_long_is_not_kept_beside_an_answer() {
        let with = |length: usize| Answer {
            body: vec![b' '; length].into(),
            ..answer(200, b"")
        };
        assert!(Raw::apart(with(LONGEST)).is_some());
        assert_eq!(Raw::apart(with(LONGEST + 1)), None);
    }

    #[test]
    fn a_mark_that_cannot_be_read_takes_nothing_from_the_answer() {
        for begins in ["200", "200 5", "x 1", "200 -1", "200 1 1"] {
            let mut kept = answer(200, b"four");
            let mark = (MARK.to_owned(), Bytes::from(begins));
            kept.headers.push(mark);
            let parted = parted(kept);
            assert_eq!(
                (parted.answer, parted.raw),
                (Some(answer(200, b"four")), None),
                "{begins}"
            );
        }
    }
}
