//! The operator's door of a running gate.

use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::support::{gate, plain};

const LIMITS: &str =
    "[upstream.limits.request_rate]\ncounts = \"requests\"\nlimit = 2\nwindow = \"1h\"";

#[tokio::test]
async fn limits_connections_metrics_and_config_tell_what_happened() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, LIMITS));
    let mut client = Client::connect(gate.http()[0]).await;
    for status in [200, 200, 429] {
        assert_eq!(client.get("/api/x").await.status, status);
    }
    let mut admin = Client::connect(gate.admin()).await;
    assert_eq!(admin.get("/healthz").await.body, b"ok");
    assert_eq!(admin.get("/readyz").await.status, 200);
    let limits = admin.get("/limits").await.json();
    let rate = limits["limits"]
        .as_array()
        .unwrap()
        .iter()
        .find(|l| l["name"] == "request_rate");
    let rate = rate.unwrap();
    assert_eq!(rate["upstream"], "up");
    assert_eq!(
        (&rate["in_use"], &rate["admitted"], &rate["refused"]),
        (&2.into(), &2.into(), &1.into())
    );
    let connections = admin.get("/connections").await.json();
    assert_eq!(connections["upstreams"][0]["idle"], 1);
    assert_eq!(connections["listeners"][0]["open"], 1);
    let metrics = String::from_utf8(admin.get("/metrics").await.body).unwrap();
    for line in [
        r#"tidegate_requests_total{class="rest",method="GET",status="200",upstream="up"} 2"#,
        r#"tidegate_requests_total{class="rest",method="GET",status="429",upstream="up"} 1"#,
        r#"tidegate_limit_refused_total{limit="request_rate",reason="full",upstream="up"} 1"#,
        r#"tidegate_audit_mismatch{limit="request_rate",upstream="up"} 0"#,
        r#"tidegate_upstream_connections{upstream="up"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    assert_eq!(
        admin.get("/config").await.json()["upstream"][0]["name"],
        "up"
    );
    assert_eq!(admin.get("/nothing").await.status, 404);
}

#[tokio::test]
async fn heads_that_die_before_the_proxy_sees_them_are_counted() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, LIMITS));
    let mut bad = Client::connect(gate.http()[0]).await;
    bad.send("GET /api/x HTTP/1.1\nHost: a\n\n").await;
    assert_eq!(bad.answer().await.unwrap().status, 400);
    let mut admin = Client::connect(gate.admin()).await;
    let metrics = String::from_utf8(admin.get("/metrics").await.body).unwrap();
    let line =
        r#"tidegate_requests_total{class="other",method="other",status="400",upstream=""} 1"#;
    assert!(metrics.lines().any(|seen| seen == line), "{metrics}");
}
