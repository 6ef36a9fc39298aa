//! The profiles carry the published numbers.

use std::time::Duration;

use tidegate::call::Class;
use tidegate::config::{Counts, Key, Limit, Upstream};

use crate::good;

/// Name, what it counts, for whom, how many, status of a refusal, length of the line.
type Row = (&'static str, Counts, Key, u64, u16, u64);

use Counts::{
    Requests, RequestsInFlight, ResponseBytes, SessionCreations, Sessions, UpstreamConnections,
};

fn limits(profile: &str) -> Vec<Limit> {
    upstream(profile).limits
}

#[track_caller]
fn has_exactly(profile: &str, rows: &[Row]) {
    let limits = limits(profile);
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| row.0);
    let have: Vec<_> = limits
        .iter()
        .map(|l| {
            (
                &*l.name,
                l.counts,
                l.key,
                l.limit,
                l.full_status,
                l.wait.line,
            )
        })
        .collect();
    assert_eq!(have, rows, "{profile}");
}

const COMMON: [Row; 10] = [
    (
        "upstream_connections_total",
        UpstreamConnections,
        Key::All,
        2048,
        503,
        2000,
    ),
    (
        "upstream_connections",
        UpstreamConnections,
        Key::All,
        550,
        503,
        2000,
    ),
    ("request_rate", Requests, Key::All, 1500, 429, 2000),
    (
        "provider_connections",
        RequestsInFlight,
        Key::All,
        600,
        503,
        1000,
    ),
    ("blocking_tasks", RequestsInFlight, Key::All, 10, 503, 1000),
    (
        "content_library_per_user",
        RequestsInFlight,
        Key::User,
        150,
        503,
        500,
    ),
    (
        "tagging_per_user",
        RequestsInFlight,
        Key::User,
        200,
        503,
        500,
    ),
    ("soap_requests", RequestsInFlight, Key::All, 640, 503, 1000),
    ("long_polls", RequestsInFlight, Key::All, 1000, 503, 0),
    ("response_bytes", ResponseBytes, Key::All, 7 << 20, 502, 0),
];

const SESSIONS: [Row; 3] = [
    ("sessions", Sessions, Key::All, 1000, 503, 0),
    ("sessions_per_user", Sessions, Key::User, 550, 503, 0),
    ("soap_sessions", Sessions, Key::All, 2000, 503, 0),
];

#[test]
fn vcenter_7() {
    let creations = [(
        "session_creations",
        SessionCreations,
        Key::All,
        160,
        503,
        1000,
    )];
    has_exactly(
        "vcenter-7.0",
        &[&COMMON[..], &SESSIONS, &creations].concat(),
    );
}

#[test]
fn vcenter_8() {
    has_exactly("vcenter-8.0", &[&COMMON[..], &SESSIONS].concat());
    let sessions = [("sessions", Sessions, Key::All, 3000, 503, 0)];
    has_exactly("vcenter-8.0u3", &[&COMMON[..], &sessions].concat());
}

#[test]
fn the_other_products() {
    let per_user = (
        "requests_in_flight_per_user",
        RequestsInFlight,
        Key::User,
        40,
        429,
        1000,
    );
    let all = (
        "requests_in_flight",
        RequestsInFlight,
        Key::All,
        199,
        503,
        1000,
    );
    has_exactly(
        "nsx-4",
        &[
            ("request_rate", Requests, Key::User, 100, 429, 2000),
            per_user,
            all,
        ],
    );
    has_exactly(
        "avi",
        &[("request_rate", Requests, Key::Address, 32, 503, 2000)],
    );
    for profile in ["nsx-v", "skytap", "generic"] {
        has_exactly(profile, &COMMON[..1]);
    }
}

#[test]
fn an_upstream_without_profile_is_generic() {
    let upstream = good("[[upstream]]\naddress = \"https://a.example\"")
        .upstreams
        .remove(0);
    assert_eq!(
        (upstream.profile.as_str(), &*upstream.name),
        ("generic", "a.example")
    );
}

#[test]
fn the_rest_endpoint_is_everything_but_soap_transfers_and_the_rest() {
    let outside = [Class::Soap, Class::Transfer, Class::Other];
    for limit in limits("vcenter-8.0") {
        if matches!(&*limit.name, "upstream_connections" | "request_rate") {
            let inside: Vec<_> = Class::ALL
                .into_iter()
                .filter(|class| !outside.contains(class))
                .collect();
            assert_eq!(limit.matches.class, inside, "{}", limit.name);
        }
        if &*limit.name == "upstream_connections_total" {
            assert!(limit.matches.class.is_empty());
        }
    }
}

