//! The door to the task API: what is asked below its prefix goes to the desk, and never to an upstream.
//!
//! ```text
//!   whereto ─▶ a path of the gate's own, letter for letter? ─▶ body ─▶ who asks ─▶ Api ─┬─▶ an answer
//!               no: judged as any other call                          whose session?    └─▶ events, as they come
//! ```

mod events;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, Method};
use pingora_proxy::Session;

use super::arrive::refuse;
use super::caller::Look;
use super::convert::whole;
use super::person::{Person, Standing};
use super::said::{Said, Stop};
use super::shared::Shared;
use super::stage::Stage;
use super::{base, judge, line};
use crate::answer::Answer;
use crate::call::{Class, Spoken};
use crate::forward::Upstream;
use crate::observe::{Phase, Who};
use crate::task::Viewer;
use crate::task::api::{Asked, Reply};

/// Largest body of a request to the API, bytes.
const MOST: u64 = 64 * 1024;

/// Whether the request is for the API.
///
/// Only in plain spelling: what another reader may take for another path is an upstream's, and is judged as such.
pub(super) fn concerns(session: &Session, stage: &Stage) -> bool {
    let target = in_origin_form(session.req_header().raw_path());
    let tasks = &stage.shared.tasks;
    target.starts_with(tasks.beside.as_bytes()) && {
        let (path, _) = split(target);
        path.is_some_and(|path| is_plain(path) && tasks.api.owns(path))
    }
}

/// A target without the scheme and the authority that it may be written with (RFC 9112 section 3.2.2).
pub(super) fn in_origin_form(target: &[u8]) -> &[u8] {
    if target.first() == Some(&b'/') {
        return target;
    }
    let scheme = |scheme: &str| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start
            .eq_ignore_ascii_case(scheme.as_bytes())
            .then_some(rest)
    };
    let rest = scheme("http://").or_else(|| scheme("https://"));
    let rest = rest.unwrap_or_default();
    let path = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
    path.and_then(|at| rest.get(at..)).unwrap_or_default()
}

fn is_plain(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    path.bytes().all(is_plain)
        && !path.contains("//")
        && !path.split('/').any(|part| matches!(part, "." | ".."))
}

/// Path and query.
fn split(target: &[u8]) -> (Option<&str>, Option<&str>) {
    let text = std::str::from_utf8(target).ok();
    match text.and_then(|text| text.split_once('?')) {
        Some((path, query)) => (Some(path), Some(query)),
        None => (text, None),
    }
}

/// A request to the API, apart from its connection.
struct Request {
    method: Method,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    body: Bytes,
    base: Option<String>,
}

/// Answers a request for the API. What is whole is for the caller to write: that is the [`Stop`].
///
/// # Errors
/// The answer, or that the client is gone.
pub(super) async fn serve(
    session: &mut Session,
    stage: &mut Stage,
    upstream: &Upstream,
) -> Result<(), Stop> {
    (stage.class, stage.spoken) = (Class::Task, Spoken::Plain);
    let most = (MOST, "a request to the task API");
    let mut share = stage.shared.tasks.bodies.part();
    let body = whole::read(session, stage, BytesMut::new(), most, &mut share).await?;
    let request = Request::of(session, stage, body);
    let api = &stage.shared.clone().tasks.api;
    let person = if api.is_open(&request.path) {
        None
    } else {
        viewer(session, stage, upstream).await
    };
    let standing = person.as_ref().map(|person| person.standing);
    if standing == Some(Standing::Gone) {
        stage.who = Some(Who::Gate);
        let why = "the upstream does not know this session, or does not accept these credentials";
        return Err(Stop::Answer(api.problem("credentials-needed", 401, why)));
    }
    if standing == Some(Standing::Unasked) {
        return Err(Stop::Answer(in_doubt(stage)));
    }
    let viewer = person.map(|person| Viewer {
        upstream: upstream.name().clone(),
        owners: person.owners,
    });
    let is_list = api.is_list(&request.path);
    let asking = request.asked(stage.shared.clone(), viewer);
    let Some(reply) = line::watched(session, stage, asking).await? else {
        return Err(Stop::Answer(refuse(
            stage,
            408,
            "the body did not come to its end",
        )));
    };
    stage.phase = Phase::Finished;
    match reply {
        // There may be more that is the asker's.
        Reply::Whole(answer)
            if (is_list || is_nothing(&answer)) && standing == Some(Standing::Doubtful) =>
        {
            Err(Stop::Answer(in_doubt(stage)))
        }
        Reply::Whole(answer) => Err(Stop::Answer(answer)),
        Reply::Events(events) => events::send(session, stage, events).await,
    }
}

