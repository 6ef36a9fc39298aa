//! A gate with few seats in front of the model upstream, and calls that stand in its line.

use tidegate::app::{Options, Running};
use tidegate::observe::LimitRow;

use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::support::{all_given_back, gate_with, limit, until, with_listen};

/// A line that no test fills, and in which nobody's time is up.
pub const LONG: &str = "line = 5000, per_user = 5000, at_most = \"300s\"";

/// A limit of so many calls in flight, and the line before it.
pub fn seats(limit: u64, wait: &str) -> String {
    format!(
        "[upstream.limits.calls]\ncounts = \"requests_in_flight\"\nlimit = {limit}\n\
         wait = {{ {wait} }}\n"
    )
}

/// A request without a body, from this address.
pub fn get(target: &str, from: &str) -> String {
    get_with(target, &format!("X-Forwarded-For: {from}\r\n"))
}

/// A request without a body, with these lines in its head.
pub fn get_with(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

/// A gate, its upstream, and the calls that hold its seats.
pub struct Rig {
    pub origin: Origin,
    pub gate: Running,
    held: Vec<Client>,
}

impl Rig {
    pub async fn start(limits: &str) -> Self {
        Self::start_with("", limits, Options::default()).await
    }

    /// With more lines in `[listen]`, and what a configuration does not say.
    pub async fn start_with(listen: &str, limits: &str, options: Options) -> Self {
        let origin = Origin::start().await;
        let listen = format!(
            "trusted_proxies = [\"127.0.0.1/32\"]\nmax_connections = {{ http = 6000 }}\n{listen}"
        );
        let gate = gate_with(&with_listen(origin.address, &listen, limits), options);
        Self {
            origin,
            gate,
            held: Vec::new(),
        }
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.gate.http()[0]).await
    }

    pub fn row(&self, name: &str) -> LimitRow {
        limit(&self.gate.snapshot(), name)
    }

    /// Calls in the line of `calls`.
    pub fn waiting(&self) -> u64 {
        self.row("calls").waiting
    }

    pub async fn until_waiting(&self, calls: u64) {
        until(&format!("{calls} wait"), || self.waiting() == calls).await;
    }

    /// Takes every seat of `calls` by calls that run until they are let go.
    pub async fn fill(&mut self) {
        let seats = self.row("calls").limit;
        for _ in 0..seats {
            let mut client = self.client().await;
            client.send(get("/held/x?hold", "10.9.9.9")).await;
            self.held.push(client);
        }
        until("every seat is taken", || {
            self.origin.seen.running() == seats
        })
        .await;
    }

    /// Lets the calls of [`Rig::fill`] go, and reads their answers.
    pub async fn let_go(&mut self) {
        self.origin.release();
        for mut client in std::mem::take(&mut self.held) {
            assert_eq!(client.answer().await.unwrap().status, 200);
        }
    }

    /// One call more in line.
    pub async fn stand(&self, request: impl AsRef<[u8]>) -> Client {
        let before = self.waiting();
        let mut client = self.client().await;
        client.send(request).await;
        self.until_waiting(before + 1).await;
        client
    }

    /// What the upstream was asked for, but for the calls of [`Rig::fill`].
    pub fn asked(&self) -> Vec<String> {
        let mut targets = self.origin.seen.targets();
        targets.retain(|target| !target.starts_with("/held/"));
        targets
    }

    /// Nobody waits, nothing is held, and every counter says so.
    pub async fn all_back(&self) {
        all_given_back(&self.gate).await;
        let rows = self.gate.snapshot().limits;
        let waiting: Vec<_> = rows.iter().filter(|row| row.waiting > 0).collect();
        assert!(waiting.is_empty(), "{waiting:?}");
    }
}
