//! The viewer's own tasks, the newest first, page by page.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::percent_decode_str;

use super::headers::{JSON, of};
use super::teller::Teller;
use super::words::Asked;
use crate::answer::Answer;
use crate::session::StoreError;
use crate::task::id::TaskId;
use crate::task::port::Filter;
use crate::task::record::{Record, Viewer};
use crate::task::state::State;

const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;
/// First byte of a page token: how the rest is written.
const FORM: u8 = 1;

/// What of the list is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) state: Option<State>,
    pub(super) upstream: Option<String>,
    /// Whose they are: for those who see tasks of others.
    pub(super) owner: Option<String>,
    /// The `X-Request-ID` that they were asked for with.
    pub(super) request_id: Option<Arc<str>>,
    pub(super) most: usize,
    pub(super) before: Option<TaskId>,
}

impl Teller {
    /// The viewer's tasks.
    pub(super) async fn list(&self, asked: &Asked<'_>, viewer: &Viewer) -> Answer {
        let wanted = match Wanted::of(asked.query.unwrap_or_default()) {
            Ok(wanted) => wanted,
            Err(what) => return self.problem("bad-parameter", 400, &what),
        };
        let others = wanted.upstream.as_deref();
        if others.is_some_and(|upstream| *upstream != *viewer.upstream) {
            return self.page(&[], wanted.most, asked.base);
        }
        match self.own(&wanted, viewer).await {
            Ok(tasks) => self.page(&tasks, wanted.most, asked.base),
            Err(error) => self.store_away(&error),
        }
    }

    /// One more than is wanted, where there are more.
    pub(super) async fn own(
        &self,
        wanted: &Wanted,
        viewer: &Viewer,
    ) -> Result<Vec<Arc<Record>>, StoreError> {
        let most = wanted.most.saturating_add(1);
        let mut tasks = Vec::new();
        for owner in &viewer.owners {
            let filter = Filter {
                owner: Some(owner.clone()),
                upstream: Some(viewer.upstream.clone()),
                state: wanted.state,
                request_id: wanted.request_id.clone(),
            };
            tasks.extend(self.desk.list(&filter, wanted.before, most).await?);
        }
        tasks.sort_by_key(|task| Reverse(task.id));
        tasks.dedup_by_key(|task| task.id);
        tasks.truncate(most);
        Ok(tasks)
    }

    fn page(&self, tasks: &[Arc<Record>], most: usize, base: Option<&str>) -> Answer {
        let write = |task: &Record, out: &mut Vec<u8>| self.write(task, base, out);
        of(200, JSON, page(tasks, most, write))
    }
}

/// At most so many of `tasks`, and where the next page begins if there are more.
pub(super) fn page(
    tasks: &[Arc<Record>],
    most: usize,
    mut write: impl FnMut(&Record, &mut Vec<u8>),
) -> Vec<u8> {
    let shown = tasks.get(..most).unwrap_or(tasks);
    let mut out = Vec::with_capacity(64 + 1024 * shown.len());
    out.extend_from_slice(b"{\"tasks\":[");
    for (at, task) in shown.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(task, &mut out);
    }
    out.push(b']');
    if shown.len() < tasks.len()
        && let Some(last) = shown.last()
    {
        let token = token(last.id);
        out.extend_from_slice(format!(",\"next_page_token\":\"{token}\"").as_bytes());
    }
    out.push(b'}');
    out
}

impl Wanted {
    /// The newest of all.
    pub(super) const fn newest(most: usize) -> Self {
        Self {
            state: None,
            upstream: None,
            owner: None,
            request_id: None,
            most,
            before: None,
        }
    }

    pub(super) fn of(query: &str) -> Result<Self, String> {
        let mut wanted = Self::newest(PAGE);
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value);
            match decoded(name).as_ref() {
                "state" => wanted.state = Some(state(&value)?),
                "upstream" => wanted.upstream = Some(value.into_owned()),
                "request_id" => wanted.request_id = Some(value.into()),
                "owner" => wanted.owner = Some(value.into_owned()),
                "page_size" => wanted.most = size(&value)?,
                "page_token" => wanted.before = Some(place(&value)?),
                _ => {}
            }
        }
        Ok(wanted)
    }
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

fn state(name: &str) -> Result<State, String> {
    let known = State::ALL.into_iter().find(|state| state.as_str() == name);
    known.ok_or_else(|| {
        let names = State::ALL.map(State::as_str).join(", ");
        format!("state is none of {names}.")
    })
}

fn size(digits: &str) -> Result<usize, String> {
    let size = digits.parse().ok().filter(|_| !digits.starts_with('+'));
    let size = size.filter(|size| (1..=LARGEST_PAGE).contains(size));
    size.ok_or_else(|| format!("page_size is no number from 1 to {LARGEST_PAGE}."))
}

fn token(id: TaskId) -> String {
    let mut bytes = [FORM; 17];
    bytes
        .iter_mut()
        .skip(1)
        .zip(id.bytes())
        .for_each(|(to, from)| *to = from);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn place(token: &str) -> Result<TaskId, String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let bytes: Option<[u8; 16]> = bytes.and_then(|bytes| match bytes.split_first() {
        Some((&FORM, id)) => id.try_into().ok(),
        _ => None,
    });
    let id = bytes.map(TaskId::from_bytes);
    id.ok_or_else(|| "page_token is none that the list gave.".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_read_and_what_is_not_known_is_ignored() {
        let id = TaskId::from_bytes([7; 16]);
        let query = format!(
            "state=RUN%4eING&upstream=vc%31&page_size=7&x=y&request_id=a%2Fb&page_token={}",
            token(id)
        );
        let wanted = Wanted {
            state: Some(State::Running),
            upstream: Some("vc1".to_owned()),
            owner: None,
            request_id: Some("a/b".into()),
            most: 7,
            before: Some(id),
        };
        assert_eq!(Wanted::of(&query), Ok(wanted));
        assert_eq!(Wanted::of("").map(|wanted| wanted.most), Ok(100));
    }

    #[test]
    fn wrong_values_are_told() {
        for (query, about) in [
            ("state=running", "PARTIAL_SUCCESS"),
            ("state", "SCHEDULED"),
            ("page_size=0", "from 1 to 1000"),
            ("page_size=1001", "from 1 to 1000"),
            ("page_size=%2B1", "from 1 to 1000"),
            ("page_size=", "from 1 to 1000"),
            ("page_token=", "page_token"),
            ("page_token=AAAA", "page_token"),
            ("page_token=!", "page_token"),
        ] {
            let told = Wanted::of(query).unwrap_err();
            assert!(told.contains(about), "{query}: {told}");
        }
    }
}
