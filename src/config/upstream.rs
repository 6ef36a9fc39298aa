//! `[[upstream]]`: where calls go, how far that place is trusted, and its profile merged in.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::account::account;
use super::adapter::{adapters, merge_period};
use super::after;
use super::files::{Pem, check_pem};
use super::limits::{Scene, limits};
use super::net::{address, fingerprint, host, host_header};
use super::node::{Node, Table, overlay};
use super::overload;
use super::patience::clients;
use super::profile::{self, Missing};
use super::reader::Reader;
use super::refused::refusals;
use super::route::routes;
use super::speech::speech;
use super::types::{Adapter, Address, Busy, HostHeader, Route, Upstream, Verify};
use super::value::{duration, flag, name, text};
use super::verify::verify_with;

/// Most upstreams.
const MOST_UPSTREAMS: usize = 64;
const LEAST: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// Reads every `[[upstream]]`; at least one is wanted.
pub(super) fn upstreams(top: &Reader<'_>) -> Vec<Upstream> {
    let readers = top.tables("upstream");
    if readers.is_empty() && top.sound(&["upstream"]) {
        top.fault("upstream", "is missing; the smallest file is [[upstream]] with an address, as address = \"https://vcenter.example\"");
    }
    if readers.len() > MOST_UPSTREAMS {
        top.fault(
            "upstream",
            &format!(
                "stands {} times; at most {MOST_UPSTREAMS} are allowed",
                readers.len()
            ),
        );
    }
    let mut all = Vec::with_capacity(readers.len());
    for r in &readers {
        let own = r.raw();
        let label: Arc<str> = Arc::from(label(r));
        let one = upstream(r, &own, &label);
        let named = r.instead(&own, &label);
        check_apart(&named, &one, &all);
        all.push(one);
    }
    all
}

/// What the upstream is called: its name, or else the host of its address.
fn label(r: &Reader<'_>) -> String {
    let host = || r.peek("address", address).map(|address| address.host);
    r.peek("name", name)
        .or_else(host)
        .unwrap_or_else(|| "upstream".to_owned())
}

fn upstream(r: &Reader<'_>, own: &Table, label: &Arc<str>) -> Upstream {
    let chosen = r
        .peek("profile", text)
        .unwrap_or_else(|| profile::DEFAULT.to_owned());
    let loaded = profile::load(&chosen, r.base());
    let empty = Table::new();
    let tables = loaded.as_ref().unwrap_or(&empty);
    let under = if loaded.is_ok() {
        profile::under(tables, r.findings(), label)
    } else {
        Table::new()
    };
    let merged = overlay(&under, own);
    let known = loaded.is_ok().then(|| profile::limit_names(tables));
    let r = r.instead(&merged, label);
    let profile = profile_name(&r, &chosen, loaded.as_ref().err(), label);
    let upstream = merged_upstream(
        &r,
        &r.instead(tables, label),
        label,
        (profile, known.as_deref()),
    );
    r.finish();
    upstream
}

/// Reads `r`, the words of an upstream over those of its profile, and behind its lists the `lists` of the profile alone.
/// `profile` is the profile's name and the names of its limits, when it could be read.
fn merged_upstream(
    r: &Reader<'_>,
    lists: &Reader<'_>,
    label: &Arc<str>,
    profile: (String, Option<&[String]>),
) -> Upstream {
    let (profile, known) = profile;
    let routes = routes(r, lists);
    let scene = Scene {
        profile: &profile,
        known,
        routes: &routes,
    };
    let limits = limits(r, &scene);
    let time = |key, default, most| {
        r.get(key, duration(LEAST..=most))
            .unwrap_or(Duration::from_secs(default))
    };
    let address = whereto(r);
    let speech = speech(r);
    let taken = adapters(r, label);
    let upstream = Upstream {
        name: name_of(r, label),
        verify: verify(r, &address),
        address,
        hosts: r.list("hosts", host).unwrap_or_default(),
        host: r.get("host", host_header).unwrap_or(HostHeader::Upstream),
        account: account(r),
        verify_with: verify_with(r),
        utilization: overload::utilization(r, speech.dialect),
        speech,
        adaptive: overload::adaptive(r),
        blackout: overload::blackout(r),
        learn: r.get("learn", flag).unwrap_or(true),
        weights: overload::weights(r),
        clients: clients(r, lists),
        refusals: refusals(r, lists),
        native: r.get("native", flag).unwrap_or(true),
        merge_period: merge_period(r, &taken.adapters),
        adapters: taken.adapters,
        dialects: taken.built_in,
        dialect_files: taken.files,
        connect_timeout: time("connect_timeout", 5, HOUR),
        response_timeout: time("response_timeout", 900, DAY),
        idle_timeout: time("idle_timeout", 30, DAY),
        profile,
        limits,
        routes,
    };
    looked_at(r, &upstream);
    after::merged(r, &upstream);
    upstream
}

