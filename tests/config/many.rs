//! Checking never stops at the first fault.

use crate::bad;

const TEN: &str = r#"
[listen]
http = ["127.0.0.1:8080", "nonsense"]
header_timeout = "fast"
max_connections = { http = -1, htps = 5 }

[runtime]
threads = "all"

[state]
url = "postgres://db/x"

[[upstream]]
name = "vc1"
address = "vcenter.example"
profile = "vcenter-8.0"

[upstream.limits.request_rate]
burst = 2000

[upstream.limits.logins]
counts = "logins"

[log]
levle = "info"
"#;

#[test]
fn a_file_with_ten_faults_reports_all_ten() {
    let faults = bad(TEN);
    let keys: Vec<_> = faults
        .as_slice()
        .iter()
        .map(|fault| fault.key.as_str())
        .collect();
    assert_eq!(
        keys,
        [
            "listen.http[1]",
            "listen.header_timeout",
            "listen.max_connections.http",
            "listen.max_connections.htps",
            "runtime.threads",
            "state.url",
            "upstream[0].address",
            "upstream[0].limits.request_rate.burst",
            "upstream[0].limits.logins.limit",
            "upstream[0].limits.logins.counts",
            "log.levle",
        ],
        "{faults}"
    );
    let lines: Vec<_> = faults
        .as_slice()
        .iter()
        .map(|fault| fault.place.line.unwrap())
        .collect();
    assert_eq!(lines, [3, 4, 5, 5, 8, 11, 15, 19, 21, 22, 25], "{faults}");
    assert!(
        faults
            .to_string()
            .starts_with("11 faults in the configuration:\n"),
        "{faults}"
    );
    assert_eq!(faults.to_string().lines().count(), 12);
}
