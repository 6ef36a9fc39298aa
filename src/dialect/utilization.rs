//! What a vCenter of 9.1 or later says of its own load: `GET /api/vcenter/utilization/…` (vSphere Automation API 9.1.0.0,
//! `Vcenter.Utilization.Proxies_list` and `Connections_list`).

use std::collections::BTreeMap;

use serde::Deserialize;

/// Path prefixes of the REST endpoint, as its proxy names them.
const OF_REST: [&str; 2] = ["/api", "/rest"];

/// How much of something is in use by everybody, and how much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// In use.
    pub active: u64,
    /// Most that is let in.
    pub most: u64,
}

#[derive(Deserialize)]
struct Proxies {
    proxies: Vec<Proxy>,
}

#[derive(Deserialize)]
struct Proxy {
    upstreams: Vec<Served>,
}

/// Routes that share one bound. The same name in several proxies is the same thing behind them.
#[derive(Deserialize)]
struct Served {
    name: String,
    routes: Vec<Route>,
    requests_back_pressure: BackPressure,
}

#[derive(Deserialize)]
struct Route {
    path: String,
}

#[derive(Deserialize)]
struct BackPressure {
    active_requests: u64,
    max_outstanding_requests: u64,
}

/// Requests at the REST endpoint, by the answer to `…/proxies`; `None` where it does not say.
#[must_use]
pub fn rest(body: &[u8]) -> Option<Load> {
    let said: Proxies = serde_json::from_slice(body).ok()?;
    let mut by_name: BTreeMap<&str, Load> = BTreeMap::new();
    let served = said.proxies.iter().flat_map(|proxy| &proxy.upstreams);
    for one in served.filter(|one| one.routes.iter().any(is_of_rest)) {
        let pressure = &one.requests_back_pressure;
        let load = by_name.entry(&one.name).or_insert(Load {
            active: 0,
            most: u64::MAX,
        });
        load.active = load.active.saturating_add(pressure.active_requests);
        load.most = load.most.min(pressure.max_outstanding_requests);
    }
    // Where REST is served in several parts, the one with the least room is what a call may meet.
    by_name
        .into_values()
        .filter(|load| load.most > 0)
        .min_by_key(|load| load.most.saturating_sub(load.active))
}

fn is_of_rest(route: &Route) -> bool {
    OF_REST.contains(&route.path.trim_end_matches('/'))
}

#[derive(Deserialize)]
struct Servers {
    servers: Vec<Server>,
}

#[derive(Deserialize)]
struct Server {
    ports: Vec<Port>,
    total_connections: u64,
    connection_limit: u64,
}

#[derive(Deserialize)]
struct Port {
    port: u64,
}

/// Connections of the server behind `port`, by the answer to `…/connections`; `None` where it does not say.
#[must_use]
pub fn connections(body: &[u8], port: u16) -> Option<Load> {
    let said: Servers = serde_json::from_slice(body).ok()?;
    let listens = |server: &&Server| server.ports.iter().any(|one| one.port == u64::from(port));
    let server = said.servers.iter().find(listens)?;
    (server.connection_limit > 0).then_some(Load {
        active: server.total_connections,
        most: server.connection_limit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the specification's example, with numbers.
    const PROXIES: &str = r#"{"proxies":[
        {"service":"envoy","upstreams":[
            {"name":"a","routes":[{"path":"/api","peers":[{"address":"10.0.0.9","active_requests":7}]}],
             "requests_back_pressure":{"active_requests":500,"max_outstanding_requests":550}},
            {"name":"b","routes":[{"path":"/sdk"}],
             "requests_back_pressure":{"active_requests":3,"max_outstanding_requests":4}}]},
        {"service":"sidecar","upstreams":[
            {"name":"a","routes":[{"path":"/rest/"}],
             "requests_back_pressure":{"active_requests":20,"max_outstanding_requests":600}}]}],
        "unknown_criteria":{"services":[]}}"#;
    const SERVERS: &str = r#"{"servers":[
        {"service":"vpxd","ports":[{"port":8085,"open_connections":9,"peers":[]}],
         "total_connections":9,"connection_limit":100},
        {"service":"envoy","ports":[{"name":"https","port":443,"open_connections":1500,"peers":[]},
                                     {"port":80,"open_connections":10,"peers":[]}],
         "total_connections":1510,"connection_limit":2048}]}"#;

    #[test]
    fn what_serves_rest_is_added_up_over_proxies() {
        let load = Load {
            active: 520,
            most: 550,
        };
        assert_eq!(rest(PROXIES.as_bytes()), Some(load));
    }

    #[test]
    fn connections_are_those_of_the_port_that_is_asked() {
        let load = Load {
            active: 1510,
            most: 2048,
        };
        assert_eq!(connections(SERVERS.as_bytes(), 443), Some(load));
        assert_eq!(connections(SERVERS.as_bytes(), 8443), None);
    }

    #[test]
    fn what_says_nothing_is_nothing() {
        for body in ["", "[]", "{}", r#"{"proxies":[]}"#, r#"{"servers":[]}"#] {
            assert_eq!(rest(body.as_bytes()), None, "{body}");
            assert_eq!(connections(body.as_bytes(), 443), None, "{body}");
        }
    }
}
