//! What an answer of vCenter's SOAP says of a session: whose it is, or the fault.

use quick_xml::events::BytesStart;
use quick_xml::name::QName;

use crate::dialect::xml::{Gathered, Step, Stop, Tag, Walk};

/// What an answer says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::dialect) struct Answer {
    /// Whether it holds a method's answer.
    pub(in crate::dialect) is_reply: bool,
    /// Whether it was read to its end.
    pub(in crate::dialect) is_whole: bool,
    /// Whether it is a fault.
    pub(in crate::dialect) is_fault: bool,
    /// The name of the fault in the detail, as `NotAuthenticatedFault`, or the type of the one that
    /// stands for a property that is missing, as `NotAuthenticated`.
    pub(in crate::dialect) fault: Option<String>,
    /// The user of the session: of `LoginResponse`, or of the property `currentSession`.
    pub(in crate::dialect) user: Option<String>,
}

/// Reads as much of an answer as is there.
pub(in crate::dialect) fn answer(body: &[u8]) -> Answer {
    let mut answer = Answer::default();
    let mut gathered = None;
    let Ok(mut walk) = Walk::new(body) else {
        return answer;
    };
    loop {
        let (path, step) = match walk.next() {
            Ok(visit) => visit,
            Err(stop) => {
                answer.is_whole = stop == Stop::End;
                return answer;
            }
        };
        let [Tag::Envelope, Tag::Body, method, inside @ ..] = path else {
            continue;
        };
        match (method, inside, step) {
            (Tag::Fault, [], Step::Open { .. }) => answer.is_fault = true,
            (Tag::Fault, [_, _], Step::Open { start, .. }) => {
                let name = start.local_name().into_inner();
                answer.fault.get_or_insert_with(|| name.to_owned());
            }
            (Tag::Fault, ..) => {}
            (_, [], Step::Open { .. }) => answer.is_reply = true,
            // A list of sessions has an element more in between.
            (
                _,
                [Tag::ReturnValue, Tag::UserName]
                | [Tag::ReturnValue, Tag::PropSet, Tag::Value, Tag::UserName],
                step,
            ) => {
                user(&mut answer, &mut gathered, &step);
            }
            (_, [Tag::ReturnValue, Tag::MissingSet, ..], Step::Open { start, .. }) => {
                answer.fault = answer.fault.or_else(|| type_of(&start));
            }
            _ => {}
        }
    }
}

/// The value of `xsi:type`, whatever the prefix.
fn type_of(start: &BytesStart<'_>) -> Option<String> {
    let is_type =
        |key: QName<'_>| key.local_name().into_inner() == "type" && key.prefix().is_some();
    let mut attributes = start.attributes();
    let mut attributes = attributes.with_checks(false).flatten();
    let xsi_type = attributes.find(|attribute| is_type(attribute.key))?;
    Some(xsi_type.value.into_owned())
}

fn user(answer: &mut Answer, gathered: &mut Option<Gathered>, step: &Step<'_, '_>) {
    match step {
        Step::Open { .. } => *gathered = Some(Gathered::default()),
        Step::Text(text) => {
            if let Some(gathered) = gathered {
                gathered.add(text);
            }
        }
        Step::Close => answer.user = gathered.take().and_then(Gathered::finish),
    }
}
