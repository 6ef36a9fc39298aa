//! What one request holds and what is known of it, from its head to its record.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderValue, Method, Uri, Version};
use pingora_error::Error;
use pingora_proxy::Session;

use super::caller::Met;
use super::convert::Held;
use super::faces::Listing;
use super::orphan;
use super::outcome::{self, LoginAnswer, Peeked};
use super::said::{Said, Scan};
use super::sent_back::SentBack;
use super::shared::Shared;
use crate::admit::Claim;
use crate::answer::{Answer, Cap};
use crate::call::{Class, Spoken};
use crate::dialect::Secret;
use crate::forward::{Dial, Pass, Upstream};
use crate::limit::Moment;
use crate::listen::{Connection, Exchange};
use crate::observe::{Destination, Ending, Phase, Record, Who};
use crate::task::Noted;

/// One request under way.
///
/// Whatever ends it, dropping it writes its record, if [`Stage::finish`] did not, and gives back
/// every unit that it holds.
#[expect(
    clippy::struct_excessive_bools,
    reason = "seven facts of one request that do not depend on each other"
)]
pub struct Stage {
    pub(super) shared: Arc<Shared>,
    pub(super) began: Instant,
    pub(super) connection: Option<Arc<Connection>>,
    pub(super) client: IpAddr,
    pub(super) version: Version,
    pub(super) method: Method,
    pub(super) target: Uri,
    pub(super) upstream: Option<Arc<Upstream>>,
    pub(super) class: Class,
    pub(super) spoken: Spoken,
    /// The form in which its sessions are: SOAP's for its JSON form too.
    pub(super) form: Spoken,
    /// Who makes the call.
    pub(super) met: Met,
    /// What its body asks for, for another attempt.
    pub(super) said: Said,
    /// Whether the upstream has sent it back.
    pub(super) back: Back,
    /// The `id` of a JSON-RPC call, as raw JSON.
    pub(super) rpc_id: Option<String>,
    /// The token of a JSON-RPC call, which stood in its body, or of the session that a SOAP login came in.
    pub(super) token: Option<Secret>,
    /// What watches the rest of a JSON-RPC call.
    pub(super) scan: Option<Scan>,
    /// The answer to a login, as it comes in.
    pub(super) login: Option<LoginAnswer>,
    /// The beginning of an answer that may say that its session is gone.
    pub(super) peeked: Option<Peeked>,
    /// Of a logout: it ends the session it is made in, rather than others.
    pub(super) ends_own: bool,
    /// The client was told to go on with its body.
    pub(super) continued: bool,
    pub(super) request_id: Option<HeaderValue>,
    /// The client sent that itself.
    pub(super) named: bool,
    pub(super) claim: Option<Claim>,
    /// Its seats, as the store remembers them: of a blocking call.
    pub(super) seat: Option<Noted>,
    /// The idempotency key of a call that is held.
    pub(super) key: Option<Box<Held>>,
    /// What a list of the upstream's tasks is to have beside.
    pub(super) listing: Option<Box<Listing>>,
    /// What the call changes, where that counts as busy meanwhile.
    pub(super) change: Option<Box<Held>>,
    pub(super) dial: Option<Arc<Dial>>,
    pub(super) attempts: u32,
    /// Time spent in lines, and waiting for an upstream that was down.
    pub(super) waited: Duration,
    /// Of this, the time it waited for its upstream.
    pub(super) held: Duration,
    /// Its turn among those that waited for that.
    pub(super) pass: Pass,
    pub(super) dispatched: Option<Instant>,
    pub(super) phase: Phase,
    pub(super) who: Option<Who>,
    pub(super) limit: Option<Arc<str>>,
    pub(super) cap: Option<Cap>,
    /// What to answer instead of the bare status of an error.
    pub(super) instead: Option<Answer>,
    pub(super) exchange: Option<Arc<Exchange>>,
    pub(super) received: u64,
    /// Bytes of the body that were read before the call was admitted.
    pub(super) read_ahead: usize,
    /// Most bytes of request body.
    pub(super) body_budget: u64,
    pub(super) upgraded: bool,
    /// The whole request went up.
    pub(super) request_sent: bool,
    status: u16,
    counted: bool,
    finished: bool,
}

/// A call that the upstream refused without executing it.
#[derive(Default)]
pub(super) struct Back {
    /// It is on its way back to its line.
    pub(super) sent: Option<SentBack>,
    /// How often it was.
    pub(super) times: u32,
    /// The rates have counted the attempt that is to come.
    pub(super) is_counted: bool,
}

