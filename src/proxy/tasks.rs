//! What the proxy needs to make tasks of calls and to answer for them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::convert::whole::ALL_BODIES;
use super::convert::{Looks, Running};
use super::verify::Verifier;
use crate::config::{Config, Interim};
use crate::limit::Memory;
use crate::task::api::Api;

/// What the proxy needs to make tasks of calls and to answer for them.
#[derive(Debug)]
pub struct Tasks {
    /// What clients ask of their tasks.
    pub api: Api,
    /// How the paths of the gate's own begin, as `/-/`.
    pub(super) beside: Box<str>,
    /// Largest body of a call that becomes a task.
    pub(super) max_body: u64,
    /// Longest `Prefer: wait`.
    pub(super) wait_max: Duration,
    /// What clients hear that wait for the answer of a task that they do not know of, and how often.
    pub(super) interim: (Interim, Duration),
    /// Longest run, where a route says nothing.
    pub(super) max_blocking: Duration,
    /// URLs that may be told of the end of a task begin so.
    pub(super) webhooks: Box<[String]>,
    /// `Idempotency-Key` is the gate's to read.
    pub(super) honours_keys: bool,
    /// Keys of calls that are held.
    pub(super) running: Running,
    /// Keys of calls that are being handed in.
    pub(super) arriving: Running,
    /// Memory for the bodies of these, and of what is asked of the API.
    pub(super) bodies: Memory,
    pub(super) verifier: Verifier,
    /// What changes at this moment by a call that is passed on, where it is looked at before: upstream and resource.
    pub(super) changing: Running,
    /// What was seen of such resources.
    pub(super) looks: Looks,
    refused: AtomicU64,
}

impl Tasks {
    /// As `config` says.
    #[must_use]
    pub fn new(config: &Config, api: Api) -> Self {
        let tasks = &config.tasks;
        let parent = tasks
            .prefix
            .rsplit_once('/')
            .map_or("", |(parent, _)| parent);
        Self {
            max_body: api.settings().max_body,
            api,
            beside: format!("{parent}/").into(),
            wait_max: tasks.wait_max,
            interim: (tasks.interim, tasks.interim_every),
            max_blocking: tasks.max_blocking,
            webhooks: tasks.webhooks.clone().into(),
            honours_keys: config.headers.idempotency_key,
            running: Running::default(),
            arriving: Running::default(),
            bodies: Memory::new(ALL_BODIES),
            verifier: Verifier::new(),
            changing: Running::default(),
            looks: Looks::default(),
            refused: AtomicU64::new(0),
        }
    }

    /// A number from 0 up to `most`, another each time: who is told to come back by it does not come with all others.
    pub(super) fn spread(&self, most: u64) -> u64 {
        self.refused.fetch_add(1, Ordering::Relaxed) % (most + 1)
    }
}