#[test]
fn one_user_takes_a_quarter_of_a_line() {
    for profile in [
        "vcenter-7.0",
        "vcenter-8.0",
        "vcenter-8.0u3",
        "nsx-4",
        "avi",
        "nsx-v",
        "skytap",
        "generic",
    ] {
        for limit in limits(profile) {
            let wait = &limit.wait;
            assert_eq!(wait.per_user, wait.line / 4, "{profile}: {}", limit.name);
            let cannot =
                matches!(limit.counts, Sessions | ResponseBytes) || &*limit.name == "long_polls";
            assert_eq!(wait.line == 0, cannot, "{profile}: {}", limit.name);
        }
    }
}

#[test]
fn rates_are_per_second_and_waits_as_long_as_published() {
    for limit in limits("vcenter-7.0") {
        let window = u64::from(limit.counts == Requests);
        assert_eq!(limit.window, Duration::from_secs(window), "{}", limit.name);
        let longest = if &*limit.name == "blocking_tasks" {
            300
        } else {
            30
        };
        assert_eq!(
            limit.wait.at_most,
            Duration::from_secs(longest),
            "{}",
            limit.name
        );
    }
}

fn upstream(profile: &str) -> Upstream {
    good(&format!(
        "[[upstream]]\naddress = \"https://a.example\"\nprofile = \"{profile}\""
    ))
    .upstreams
    .remove(0)
}

#[test]
fn clients_have_the_patience_that_their_source_says() {
    let sdk = "terraform_provider_nsxt/1.0 vAPI/2.100.0 Go/go1.13.5 (linux; amd64)";
    let aiohttp = "Python/3.11 aiohttp/3.9.1";
    let known = [
        ("govmomi/0.33.0", "vcenter-7.0", 300),
        ("Go-http-client/1.1", "vcenter-8.0", 300),
        (aiohttp, "vcenter-8.0u3", 300),
        ("terraform-provider-nsxt/1.0", "nsx-4", 2),
        (sdk, "nsx-4", 2),
        ("vAPI/2.100.0 Go/go1.13.5 (linux; amd64)", "nsx-4", 2),
        ("Go-http-client/1.1", "avi", 60),
        ("python-requests/2.31.0", "avi", 60),
    ];
    let patience = |agent: &str, profile: &str| {
        let clients = upstream(profile).clients;
        let found = clients
            .iter()
            .find(|one| one.user_agent.matches(agent.as_bytes()));
        found.map(|one| one.patience)
    };
    for (agent, profile, seconds) in known {
        let want = Some(Duration::from_secs(seconds));
        assert_eq!(patience(agent, profile), want, "{agent} {profile}");
    }
    for profile in ["vcenter-8.0", "nsx-4", "avi", "generic"] {
        assert_eq!(patience("Mozilla/5.0", profile), None, "{profile}");
    }
}

#[test]
fn only_what_proves_that_nothing_was_done_is_a_refusal() {
    let refused = |profile: &str, status: u16, body: &[u8]| {
        let refusals = upstream(profile).refusals;
        refusals
            .iter()
            .any(|one| one.matches(status, |_| None, body))
    };
    let sessions = br#"{"messages":[{"id":"com.vmware.vapi.endpoint.failedToLoginMaxUserSessionCountReached"}]}"#;
    let ambiguous = br#"{"messages":[{"id":"com.vmware.vapi.endpoint.cis.ServiceUnavailable"}]}"#;
    for profile in ["vcenter-7.0", "vcenter-8.0", "vcenter-8.0u3"] {
        assert!(refused(profile, 503, sessions), "{profile}");
        assert!(!refused(profile, 503, ambiguous), "{profile}");
        assert!(!refused(profile, 503, b""), "{profile}");
    }
    let rate = br#"{"error_message":"Client 'admin' exceeded request rate of 100 per second","error_code":"102"}"#;
    assert!(refused("nsx-4", 429, rate) && !refused("nsx-4", 503, rate));
    for (status, body, want) in [
        (423, &b""[..], true),
        (429, b"", true),
        (422, b"{\"error\":\"The VM is busy\"}", true),
        (422, b"{\"error\":\"invalid\"}", false),
        (409, b"busy", false),
    ] {
        assert_eq!(refused("skytap", status, body), want, "{status}");
    }
    for profile in ["avi", "nsx-v", "generic"] {
        assert!(upstream(profile).refusals.is_empty(), "{profile}");
    }
}
