//! What an answer of vCenter's SOAP says of a session: whose it is, or the fault.

use crate::dialect::xml::{Gathered, Step, Tag, Walk};

/// What an answer says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::dialect) struct Answer {
    /// Whether it holds a method's answer.
    pub(in crate::dialect) is_reply: bool,
    /// Whether it is a fault.
    pub(in crate::dialect) is_fault: bool,
    /// The name of the fault in the detail, as `NotAuthenticatedFault`.
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
    while let Ok((path, step)) = walk.next() {
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
            _ => {}
        }
    }
    answer
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