/// Whether it says that there is no such task. A result may be a 404 of the upstream's.
fn is_nothing(answer: &Answer) -> bool {
    let mut names = answer.headers.iter().map(|(name, _)| name.as_str());
    answer.status == 404 && !names.any(|name| name == "task-state")
}

/// It may be there, and the asker's: nobody could say who asks.
pub(super) fn in_doubt(stage: &mut Stage) -> Answer {
    stage.who = Some(Who::Upstream);
    crate::answer::not_now(
        "the upstream does not say at this moment whose this session is, or whether it accepts these credentials; come back",
        2,
    )
}

/// Everything that the asker has shown to be. Asking about a task is no use of the session that it is asked in.
pub(super) async fn viewer(
    session: &Session,
    stage: &Stage,
    upstream: &Upstream,
) -> Option<Person> {
    let shared = stage.shared.clone();
    let shown = {
        let home = shared.people.home(upstream.index())?;
        let look = Look {
            people: &shared.people,
            home,
            headers: &session.req_header().headers,
            query: None,
            class: Class::Task,
            spoken: Spoken::Plain,
            said: &Said::Unread,
            certificate: judge::certificate(stage),
            client: stage.client,
            now: shared.now(),
            uses: false,
        };
        Person::of(&look, &look.meet())
    };
    let (person, inquiry) = shown?;
    Some(person.verified(&shared, inquiry).await)
}

impl Request {
    fn of(session: &Session, stage: &Stage, body: Bytes) -> Self {
        let head = session.req_header();
        let (path, query) = split(in_origin_form(head.raw_path()));
        Self {
            method: head.method.clone(),
            path: path.unwrap_or_default().to_owned(),
            query: query.map(str::to_owned),
            headers: head.headers.clone(),
            body,
            base: base::of(session, stage),
        }
    }

    /// Asks the API. Once the gate is about to stop, what waits is answered as it is.
    async fn asked(mut self, shared: Arc<Shared>, viewer: Option<Viewer>) -> Reply {
        let api = &shared.tasks.api;
        let words = self.words();
        tokio::select! {
            biased;
            reply = api.answer(&words, viewer.as_ref()) => return reply,
            () = shared.leaves() => {}
        }
        self.headers.remove(HeaderName::from_static("prefer"));
        api.answer(&self.words(), viewer.as_ref()).await
    }

    fn words(&self) -> Asked<'_> {
        Asked {
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
            body: self.body.clone(),
            base: self.base.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_may_be_written_whole() {
        for (target, path) in [
            ("/-/tasks?a", "/-/tasks?a"),
            ("http://gate/-/tasks", "/-/tasks"),
            ("HTTPS://gate:1/-/tasks?a", "/-/tasks?a"),
            ("http://gate?/-/tasks", "?/-/tasks"),
            ("http://gate", ""),
            ("ftp://gate/-/tasks", ""),
            ("*", ""),
            ("", ""),
        ] {
            assert_eq!(
                in_origin_form(target.as_bytes()),
                path.as_bytes(),
                "{target}"
            );
        }
    }

    #[test]
    fn only_plain_spelling_is_the_gates_own() {
        for path in [
            "/-/tasks",
            "/-/tasks/01J/result",
            "/-/openapi.json",
            "/-/tasks/",
        ] {
            assert!(is_plain(path), "{path}");
        }
        for path in [
            "//-/tasks",
            "/-//tasks",
            "/-/tasks/../x",
            "/-/./tasks",
            "/-/%74asks",
            "/-/tasks;a=1",
            "/-/tasks\\x",
        ] {
            assert!(!is_plain(path), "{path}");
        }
    }
}
