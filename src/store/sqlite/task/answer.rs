//! An answer's head in bytes: its status, and for each field the two lengths (little endian), the name and the value.

use bytes::{Buf, BufMut, Bytes};

use crate::task::Answer;

/// The form of these bytes.
const FORM: u8 = 1;

/// Everything but the body.
pub(super) fn head(of: &Answer) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.put_u8(FORM);
    bytes.put_u16_le(of.status);
    for (name, value) in &of.headers {
        // A head is some KiB long, by the bounds of the way up.
        bytes.put_u32_le(u32::try_from(name.len()).unwrap_or(0));
        bytes.put_u32_le(u32::try_from(value.len()).unwrap_or(0));
        bytes.put_slice(name.as_bytes());
        bytes.put_slice(value);
    }
    bytes
}

/// The answer again; none of other bytes.
pub(super) fn answer(head: Vec<u8>, body: Bytes) -> Option<Answer> {
    let mut head = Bytes::from(head);
    if head.try_get_u8().ok()? != FORM {
        return None;
    }
    let status = head.try_get_u16_le().ok()?;
    let mut headers = Vec::new();
    while head.has_remaining() {
        let name = usize::try_from(head.try_get_u32_le().ok()?).ok()?;
        let value = usize::try_from(head.try_get_u32_le().ok()?).ok()?;
        if head.len() < name.checked_add(value)? {
            return None;
        }
        let name = String::from_utf8(head.split_to(name).into()).ok()?;
        headers.push((name, head.split_to(value)));
    }
    Some(Answer {
        status,
        headers,
        body,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_kept_is_what_came(
            status: u16,
            fields in prop::collection::vec((".{0,9}", prop::collection::vec(any::<u8>(), 0..20)), 0..9),
        ) {
            let headers = fields.into_iter().map(|(name, value)| (name, value.into())).collect();
            let given = Answer { status, headers, body: Bytes::from_static(b"body") };
            prop_assert_eq!(answer(head(&given), given.body.clone()), Some(given));
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..99)) {
            if let Some(read) = answer(bytes.clone(), Bytes::new()) {
                prop_assert_eq!(head(&read), bytes);
            }
        }
    }
}
