//! What the rooms hold at one moment, as the rows that the operator's door and the metrics show.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Instant, SystemTime};

use super::operator::Names;
use super::task_rows;
use crate::call::SessionKind;
use crate::forward::Upstream;
use crate::listen::{Entrance, Entrances, Listener, RefusedBecause, Role};
use crate::observe::{
    Build, CertificateRow, LimitRow, ListenerRow, SessionCount, SessionRow, Snapshot, TopRow,
    UpstreamRow,
};
use crate::proxy::Shared;
use crate::session::{Health, Row};

const STARTING: u8 = 0;
const READY: u8 = 1;
const DRAINING: u8 = 2;

/// Looks into the rooms.
pub(super) struct View {
    shared: Arc<Shared>,
    listeners: Vec<Arc<Listener>>,
    doors: Vec<Arc<Listener>>,
    health: Arc<Health>,
    loaded: SystemTime,
    phase: AtomicU8,
}

impl View {
    pub(super) fn new(shared: Arc<Shared>, entrances: &Entrances, health: Arc<Health>) -> Self {
        let listeners = |of: &[Entrance]| of.iter().map(|one| one.listener().clone()).collect();
        Self {
            shared,
            listeners: listeners(&entrances.clients),
            doors: listeners(&entrances.admin),
            health,
            loaded: SystemTime::now(),
            phase: AtomicU8::new(STARTING),
        }
    }

    pub(super) fn ready(&self) {
        self.phase.store(READY, Ordering::Release);
    }

    pub(super) fn draining(&self) {
        self.phase.store(DRAINING, Ordering::Release);
    }

    /// Why no traffic should come here.
    pub(super) fn unready(&self) -> Option<String> {
        match self.phase.load(Ordering::Acquire) {
            STARTING => Some("starting".to_owned()),
            READY => self.store_lost(),
            _ => Some("draining".to_owned()),
        }
    }

    fn store_lost(&self) -> Option<String> {
        let ledger = self.shared.people.ledger();
        let standing = self.health.standing(ledger, self.shared.now());
        let lost = standing.lost.or_else(|| self.shared.desk.store_lost());
        lost.map(|why| format!("the store is lost: {why}"))
    }

    /// Every live session, never a token.
    pub(super) fn sessions(&self) -> Vec<SessionRow> {
        let rows = self.shared.people.ledger().rows(self.shared.now());
        rows.into_iter().map(session_row).collect()
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let mut limits: Vec<LimitRow> = [Role::Http, Role::Https]
            .into_iter()
            .filter_map(|role| self.connections(role))
            .collect();
        for upstream in self.shared.hosts.all() {
            limits.extend(self.limits(upstream));
        }
        Snapshot {
            limits,
            listeners: self
                .listeners
                .iter()
                .map(|listener| listener_row(listener))
                .collect(),
            upstreams: self
                .shared
                .hosts
                .all()
                .iter()
                .map(|upstream| upstream_row(upstream))
                .collect(),
            sessions: self.session_counts(),
            tasks: task_rows::counts(&self.shared),
            webhooks: task_rows::webhooks(&self.shared),
            store_lost: self.store_lost().is_some(),
            certificates: self.certificates(),
            access_lines_dropped: self.shared.access.dropped(),
            reloaded: Some(self.loaded),
            build: Build::default(),
        }
    }
}

impl View {
    /// A connection limit of the gate itself; `None` where it has no such listener.
    fn connections(&self, role: Role) -> Option<LimitRow> {
        let of_role: Vec<_> = self
            .listeners
            .iter()
            .filter(|listener| listener.role() == role)
            .map(|listener| listener.snapshot())
            .collect();
        let one = of_role.first()?;
        let held: usize = of_role.iter().map(|snapshot| snapshot.seated).sum();
        let refused: u64 = of_role
            .iter()
            .flat_map(|snapshot| RefusedBecause::ALL.iter().zip(snapshot.refused))
            .filter(|(because, _)| **because != RefusedBecause::ProxyProtocol)
            .map(|(_, count)| count)
            .sum();
        Some(LimitRow {
            upstream: Arc::from(""),
            name: Arc::from(role.limit()?),
            counts: "connections",
            key: "all",
            limit: one.limit.into(),
            effective: None,
            in_use: one.in_use.into(),
            waiting: 0,
            admitted: of_role.iter().map(|snapshot| snapshot.admitted).sum(),
            refused: [refused, 0, 0, 0],
            shadow_refused: 0,
            mode: "enforce",
            audit_mismatch: i64::try_from(held).unwrap_or(i64::MAX) - i64::from(one.in_use),
            top: Vec::new(),
        })
    }

