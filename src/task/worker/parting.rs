//! A call is over for the task, which is not: it was not executed, or nobody knows what it did.

use std::time::Duration;

use tokio::time::Instant;

use super::ghosts::Lost;
use super::job::Job;
use super::run::Up;
use crate::admit::Claim;
use crate::task::desk::Change;
use crate::task::port::SeatChange;
use crate::task::record::Mode;
use crate::task::state::Event;

impl Job {
    /// Sends the task back to its line: it was not executed. Its units are given back at once, and how long it held them
    /// tells nobody how long calls take.
    pub(super) async fn send_back(&self, rest: Duration, claim: Option<Claim>) {
        drop(claim);
        let change = Change {
            seat: SeatChange::Free,
            not_before: Some(self.works.desk.now().after(rest)),
            mode: Some(Mode::Queued),
            ..Change::default()
        };
        self.works
            .settle(self.id, Event::Refused, change, None)
            .await;
    }

    /// The upstream has ended the call by its own word, though nobody knows what it had done by then: it takes no seat
    /// there any more. Were it held all the same, one restart of the upstream would shut its blocking calls out for as
    /// long as the longest may take.
    pub(super) async fn closed(&self, up: Up) {
        let change = Change {
            seat: SeatChange::Free,
            ..Change::default()
        };
        self.works
            .settle(self.id, Event::Lost, change, Some(up.claim))
            .await;
    }

    /// Nobody knows what became of the call: it is left behind with its seats.
    pub(super) async fn leave(&mut self, up: Up) {
        self.haunt(up);
        let seen = self.works.desk.watch(self.id);
        let record = seen.map(|seen| seen.borrow().clone());
        if let Some(record) = record {
            self.lost(&record).await;
        }
    }

    pub(super) fn haunt(&self, up: Up) {
        let left = up.hard.saturating_duration_since(Instant::now());
        let seats = up.claim.leave_behind((self.works.clock)());
        let lost = Lost {
            id: self.id,
            number: up.number,
            of: None,
            upstream: up.upstream.name().clone(),
            since: Some(up.since),
            until: self.works.desk.now().after(left),
        };
        self.works.haunt(lost, seats, left);
    }
}
