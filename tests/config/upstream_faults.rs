//! Each kind of fault of upstreams, alone and together: a text, the exact key, and words of the fault.

use crate::one_fault;

/// Lines of an upstream that has an address already.
const UPSTREAM: &[(&str, &str, &str)] = &[
    ("name = \"a b\"", "upstream[0].name", "is no name"),
    (
        "profile = \"vcenter-9\"",
        "upstream[0].profile",
        "built in are avi, generic, nsx-4, nsx-v, skytap, vcenter-7.0, vcenter-8.0, vcenter-8.0u3",
    ),
    (
        "profile = \"./no-such.toml\"",
        "upstream[0].profile",
        "cannot be read",
    ),
    (
        "hosts = [\"vc1.example:443\"]",
        "upstream[0].hosts[0]",
        "carries a port",
    ),
    (
        "hosts = [\"*.example\"]",
        "upstream[0].hosts[0]",
        "names no host",
    ),
    (
        "hosts = [\"a.example\", \"A.example\"]",
        "upstream[0].hosts[1]",
        "stands twice",
    ),
    (
        "host = \"a b\"",
        "upstream[0].host",
        "or write \"upstream\" or \"client\"",
    ),
    (
        "verify = \"none\"",
        "upstream[0].verify",
        "is no way to verify",
    ),
    (
        "verify = \"ca:no-such.pem\"",
        "upstream[0].verify",
        "cannot be read",
    ),
    (
        "verify = \"ca:Cargo.toml\"",
        "upstream[0].verify",
        "holds no PEM certificate",
    ),
    (
        "verify_with = {}",
        "upstream[0].verify_with.get",
        "is missing; write what to ask for",
    ),
    (
        "verify_with = { get = \"redfish\" }",
        "upstream[0].verify_with.get",
        "is no target",
    ),
    (
        "verify = \"fingerprint:sha256:AB:CD\"",
        "upstream[0].verify",
        "2 parts between colons, not 32",
    ),
    (
        "verify = \"fingerprint:sha256:ABCD\"",
        "upstream[0].verify",
        "4 digits, not 64",
    ),
    (
        "verify = \"fingerprint:sha256:xyz\"",
        "upstream[0].verify",
        "no hexadecimal digit",
    ),
    (
        "verify = \"fingerprint:md5:AB\"",
        "upstream[0].verify",
        "is no way to verify",
    ),
    (
        "verify = \"system\"\ninsecure = { skip_verify = true }",
        "upstream[0].insecure.skip_verify",
        "contradicts verify",
    ),
    (
        "insecure = { skip_verfy = true }",
        "upstream[0].insecure.skip_verfy",
        "did you mean `skip_verify`?",
    ),
    ("native = 1", "upstream[0].native", "true or false"),
    (
        "response_timeout = \"0s\"",
        "upstream[0].response_timeout",
        "out of range",
    ),
    (
        "adress = \"x\"",
        "upstream[0].adress",
        "did you mean `address`?",
    ),
];

const ADDRESS: &[(&str, &str)] = &[
    ("vcenter.example", "needs http:// or https://"),
    ("ftp://vcenter.example", "needs http:// or https://"),
    ("https://vcenter.example/sdk", "carries a path"),
    (
        "https://user:secret@vcenter.example",
        "carries a user or password",
    ),
    ("https://vcenter.example:0", "no valid port"),
    ("https://vcenter.example:70000", "no valid port"),
    ("https://", "names no host"),
    ("https://::1", "names no host"),
    ("https://[::1", "names no host"),
    ("https://a..b", "names no host"),
];

#[test]
fn of_an_upstream() {
    for (lines, key, part) in UPSTREAM {
        one_fault(
            &format!("[[upstream]]\naddress = \"https://api.example\"\n{lines}"),
            key,
            part,
        );
    }
}

#[test]
fn of_what_is_busy() {
    let route = "[[upstream.route]]\nname = \"a\"\nmatch = { path = \"/a\" }\n";
    let upstream = "[[upstream]]\naddress = \"https://a.example\"\n";
    let skytap = format!("{upstream}profile = \"skytap\"\n");
    let blocking = "class = \"blocking\"\nbusy = \"refuse\"\n";
    for (text, key, part) in [
        (
            format!("{skytap}{route}class = \"blocking\"\nbusy = \"wait\""),
            "upstream[0].route[0].busy",
            "\"hold\"",
        ),
        (
            format!("{skytap}{route}class = \"rest\"\nbusy = \"refuse\""),
            "upstream[0].route[0].busy",
            "for class = \"blocking\" alone",
        ),
        (
            format!("{skytap}{route}{blocking}async = \"always\""),
            "upstream[0].route[0].busy",
            "contradicts async",
        ),
        (
            format!("{upstream}{route}{blocking}"),
            "upstream[0].route",
            "nothing tells what is busy",
        ),
        (
            format!("{skytap}native = false\n{route}{blocking}"),
            "upstream[0].route",
            "nothing tells what is busy",
        ),
    ] {
        one_fault(&text, key, part);
    }
}

#[test]
fn of_an_address() {
    for (address, part) in ADDRESS {
        one_fault(
            &format!("[[upstream]]\naddress = \"{address}\""),
            "upstream[0].address",
            part,
        );
    }
}

#[test]
fn trust_without_tls() {
    let lines = "[[upstream]]\naddress = \"http://api.example\"";
    one_fault(
        &format!("{lines}\ninsecure = {{ skip_verify = true }}"),
        "upstream[0].insecure",
        "http://, which has none",
    );
    let pin = "AB".repeat(32);
    one_fault(
        &format!("{lines}\nverify = \"fingerprint:sha256:{pin}\""),
        "upstream[0].verify",
        "http://, which has none",
    );
}

#[test]
fn of_upstreams_together() {
    one_fault("", "upstream", "is missing");
    one_fault("upstream = []", "upstream", "is missing");
    one_fault("upstream = 1", "upstream", "write [[upstream]]");
    one_fault("upstream = [1]", "upstream[0]", "a table is wanted");
    one_fault("[[upstream]]", "upstream[0].address", "is missing");
    let pair = |first: &str, second: &str| {
        format!(
            "[[upstream]]\naddress = \"https://a.example\"\n{first}\n[[upstream]]\naddress = \"https://a.example\"\n{second}"
        )
    };
    one_fault(
        &pair("name = \"x\"", "name = \"y\""),
        "upstream[1].hosts",
        "every host to this upstream and to x as well",
    );
    one_fault(
        &pair("hosts = [\"a\"]", "name = \"a.example\""),
        "upstream[1].name",
        "is taken by another",
    );
    one_fault(
        &pair("hosts = [\"a\"]", "hosts = [\"b\"]"),
        "upstream[1].name",
        "same host for a name",
    );
    let shared = pair(
        "name = \"x\"\nhosts = [\"a\", \"b\"]",
        "name = \"y\"\nhosts = [\"B\"]",
    );
    one_fault(&shared, "upstream[1].hosts[0]", "is taken by upstream x");
    let many: Vec<String> = (0..65)
        .map(|n| format!("[[upstream]]\naddress = \"https://h{n}.example\"\nhosts = [\"h{n}\"]\n"))
        .collect();
    one_fault(&many.concat(), "upstream", "at most 64 are allowed");
}
