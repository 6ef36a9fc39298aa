//! How an upstream speaks, how names of its users are read, and how long its sessions may idle.

use std::collections::BTreeMap;
use std::time::Duration;

use super::node::Node;
use super::reader::Reader;
use super::value::{duration, text, whole_u32};
use crate::call::Dialect;

/// Longest name of a domain.
const LONGEST_DOMAIN: usize = 255;
const MINUTE: Duration = Duration::from_mins(1);
const HALF_HOUR: Duration = Duration::from_mins(30);
const WEEK: Duration = Duration::from_hours(7 * 24);

/// How an upstream speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speech {
    /// Its API.
    pub dialect: Dialect,
    /// Spellings of domains and what they mean; the empty one stands for names without a domain.
    pub domains: BTreeMap<String, String>,
    /// Status of a refusal inside JSON-RPC.
    pub refusal_rpc: u16,
    /// Status of a refusal inside SOAP.
    pub refusal_soap: u16,
    /// How long a REST session may idle before it is taken for ended.
    pub session_idle_rest: Duration,
    /// The same of SOAP.
    pub session_idle_soap: Duration,
}

/// Reads the keys of one upstream.
pub(super) fn speech(r: &Reader<'_>) -> Speech {
    let refusal = r.table("refusal");
    let status = |key, default| refusal.get(key, one_of_the_statuses).unwrap_or(default);
    let idle = r.table("session_idle");
    let pause = |key| idle.get(key, duration(MINUTE..=WEEK)).unwrap_or(HALF_HOUR);
    let speech = Speech {
        dialect: r.get("dialect", dialect).unwrap_or(Dialect::Generic),
        domains: domains(&r.table("domains")),
        refusal_rpc: status("rpc", 200),
        refusal_soap: status("soap", 500),
        session_idle_rest: pause("rest"),
        session_idle_soap: pause("soap"),
    };
    refusal.finish();
    idle.finish();
    speech
}

fn dialect(node: &Node) -> Result<Dialect, String> {
    let word = text(node)?;
    Dialect::parse(&word).ok_or_else(|| {
        let known: Vec<_> = Dialect::ALL.iter().map(|one| one.as_str()).collect();
        format!("is no dialect; {} are known", known.join(", "))
    })
}

fn one_of_the_statuses(node: &Node) -> Result<u16, String> {
    let status = whole_u32(200..=599)(node)?;
    let status = u16::try_from(status).unwrap_or_default();
    if [200, 429, 500, 503].contains(&status) {
        Ok(status)
    } else {
        Err(
            "is no status that a client reads a refusal from; 200, 429, 500 or 503 is wanted"
                .to_owned(),
        )
    }
}

fn domains(r: &Reader<'_>) -> BTreeMap<String, String> {
    let mut domains = BTreeMap::new();
    for (spelling, node) in r.entries() {
        match domain(node) {
            Ok(domain) if spelling.len() <= LONGEST_DOMAIN => {
                domains.insert(spelling.to_owned(), domain);
            }
            Ok(_) => r.entry_fault(spelling, node, "is longer than any domain"),
            Err(problem) => r.entry_fault(spelling, node, &problem),
        }
    }
    domains
}

fn domain(node: &Node) -> Result<String, String> {
    let domain = text(node)?;
    let plain = |c: char| c.is_alphanumeric() || "-._".contains(c);
    if !domain.is_empty() && domain.len() <= LONGEST_DOMAIN && domain.chars().all(plain) {
        Ok(domain)
    } else {
        Err("is no domain; one like \"corp.example.com\" is wanted".to_owned())
    }
}
