//! What every worker thread's proxy shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::HeaderValue;
use ipnet::IpNet;
use tokio::sync::watch;

use super::route::Hosts;
use super::sessions::People;
use super::tasks::Tasks;
use crate::limit::Moment;
use crate::observe::{AccessLog, Meters};
use crate::task::Desk;

/// Where a [`Probe`] is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hook {
    /// A request head was read.
    Begin,
    /// The call holds its units, or was answered.
    Admitted,
    /// About to ask for a connection.
    Dial,
    /// The head goes up: at this moment the rates count the call.
    RequestHead,
    /// About to send a piece of the body up.
    RequestBody,
    /// The response head is here.
    ResponseHead,
    /// A piece of the response body is here.
    ResponseBody,
    /// The exchange is over.
    End,
}

impl Hook {
    /// Every hook, in order.
    pub const ALL: [Self; 8] = [
        Self::Begin,
        Self::Admitted,
        Self::Dial,
        Self::RequestHead,
        Self::RequestBody,
        Self::ResponseHead,
        Self::ResponseBody,
        Self::End,
    ];
}

/// As good as for ever, and yet a moment that the clock can say.
const FAR: Duration = Duration::from_hours(100 * 365 * 24);

/// Called at each [`Hook`] with its moment, for tests that break a request there or count dispatches.
/// Absent in a running gate.
pub type Probe = Arc<dyn Fn(Hook, Instant) + Send + Sync>;

/// What the configuration says of requests, whatever their upstream.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Largest request body of a call that is no transfer, bytes.
    pub max_body_bytes: u64,
    /// Longest pause inside a request body.
    pub body_timeout: Duration,
    /// Longest wait of a call whose body is too long to be read in: whether its client is still there is
    /// not known.
    pub unwatched: Duration,
    /// Networks whose `Forwarded` and `X-Forwarded-For` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Send `RateLimit-Policy` and `RateLimit` with refusals.
    pub ratelimit: bool,
}

/// What every worker thread's proxy shares.
pub struct Shared {
    /// What the configuration says.
    pub settings: Settings,
    /// Which upstream a request goes to.
    pub hosts: Hosts,
    /// Metrics.
    pub meters: Arc<Meters>,
    /// Access log.
    pub access: AccessLog,
    /// Sessions and users.
    pub people: People,
    /// Tasks.
    pub desk: Arc<Desk>,
    /// How calls become tasks, and who answers for these.
    pub tasks: Tasks,
    epoch: Instant,
    draining: AtomicBool,
    leaving: watch::Sender<bool>,
    stopping: AtomicBool,
    in_flight: AtomicU64,
    ids: Ids,
    probe: Option<Probe>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Puts it together. Limits and sessions count time from `epoch`; `probe` is for tests.
    #[must_use]
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a thing of its own, and there is one caller"
    )]
    pub fn new(
        settings: Settings,
        hosts: Hosts,
        meters: Arc<Meters>,
        access: AccessLog,
        people: People,
        (desk, tasks): (Arc<Desk>, Tasks),
        epoch: Instant,
        probe: Option<Probe>,
    ) -> Self {
        Self {
            settings,
            hosts,
            meters,
            access,
            people,
            desk,
            tasks,
            epoch,
            draining: AtomicBool::new(false),
            leaving: watch::Sender::new(false),
            stopping: AtomicBool::new(false),
            in_flight: AtomicU64::new(0),
            ids: Ids::new(),
            probe,
        }
    }

    /// Now, on the clock of the limits.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.moment(Instant::now())
    }

    /// `instant` on the clock of the limits.
    #[must_use]
    pub fn moment(&self, instant: Instant) -> Moment {
        let since = instant.saturating_duration_since(self.epoch);
        Moment::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    /// The moment as an instant of the process's clock.
    #[must_use]
    pub fn instant(&self, moment: Moment) -> Instant {
        let since = moment.since(Moment::START);
        // A moment that lies beyond what the clock can say is never.
        self.epoch.checked_add(since).unwrap_or(self.epoch + FAR)
    }

    /// From now on no connection is kept for another request.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.leaving.send_replace(true);
    }

    /// Whether the gate is about to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Ends when the gate is about to stop.
    pub(super) async fn leaves(&self) {
        // The sender lives as long as this does: there is no error.
        drop(self.leaving.subscribe().wait_for(|leaving| *leaving).await);
    }

    /// From now on nothing that waits is sent up any more: it would be cut half way.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether everything is about to be cut.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Requests that have begun and not ended.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Acquire)
    }

    pub(super) fn began(&self) {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn ended(&self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn request_id(&self) -> HeaderValue {
        self.ids.next()
    }

    pub(super) fn probe(&self, hook: Hook) {
        if let Some(probe) = &self.probe {
            probe(hook, Instant::now());
        }
    }

    pub(super) fn probe_at(&self, hook: Hook, at: Option<Instant>) {
        if let (Some(probe), Some(at)) = (&self.probe, at) {
            probe(hook, at);
        }
    }
}

/// Request ids: unique over restarts, in order within one run.
#[derive(Debug)]
struct Ids {
    run: u64,
    last: AtomicU64,
}

impl Ids {
    fn new() -> Self {
        use std::hash::{BuildHasher, Hasher};
        // The standard library seeds this from the operating system's random source.
        let run = std::collections::hash_map::RandomState::new()
            .build_hasher()
            .finish();
        Self {
            run,
            last: AtomicU64::new(0),
        }
    }

    fn next(&self) -> HeaderValue {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let mut text = [0_u8; 32];
        let digits = (u128::from(self.run) << 64) | u128::from(number);
        for (at, byte) in text.iter_mut().enumerate() {
            let nibble = (digits >> (4 * (31 - at))) & 15;
            *byte = HEX
                .get(usize::try_from(nibble).unwrap_or(0))
                .copied()
                .unwrap_or(b'0');
        }
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_32_hex_digits_in_order_and_differ_between_runs() {
        let ids = Ids::new();
        let (first, second) = (ids.next(), ids.next());
        assert!(first < second);
        assert_eq!(first.len(), 32);
        assert!(first.as_bytes().iter().all(u8::is_ascii_hexdigit));
        assert_ne!(first, Ids::new().next());
    }
}
