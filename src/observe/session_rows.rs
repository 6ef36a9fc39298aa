//! Login sessions as the operator sees them: never a token.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// One live login session.
#[derive(Debug, Clone, Serialize)]
pub struct SessionRow {
    /// Its id, which says nothing of its token.
    pub id: String,
    /// Its user, where known.
    #[serde(serialize_with = "named")]
    pub user: Option<Arc<str>>,
    /// `rest` or `soap`.
    pub kind: &'static str,
    /// Its upstream.
    #[serde(serialize_with = "text")]
    pub upstream: Arc<str>,
    /// Client address of the login, or of the first use that was seen.
    pub client: IpAddr,
    /// Since it was opened, or first seen.
    pub age_seconds: u64,
    /// Since it was last used; 0 while a call is in flight.
    pub idle_seconds: u64,
    /// Calls in flight.
    pub in_flight: u64,
    /// Whether it was opened around the gate.
    pub adopted: bool,
}

/// Login sessions of one upstream and kind.
#[derive(Debug, Clone)]
pub struct SessionCount {
    /// Its upstream.
    pub upstream: Arc<str>,
    /// `rest` or `soap`.
    pub kind: &'static str,
    /// Live now.
    pub live: u64,
    /// Idled out since the start.
    pub reaped: u64,
}

fn text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

#[expect(
    clippy::ref_option,
    reason = "serde hands over a reference to the field"
)]
fn named<S: Serializer>(name: &Option<Arc<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    match name {
        Some(name) => serializer.serialize_str(name),
        None => serializer.serialize_none(),
    }
}
