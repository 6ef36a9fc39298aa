//! What is asked about tasks.

use std::sync::Arc;

use bytes::Bytes;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Row};

use super::super::Query;
use super::{answer, limit, millis, row, time, write};
use crate::task::{
    Answer, Filter, Found, Hook, Kept, Key, Millis, Owner, Record, State, Submitted, TaskId,
    Tombstone,
};

const LEFT_OF_GONE: &str = "SELECT owner, upstream FROM tombstone WHERE task = ?";
const REQUEST: &str = "SELECT sealed AS bytes, (SELECT bytes FROM body WHERE task = ?1 AND part = ?2) AS beside \
     FROM task WHERE id = ?1";
const ANSWER: &str = "SELECT answer_head AS head, answer AS bytes, \
     (SELECT bytes FROM body WHERE task = ?1 AND part = ?2) AS beside FROM task WHERE id = ?1";
const DUE: &str =
    "SELECT id, task, url, body, next, tries FROM outbox WHERE next <= ? ORDER BY next, id LIMIT ?";
const NEXT: &str = "SELECT min(next) FROM outbox";
/// Rows that are not there for their seat alone.
const SHOWN: &str = "expires IS NOT 0";
const TASK_OF: &str = "SELECT id FROM task WHERE upstream_task = ? AND upstream = ? LIMIT 1";
/// Behind every id.
const LAST: [u8; 17] = [0xff; 17];

pub(super) async fn task(from: &SqlitePool, id: TaskId) -> Result<Found, sqlx::Error> {
    let sql = format!("SELECT {} FROM task WHERE id = ? AND {SHOWN}", row::COLUMNS);
    let bytes = id.bytes();
    let query = sqlx::query(AssertSqlSafe(sql)).bind(bytes.as_slice());
    if let Some(found) = query.fetch_optional(from).await? {
        return Ok(Found::Task(Arc::new(row::record(&found)?)));
    }
    let gone = sqlx::query(LEFT_OF_GONE).bind(bytes.as_slice());
    let left = gone.fetch_optional(from).await?;
    let left = left.as_ref().map(tombstone).transpose()?;
    Ok(left.map_or(Found::Nothing, Found::Gone))
}

fn tombstone(row: &SqliteRow) -> Result<Tombstone, sqlx::Error> {
    let upstream: Option<&str> = row.try_get("upstream")?;
    Ok(Tombstone {
        owner: Owner(Arc::from(row.try_get::<&str, _>("owner")?)),
        upstream: upstream.map(Arc::from),
    })
}

pub(super) async fn task_of(
    from: &SqlitePool,
    upstream: &str,
    upstream_task: &str,
) -> Result<Option<TaskId>, sqlx::Error> {
    let query = sqlx::query_scalar(TASK_OF)
        .bind(upstream_task)
        .bind(upstream);
    let found: Option<Vec<u8>> = query.fetch_optional(from).await?;
    found.map(|id| row::id(&id)).transpose()
}

pub(super) async fn keyed(from: &SqlitePool, key: &Key) -> Result<Option<Submitted>, sqlx::Error> {
    let name = write::name(key);
    let query = sqlx::query(write::WHOSE_KEY).bind(name.as_slice());
    let taken = query.fetch_optional(from).await?;
    let said = taken.map(|taken| write::same_or_other(&taken, &key.fingerprint));
    said.transpose()
}

pub(super) async fn request(from: &SqlitePool, id: TaskId) -> Result<Option<Bytes>, sqlx::Error> {
    let id = id.bytes();
    let query = sqlx::query(REQUEST).bind(id.as_slice());
    let found = query.bind(write::REQUEST).fetch_optional(from).await?;
    found.map_or(Ok(None), |found| body(&found))
}

pub(super) async fn answer(from: &SqlitePool, id: TaskId) -> Result<Option<Answer>, sqlx::Error> {
    let bytes = id.bytes();
    let query = sqlx::query(ANSWER).bind(bytes.as_slice());
    let Some(found) = query.bind(write::ANSWER).fetch_optional(from).await? else {
        return Ok(None);
    };
    let Some(head) = found.try_get("head")? else {
        return Ok(None);
    };
    let whole = body(&found)?.and_then(|body| answer::answer(head, body));
    let whole =
        whole.ok_or_else(|| row::unreadable(format!("the answer of task {id} cannot be read")));
    whole.map(Some)
}

/// In the row, or beside it.
fn body(of: &SqliteRow) -> Result<Option<Bytes>, sqlx::Error> {
    let bytes: Option<Vec<u8>> = of.try_get("bytes")?;
    if bytes.is_some() {
        return Ok(bytes.map(Bytes::from));
    }
    let beside: Option<Vec<u8>> = of.try_get("beside")?;
    Ok(beside.map(Bytes::from))
}

/// The next of what is not over or holds a seat, behind `after`. What cannot be read is reported, and the rest goes on.
pub(super) async fn unfinished(
    from: &SqlitePool,
    after: Option<TaskId>,
    most: usize,
) -> Result<Vec<Kept>, sqlx::Error> {
    let states = row::open_states().map(|state| {
        format!("SELECT id FROM (SELECT id FROM task WHERE state = '{state}' AND id > ?1 ORDER BY id LIMIT ?2)")
    });
    let seats = "SELECT task FROM (SELECT task FROM seat WHERE task > ?1 AND held IS NULL ORDER BY task LIMIT ?2)";
    let ids: Vec<String> = states.chain([seats.to_owned()]).collect();
    let sql = format!(
        "SELECT {}, (SELECT until FROM seat WHERE seat.task = task.id) AS until FROM task \
         WHERE id IN ({}) ORDER BY id LIMIT ?2",
        row::COLUMNS,
        ids.join(" UNION ")
    );
    let start = after.map_or_else(Vec::new, |after| after.bytes().to_vec());
    let page = Page { from, most, start };
    let query = |start, most| {
        let query = sqlx::query(AssertSqlSafe(sql.clone()));
        query.bind(start).bind(most)
    };
    let kept = |row: &SqliteRow| {
        let until: Option<i64> = row.try_get("until")?;
        Ok(Kept {
            record: Arc::new(row::record(row)?),
            seat: until.map(time),
        })
    };
    page.read(query, kept).await
}

