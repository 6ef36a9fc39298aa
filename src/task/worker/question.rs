//! Questions that the gate asks an upstream in the name of a task.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::asking::Asking;
use super::place::Standing;
use super::works::Works;
use crate::forward::{Carried, OwnAnswer};

impl Works {
    /// One answer to `asking`, with at most `most` bytes of body, under the limits of its class. A limit that is full for
    /// `patience`, or an upstream that is down as long, gives no answer either.
    pub(super) async fn answer(
        &self,
        asking: &Asking,
        body: Bytes,
        most: usize,
        patience: Duration,
    ) -> Option<OwnAnswer> {
        let standing = Standing {
            since: (self.clock)(),
            sent_back: false,
        };
        let claim = timeout(patience, self.admitted(asking, standing));
        let mut claim = claim.await.ok()?.ok()?;
        let carrier = asking.upstream.carrier(claim.socket_group()).await.ok()?;
        claim.dispatch((self.clock)()).ok()?;
        let freight = asking.freight(body);
        let within = asking.upstream.config().response_timeout;
        match timeout(within, carrier.carry(freight, most, &self.answers)).await {
            Ok(Carried::Answer(answer)) => {
                self.release(Some(claim));
                Some(answer)
            }
            _ => None,
        }
    }
}
