//! Fills the holes of a call that makes up for another: first with what is known of that one, then with what is found.

use serde::{Deserialize, Serialize};

use super::fill::{self, is_target};
use super::origin::Origin;
use super::seen::Seen;
use crate::config::{Bit, Blanks, Escape, Form, Hole, Spot};

/// Longest body that is made, bytes.
const LONGEST: usize = 1 << 20;

/// Where a text stands: that says how what fills it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// In a target: percent-encoded, each hole a segment or less.
    Target,
    /// Inside of strings of JSON.
    Json,
}

/// A part of a text whose holes are filled as far as they can be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Left {
    /// Text as it stands.
    Text(String),
    /// What is to be found at this place.
    Found(String),
}

/// A text, its holes filled but for those that wait for what is found. `None` where something is missing, or would make another
/// path of it.
#[must_use]
pub fn filled(
    blanks: &Blanks,
    stands: Stands,
    origin: &Origin<'_>,
    answer: Option<&Seen<'_>>,
) -> Option<Vec<Left>> {
    let left = blanks.bits.iter().map(|bit| {
        Some(match bit {
            Bit::Text(text) => Left::Text(text.clone()),
            Bit::Found(place) => Left::Found(place.clone()),
            Bit::Answer(spot) => Left::Text(written(&said(answer?, spot)?, stands)?),
            Bit::Call(Hole::Path) if stands == Stands::Target => Left::Text(origin.path.to_owned()),
            Bit::Call(Hole::Star(star)) if stands == Stands::Target => {
                Left::Text(origin.star(*star)?.to_owned())
            }
            Bit::Call(hole) => Left::Text(written(&origin.says(hole)?, stands)?),
        })
    });
    left.collect()
}

/// The whole text, once everything is found that it waits for. `None` as [`filled`].
#[must_use]
pub fn whole(left: &[Left], stands: Stands, found: Option<&Seen<'_>>) -> Option<String> {
    let mut text = String::new();
    for one in left {
        match one {
            Left::Text(one) => text.push_str(one),
            Left::Found(place) => {
                let spot: Spot = place.parse().ok()?;
                text.push_str(&written(&said(found?, &spot)?, stands)?);
            }
        }
    }
    let is_sound = match stands {
        Stands::Target => is_target(&text),
        Stands::Json => text.len() <= LONGEST,
    };
    is_sound.then_some(text)
}

fn said(seen: &Seen<'_>, spot: &Spot) -> Option<String> {
    seen.at(spot)?.text().filter(|text| !text.is_empty())
}

fn written(value: &str, stands: Stands) -> Option<String> {
    match stands {
        Stands::Target => fill::segment(value),
        Stands::Json => {
            let value = serde_json::Value::String(value.to_owned());
            Some(fill::written(Some(value), Form::Text, Escape::Json))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use http::HeaderMap;

    use super::*;
    use crate::config::{self, Compensate};
    use crate::dialect::adapter::Answered;

    fn undo(target: &str, body: &str) -> Compensate {
        let text = format!(
            "[[upstream]]\naddress = \"http://a\"\n[[upstream.route]]\nname = \"r\"\nclass = \"blocking\"\n\
             match = {{ path = \"/api/*/vm\" }}\nprobe = {{ get = \"/a\" }}\n[[upstream.route.after]]\nstate = [\"FAILED\"]\n\
             outcome = \"known\"\nstatus = [500]\ncompensate = {{ method = \"POST\", target = \"{target}\", body = '{body}' }}"
        );
        let mut config = config::parse(&text, Path::new(".")).unwrap();
        let rule = config.upstreams[0].routes[0].after.remove(0);
        rule.compensate.unwrap()
    }

    fn made(target: &str, answer: &str, found: &str) -> Option<(String, String)> {
        let body = r#"{"vm":"${found:0.vm}","of":"${/name}"}"#;
        let undo = undo(&format!("{target}?x={{found:0.vm}}"), body);
        let origin = Origin::along(
            Some("/api/*/vm"),
            "/api/dc%201/vm?f=a%2Fb&g",
            br#"{"name":"a\"b/c"}"#,
        );
        let headers = HeaderMap::new();
        let seen = |body: &'static str| {
            Seen::new(&Answered {
                status: 200,
                headers: &headers,
                body: body.as_bytes(),
            })
        };
        let (answer, found) = (
            seen(answer.to_owned().leak()),
            seen(found.to_owned().leak()),
        );
        let target = filled(&undo.target, Stands::Target, &origin, Some(&answer))?;
        let body = filled(undo.body.as_ref()?, Stands::Json, &origin, None)?;
        Some((
            whole(&target, Stands::Target, Some(&found))?,
            whole(&body, Stands::Json, Some(&found))?,
        ))
    }

    #[test]
    fn what_fills_a_hole_stays_inside_of_it() {
        let found = r#"[{"vm":"vm/../7\""}]"#;
        let (target, body) =
            made("/v/{1}/{/name}/{?f}/{answer:id}", r#"{"id":"x y"}"#, found).unwrap();
        assert_eq!(target, "/v/dc%201/a%22b%2Fc/a%2Fb/x%20y?x=vm%2F..%2F7%22");
        assert_eq!(body, r#"{"vm":"vm/../7\"","of":"a\"b/c"}"#);
        assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok());
    }

    #[test]
    fn nothing_is_made_of_what_is_not_there() {
        let found = r#"[{"vm":"vm-7"}]"#;
        assert!(made("/v/{1}", "{}", found).is_some());
        assert_eq!(
            made("/v/{answer:id}", "{}", found),
            None,
            "no answer has it"
        );
        assert_eq!(
            made("/v/{/other}", "{}", found),
            None,
            "the call does not say"
        );
        assert_eq!(made("/v/{1}", "{}", "[]"), None, "nothing was found");
        assert_eq!(made("/v/{1}", "{}", r#"[{"vm":".."}]"#), None, "a way up");
        assert_eq!(
            made("/v/{1}", "{}", r#"[{"vm":""}]"#),
            None,
            "an empty name"
        );
        assert_eq!(made("/v/{1}", "{}", r#"[{"vm":{}}]"#), None, "no name");
    }
}
