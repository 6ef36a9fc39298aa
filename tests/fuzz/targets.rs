//! The targets: each says at its end that it was no idle run, by what share of its inputs was valid.

use std::cell::Cell;
use std::path::Path;

use http::Method;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tidegate::listen::fuzzing::{FrameState, Head};

use crate::generate;
use crate::properties::{forwarded, frames, head, proxy_header, spelling, with_cuts};

const CASES: u32 = 20_000;

/// Runs `check` over `CASES` inputs, and returns how often it said true.
fn run<S: Strategy>(inputs: S, check: impl Fn(S::Value) -> bool) -> u32 {
    let yes = Cell::new(0);
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&inputs, |input| {
        yes.set(yes.get() + u32::from(check(input)));
        Ok(())
    });
    if let Err(fault) = outcome {
        panic!("{fault}");
    }
    yes.get()
}

/// Both sides of a verdict were seen often enough.
fn mixed(yes: u32) {
    assert!(
        (CASES / 50..CASES * 49 / 50).contains(&yes),
        "{yes} of {CASES}"
    );
}

#[test]
fn a_head_that_passes_is_read_alike_by_another_parser() {
    mixed(run(
        (generate::head(), generate::cuts()),
        |(bytes, cuts)| matches!(head::check(&bytes, &cuts), Head::Complete { .. }),
    ));
}

#[test]
fn frames_are_followed_however_they_are_cut() {
    let inputs = (generate::frames(), generate::cuts(), 0_usize..3000);
    mixed(run(inputs, |(bytes, cuts, written)| {
        frames::check(&bytes, &cuts, written) == FrameState::Between
    }));
}

#[test]
fn a_proxy_header_tells_what_stands_in_it() {
    mixed(run(generate::proxy_header(), |bytes| {
        matches!(proxy_header::check(&bytes), Ok(Some(_)))
    }));
}

#[test]
fn nobody_untrusted_chooses_his_address() {
    let inputs = (generate::hops(), any::<std::net::IpAddr>());
    run(inputs, |(written, source)| {
        forwarded::check(&written, source.to_canonical());
        true
    });
}

#[test]
fn a_class_is_that_of_the_strictest_plain_reading() {
    let method = prop_oneof![Just(Method::GET), Just(Method::POST)];
    mixed(run((method, generate::path()), |(method, path)| {
        spelling::check(&method, &path).is_some()
    }));
}

#[test]
fn no_configuration_text_is_too_much() {
    let config = Config {
        cases: 1000,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&generate::config(), |text| {
        drop(tidegate::config::parse(&text, Path::new(".")));
        Ok(())
    });
    assert_eq!(outcome, Ok(()));
}

#[test]
fn what_the_long_runs_feed_is_cut_in_two() {
    for (data, cuts) in [(&b""[..], 0), (b"\0", 1), (b"\x03abcdef", 4), (b"\x07a", 2)] {
        let (first, rest) = with_cuts(data);
        assert_eq!((first.len(), rest.len()), (cuts, data.len() - cuts));
    }
}
