//! `[[upstream.client]]`: how long the client programs that we know wait for an answer themselves.

use std::time::Duration;

use super::glob::{AgentPattern, glob};
use super::reader::Reader;
use super::route::own_name;
use super::value::duration;

/// Most clients of an upstream, the profile's included.
const MOST_CLIENTS: usize = 64;
const LEAST: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_hours(24);

/// A client program, known by its `User-Agent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// What it is called.
    pub name: String,
    /// Which `User-Agent` it sends.
    pub user_agent: AgentPattern,
    /// How long it waits for an answer before it gives up: nothing of its is worth holding longer.
    pub patience: Duration,
}

/// Reads the upstream's own clients and then the profile's: the first that matches wins.
pub(super) fn clients(own: &Reader<'_>, profile: &Reader<'_>) -> Vec<Client> {
    let mut clients = section(own);
    clients.extend(section(profile));
    if clients.len() > MOST_CLIENTS {
        own.fault(
            "client",
            &format!(
                "makes {} clients with the profile's; at most {MOST_CLIENTS} are allowed",
                clients.len()
            ),
        );
    }
    clients
}

fn section(r: &Reader<'_>) -> Vec<Client> {
    let mut clients: Vec<Client> = Vec::new();
    for one in r.tables("client") {
        let Some(client) = client(&one) else { continue };
        if clients.iter().any(|other| other.name == client.name) {
            one.fault(
                "name",
                "is taken by another client; every client needs a name of its own",
            );
        }
        clients.push(client);
    }
    clients
}

fn client(r: &Reader<'_>) -> Option<Client> {
    let name = r.get("name", own_name);
    let user_agent = r.get("user_agent", glob);
    let patience = r.get("patience", duration(LEAST..=DAY));
    r.finish();
    for (key, wanted) in [
        ("name", "a client needs a name"),
        (
            "user_agent",
            "a client is known by it, as user_agent = \"govmomi*\"",
        ),
        (
            "patience",
            "write how long the client itself waits for an answer, as patience = \"5m\"",
        ),
    ] {
        if !r.has(key) {
            r.fault(key, &format!("is missing; {wanted}"));
        }
    }
    Some(Client {
        name: name?,
        user_agent: user_agent?,
        patience: patience?,
    })
}
