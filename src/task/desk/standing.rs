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
        self.0.lock().clone()
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
