//! Asking the upstream to take its task back.

use std::time::Duration;

use tokio::time::Instant;

use super::follow::Trail;
use crate::dialect::adapter::{cancel_deletes, cancel_request, is_canceled};
use crate::task::desk::Change;
use crate::task::state::Event;
use crate::task::worker::job::Job;
use crate::task::worker::pause::back_off;

/// Attempts to be heard.
const MOST: u32 = 5;
/// Statuses that say nothing of the task.
const NO_WORD: [u16; 4] = [401, 403, 408, 429];

/// How asking stands.
#[derive(Debug, Default)]
pub(super) struct Asking {
    failed: u32,
    next: Option<Instant>,
    is_heard: bool,
    /// It is deleted with that.
    is_gone: bool,
}

impl Asking {
    /// When to ask next; none where that is not to be done.
    pub(super) const fn next(&self) -> Option<Instant> {
        self.next
    }

    /// The upstream said that it takes the task back, and what is asked for is gone with that.
    pub(super) const fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// The task is to be taken back.
    pub(super) fn wanted(&mut self) {
        if !self.is_heard && self.next.is_none() {
            self.next = Some(Instant::now());
        }
    }
}

impl Job {
    /// Asks once more.
    pub(super) async fn take_back(&self, trail: &Trail, asking: &mut Asking) {
        asking.next = None;
        let followed = &trail.followed;
        let native = &followed.form.native;
        let request = cancel_request(native, &followed.form.origin(), &followed.handle);
        let Some(request) = request else {
            return self.not_taken_back(asking).await;
        };
        let answer = self.works.ask(followed, request).await;
        match answer.map(|answer| answer.status) {
            Some(status) if is_canceled(native, status) => {
                asking.is_heard = true;
                asking.is_gone = cancel_deletes(native);
                trail.membership.hurry();
            }
            // It is not there: polls tell what that means.
            Some(404 | 410) => {
                asking.is_heard = true;
                trail.membership.hurry();
            }
            Some(status @ 400..=499) if !NO_WORD.contains(&status) => {
                self.not_taken_back(asking).await;
            }
            _ if asking.failed >= MOST => self.not_taken_back(asking).await,
            _ => {
                asking.failed += 1;
                let pause = back_off(asking.failed, self.works.spread.next());
                asking.next = Some(Instant::now() + pause.min(Duration::from_mins(1)));
            }
        }
    }

    /// The upstream goes on with it.
    async fn not_taken_back(&self, asking: &mut Asking) {
        *asking = Asking::default();
        self.works
            .desk
            .show(self.id, |live| live.cancelable = false);
        self.works
            .settle(self.id, Event::CancelRefused, Change::default(), None)
            .await;
    }
}
