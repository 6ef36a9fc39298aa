//! Requests that end before the proxy's first hook: recorded like all others.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use http::Version;

use crate::call::Class;
use crate::listen::{Cause, EarlyEnd, Witness};
use crate::observe::{Ending, Phase, Record, Throttle, Who};
use crate::proxy::Shared;

/// Lines a second about sockets that never came to a request: a client can provoke them.
const LINES: NonZeroU32 = NonZeroU32::MIN;

/// Records what the sockets report.
pub(super) struct Early {
    shared: Arc<Shared>,
    lines: Throttle,
}

impl Early {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            lines: Throttle::new(LINES),
        }
    }
}

impl Witness for Early {
    fn ended_early(&self, end: EarlyEnd) {
        let Some(who) = who(end.cause) else {
            if let Some(unsaid) = self.lines.pass() {
                tracing::info!(
                    listener = %end.listener, peer = %end.peer, cause = end.cause.as_str(),
                    detail = end.cause.detail(), unsaid, "a connection ended before any request"
                );
            }
            return;
        };
        let record = Record {
            listener: &end.listener,
            upstream: None,
            class: Class::Other,
            method: "",
            target: b"",
            status: end.status.unwrap_or(0),
            client: end.peer.ip(),
            socket: end.peer,
            version: Version::HTTP_11,
            tls: end.tls,
            request_id: "-",
            started: end.when,
            duration: Duration::ZERO,
            upstream_duration: None,
            wait: Duration::ZERO,
            received_bytes: 0,
            sent_bytes: 0,
            limit: None,
            reused: false,
            retries: 0,
            ending: Ending::new(who, Phase::Head),
        };
        self.shared.meters.record(&record);
        self.shared.access.write(&record);
    }
}

/// Who ended a request; `None` where there was none yet.
fn who(cause: Cause) -> Option<Who> {
    match cause {
        Cause::HeadTimeout | Cause::FrameTimeout => Some(Who::ClientTimeout),
        Cause::HeadTooLarge | Cause::HeadMalformed(_) | Cause::HeadRefused | Cause::FrameFlood => {
            Some(Who::Gate)
        }
        Cause::ClientGone => Some(Who::Client),
        Cause::HandshakeTimeout
        | Cause::HandshakeFailed
        | Cause::ProxyProtocol(_)
        | Cause::Preface => None,
    }
}
