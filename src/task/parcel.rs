//! A request as it is kept: its fields and its body as one run of bytes, to be encrypted as a whole.

use std::fmt;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use super::record::Millis;
use crate::dialect::adapter::Left;

/// By which a client tells that a request is the same as one before (draft-ietf-httpapi-idempotency-key-header-07).
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// First byte: how the rest is written.
const FORM: u8 = 1;
/// The same, with a question behind the target.
const WITH_LOOK: u8 = 2;

/// What goes up when it is the task's turn. It holds credentials: `Debug` shows sizes alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Parcel {
    /// Path and query, with everything that is secret in them.
    pub target: String,
    /// End-to-end fields of the request, but for `Host` and `Content-Length`.
    pub headers: HeaderMap,
    /// Its whole body.
    pub body: Bytes,
    /// What is to be asked before it can be said what goes up; the target is that of the question until then.
    pub look: Option<Box<Look>>,
}

/// A question, whose answer says what goes up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Status of the answer that says that something is there.
    pub status: u16,
    /// A place (RFC 6901) that the JSON body of that answer has to have.
    pub json: Option<String>,
    /// How often it is asked, milliseconds.
    pub every: u64,
    /// When the call went up that may have made it, where nobody knows whether it is over; none where it is.
    pub since: Option<u64>,
    /// The longest run of that call, milliseconds; none where an older version of the gate did not write it down.
    #[serde(default)]
    pub run_for: Option<u64>,
    /// The target.
    pub target: Vec<Left>,
    /// The body.
    pub body: Vec<Left>,
}

impl Look {
    /// When the call went up that may still be at work.
    #[must_use]
    pub fn since(&self) -> Option<Millis> {
        self.since.map(Millis)
    }

    /// The longest run of that call.
    #[must_use]
    pub fn run_for(&self) -> Option<Duration> {
        self.run_for.map(Duration::from_millis)
    }
}

impl fmt::Debug for Parcel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (fields, bytes) = (self.headers.len(), self.body.len());
        write!(f, "Parcel({fields} fields, {bytes} bytes)")
    }
}

impl Parcel {
    /// A request of which no more is known than this target.
    #[must_use]
    pub fn bare(target: &str) -> Self {
        Self {
            target: target.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            look: None,
        }
    }

    /// Its bytes: length and text of the target, and of the question where there is one; for each field the two lengths (4 bytes, little endian), the name and the value; then a name of no
    /// length, and the body.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let sizes = self.headers.iter();
        let size: usize = sizes
            .map(|(name, value)| 8 + name.as_str().len() + value.len())
            .sum();
        let target = self.target.as_bytes();
        let mut bytes = BytesMut::with_capacity(1 + 4 + target.len() + size + 4 + self.body.len());
        let look = self.look.as_ref();
        let look = look.map(|look| serde_json::to_vec(look).unwrap_or_default());
        bytes.put_u8(if look.is_some() { WITH_LOOK } else { FORM });
        // It came in a head, as the fields did.
        for text in [Some(target), look.as_deref()].into_iter().flatten() {
            bytes.put_u32_le(u32::try_from(text.len()).unwrap_or(0));
            bytes.put_slice(text);
        }
        for (name, value) in &self.headers {
            // A head is never longer than listen.max_header_bytes.
            bytes.put_u32_le(u32::try_from(name.as_str().len()).unwrap_or(0));
            bytes.put_u32_le(u32::try_from(value.len()).unwrap_or(0));
            bytes.put_slice(name.as_str().as_bytes());
            bytes.put_slice(value.as_bytes());
        }
        bytes.put_u32_le(0);
        bytes.put_slice(&self.body);
        bytes.freeze()
    }

    /// What [`Parcel::encode`] made; `None` for anything else.
    #[must_use]
    pub fn decode(mut bytes: Bytes) -> Option<Self> {
        let form = bytes.try_get_u8().ok()?;
        if !matches!(form, FORM | WITH_LOOK) {
            return None;
        }
        let target = String::from_utf8(text(&mut bytes)?.into()).ok()?;
        let look = if form == WITH_LOOK {
            Some(serde_json::from_slice(&text(&mut bytes)?).ok()?)
        } else {
            None
        };
        let mut headers = HeaderMap::new();
        loop {
            let name = usize::try_from(bytes.try_get_u32_le().ok()?).ok()?;
            if name == 0 {
                return Some(Self {
                    target,
                    headers,
                    body: bytes,
                    look,
                });
            }
            let value = usize::try_from(bytes.try_get_u32_le().ok()?).ok()?;
            if bytes.len() < name.checked_add(value)? {
                return None;
            }
            let name = HeaderName::from_bytes(&bytes.split_to(name)).ok()?;
            let mut value = HeaderValue::from_maybe_shared(bytes.split_to(value)).ok()?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
    }
}

/// The next run of bytes, behind its length.
fn text(bytes: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(bytes.try_get_u32_le().ok()?).ok()?;
    (bytes.len() >= length).then(|| bytes.split_to(length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_kept_is_what_came(
            target in "/[ -~é]{0,20}",
            fields in prop::collection::vec(("[a-z]{1,9}", "[ -~]{0,20}"), 0..9),
            body in prop::collection::vec(any::<u8>(), 0..99),
            asks in any::<bool>(),
        ) {
            let mut headers = HeaderMap::new();
            for (name, value) in &fields {
                let name = HeaderName::try_from(name.as_str()).unwrap();
                headers.append(name, HeaderValue::try_from(value.as_str()).unwrap());
            }
            let look = asks.then(|| Box::new(Look {
                status: 200,
                json: Some("/0".to_owned()),
                every: 5000,
                since: None,
                run_for: Some(1),
                target: vec![Left::Text(target.clone()), Left::Found("0.vm".to_owned())],
                body: Vec::new(),
            }));
            let parcel = Parcel { target, headers, body: body.into(), look };
            prop_assert_eq!(Parcel::decode(parcel.encode()), Some(parcel));
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..99)) {
            if let Some(parcel) = Parcel::decode(bytes.into()) {
                prop_assert_eq!(Parcel::decode(parcel.encode()), Some(parcel));
            }
        }
    }
}
