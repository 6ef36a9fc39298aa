//! What other rooms count, as plain rows: pulled when `/limits`, `/connections` or `/metrics` is asked for.
//!
//! Serialised, a row is exactly what the operator's door answers; fields that only metrics carry are skipped.

use std::sync::Arc;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use super::{SessionCount, TaskCount, WebhookCount};

/// Everything the operator's door shows, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Every limit, in the order it is to be shown.
    pub limits: Vec<LimitRow>,
    /// Every kind of listener.
    pub listeners: Vec<ListenerRow>,
    /// Every upstream.
    pub upstreams: Vec<UpstreamRow>,
    /// Login sessions of every upstream and kind.
    pub sessions: Vec<SessionCount>,
    /// Tasks of every upstream.
    pub tasks: Vec<TaskCount>,
    /// Messages about the ends of tasks.
    pub webhooks: WebhookCount,
    /// The store does not take what it is given.
    pub store_lost: bool,
    /// The certificate of every listener that has one.
    pub certificates: Vec<CertificateRow>,
    /// Lines of the access log that were dropped since the start.
    pub access_lines_dropped: u64,
    /// When the configuration in force was loaded.
    pub reloaded: Option<SystemTime>,
    /// Which build this is.
    pub build: Build,
}

/// One limit.
#[derive(Debug, Clone, Serialize)]
pub struct LimitRow {
    /// Its upstream; empty for a limit of the gate itself.
    #[serde(serialize_with = "text")]
    pub upstream: Arc<str>,
    /// Its name.
    #[serde(serialize_with = "text")]
    pub name: Arc<str>,
    /// What it counts, in the word of the configuration.
    pub counts: &'static str,
    /// For whom, in the word of the configuration.
    pub key: &'static str,
    /// The ceiling.
    pub limit: u64,
    /// What is in force of it while the upstream refuses by itself; absent when all of it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective: Option<u64>,
    /// Units held now; for a rate those of the last window; for a keyed limit those of the fullest key.
    pub in_use: u64,
    /// Calls in its line.
    pub waiting: u64,
    /// Calls it let pass since the start.
    pub admitted: u64,
    /// Calls it refused since the start, in the order of [`crate::call::Reason::ALL`].
    #[serde(serialize_with = "sum")]
    pub refused: [u64; 4],
    /// Calls it would have refused, were it not in `shadow` mode.
    pub shadow_refused: u64,
    /// `enforce` or `shadow`.
    pub mode: &'static str,
    /// Held units counted one by one less the counter; not 0 is a bug.
    #[serde(skip)]
    pub audit_mismatch: i64,
    /// The ten heaviest holders of a keyed limit.
    pub top: Vec<TopRow>,
}

/// One holder of a keyed limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopRow {
    /// Who.
    pub key: String,
    /// Units held.
    pub in_use: u64,
    /// Calls in line.
    pub waiting: u64,
}

/// One listener.
#[derive(Debug, Clone, Serialize)]
pub struct ListenerRow {
    /// Its name (label `listener`).
    #[serde(serialize_with = "text")]
    pub name: Arc<str>,
    /// `http`, `https` or `admin`.
    #[serde(skip)]
    pub kind: &'static str,
    /// Client sockets open.
    pub open: u64,
    /// Most that may be.
    pub limit: u64,
    /// Sockets turned away, by reason.
    #[serde(skip)]
    pub refused: Vec<(&'static str, u64)>,
}

/// The certificate of one listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRow {
    /// The listener's name (label `listener`).
    pub listener: Arc<str>,
    /// When it ends.
    pub ends: SystemTime,
}

/// One upstream.
#[derive(Debug, Clone, Serialize)]
pub struct UpstreamRow {
    /// Its name (label `upstream`).
    #[serde(serialize_with = "text")]
    pub name: Arc<str>,
    /// Sockets open, idle ones included.
    pub open: u64,
    /// Of these, idle in the pool.
    pub idle: u64,
    /// Most that may be open.
    pub limit: u64,
    /// How long it has not been reachable; left out while it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down_for_seconds: Option<u64>,
    /// Failures between the gate and it, by reason.
    #[serde(skip)]
    pub errors: Vec<(&'static str, u64)>,
}

/// Which build this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    /// Version of the package.
    pub version: &'static str,
    /// Commit it was built from; `unknown` outside a checkout.
    pub revision: &'static str,
}

