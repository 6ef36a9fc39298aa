//! The keys of an answer that the gate makes: `status`, `content_type`, `body`, `header`.

use super::shape::AnswerShape;
use super::template::{Escape, Filled, template};
use crate::config::node::Node;
use crate::config::pattern::is_header_name;
use crate::config::reader::Reader;
use crate::config::value::{text, whole_u32};

const JSON: &str = "application/json";
/// Most fields of an answer.
const MOST_FIELDS: usize = 16;

/// Reads the keys of an answer; what is not said is `status`, JSON, no body. Keys that stand beside them are the caller's.
pub(super) fn answer(r: &Reader<'_>, status: u16, filled: Filled<'_>) -> AnswerShape {
    let content_type = r
        .get("content_type", media_type)
        .unwrap_or_else(|| JSON.to_owned());
    let escape = Escape::of(&content_type);
    let shape = AnswerShape {
        status: r.get("status", status_in(200, 599)).unwrap_or(status),
        body: r.get("body", |node| template(&text(node)?, escape, filled)),
        headers: headers(&r.table("header"), filled),
        content_type,
    };
    r.finish();
    shape
}

fn headers(r: &Reader<'_>, filled: Filled<'_>) -> Vec<(String, super::template::Template)> {
    let mut headers = Vec::new();
    for (name, node) in r.entries() {
        let read = text(node).and_then(|value| template(&value, Escape::Plain, filled));
        match read {
            _ if !is_header_name(name) => r.entry_fault(name, node, "is no name of a header field"),
            _ if headers.len() >= MOST_FIELDS => {
                r.entry_fault(name, node, "is one field too many; at most 16 are allowed");
            }
            Err(problem) => r.entry_fault(name, node, &problem),
            Ok(value) => headers.push((name.to_ascii_lowercase(), value)),
        }
    }
    headers
}

/// A status within bounds.
pub(super) fn status_in(least: u32, most: u32) -> impl Fn(&Node) -> Result<u16, String> {
    move |node| {
        whole_u32(least..=most)(node).map(|status| u16::try_from(status).unwrap_or_default())
    }
}

fn media_type(node: &Node) -> Result<String, String> {
    let media = text(node)?;
    let plain = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    if media.contains('/') && media.len() <= 128 && media.bytes().all(plain) {
        Ok(media)
    } else {
        Err("is no media type; one as \"application/json\" is wanted".to_owned())
    }
}
