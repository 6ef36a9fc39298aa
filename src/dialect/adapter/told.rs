//! What a task that is over is told as: the answer that the blocking form would have given.

use serde_json::Value;

use super::fill;
use super::origin::Origin;
use super::reading::{Reading, Verdict};
use super::request::Request;
use super::seen::Seen;
use crate::config::{AnswerShape, Became, Fill, Native, ResultShape, What};

/// An answer for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its status.
    pub status: u16,
    /// Its fields, names in lower case; the media type among them where there is a body.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// Where the answer for a client comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It is this.
    Made(Made),
    /// It is the reading, as it came.
    AsRead,
    /// It is what this request is answered with.
    Get(Request),
    /// The upstream says nothing that a client could be told.
    Nothing,
}

/// The answer of a task that is over by `reading`, which is of `seen`.
#[must_use]
pub fn told(
    native: &Native,
    origin: &Origin<'_>,
    seen: &Seen<'_>,
    reading: &Reading,
    handle: &str,
) -> Told {
    let Verdict::State(state, _) = reading.verdict else {
        return Told::Nothing;
    };
    match (&native.result, state) {
        (_, Became::Running) => Told::Nothing,
        (ResultShape::AsRead, _) => Told::AsRead,
        (ResultShape::Get(get), Became::Completed | Became::PartialSuccess) => {
            fill::target(get, origin, handle)
                .map_or(Told::Nothing, |target| Told::Get(Request::get(target)))
        }
        (ResultShape::Made(shape), Became::Completed | Became::PartialSuccess) => {
            Told::Made(of_reading(shape, seen))
        }
        (_, Became::Failed | Became::Aborted | Became::Expired) => failure(native, seen, reading),
    }
}

fn failure(native: &Native, seen: &Seen<'_>, reading: &Reading) -> Told {
    let Some(shape) = &native.error.answer else {
        return Told::Nothing;
    };
    let mut made = of_reading(shape, seen);
    let kind = reading
        .error
        .as_ref()
        .and_then(|error| error.kind.as_deref());
    let by_kind = native
        .error
        .statuses
        .iter()
        .find(|(of, _)| Some(of.as_str()) == kind);
    let said = native
        .error
        .status_from
        .as_ref()
        .and_then(|spot| seen.at(spot)?.text()?.parse().ok());
    let said = said.filter(|status: &u16| (400..600).contains(status));
    made.status = said
        .or(by_kind.map(|(_, status)| *status))
        .unwrap_or(made.status);
    Told::Made(made)
}

fn of_reading(shape: &AnswerShape, seen: &Seen<'_>) -> Made {
    made(shape, |fill| match &fill.what {
        What::Spot(spot) => seen.at(spot).map(|found| found.json()),
        What::Fact(_) => None,
    })
}

/// An answer of this shape, whose holes `says` fills. Fields that come to nothing are left out.
pub(super) fn made(shape: &AnswerShape, says: impl Fn(&Fill) -> Option<Value>) -> Made {
    let fields = shape.headers.iter().map(|(name, value)| {
        let value = fill::template(value, &says);
        (name.clone(), value.trim().to_owned())
    });
    let is_field = |(_, value): &(String, String)| {
        !value.is_empty()
            && value.len() <= 4096
            && value
                .bytes()
                .all(|byte| byte == b' ' || byte.is_ascii_graphic())
    };
    let mut headers: Vec<(String, String)> = fields.filter(is_field).collect();
    let body = shape
        .body
        .as_ref()
        .map(|body| fill::template(body, &says).into_bytes());
    if body.is_some() {
        headers.push(("content-type".to_owned(), shape.content_type.clone()));
    }
    Made {
        status: shape.status,
        headers,
        body: body.unwrap_or_default(),
    }
}
