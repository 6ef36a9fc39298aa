//! How the store of tasks is doing, by what it said last.

use crate::limit::Mutex;
use crate::session::StoreError;

/// What the store said of its last failure; nothing since it last took something.
#[derive(Debug, Default)]
pub(super) struct Standing(Mutex<Option<String>>);

impl Standing {
    /// The store was asked to keep something.
    pub(super) fn heard<T>(&self, answer: &Result<T, StoreError>) {
        let failed = answer.as_ref().err().map(|error| error.what.clone());
        let mut lost = self.0.lock();
        if lost.is_some() != failed.is_some() {
            match &failed {
                Some(why) => {
                    tracing::error!(%why, "the store of tasks is lost: no task is taken in")
                }
                None => tracing::info!("the store of tasks is back"),
            }
        }
        *lost = failed;
    }

    /// Why it counts as lost.
    pub(super) fn lost(&self) -> Option<String> {
        self.0.lock().clone()
    }
}