pub(super) async fn list(
    from: &SqlitePool,
    filter: &Filter,
    before: Option<TaskId>,
    most: usize,
) -> Result<Vec<Arc<Record>>, sqlx::Error> {
    let sql = list_sql(filter);
    let owner = filter.owner.as_ref().map(|owner| owner.0.to_string());
    let upstream = filter.upstream.as_deref().map(str::to_owned);
    let request_id = filter.request_id.as_deref().map(str::to_owned);
    let start = before.map_or_else(|| LAST.to_vec(), |before| before.bytes().to_vec());
    let page = Page { from, most, start };
    let query = |start, most| {
        let query = sqlx::query(AssertSqlSafe(sql.clone()))
            .bind(start)
            .bind(most);
        let query = query.bind(owner.clone()).bind(upstream.clone());
        query.bind(request_id.clone())
    };
    page.read(query, |row| row::record(row).map(Arc::new)).await
}

/// The newest by `filter` before `?1`, `?2` at most. An owner's are kept by state: the newest of each are looked at.
fn list_sql(filter: &Filter) -> String {
    let columns = row::COLUMNS;
    let rest = format!("{SHOWN} AND id < ?1 ORDER BY id DESC LIMIT ?2");
    let is_plain = filter.owner.is_none() || filter.upstream.is_none();
    if is_plain || filter.request_id.is_some() {
        let by_request = filter.request_id.as_ref().map(|_| "request_id = ?5 AND ");
        let by_owner = filter.owner.as_ref().map(|_| "owner = ?3 AND ");
        let by_upstream = filter.upstream.as_ref().map(|_| "upstream = ?4 AND ");
        let by_state = filter
            .state
            .map(|state| format!("state = '{}' AND ", state.as_str()));
        return format!(
            "SELECT {columns} FROM task WHERE {}{}{}{}{rest}",
            by_request.unwrap_or_default(),
            by_owner.unwrap_or_default(),
            by_upstream.unwrap_or_default(),
            by_state.unwrap_or_default(),
        );
    }
    let states = filter
        .state
        .map_or_else(|| State::ALL.to_vec(), |state| vec![state]);
    let of_each: Vec<String> = states
        .iter()
        .map(|state| {
            let state = state.as_str();
            format!("SELECT id FROM (SELECT id FROM task WHERE owner = ?3 AND upstream = ?4 AND state = '{state}' AND {rest})")
        })
        .collect();
    let ids = of_each.join(" UNION ALL ");
    format!("SELECT {columns} FROM task WHERE id IN ({ids}) ORDER BY id DESC LIMIT ?2")
}

/// Rows in the order of their ids, from one of them on.
struct Page<'a> {
    from: &'a SqlitePool,
    most: usize,
    start: Vec<u8>,
}

impl Page<'_> {
    /// As many as are wanted of those that can be read, if there are as many. The others are reported.
    async fn read<'q, T>(
        mut self,
        query: impl Fn(Vec<u8>, i64) -> Query<'q> + Send,
        read: impl Fn(&SqliteRow) -> Result<T, sqlx::Error> + Send,
    ) -> Result<Vec<T>, sqlx::Error> {
        let mut page = Vec::new();
        loop {
            let wanted = self.most - page.len();
            let rows = query(self.start, limit(wanted))
                .fetch_all(self.from)
                .await?;
            let Some(last) = rows.last() else {
                return Ok(page);
            };
            self.start = last.try_get("id")?;
            for row in &rows {
                match read(row) {
                    Ok(one) => page.push(one),
                    Err(error) => tracing::error!(%error, "a task of the store is left out"),
                }
            }
            if rows.len() < wanted || page.len() >= self.most {
                return Ok(page);
            }
        }
    }
}

pub(super) async fn due_hooks(
    from: &SqlitePool,
    now: Millis,
    most: usize,
) -> Result<Vec<Hook>, sqlx::Error> {
    let query = sqlx::query(DUE).bind(millis(now)).bind(limit(most));
    query.fetch_all(from).await?.iter().map(hook).collect()
}

fn hook(row: &SqliteRow) -> Result<Hook, sqlx::Error> {
    let tries: i64 = row.try_get("tries")?;
    Ok(Hook {
        id: row::id(row.try_get("id")?)?,
        task: row::id(row.try_get("task")?)?,
        url: Arc::from(row.try_get::<&str, _>("url")?),
        body: row.try_get::<Vec<u8>, _>("body")?.into(),
        next: time(row.try_get("next")?),
        tries: u32::try_from(tries).unwrap_or(u32::MAX),
    })
}

pub(super) async fn next_hook(from: &SqlitePool) -> Result<Option<Millis>, sqlx::Error> {
    let next: Option<i64> = sqlx::query_scalar(NEXT).fetch_one(from).await?;
    Ok(next.map(time))
}
