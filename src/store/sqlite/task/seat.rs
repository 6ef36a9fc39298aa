//! Seats that no task which can be read stands for.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use async_trait::async_trait;
use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Row};

use super::super::queue::Work;
use super::{millis, row, time};
use crate::call::{Caller, SessionKey, UserId};
use crate::task::{Millis, Seat, SeatOf};

const TAKE: &str =
    "INSERT OR REPLACE INTO seat (task, upstream, pool, until, held) VALUES (?, ?, ?, ?, ?)";
/// Of calls that clients held, and of tasks of which nothing else is left.
const ALONE: &str = "SELECT task AS id, upstream, pool, until, held FROM seat \
     WHERE NOT EXISTS (SELECT 1 FROM task WHERE task.id = seat.task)";
/// Of what is at work, or holds a seat.
const AT_WORK: &str = "(SELECT until FROM seat WHERE seat.task = task.id) AS until, \
     (SELECT pool FROM seat WHERE seat.task = task.id) AS pool FROM task \
     WHERE id IN (SELECT task FROM seat) OR state NOT IN \
     ('SCHEDULED', 'COMPLETED', 'FAILED', 'ABORTED', 'PARTIAL_SUCCESS', 'EXPIRED')";

/// Who took a seat, as it is kept.
#[derive(Serialize, Deserialize)]
struct Taken {
    limits: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(default)]
    privileged: bool,
    address: IpAddr,
    since: u64,
}

/// A call that a client holds takes its seat.
pub(super) struct TakeSeat(pub(super) Seat);

#[async_trait]
impl Work for TakeSeat {
    type Said = ();

    async fn run(&self, on: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let seat = &self.0;
        let base64 = |bytes: &[u8; 16]| BASE64_STANDARD_NO_PAD.encode(bytes);
        let taken = Taken {
            limits: seat.limits.iter().map(ToString::to_string).collect(),
            user: seat.caller.user.as_ref().map(|user| base64(user.bytes())),
            session: seat.caller.session.as_ref().map(|key| base64(key.bytes())),
            privileged: seat.caller.privileged,
            address: seat.address,
            since: seat.since.unwrap_or_default().0,
        };
        let taken =
            serde_json::to_string(&taken).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let until = seat.until.unwrap_or(Millis(u64::MAX));
        let query = sqlx::query(TAKE)
            .bind(seat.id.bytes().to_vec())
            .bind(&*seat.upstream)
            .bind(seat.limits.first().map_or("", |name| &**name))
            .bind(millis(until))
            .bind(taken);
        query.execute(on).await.map(drop)
    }
}

/// Every seat that no task which can be read stands for. What cannot be read is reported.
pub(super) async fn lone(from: &SqlitePool, path: &str) -> Result<Vec<Seat>, sqlx::Error> {
    let mut seats = Vec::new();
    for row in sqlx::query(ALONE).fetch_all(from).await? {
        seats.push(alone(&row, path)?);
    }
    let sql = format!("SELECT {}, {AT_WORK}", row::COLUMNS);
    for row in sqlx::query(AssertSqlSafe(sql)).fetch_all(from).await? {
        if let Err(error) = row::record(&row) {
            let id = row::id(row.try_get("id")?)?;
            tracing::error!(store = path, task = %id, %error, "the row of a task that may be at work cannot be read");
            seats.push(unreadable(&row)?);
        }
    }
    Ok(seats)
}

fn alone(row: &SqliteRow, path: &str) -> Result<Seat, sqlx::Error> {
    let held: Option<String> = row.try_get("held")?;
    let taken = held.and_then(|held| serde_json::from_str::<Taken>(&held).ok());
    let seat = unreadable(row)?;
    let Some(taken) = taken else {
        tracing::error!(store = path, id = %seat.id, "the row of a seat cannot be read, or its task is not there any more");
        return Ok(seat);
    };
    let hash = |text: Option<String>| text.and_then(|text| row::array(&text).ok());
    Ok(Seat {
        of: SeatOf::Call,
        limits: taken.limits.into_iter().map(Arc::from).collect(),
        caller: Caller {
            user: hash(taken.user).map(UserId::new),
            session: hash(taken.session).map(SessionKey::new),
            privileged: taken.privileged,
        },
        address: taken.address,
        since: Some(Millis(taken.since)),
        ..seat
    })
}

/// What columns alone say.
fn unreadable(row: &SqliteRow) -> Result<Seat, sqlx::Error> {
    let pool: Option<String> = row.try_get("pool")?;
    let until: Option<i64> = row.try_get("until")?;
    let upstream: String = row.try_get("upstream")?;
    Ok(Seat {
        id: row::id(row.try_get("id")?)?,
        of: SeatOf::Unreadable,
        upstream: upstream.into(),
        limits: pool
            .filter(|pool| !pool.is_empty())
            .into_iter()
            .map(Arc::from)
            .collect(),
        caller: Caller::default(),
        address: Ipv4Addr::UNSPECIFIED.into(),
        since: None,
        until: until.map(time),
    })
}
