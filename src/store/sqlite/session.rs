//! Sessions as rows.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row};

use super::queue::{Way, Work};
use super::writer::Check;
use super::{Query, Sqlite};
use crate::call::{SessionKey, SessionKind, UserId};
use crate::session::{Change, Record, Sealed, SessionId, SessionStore, StoreError, User};

const LOAD: &str = "SELECT key, id, kind, upstream, user_id, user_name, address, opened, \
    last_used, adopted, sealed FROM session ORDER BY last_used DESC LIMIT ?";
const PUT: &str = "INSERT OR REPLACE INTO session (key, id, kind, upstream, user_id, user_name, \
    address, opened, last_used, adopted, sealed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const TOUCH: &str = "UPDATE session SET last_used = ? WHERE key = ?";
const REMOVE: &str = "DELETE FROM session WHERE key = ?";

/// Changes that go to the connection's thread at once: tasks wait for them.
const AT_ONCE: usize = 32;

#[async_trait]
impl SessionStore for Sqlite {
    async fn load(&self, most: usize) -> Result<Vec<Record>, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = sqlx::query(LOAD).bind(most).fetch_all(&self.readers).await;
        let records = rows.and_then(|rows| rows.iter().map(record).collect());
        self.told(records)
    }

    async fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
        self.ask(Way::Sessions, Changes(changes.to_vec())).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.ask(Way::Sessions, Check).await
    }

    async fn close(&self) {
        self.end().await;
    }
}

/// All of them, or none.
struct Changes(Vec<Change>);

#[async_trait]
impl Work for Changes {
    type Said = ();

    async fn run(&self, on: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        for alike in self
            .0
            .chunk_by(|one, next| statement(one) == statement(next))
        {
            for some in alike.chunks(AT_ONCE) {
                make(on, some).await?;
            }
        }
        Ok(())
    }
}

/// Makes changes that are alike, on one way to the connection's thread and back if there are enough of them.
async fn make(on: &mut SqliteConnection, changes: &[Change]) -> Result<(), sqlx::Error> {
    let Some(statement) = changes.first().map(statement) else {
        return Ok(());
    };
    if changes.len() == AT_ONCE {
        let sql = vec![statement; AT_ONCE].join("; ");
        let query = sqlx::query(AssertSqlSafe(sql));
        let query = changes.iter().fold(query, bound);
        return query.execute(on).await.map(drop);
    }
    for change in changes {
        let query = bound(sqlx::query(statement), change);
        query.execute(&mut *on).await?;
    }
    Ok(())
}

const fn statement(of: &Change) -> &'static str {
    match of {
        Change::Put(_) => PUT,
        Change::Touch(..) => TOUCH,
        Change::Remove(_) => REMOVE,
    }
}

fn bound<'a>(query: Query<'a>, change: &'a Change) -> Query<'a> {
    match change {
        Change::Put(record) => {
            let user = record.user.as_ref();
            query
                .bind(record.key.bytes().as_slice())
                .bind(record.id.number().cast_signed())
                .bind(record.kind.as_str())
                .bind(&*record.upstream)
                .bind(user.map(|user| user.id.bytes().as_slice()))
                .bind(user.map(|user| &*user.name))
                .bind(record.address.to_string())
                .bind(millis(record.opened))
                .bind(millis(record.last_used))
                .bind(record.adopted)
                .bind(record.sealed.as_ref().map(Sealed::bytes))
        }
        Change::Touch(key, used) => query.bind(millis(*used)).bind(key.bytes().as_slice()),
        Change::Remove(key) => query.bind(key.bytes().as_slice()),
    }
}

fn record(row: &SqliteRow) -> Result<Record, sqlx::Error> {
    let name: Option<&str> = row.try_get("user_name")?;
    let user = match (row.try_get("user_id")?, name) {
        (Some(id), Some(name)) => Some(User {
            id: UserId::new(sixteen("user_id", id)?),
            name: Arc::from(name),
        }),
        _ => None,
    };
    let kind = SessionKind::parse(row.try_get("kind")?);
    let address: &str = row.try_get("address")?;
    let address: Result<IpAddr, _> = address.parse();
    let sealed: Option<&[u8]> = row.try_get("sealed")?;
    Ok(Record {
        key: SessionKey::new(sixteen("key", row.try_get("key")?)?),
        id: SessionId::new(row.try_get::<i64, _>("id")?.cast_unsigned()),
        kind: kind.ok_or_else(|| unreadable("kind"))?,
        upstream: Arc::from(row.try_get::<&str, _>("upstream")?),
        user,
        address: address.map_err(|_| unreadable("address"))?,
        opened: time(row.try_get("opened")?),
        last_used: time(row.try_get("last_used")?),
        adopted: row.try_get("adopted")?,
        sealed: sealed.map(Sealed::new),
    })
}

fn sixteen(column: &str, bytes: &[u8]) -> Result<[u8; 16], sqlx::Error> {
    bytes.try_into().map_err(|_| unreadable(column))
}

/// The tables' own checks let no such row in: somebody else wrote it.
fn unreadable(column: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("a row of table session has no readable {column}").into())
}

/// Milliseconds since 1970; what lies before is 1970.
fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

fn time(millis: i64) -> SystemTime {
    let since = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    let time = SystemTime::UNIX_EPOCH.checked_add(since);
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}
