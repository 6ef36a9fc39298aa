//! A live Prometheus on a port of its own, with its store in a folder of its own; killed when dropped.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::gate::{Process, address, said};
use crate::support::client::Client;
use crate::support::until;
use crate::{files, folder, tool};

pub struct Prometheus {
    client: Client,
    _process: Process,
    _store: Store,
}

/// Fields are dropped in their order: the process is gone before its store.
struct Store(PathBuf);

impl Drop for Store {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Prometheus {
    /// Scrapes `gate` every second, and follows the project's rules as often.
    pub async fn start(name: &str, gate: SocketAddr) -> Self {
        let folder = folder(name);
        let (file, store) = (folder.join("prometheus.yml"), folder.join("store"));
        let rules: Vec<String> = files("prometheus")
            .iter()
            .map(|file| format!("  - {}\n", file.display()))
            .collect();
        let text = format!(
            "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files:\n{}scrape_configs:\n\
             - job_name: tidegate\n  static_configs:\n  - targets: [\"{gate}\"]\n",
            rules.concat()
        );
        std::fs::write(&file, text).unwrap();
        let child = Command::new(tool("TIDEGATE_PROMETHEUS"))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", store.display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut process = Process(child);
        let log = said(process.0.stderr.take().unwrap());
        let text = || log.lock().unwrap().clone();
        until("Prometheus stands, or says why not", || {
            let ended = process.0.try_wait().unwrap().is_some();
            text().contains("Server is ready to receive web requests") || ended
        })
        .await;
        let web = address(&text(), "msg=\"Listening on\" address=");
        Self {
            client: Client::connect(web).await,
            _process: process,
            _store: Store(store),
        }
    }

    async fn get(&mut self, target: &str) -> Value {
        let json = self.client.get(target).await.json();
        assert_eq!(json["status"], "success", "{target}: {json}");
        json["data"].clone()
    }

    /// The samples of `query` now.
    pub async fn samples(&mut self, query: &str) -> Vec<f64> {
        let target = format!("/api/v1/query?query={}", encoded(query));
        let data = self.get(&target).await;
        assert_eq!(data["resultType"], "vector", "{query}");
        let series = data["result"].as_array().unwrap().iter();
        series
            .map(|one| one["value"][1].as_str().unwrap().parse().unwrap())
            .collect()
    }

    /// The values of `label` among `series`.
    pub async fn values(&mut self, series: &str, label: &str) -> Vec<String> {
        let series = encoded(series);
        let target = format!("/api/v1/label/{label}/values?match%5B%5D={series}");
        let data = self.get(&target).await;
        serde_json::from_value(data).unwrap()
    }

    /// Every rule, as Prometheus has read it.
    pub async fn rules(&mut self) -> Vec<Value> {
        let data = self.get("/api/v1/rules").await;
        let groups = data["groups"].as_array().unwrap().iter();
        groups
            .flat_map(|group| group["rules"].as_array().unwrap().clone())
            .collect()
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
