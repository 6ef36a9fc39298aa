//! The stations hung on Pingora's phases, a line or two each.
//!
//! ```text
//!   early_request_filter      arrive::begin      who, when; over a connection limit?
//!   request_filter            arrive::admit      where to, what class, claim of the stack   → refusal
//!                             desk_door::serve   what is asked of tasks: the gate's own to answer
//!                             faces::attend      the same by a vendor's own paths
//!                             convert::consider  a blocking call that becomes a task        → 202
//!   upstream_peer             sent_back::readmit of a call that went back
//!                             blackout::ready    is it there? else units given back, held, claimed anew
//!                             held_seat::note    a blocking call is remembered, should the gate die
//!                             onward::dial       a socket under the caps
//!   upstream_request_filter   onward::request    headers up
//!   request_body_filter       body::request      sizes and deadlines of the body
//!   upstream_response_filter  sent_back::…       a refusal: limits shrink, the call goes back in line
//!                             onward::response   end of the response, cap by Content-Length
//!   response_filter           onward::answer     headers back
//!   …_filter of heads, bodies faces::…           the gate's tasks beside the upstream's in its list
//!   upstream_response_body…   body::response     cap while streaming
//!   fail_to_proxy             fail::answer       what went wrong, in words
//!   logging, or Stage::drop   stage::finish      one record; every unit given back
//! ```

mod arrive;
mod base;
mod blackout;
mod body;
mod caller;
mod convert;
mod desk_door;
mod faces;
mod fail;
mod held_seat;
mod judge;
mod line;
mod onward;
mod orphan;
mod outcome;
mod own_call;
mod patience;
mod per_address;
mod person;
mod route;
mod said;
mod sent_back;
mod sessions;
mod shared;
mod stage;
mod tasks;
mod trial;
mod verify;
mod write;

pub use own_call::LoggedIn;
pub use patience::terms;
pub use route::{Hosts, RouteFault};
pub use sessions::{Asking, Home, Page, People, Question, Sessions};
pub use shared::{Hook, Probe, Settings, Shared};
pub use tasks::Tasks;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora_core::modules::http::HttpModules;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use stage::Stage;

/// The proxy of one worker thread.
#[derive(Debug)]
pub struct Gate {
    shared: Arc<Shared>,
    worker: usize,
}

impl Gate {
    /// The proxy of thread number `worker`.
    #[must_use]
    pub fn new(shared: Arc<Shared>, worker: usize) -> Self {
        Self { shared, worker }
    }
}

#[async_trait]
impl ProxyHttp for Gate {
    /// Boxed: Pingora moves it from one future into the next.
    type CTX = Box<Stage>;

    fn new_ctx(&self) -> Box<Stage> {
        Box::new(Stage::new(self.shared.clone()))
    }

    /// None: the compression module that Pingora would add does nothing here but cost time.
    fn init_downstream_modules(&self, _: &mut HttpModules) {}

    async fn early_request_filter(
        &self,
        session: &mut Session,
        stage: &mut Box<Stage>,
    ) -> Result<()> {
        arrive::begin(session, stage);
        self.shared.probe(Hook::Begin);
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, stage: &mut Box<Stage>) -> Result<bool> {
        let answered = arrive::admit(session, stage).await?;
        self.shared.probe(Hook::Admitted);
        Ok(answered)
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        stage: &mut Box<Stage>,
    ) -> Result<Box<HttpPeer>> {
        // All are rare, and boxed so as not to make the future of every request larger.
        if stage.back.sent.is_some() {
            Box::pin(sent_back::readmit(session, stage)).await?;
        }
        let is_anew =
            blackout::concerns(stage) && Box::pin(blackout::ready(session, stage)).await?;
        if held_seat::concerns(stage) {
            Box::pin(held_seat::note(stage)).await;
        }
        self.shared.probe(Hook::Dial);
        onward::dial(self.worker, session, stage, is_anew)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        head: &mut RequestHeader,
        stage: &mut Box<Stage>,
    ) -> Result<()> {
        onward::request(session, head, stage)?;
        self.shared.probe_at(Hook::RequestHead, stage.dispatched);
        Ok(())
    }

    async fn request_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        stage: &mut Box<Stage>,
    ) -> Result<()> {
        self.shared.probe(Hook::RequestBody);
        body::request(body.as_ref(), end, stage)?;
        faces::body_up(body, end, stage);
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        stage: &mut Box<Stage>,
    ) -> Result<()> {
        self.shared.probe(Hook::ResponseHead);
        if sent_back::concerns(head, stage) {
            Box::pin(sent_back::consider(session, head, stage)).await?;
        }
        onward::response(session, head, stage)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        stage: &mut Box<Stage>,
    ) -> Result<()> {
        onward::answer(session, head, stage)?;
        if stage.listing.is_some() {
            Box::pin(faces::head_down(session, head, stage)).await?;
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        stage: &mut Box<Stage>,
    ) -> Result<Option<Duration>> {
        faces::body_down(body, end, stage);
        Ok(None)
    }

    fn upstream_response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        stage: &mut Box<Stage>,
    ) -> Result<Option<Duration>> {
        self.shared.probe(Hook::ResponseBody);
        body::response(body.as_ref(), end, stage)?;
        Ok(None)
    }

    fn fail_to_connect(
        &self,
        session: &mut Session,
        _: &HttpPeer,
        stage: &mut Box<Stage>,
        error: Box<Error>,
    ) -> Box<Error> {
        fail::unconnected(session, error, stage)
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        stage: &mut Box<Stage>,
        _: bool,
    ) -> Box<Error> {
        if stage.back.sent.is_some() {
            error.set_retry(true);
            return error;
        }
        fail::broken(session, error, stage)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        stage: &mut Box<Stage>,
    ) -> FailToProxy {
        fail::answer(session, error, stage).await
    }

    /// Failures are in the access log, by letters, and counted: a line more would only flood the log.
    fn suppress_error_log(&self, _: &Session, _: &Box<Stage>, _: &Error) -> bool {
        true
    }

    /// Nor of attempts: what was not had is counted, and what was sent twice stands in the access log.
    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Box<Stage>,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, stage: &mut Box<Stage>) {
        self.shared.probe(Hook::End);
        stage.finish(session, error);
    }
}
