//! How the store of tasks is doing, by what it said last.

use std::sync::Arc;

use super::Desk;
use crate::limit::Mutex;
use crate::session::StoreError;

/// What the store said of its last failure; nothing since it last took something.
#[derive(Debug, Default)]
pub(super) struct Standing {
    lost: Mutex<Option<String>>,
    /// How many wait for it to be readable, and what it said to the last of them.
    unread: Arc<Mutex<(usize, String)>>,
}

/// Somebody waits for the store to be readable, for as long as this is kept: no task is taken in.
#[derive(Debug)]
pub(in crate::task) struct Unread(Arc<Mutex<(usize, String)>>);

impl Drop for Unread {
    fn drop(&mut self) {
        let mut unread = self.0.lock();
        unread.0 = unread.0.saturating_sub(1);
        let is_over = unread.0 == 0;
        drop(unread);
        if is_over {
            tracing::info!("the store of tasks can be read again");
        }
    }
}

impl Standing {
    /// The store was asked to keep something.
    pub(super) fn heard<T>(&self, answer: &Result<T, StoreError>) {
        let failed = answer.as_ref().err().map(|error| error.what.clone());
        let mut lost = self.lost.lock();
        match (&*lost, &failed) {
            (None, Some(why)) => {
                tracing::error!(%why, "the store of tasks is lost: no task is taken in");
            }
            (Some(_), None) => tracing::info!("the store of tasks is back"),
            _ => {}
        }
        *lost = failed;
    }

    /// Why it counts as lost.
    pub(super) fn lost(&self) -> Option<String> {
        let lost = self.lost.lock().clone();
        lost.or_else(|| self.readable().err().map(|error| error.what))
    }

    /// The store cannot be read, and somebody waits until it can.
    pub(super) fn unread(&self, error: &StoreError) -> Unread {
        let mut unread = self.unread.lock();
        let is_first = unread.0 == 0;
        *unread = (unread.0 + 1, error.what.clone());
        drop(unread);
        if is_first {
            tracing::error!(why = %error.what, "the store of tasks cannot be read: no task is taken in");
        }
        Unread(self.unread.clone())
    }

    /// Whether it can be read, as far as is known.
    ///
    /// # Errors
    /// What it said to those who wait until it can.
    pub(super) fn readable(&self) -> Result<(), StoreError> {
        let unread = self.unread.lock();
        if unread.0 == 0 {
            return Ok(());
        }
        Err(StoreError {
            lasting: false,
            what: unread.1.clone(),
        })
    }
}

impl Desk {
    /// A request cannot be read, and is waited for as long as this is kept: no task is taken in meanwhile.
    pub(in crate::task) fn cannot_read(&self, error: &StoreError) -> Unread {
        self.standing.unread(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_as_lost_from_a_failure_until_it_takes_something() {
        let standing = Standing::default();
        assert_eq!(standing.lost(), None);
        let failed = StoreError {
            lasting: false,
            what: "disk full".to_owned(),
        };
        standing.heard::<()>(&Err(failed));
        assert_eq!(standing.lost().as_deref(), Some("disk full"));
        standing.heard(&Ok(1));
        assert_eq!(standing.lost(), None);
    }
}
