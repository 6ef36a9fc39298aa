//! A claim allocates nothing, once the gate has seen as many calls at a time and the caller before.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may stop where it stands"
)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use allocation_counter::measure;
use http::Method;
use tidegate::admit::{Claim, Stack};
use tidegate::classify::classify;
use tidegate::limit::Moment;

/// Calls in flight at a time.
const IN_FLIGHT: usize = 40;

fn stack(profile: &str, more: &str) -> Arc<Stack> {
    let text =
        format!("[[upstream]]\naddress = \"https://api.example\"\nprofile = \"{profile}\"\n{more}");
    let config = tidegate::config::parse(&text, Path::new(".")).unwrap();
    Arc::new(Stack::build(&config.upstreams[0]))
}

fn claim(stack: &Arc<Stack>, target: &str, from: u8, now: u64) -> Claim {
    let classified = classify(&Method::GET, target).unwrap();
    let call = classified.call(IpAddr::V4(Ipv4Addr::new(192, 0, 2, from)));
    stack.claim(&call, Moment::from_nanos(now)).unwrap()
}

/// Many calls over a stack, forty at a time, one a millisecond; how often they allocated.
fn allocated(stack: &Arc<Stack>, target: &str) -> u64 {
    let mut held = Vec::with_capacity(IN_FLIGHT);
    let mut run = |from: u64, to: u64| {
        for turn in from..to {
            if held.len() == IN_FLIGHT {
                held.drain(..)
                    .for_each(|claim: Claim| claim.release(Moment::from_nanos(turn * 1_000_000)));
            }
            let from = u8::try_from(turn % 16).unwrap();
            let claim = claim(stack, target, from, turn * 1_000_000);
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
        assert_eq!(allocated(&stack("vcenter-8.0", ""), target), 0, "{target}");
    }
}

#[test]
fn none_with_limits_of_each_address() {
    let seats =
        "[upstream.limits.seats]\ncounts = \"requests_in_flight\"\nkey = \"address\"\nlimit = 100";
    let rate = "[upstream.limits.rate]\ncounts = \"requests\"\nkey = \"address\"\nlimit = 1000\nwindow = \"1s\"";
    for more in [rate, seats] {
        let stack = stack("vcenter-8.0", more);
        assert_eq!(allocated(&stack, "/api/vcenter/vm"), 0, "{more}");
    }
}

#[test]
fn the_counter_counts() {
    let stack = stack("vcenter-8.0", "");
    let twisted = "/x/../api/vcenter/vm";
    assert!(allocated(&stack, twisted) > 3_000, "each is copied");
}
