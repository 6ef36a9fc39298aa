//! What the upstream says to a call that asks for its own task.

use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;

use crate::config::HostHeader;
use crate::dialect::adapter::{Answered, Started, started};
use crate::forward::OwnAnswer;
use crate::task::desk::Change;
use crate::task::port::SeatChange;
use crate::task::record::{Mode, Record};
use crate::task::state::Event;
use crate::task::worker::job::Job;
use crate::task::worker::native::Form;
use crate::task::worker::run::{Up, kept_in_doubt};

impl Job {
    /// Reads the answer to a call that went up by `form`.
    pub(in crate::task::worker) async fn begun(
        &mut self,
        record: &Arc<Record>,
        up: Up,
        form: &Form,
        answer: OwnAnswer,
    ) {
        let answered = Answered {
            status: answer.status,
            headers: &answer.headers,
            body: &answer.body,
        };
        let took = up.went.elapsed();
        let said = started(&form.native, &form.origin(), &answered, took, &hosts(&up));
        match said {
            Started::Answered => self.judge(record, up, answer).await,
            Started::Refused => self.refused(record, up, answer).await,
            Started::Handle(handle) => self.started(up, &handle).await,
            Started::NoSuchForm => self.formless(up, form).await,
            // It may be at work, and nobody can ask after it.
            Started::NoHandle => {
                self.doubtful = kept_in_doubt(&up, answer);
                self.leave(up).await;
            }
        }
    }

    async fn started(&self, up: Up, handle: &str) {
        let change = Change {
            seat: SeatChange::Free,
            mode: Some(Mode::Native),
            upstream_task: Some(Arc::from(handle)),
            ..Change::default()
        };
        self.works
            .settle(self.id, Event::Started, change, Some(up.claim))
            .await;
    }

    /// Nothing was executed: the call goes up again as it came, from its place in line.
    async fn formless(&self, up: Up, form: &Form) {
        let (upstream, adapter) = (up.upstream.name(), &form.adapter.name);
        tracing::info!(%upstream, %adapter, "the upstream does not have this form of its own: its blocking form is used");
        if let Some(own) = self.works.own.get(up.upstream.index()) {
            own.note_formless(form);
        }
        self.works.release(Some(up.claim));
        self.send_back(Duration::ZERO, None).await;
    }
}

/// The names by which the upstream was asked: where it writes whole URLs, it does so with one of them.
fn hosts(up: &Up) -> Vec<&str> {
    let config = up.upstream.config();
    let sent = match &config.host {
        HostHeader::Upstream => None,
        HostHeader::Name(name) => Some(name.as_str()),
        HostHeader::Client => up.asked.get(HOST).and_then(|host| host.to_str().ok()),
    };
    sent.into_iter().chain([&*config.address.host]).collect()
}