/// Whether what is busy can be told: a route that refuses for it needs an adapter that looks.
fn looked_at(r: &Reader<'_>, upstream: &Upstream) {
    let looks = |one: &Adapter| one.native.as_ref().is_some_and(|one| one.before.is_some());
    let refuses = |route: &&Route| route.work.busy == Busy::Refuse;
    let looks = upstream.native && upstream.adapters.iter().any(looks);
    if let Some(route) = upstream.routes.iter().find(refuses)
        && !looks
        && r.sound(&["adapters", "dialect_files", "native"])
    {
        let problem = format!(
            "{} says busy = \"refuse\", but no adapter that is used here has before: nothing tells what is busy",
            route.name
        );
        r.fault("route", &problem);
    }
}

fn name_of(r: &Reader<'_>, label: &Arc<str>) -> Arc<str> {
    r.get("name", name)
        .map_or_else(|| Arc::clone(label), Arc::from)
}

fn profile_name(
    r: &Reader<'_>,
    chosen: &str,
    missing: Option<&Missing>,
    label: &Arc<str>,
) -> String {
    let name = r.get("profile", text);
    match missing {
        None => {}
        Some(Missing::Unknown(problem)) => r.fault("profile", problem),
        Some(Missing::Broken(fault)) => {
            let key = format!("profile.{}", fault.key);
            let place = fault.place.clone();
            r.findings().report(
                super::fault::Fault {
                    key,
                    ..fault.clone()
                }
                .at(place, Some(Arc::clone(label))),
            );
        }
    }
    name.unwrap_or_else(|| chosen.to_owned())
}

fn whereto(r: &Reader<'_>) -> Address {
    let found = r.get("address", address);
    if !r.has("address") {
        r.fault(
            "address",
            "is missing; write where the upstream listens, as \"https://vcenter.example:443\"",
        );
    }
    found.unwrap_or_else(|| Address {
        tls: true,
        host: String::new(),
        port: 443,
    })
}

/// `verify` and `insecure.skip_verify`, which exclude each other.
fn verify(r: &Reader<'_>, address: &Address) -> Verify {
    let verify = r.get("verify", how(r.base()));
    let insecure = r.table("insecure");
    let skip = insecure.get("skip_verify", flag).unwrap_or(false);
    insecure.finish();
    if skip && r.has("verify") {
        insecure.fault("skip_verify", "contradicts verify; take one of them away");
    }
    if !address.tls && r.sound(&["address"]) && r.has("address") {
        for (key, is_set) in [
            (
                "verify",
                verify
                    .as_ref()
                    .is_some_and(|verify| *verify != Verify::System),
            ),
            ("insecure", skip),
        ] {
            if is_set {
                r.fault(
                    key,
                    "is about certificates, but the address is http://, which has none",
                );
            }
        }
    }
    if skip {
        Verify::Insecure
    } else {
        verify.unwrap_or(Verify::System)
    }
}

fn how(base: &Path) -> impl Fn(&Node) -> Result<Verify, String> {
    move |node| {
        let text = text(node)?;
        if text == "system" {
            return Ok(Verify::System);
        }
        if let Some(path) = text
            .strip_prefix("ca:")
            .filter(|path| !path.is_empty() && !path.contains('\0'))
        {
            let path = base.join(path);
            return check_pem(&path, Pem::Certificate).map(|()| Verify::Ca(path));
        }
        if let Some(digits) = text.strip_prefix("fingerprint:sha256:") {
            return fingerprint(digits).map(Verify::Fingerprint);
        }
        Err("is no way to verify; \"system\", \"ca:/path/to/ca.pem\" or \"fingerprint:sha256:AB:CD:…\" is wanted".to_owned())
    }
}

/// Names are unique, and a request can belong to one upstream alone.
fn check_apart(r: &Reader<'_>, one: &Upstream, others: &[Upstream]) {
    for other in others {
        if other.name == one.name {
            let said = if r.has("name") {
                "is taken by another upstream"
            } else {
                "is missing, and another upstream has the same host for a name"
            };
            r.fault(
                "name",
                &format!("{said}; every upstream needs a name of its own"),
            );
        }
        if one.hosts.is_empty() && other.hosts.is_empty() {
            r.fault("hosts", &format!("leaves every host to this upstream and to {} as well; say which hosts each of them serves", other.name));
        }
    }
    for (index, host) in one.hosts.iter().enumerate() {
        if one.hosts.iter().take(index).any(|earlier| earlier == host) {
            r.element_fault("hosts", index, "stands twice in this list");
        }
        if let Some(other) = others.iter().find(|other| other.hosts.contains(host)) {
            r.element_fault(
                "hosts",
                index,
                &format!(
                    "is taken by upstream {}; a request can go to one upstream alone",
                    other.name
                ),
            );
        }
    }
}
