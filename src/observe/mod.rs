//! Station 6, what happened: one record per request becomes metrics and the access log.
//!
//! A worker hands each finished request to [`Meters::record`] and [`AccessLog::write`]; neither
//! blocks. What other rooms count themselves (units held, sockets open) is pulled as plain rows
//! when somebody looks: [`Snapshot`].

mod access;
mod ending;
mod line;
mod meters;
mod pulled;
mod record;
mod redact;
mod rows;
mod session_rows;
mod tally;
mod task_rows;
mod throttle;

pub use access::{AccessLog, LINES_WAITING};
pub use ending::{Ending, Phase, Who};
pub use meters::Meters;
pub use prometheus::{Error as MetersError, TEXT_FORMAT as METRICS_FORMAT};
pub use record::{Destination, Record};
pub use redact::target as redacted;
#[cfg(test)]
pub(crate) use rows::sample as sample_snapshot;
pub use rows::{Build, CertificateRow, LimitRow, ListenerRow, Snapshot, TopRow, UpstreamRow};
pub use session_rows::{SessionCount, SessionRow};
pub use task_rows::{Spread, TaskCount, WebhookCount};
pub use throttle::Throttle;
