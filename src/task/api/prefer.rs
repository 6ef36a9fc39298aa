//! What a client would like (RFC 7240), as far as tasks go.

use http::HeaderMap;
use http::header::HeaderName;

use super::words::Applied;

/// `Prefer`.
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// What a client would like. Of a preference that is said twice the first counts; others are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prefer {
    /// `respond-async`: do not wait for the end.
    pub respond_async: bool,
    /// `wait`: how long it may take to answer, in seconds.
    pub wait: Option<u64>,
    /// `callback; url="…"`: who is to be told (OData 4.01 section 8.2.8.2).
    pub callback: Option<String>,
}

impl Prefer {
    /// From the header fields of a request.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut said = Self::default();
        let mut heard = Heard::default();
        let values = headers.get_all(PREFER).iter();
        for value in values.filter_map(|value| value.to_str().ok()) {
            for preference in apart(value, ',') {
                said.hear(preference, &mut heard);
            }
        }
        said
    }

    /// What is left of a `Prefer` field for the upstream once the gate has heard its own; none where that is all.
    #[must_use]
    pub fn left(field: &str) -> Option<String> {
        let others = apart(field, ',').filter(|preference| {
            let name = named(apart(preference, ';').next().unwrap_or_default()).0;
            let is = |own: &str| name.eq_ignore_ascii_case(own);
            !(name.is_empty() || is("respond-async") || is("wait") || is_callback(name))
        });
        let others: Vec<&str> = others.collect();
        (!others.is_empty()).then(|| others.join(", "))
    }

    fn hear(&mut self, preference: &str, heard: &mut Heard) {
        let mut parts = apart(preference, ';');
        let (name, value) = named(parts.next().unwrap_or_default());
        if name.eq_ignore_ascii_case("respond-async") {
            self.respond_async = true;
        } else if name.eq_ignore_ascii_case("wait") && !heard.wait {
            heard.wait = true;
            self.wait = value.as_deref().and_then(seconds);
        } else if is_callback(name) && !heard.callback {
            heard.callback = true;
            let url = parts
                .map(named)
                .find(|(name, _)| name.eq_ignore_ascii_case("url"));
            self.callback = url.and_then(|(_, url)| url);
        }
    }
}

#[derive(Default)]
struct Heard {
    wait: bool,
    callback: bool,
}

fn is_callback(name: &str) -> bool {
    // OData 4.0 spells it with its own name in front.
    name.eq_ignore_ascii_case("callback") || name.eq_ignore_ascii_case("odata.callback")
}

fn seconds(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // More than fits is as long as can be.
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Parts of `text` between marks that do not stand in a quoted string.
pub(super) fn apart(text: &str, mark: char) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (part, after) = match end(text, mark) {
            Some(at) => (text.get(..at)?, text.get(at + 1..)),
            None => (text, None),
        };
        rest = after;
        Some(part.trim())
    })
}

fn end(text: &str, mark: char) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.find(|char| {
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            char => return char == mark && !quoted,
        }
        false
    })
}

/// `name` or `name=value`, the value without its quotes.
fn named(part: &str) -> (&str, Option<String>) {
    match part.split_once('=') {
        Some((name, value)) => (name.trim(), Some(unquoted(value.trim()))),
        None => (part, None),
    }
}

fn unquoted(value: &str) -> String {
    let inner = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let Some(inner) = inner else {
        return value.to_owned();
    };
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        plain.extend(if char == '\\' {
            chars.next()
        } else {
            Some(char)
        });
    }
    plain
}

impl Applied {
    /// As it stands in `Preference-Applied`; none where nothing was honoured.
    pub(super) fn field(&self) -> Option<String> {
        let mut said = Vec::with_capacity(3);
        said.extend(self.respond_async.then(|| "respond-async".to_owned()));
        said.extend(self.wait.map(|wait| format!("wait={wait}")));
        said.extend(self.callback.then(|| "callback".to_owned()));
        (!said.is_empty()).then(|| said.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(fields: &[&'static str]) -> Prefer {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(PREFER, HeaderValue::from_static(field));
        }
        Prefer::of(&headers)
    }

    #[test]
    fn all_three_are_read_in_one_field_or_several() {
        let all = Prefer {
            respond_async: true,
            wait: Some(5),
            callback: Some("https://cmdb.example/hooks/a,b;c".to_owned()),
        };
        let url = "callback; url=\"https://cmdb.example/hooks/a,b;c\"";
        assert_eq!(
            read(&["respond-async, wait=5, callback; url=\"https://cmdb.example/hooks/a,b;c\""]),
            all
        );
        assert_eq!(read(&["Respond-Async", "WAIT = \"5\"", url]), all);
        assert_eq!(
            read(&["odata.callback;URL=\"https://h/\""])
                .callback
                .as_deref(),
            Some("https://h/")
        );
    }

    #[test]
    fn the_first_of_a_kind_counts_and_what_is_not_known_is_ignored() {
        assert_eq!(read(&["wait=7, wait=9"]).wait, Some(7));
        assert_eq!(read(&["wait=x, wait=9"]).wait, None);
        assert_eq!(read(&["wait=-1"]).wait, None);
        assert_eq!(read(&["wait"]).wait, None);
        assert_eq!(
            read(&["return=minimal; foo=\"respond-async, wait=3\""]),
            Prefer::default()
        );
        assert_eq!(read(&["callback"]).callback, None);
        assert_eq!(
            read(&["", ",,;=,\"", "wait=99999999999999999999"]).wait,
            Some(u64::MAX)
        );
    }
}
