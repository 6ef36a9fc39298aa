//! The gate's tasks put into the upstream's list on its way down.
//!
//! What is longer than [`LARGEST`], is compressed though nobody asked for that, or is no list, goes down as it is.

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
    HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
    LAST_MODIFIED, RANGE, TRANSFER_ENCODING,
};
use http::{HeaderValue, Method, Version};
use pingora_error::Result;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use super::list::{Course, Listing, borrowed, content_type};
use crate::dialect::adapter::{LARGEST, merged};
use crate::proxy::stage::Stage;

/// Fields by which a client asks for less than the whole answer: what it has lacks the gate's tasks, or has old ones.
const CONDITIONS: [HeaderName; 6] = [
    IF_MATCH,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
    IF_RANGE,
    RANGE,
];
/// Fields that speak of the upstream's own body, byte for byte.
const OF_BODY: [HeaderName; 9] = [
    CONTENT_LENGTH,
    ETAG,
    LAST_MODIFIED,
    ACCEPT_RANGES,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("signature"),
];
/// Statuses by which an upstream says that it has no such list.
const NO_LIST: [u16; 3] = [404, 405, 501];

/// The head of a list on its way up: its answer has to be whole and readable.
///
/// # Errors
/// When a field cannot be written.
pub(in crate::proxy) fn asked_up(
    listing: Option<&Listing>,
    head: &mut RequestHeader,
) -> Result<()> {
    let Some(listing) = listing else {
        return Ok(());
    };
    head.insert_header(ACCEPT_ENCODING, "identity")?;
    for name in CONDITIONS {
        head.remove_header(&name);
    }
    if let Some(body) = &listing.body {
        head.remove_header(&TRANSFER_ENCODING);
        head.insert_header(CONTENT_LENGTH, body.len())?;
    }
    Ok(())
}

/// A piece of its body on its way up: where it names tasks of the gate's, another goes in its place, at its end.
pub(in crate::proxy) fn body_up(piece: &mut Option<Bytes>, end: bool, stage: &Stage) {
    let listing = stage.listing.as_deref();
    if let Some(body) = listing.and_then(|listing| listing.body.as_ref()) {
        *piece = Some(if end { body.clone() } else { Bytes::new() });
    }
}

/// The head of its answer on its way down.
///
/// # Errors
/// When a field cannot be written.
pub(in crate::proxy) async fn head_down(
    session: &Session,
    head: &mut ResponseHeader,
    stage: &mut Stage,
) -> Result<()> {
    if head.status.is_informational() {
        return Ok(());
    }
    let (Some(mut listing), Some(upstream)) = (stage.listing.take(), stage.upstream.clone()) else {
        return Ok(());
    };
    listing.course = Course::Passes;
    let method = &session.req_header().method;
    let has_none = has_no_list(head, &listing);
    if is_list(head, method) || has_none {
        let ours = listing.ours(stage, &upstream).await;
        if let Some(ours) = ours.filter(|ours| !ours.is_empty()) {
            changed(head, (session, stage.version))?;
            if has_none {
                head.set_status(200)?;
                head.insert_header(CONTENT_TYPE, content_type(&listing.face))?;
                stage.note_status(200);
            }
            listing.course = Course::Gathered {
                ours,
                theirs: bytes::BytesMut::new(),
                alone: has_none,
            };
        }
    }
    stage.listing = Some(listing);
    Ok(())
}

/// Whether the answer may be a list that can be read.
fn is_list(head: &ResponseHeader, method: &Method) -> bool {
    let is_plain = head
        .headers
        .get(CONTENT_ENCODING)
        .is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    let length = length(head);
    let fits =
        length.is_none_or(|length| length <= LARGEST && (length > 0 || method == Method::HEAD));
    if !fits {
        tracing::debug!(
            "a list of the upstream's tasks is too long to be read, or empty: it goes down as it is"
        );
    }
    head.status == 200 && is_plain && fits
}

/// Whether the upstream has no such list, and the gate stands in for that too.
fn has_no_list(head: &ResponseHeader, listing: &Listing) -> bool {
    let list = listing.face.list.as_ref();
    let stands_in = list.is_some_and(|list| !list.empty.is_empty());
    stands_in && NO_LIST.contains(&head.status.as_u16()) && length(head) != Some(0)
}

fn length(head: &ResponseHeader) -> Option<usize> {
    let length = head.headers.get(CONTENT_LENGTH)?;
    length.to_str().ok()?.trim().parse().ok()
}

/// Takes from a head what speaks of a body that will be another.
fn changed(head: &mut ResponseHeader, (session, version): (&Session, Version)) -> Result<()> {
    for name in OF_BODY {
        head.remove_header(&name);
    }
    let bodiless = session.req_header().method == Method::HEAD;
    if !session.is_http2() && version == Version::HTTP_11 && !bodiless {
        head.insert_header(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))?;
    }
    Ok(())
}

/// A piece of its body on its way down.
pub(in crate::proxy) fn body_down(piece: &mut Option<Bytes>, end: bool, stage: &mut Stage) {
    let Some(listing) = stage.listing.as_deref_mut() else {
        return;
    };
    let Course::Gathered {
        ours,
        theirs,
        alone,
    } = &mut listing.course
    else {
        return;
    };
    if let Some(piece) = piece.take()
        && !*alone
    {
        theirs.extend_from_slice(&piece);
    }
    if theirs.len() > LARGEST {
        tracing::debug!(
            "a list of the upstream's tasks is too long to be read: it goes down as it is"
        );
        *piece = Some(std::mem::take(theirs).freeze());
        listing.course = Course::Passes;
        return;
    }
    if !end {
        return;
    }
    let theirs = std::mem::take(theirs).freeze();
    let upstream = (!*alone).then_some(&*theirs);
    let list = listing.face.list.as_ref();
    let both = list.and_then(|list| merged(list, upstream, &borrowed(ours)));
    *piece = Some(both.map_or(theirs, Bytes::from));
    listing.course = Course::Passes;
}
