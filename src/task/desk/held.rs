//! Seats of calls that clients hold, as the store remembers them: a process that dies leaves its calls at work upstream, and
//! the next one is to know of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Desk;
use crate::limit::Mutex;
use crate::session::StoreError;
use crate::task::id::TaskId;
use crate::task::port::Seat;

/// How long a call waits for the store to note its seat: a store that hangs is to stop no call that needs none.
const NOTED: Duration = Duration::from_secs(2);
/// How long a store that fails is left alone.
const STORE_PAUSE: Duration = Duration::from_secs(5);
/// Seats that the store is told of at the same time: it writes them as one.
const AT_ONCE: usize = 64;

/// Seats that are free, and that the store still has: each stays here until the store has said that it is forgotten, whoever
/// asks it to and is cut short.
#[derive(Debug, Default)]
pub(super) struct Held {
    free: Mutex<BTreeSet<TaskId>>,
    more: Notify,
}

/// A call's seat, as the store remembers it. Dropped, it is free.
#[derive(Debug)]
pub struct Noted {
    desk: Arc<Desk>,
    id: TaskId,
    stays: bool,
}

impl Noted {
    /// Its name in the store.
    pub(in crate::task) const fn id(&self) -> TaskId {
        self.id
    }

    /// The process ends while the call is at work: the next one is to find its seat held.
    pub fn stay(&mut self) {
        self.stays = true;
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if !self.stays {
            self.desk.held.free.lock().insert(self.id);
            self.desk.held.more.notify_one();
        }
    }
}

impl Desk {
    /// Whether seats outlive the process.
    #[must_use]
    pub fn remembers(&self) -> bool {
        self.store.remembers()
    }

    /// Has the store note a seat, and waits until it has: before the first byte of its call goes up. A store that does not
    /// take it is in no call's way, and counts as lost.
    pub async fn note_seat(self: &Arc<Self>, seat: Seat) -> Noted {
        self.noted(&seat).await.0
    }

    /// The same, for one that nothing is to be sent without.
    ///
    /// # Errors
    /// When the store does not take it; then it is to forget it, should it have it all the same.
    pub(in crate::task) async fn keep_seat(
        self: &Arc<Self>,
        seat: &Seat,
    ) -> Result<Noted, StoreError> {
        let (noted, taken) = self.noted(seat).await;
        taken.map(|()| noted)
    }

    async fn noted(self: &Arc<Self>, seat: &Seat) -> (Noted, Result<(), StoreError>) {
        // First of all: it is given back though nobody waits to the end, or the store says no and has it.
        let noted = Noted {
            desk: self.clone(),
            id: seat.id,
            stays: false,
        };
        let taken = timeout(NOTED, self.store.take_seat(seat)).await;
        let taken = taken.unwrap_or_else(|_| {
            Err(StoreError {
                lasting: false,
                what: format!("the store did not note a seat within {} s", NOTED.as_secs()),
            })
        });
        self.standing.heard(&taken);
        (noted, taken)
    }

    /// Has the store forget seats that are free, for as long as this is polled.
    pub async fn forget_seats(&self) {
        loop {
            self.held.more.notified().await;
            while !self.forget_free_seats().await {
                tokio::time::sleep(STORE_PAUSE).await;
            }
        }
    }

    /// Has the store forget the seats that are free by now. False where it does not take that.
    pub async fn forget_free_seats(&self) -> bool {
        loop {
            let some: Vec<TaskId> = {
                let free = self.held.free.lock();
                free.iter().take(AT_ONCE).copied().collect()
            };
            if some.is_empty() {
                return true;
            }
            if !self.forget_these(some).await {
                return false;
            }
        }
    }

    async fn forget_these(&self, some: Vec<TaskId>) -> bool {
        let mut asked = JoinSet::new();
        for id in some {
            let store = self.store.clone();
            asked.spawn(async move { (id, store.free_seat(id).await) });
        }
        let mut all = true;
        while let Some(said) = asked.join_next().await {
            match said {
                Ok((id, Ok(()))) => {
                    self.held.free.lock().remove(&id);
                }
                Ok((_, Err(error))) => {
                    self.standing.heard::<()>(&Err(error));
                    all = false;
                }
                Err(_) => all = false,
            }
        }
        all
    }
}