impl Default for Build {
    fn default() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            revision: option_env!("TIDEGATE_REVISION").unwrap_or("unknown"),
        }
    }
}

#[derive(Serialize)]
struct Limits<'a> {
    limits: &'a [LimitRow],
}

#[derive(Serialize)]
struct Connections<'a> {
    listeners: &'a [ListenerRow],
    upstreams: &'a [UpstreamRow],
}

impl Snapshot {
    /// The body of `GET /limits`.
    ///
    /// # Errors
    /// Only when serialising fails, which plain rows do not.
    pub fn limits_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Limits {
            limits: &self.limits,
        })
    }

    /// The body of `GET /connections`.
    ///
    /// # Errors
    /// Only when serialising fails, which plain rows do not.
    pub fn connections_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Connections {
            listeners: &self.listeners,
            upstreams: &self.upstreams,
        })
    }
}

fn text<S: Serializer>(word: &Arc<str>, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(word)
}

fn sum<S: Serializer>(counts: &[u64; 4], out: S) -> Result<S::Ok, S::Error> {
    out.serialize_u64(counts.iter().fold(0, |all, one| all.saturating_add(*one)))
}

/// A small snapshot with every kind of row.
#[cfg(test)]
pub(crate) fn sample() -> Snapshot {
    let limit = |upstream: &str, name: &str, limit, in_use| LimitRow {
        upstream: Arc::from(upstream),
        name: Arc::from(name),
        counts: "requests",
        key: "all",
        limit,
        effective: None,
        in_use,
        waiting: 0,
        admitted: 100,
        refused: [7, 0, 2, 1],
        shadow_refused: 3,
        mode: "enforce",
        audit_mismatch: 0,
        top: Vec::new(),
    };
    let mut keyed = limit("vc1", "tagging_per_user", 200, 5);
    keyed.key = "address";
    keyed.audit_mismatch = -1;
    keyed.top = vec![TopRow {
        key: "10.0.0.1".to_owned(),
        in_use: 5,
        waiting: 0,
    }];
    let (tasks, webhooks) = super::task_rows::sample();
    Snapshot {
        tasks: vec![tasks],
        webhooks,
        store_lost: false,
        sessions: vec![SessionCount {
            upstream: Arc::from("vc1"),
            kind: "rest",
            live: 3,
            reaped: 2,
        }],
        limits: vec![limit("", "connections_http", 2048, 12), keyed],
        listeners: vec![ListenerRow {
            name: Arc::from("http"),
            kind: "http",
            open: 12,
            limit: 2048,
            refused: vec![("full", 4), ("dropped", 1)],
        }],
        upstreams: vec![UpstreamRow {
            name: Arc::from("vc1"),
            open: 9,
            idle: 4,
            limit: 2048,
            down_for_seconds: None,
            errors: vec![("connect_refused", 2)],
        }],
        certificates: vec![CertificateRow {
            listener: Arc::from("https"),
            ends: SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_900_000_000),
        }],
        access_lines_dropped: 6,
        reloaded: Some(SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_500)),
        build: Build {
            version: "0.1.0",
            revision: "abc",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(bytes: serde_json::Result<Vec<u8>>) -> String {
        String::from_utf8(bytes.unwrap()).unwrap()
    }

    #[test]
    fn limits_have_the_shape_of_the_contract() {
        let wanted = concat!(
            r#"{"limits":[{"upstream":"","name":"connections_http","counts":"requests","key":"all","#,
            r#""limit":2048,"in_use":12,"waiting":0,"admitted":100,"refused":10,"shadow_refused":3,"#,
            r#""mode":"enforce","top":[]},"#,
            r#"{"upstream":"vc1","name":"tagging_per_user","counts":"requests","key":"address","#,
            r#""limit":200,"in_use":5,"waiting":0,"admitted":100,"refused":10,"shadow_refused":3,"#,
            r#""mode":"enforce","top":[{"key":"10.0.0.1","in_use":5,"waiting":0}]}]}"#,
        );
        assert_eq!(json(sample().limits_json()), wanted);
    }

    #[test]
    fn connections_have_the_shape_of_the_contract() {
        let wanted = concat!(
            r#"{"listeners":[{"name":"http","open":12,"limit":2048}],"#,
            r#""upstreams":[{"name":"vc1","open":9,"idle":4,"limit":2048}]}"#,
        );
        assert_eq!(json(sample().connections_json()), wanted);
    }
}
