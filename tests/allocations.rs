//! To tell what is asked and to claim allocates nothing, once the gate has seen as many calls at a time and the caller before.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may stop where it stands"
)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use http::{HeaderMap, Method};
use tidegate::admit::{Claim, Entry, Stack, Terms};
use tidegate::call::{Call, Class, Operation};
use tidegate::classify::Table;
use tidegate::limit::{Moment, Rank};
use tidegate::observe::Meters;

/// Calls in flight at a time.
const IN_FLIGHT: usize = 40;

/// One upstream: what its calls are, and its limits.
struct Gate {
    table: Table,
    stack: Arc<Stack>,
}

fn gate(profile: &str, more: &str) -> Gate {
    let text =
        format!("[[upstream]]\naddress = \"https://api.example\"\nprofile = \"{profile}\"\n{more}");
    let config = tidegate::config::parse(&text, Path::new(".")).unwrap();
    let upstream = &config.upstreams[0];
    Gate {
        table: Table::new(upstream.speech.dialect, &upstream.routes),
        stack: Arc::new(Stack::build(upstream)),
    }
}

fn claim(gate: &Gate, target: &str, headers: &HeaderMap, from: u8, now: u64) -> Claim {
    let asked = gate.table.target(&Method::GET, target, headers).unwrap();
    let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, from));
    let call = asked.call(&Method::GET, headers, None, address);
    gate.stack.claim(&call, Moment::from_nanos(now)).unwrap()
}

/// The fields of an ordinary call.
fn fields() -> HeaderMap {
    let mut fields = HeaderMap::new();
    for name in ["host", "accept", "user-agent", "vmware-api-session-id"] {
        fields.insert(name, "x".parse().unwrap());
    }
    fields
}

/// Many calls over a stack, forty at a time, one a millisecond; how often they allocated.
fn allocated(gate: &Gate, target: &str) -> u64 {
    let headers = fields();
    let mut held = Vec::with_capacity(IN_FLIGHT);
    let mut run = |from: u64, to: u64| {
        for turn in from..to {
            if held.len() == IN_FLIGHT {
                held.drain(..)
                    .for_each(|claim: Claim| claim.release(Moment::from_nanos(turn * 1_000_000)));
            }
            let from = u8::try_from(turn % 16).unwrap();
            let claim = claim(gate, target, &headers, from, turn * 1_000_000);
            black_box((claim.response_cap(), claim.socket_group()));
            held.push(claim);
        }
    };
    run(0, 200); // pages and maps grow to what is in flight
    measure(|| run(200, 4_000)).count_total
}

#[test]
fn none_on_the_stack_of_vcenter() {
    for target in [
        "/api/vcenter/vm?names=web-01&power_states=POWERED_ON",
        "/api/cis/tagging/tag/urn%3Avmomi%3AInventoryServiceTag%3A1%3AGLOBAL",
        "/sdk/vimService",
        "/folder/vm%20one/disk.vmdk?dcPath=dc1",
        "/ui/",
    ] {
        assert_eq!(allocated(&gate("vcenter-8.0", ""), target), 0, "{target}");
    }
}

#[test]
fn none_with_limits_of_each_address() {
    let seats =
        "[upstream.limits.seats]\ncounts = \"requests_in_flight\"\nkey = \"address\"\nlimit = 100";
    let rate = "[upstream.limits.rate]\ncounts = \"requests\"\nkey = \"address\"\nlimit = 1000\nwindow = \"1s\"";
    for more in [rate, seats] {
        let gate = gate("vcenter-8.0", more);
        assert_eq!(allocated(&gate, "/api/vcenter/vm"), 0, "{more}");
    }
}

#[test]
fn none_to_tell_what_is_asked() {
    let gate = gate("vcenter-8.0", "");
    let headers = fields();
    for (method, target) in [
        (Method::POST, "/api/vcenter/vm?action=clone&vmw-task=true"),
        (Method::POST, "/api/vcenter/vm?ACTION=cl%6Fne&x=a;b"),
        (Method::POST, "/API/session"),
        (Method::DELETE, "/rest/vcenter/vm/vm-1?force=true"),
    ] {
        let ask = || drop(black_box(gate.table.target(&method, target, &headers)));
        assert_eq!(measure(ask).count_total, 0, "{target}");
    }
    for (target, service, name) in [
        ("/api", Some("com.vmware.vcenter.VM"), "clone"),
        ("/sdk", None, "WaitForUpdatesEx"),
    ] {
        let said = Operation { service, name };
        let ask = || {
            let asked = gate.table.target(&Method::POST, target, &headers).unwrap();
            let asked = gate.table.operation(asked, &Method::POST, &headers, said);
            drop(black_box(asked));
        };
        assert_eq!(measure(ask).count_total, 0, "{target}");
    }
}

#[test]
fn none_to_count_a_wait() {
    let meters = Meters::new(["vc"]).unwrap();
    let wait = || meters.waited("vc", "request_rate", Duration::from_millis(5));
    wait();
    assert_eq!(measure(|| (0..100).for_each(|_| wait())).count_total, 0);
}

#[test]
fn the_counter_counts() {
    let gate = gate("vcenter-8.0", "");
    let twisted = "/x/../api/vcenter/vm";
    assert!(allocated(&gate, twisted) > 3_000, "each is copied");
}

#[test]
fn a_hundred_thousand_places_in_line_take_at_most_100_mib() {
    const PLACES: u32 = 100_000;
    const MOST: i64 = 100 << 20;
    let terms = Terms {
        rank: Rank::Usual,
        weight: NonZeroU32::MIN,
        patience: Duration::from_mins(1),
    };
    for users in [PLACES, 1_000] {
        let text = "[[upstream]]\naddress = \"https://api.example\"\n[upstream.limits.x]\n\
             counts = \"requests_in_flight\"\nlimit = 1\nfull = { status = 503 }\n\
             wait = { line = 100000, per_user = 100000, at_most = \"1m\" }";
        let config = tidegate::config::parse(text, Path::new(".")).unwrap();
        let stack = Arc::new(Stack::build(&config.upstreams[0]));
        let enter = |n: u32| {
            let address = IpAddr::V4(Ipv4Addr::from(0x0A00_0000 + n % users));
            let call = Call::new(Class::Rest, "/api/x", address);
            stack.enter(&call, || terms, Moment::START)
        };
        let _held = enter(0);
        let mut waiting = Vec::new();
        let took = measure(|| {
            waiting.reserve_exact(PLACES as usize);
            waiting.extend((0..PLACES).map(enter));
        });
        assert!(waiting.iter().all(|one| matches!(one, Entry::Waits(_))));
        // What its task holds is counted too: an entry is as large as a claim, and more than a place.
        assert!(
            took.bytes_current <= MOST,
            "{} for {users} users",
            took.bytes_current
        );
    }
}
