//! The keys of `[[upstream]]` that say what happens when the upstream is slow, full or down.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use super::node::{Node, Value};
use super::reader::Reader;
use super::user::user_name;
use super::value::{duration, whole_u32, word};
use super::words::ADAPTIVE;
use crate::call::Dialect;

/// Longest time that calls wait for an upstream that is down.
const MOST_BLACKOUT: Duration = Duration::from_mins(5);
/// What an upstream's own numbers are read by: oftener is a load of its own, seldomer is no news.
const LEAST_PERIOD: Duration = Duration::from_secs(5);
const MOST_PERIOD: Duration = Duration::from_mins(10);
/// Most users with a weight.
const MOST_WEIGHTS: usize = 1000;
/// Most calls of one user in a turn.
const MOST_WEIGHT: u32 = 100;

/// The name of the limit that `adaptive` adds.
pub const ADAPTIVE_LIMIT: &str = "adaptive_concurrency";

/// Whether the gate finds out by itself how many calls at a time the upstream takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adaptive {
    /// No: the limits alone hold.
    Off,
    /// Below the limits, by how answers slow down as more are asked for at a time.
    Gradient,
}

/// `adaptive`.
pub(super) fn adaptive(r: &Reader<'_>) -> Adaptive {
    r.get("adaptive", word(&ADAPTIVE)).unwrap_or(Adaptive::Off)
}

/// `blackout`.
pub(super) fn blackout(r: &Reader<'_>) -> Duration {
    r.get("blackout", duration(Duration::ZERO..=MOST_BLACKOUT))
        .unwrap_or(Duration::from_secs(10))
}

/// `utilization`; `None` when it is off. Paths and fields are vCenter's, so no other dialect has it.
pub(super) fn utilization(r: &Reader<'_>, dialect: Dialect) -> Option<Duration> {
    let period = r.get("utilization", period).flatten();
    if period.is_some() && dialect != Dialect::Vcenter && r.sound(&["dialect"]) {
        r.fault(
            "utilization",
            &format!(
                "is read from vCenter 9.1 and later; this upstream speaks {}",
                dialect.as_str()
            ),
        );
    }
    if period.is_some() && !r.has("account") && dialect == Dialect::Vcenter {
        r.fault(
            "utilization",
            "needs account: write account = { user = \"tidegate@vsphere.local\", password = \"file:/etc/tidegate/vc1.password\" }, \
             a user with System.Read",
        );
    }
    period
}

fn period(node: &Node) -> Result<Option<Duration>, String> {
    match &node.value {
        Value::Text(text) if text == "off" => Ok(None),
        Value::Text(_) => duration(LEAST_PERIOD..=MOST_PERIOD)(node)
            .map(Some)
            .map_err(|problem| format!("{problem}; or write \"off\"")),
        other => Err(format!(
            "is {}; \"off\" or how often it is read is wanted, as \"30s\"",
            other.kind()
        )),
    }
}

/// `[upstream.weights]`: users, spelled as in `admin.break_glass.users`, and how many of their calls go in one turn.
pub(super) fn weights(r: &Reader<'_>) -> BTreeMap<String, NonZeroU32> {
    let table = r.table("weights");
    let entries = table.entries();
    if entries.len() > MOST_WEIGHTS {
        r.fault(
            "weights",
            &format!(
                "names {} users; at most {MOST_WEIGHTS} are allowed",
                entries.len()
            ),
        );
        return BTreeMap::new();
    }
    let mut weights = BTreeMap::new();
    for (written, node) in entries {
        let weight = whole_u32(1..=MOST_WEIGHT)(node)
            .map(|weight| NonZeroU32::new(weight).unwrap_or(NonZeroU32::MIN));
        match (user_name(written), weight) {
            (Ok(user), Ok(weight)) => {
                if weights.insert(user, weight).is_some() {
                    table.entry_fault(written, node, "names a user who stands here already");
                }
            }
            (Err(problem), _) | (_, Err(problem)) => table.entry_fault(written, node, &problem),
        }
    }
    weights
}