    /// The certificates of every listener, the operator's door among them.
    fn certificates(&self) -> Vec<CertificateRow> {
        let listeners = self.listeners.iter().chain(&self.doors);
        let row = |listener: &Arc<Listener>| {
            Some(CertificateRow {
                listener: listener.name().clone(),
                ends: listener.certificate_ends()?,
            })
        };
        listeners.filter_map(row).collect()
    }

    /// Sessions of every upstream and kind, those of none too.
    fn session_counts(&self) -> Vec<SessionCount> {
        let counts = self.shared.people.ledger().counts();
        let count = |upstream: &Arc<Upstream>, kind: SessionKind| {
            let found = counts
                .iter()
                .find(|one| *one.upstream == **upstream.name() && one.kind == kind);
            SessionCount {
                upstream: upstream.name().clone(),
                kind: kind.as_str(),
                live: found.map_or(0, |one| one.live),
                reaped: found.map_or(0, |one| one.reaped),
            }
        };
        let upstreams = self.shared.hosts.all().iter();
        upstreams
            .flat_map(|upstream| SessionKind::ALL.map(|kind| count(upstream, kind)))
            .collect()
    }

    /// The limits of one upstream.
    fn limits(&self, upstream: &Upstream) -> Vec<LimitRow> {
        let stack = upstream.stack();
        let mismatch = mismatches(upstream);
        let names = Names::new(&self.shared.people);
        stack
            .views(self.shared.now())
            .into_iter()
            .map(|view| LimitRow {
                upstream: upstream.name().clone(),
                audit_mismatch: mismatch
                    .iter()
                    .find(|(name, _)| *name == view.name)
                    .map_or(0, |(_, mismatch)| *mismatch),
                name: view.name,
                counts: view.counts,
                key: view.key,
                limit: view.limit,
                effective: view.effective,
                in_use: view.in_use,
                waiting: view.waiting,
                admitted: view.admitted,
                refused: view.refused,
                shadow_refused: view.shadow_refused,
                mode: view.mode,
                top: view
                    .top
                    .into_iter()
                    .map(|(key, in_use, waiting)| TopRow {
                        key: names.of(&key),
                        in_use,
                        waiting,
                    })
                    .collect(),
            })
            .collect()
    }
}

/// Held units counted one by one less the counter, of calls and of sockets; of these the worse.
fn mismatches(upstream: &Upstream) -> Vec<(Arc<str>, i64)> {
    let mut calls = upstream.stack().audit();
    for (name, sockets) in upstream.pool().audit() {
        match calls.iter_mut().find(|(call, _)| *call == name) {
            Some((_, mismatch)) if sockets.abs() > mismatch.abs() => *mismatch = sockets,
            Some(_) => {}
            None => calls.push((name, sockets)),
        }
    }
    calls
}

fn listener_row(listener: &Listener) -> ListenerRow {
    let snapshot = listener.snapshot();
    ListenerRow {
        name: snapshot.name,
        kind: match snapshot.role {
            Role::Http => "http",
            Role::Https => "https",
            Role::Admin => "admin",
        },
        open: u64::try_from(snapshot.open).unwrap_or(u64::MAX),
        limit: snapshot.limit.into(),
        refused: RefusedBecause::ALL
            .iter()
            .zip(snapshot.refused)
            .map(|(because, count)| (because.as_str(), count))
            .collect(),
    }
}

fn upstream_row(upstream: &Upstream) -> UpstreamRow {
    let view = upstream.pool().view();
    let down_for = upstream.health().down_for(Instant::now());
    UpstreamRow {
        name: upstream.name().clone(),
        open: u64::try_from(view.open).unwrap_or(u64::MAX),
        idle: u64::try_from(view.idle).unwrap_or(u64::MAX),
        limit: view.limit.unwrap_or(0),
        down_for_seconds: down_for.map(|time| time.as_secs()),
        errors: upstream.faults(),
    }
}

fn session_row(row: Row) -> SessionRow {
    SessionRow {
        id: row.id.to_string(),
        user: row.user,
        kind: row.kind.as_str(),
        upstream: row.upstream,
        client: row.address,
        age_seconds: row.age.as_secs(),
        idle_seconds: row.idle.as_secs(),
        in_flight: row.in_flight,
        adopted: row.adopted,
    }
}