impl Stage {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            began: Instant::now(),
            connection: None,
            client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            version: Version::HTTP_11,
            method: Method::GET,
            target: Uri::default(),
            upstream: None,
            class: Class::Other,
            spoken: Spoken::Plain,
            form: Spoken::Plain,
            met: Met::default(),
            said: Said::Unread,
            back: Back::default(),
            rpc_id: None,
            token: None,
            scan: None,
            login: None,
            peeked: None,
            ends_own: true,
            continued: false,
            request_id: None,
            named: false,
            claim: None,
            seat: None,
            key: None,
            listing: None,
            change: None,
            dial: None,
            attempts: 0,
            waited: Duration::ZERO,
            held: Duration::ZERO,
            pass: Pass::default(),
            dispatched: None,
            phase: Phase::Head,
            who: None,
            limit: None,
            cap: None,
            instead: None,
            exchange: None,
            received: 0,
            read_ahead: 0,
            body_budget: u64::MAX,
            upgraded: false,
            request_sent: false,
            status: 0,
            counted: false,
            finished: false,
        }
    }

    /// From here on the request counts as in flight, and will be recorded.
    pub(super) fn count(&mut self) {
        self.counted = true;
        self.shared.began();
    }

    /// When it came, on the clock of the limits.
    pub(super) fn came(&self) -> Moment {
        self.shared.moment(self.began)
    }

    /// When it went up, on the clock of the limits.
    pub(super) fn dispatched_at(&self) -> Moment {
        self.shared.moment(self.dispatched.unwrap_or(self.began))
    }

    pub(super) fn note_status(&mut self, status: u16) {
        self.status = status;
    }

    /// The upstream's answer is whole: the call is over for it, though the client has not read all of
    /// it yet. Given back here, so that who waits for its answer before it calls again never finds
    /// its own last call in the way.
    ///
    /// Not while the request's body is still on its way: then [`Stage::finish`] does it.
    pub(super) fn answered(&mut self) {
        if self.phase == Phase::Data && self.request_sent {
            // Whole, it is at work no more, though the gate stops at this moment.
            self.seat = None;
            self.release(Instant::now());
        }
    }

    /// All that its answer needs to open a session, apart from the request: it is neither recorded nor
    /// in flight.
    pub(super) fn part_with_login(&mut self) -> Self {
        let mut parted = Self::new(self.shared.clone());
        parted.client = self.client;
        parted.upstream.clone_from(&self.upstream);
        (parted.class, parted.spoken, parted.form) = (self.class, self.spoken, self.form);
        parted.met = std::mem::take(&mut self.met);
        parted.token = self.token.take();
        parted.login = self.login.take();
        parted.claim = self.claim.take();
        parted.dispatched = self.dispatched;
        parted
    }

    fn release(&mut self, now: Instant) {
        let now = self.shared.moment(now);
        if let Some(claim) = self.claim.take() {
            // Cut as the gate stops, it may be at work upstream still.
            if self.shared.is_stopping()
                && self.dispatched.is_some()
                && let Some(seat) = &mut self.seat
            {
                seat.stay();
            }
            claim.release(now);
        }
        self.seat = None;
        if let Some(in_use) = self.met.in_use.take() {
            in_use.end(now);
        }
        self.met.favour = None;
        (self.key, self.change) = (None, None);
    }

    /// The exchange is over: one record, and every unit given back.
    pub(super) fn finish(&mut self, session: &Session, error: Option<&Error>) {
        if let Some(head) = session.response_written() {
            self.status = head.status.as_u16();
        }
        let ending = match (self.who, error) {
            (Some(who), _) => Ending::new(who, self.phase),
            (None, None) => Ending::NORMAL,
            (None, Some(_)) => Ending::new(Who::Internal, self.phase),
        };
        let sent = u64::try_from(session.body_bytes_sent()).unwrap_or(u64::MAX);
        self.close(ending, sent);
    }

    fn close(&mut self, ending: Ending, sent_bytes: u64) {
        self.finished = true;
        // The upstream may have opened a session though its answer broke off, or nobody waits for it.
        if !orphan::adopt(self) {
            outcome::end(self);
        }
        let now = Instant::now();
        // First the units: whoever waits for them need not wait for the record.
        self.release(now);
        if !self.counted {
            return;
        }
        let nobody = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let duration = now.saturating_duration_since(self.began);
        let record = Record {
            listener: self.connection.as_ref().map_or("", |c| c.listener().name()),
            upstream: self.upstream.as_ref().map(|upstream| Destination {
                index: upstream.index(),
                name: upstream.name(),
            }),
            class: self.class,
            method: self.method.as_str(),
            target: target_bytes(&self.target),
            status: self.status,
            client: self.client,
            socket: self.connection.as_ref().map_or(nobody, |c| c.socket_peer()),
            version: self.version,
            tls: self.connection.as_ref().is_some_and(|c| c.tls().is_some()),
            request_id: self
                .request_id
                .as_ref()
                .and_then(|id| id.to_str().ok())
                .unwrap_or("-"),
            started: SystemTime::now()
                .checked_sub(duration)
                .unwrap_or(SystemTime::UNIX_EPOCH),
            duration,
            upstream_duration: self.dispatched.map(|at| now.saturating_duration_since(at)),
            wait: self.waited,
            received_bytes: self.received,
            sent_bytes,
            limit: self.limit.as_deref(),
            reused: self.dial.as_ref().is_some_and(|dial| dial.is_reused()),
            retries: self.attempts.saturating_sub(1),
            ending,
        };
        self.shared.meters.record(&record);
        self.shared.access.write(&record);
        self.shared.ended();
    }
}

impl Drop for Stage {
    /// Pingora did not come to its last phase: the task panicked, or was dropped half way.
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let who = if std::thread::panicking() {
            Who::Internal
        } else if self
            .exchange
            .as_ref()
            .is_some_and(|exchange| exchange.body_late().is_some())
        {
            Who::ClientTimeout
        } else if self.shared.is_draining() {
            Who::Shutdown
        } else {
            Who::Client
        };
        self.close(Ending::new(who, self.phase), 0);
    }
}

/// The target as it was asked for, as far as the record needs it.
fn target_bytes(target: &Uri) -> &[u8] {
    target
        .path_and_query()
        .map_or(b"", |path| path.as_str().as_bytes())
}
