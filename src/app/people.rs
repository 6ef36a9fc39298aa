//! Sessions while the gate runs: taken up from the store, written back, forgotten.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::whose;
use crate::admit::SessionUnits;
use crate::call::SessionKind;
use crate::config::{self, Config};
use crate::forward::Upstream;
use crate::limit::Moment;
use crate::proxy::{Asking, Sessions, Shared};
use crate::session::{
    Health, KeyError, Keys, Ledger, MOST_SESSIONS, Now, SealError, SessionStore, StoreError, Writer,
};
use crate::store::{self, OpenError};
use crate::task::TaskStore;

/// How often idle sessions are looked for.
const EXPIRE: Duration = Duration::from_secs(2);
/// Longest time for the last changes to be written.
const FLUSH: Duration = Duration::from_secs(5);
/// Longest time for the store to close.
const CLOSE: Duration = Duration::from_secs(5);

/// Why sessions cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The state key cannot be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No key can be made.
    #[error(transparent)]
    Random(#[from] SealError),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be read.
    #[error("state.url: {0}")]
    Load(#[from] StoreError),
}

/// The clock of limits and sessions: counted from `epoch`.
pub(super) fn clock(epoch: Instant) -> Now {
    let since = Instant::now().saturating_duration_since(epoch);
    Now {
        moment: Moment::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)),
        wall: SystemTime::now(),
    }
}

/// The store, and who writes to it.
pub(super) struct Kept {
    store: Arc<dyn SessionStore>,
    health: Arc<Health>,
    stop: watch::Sender<bool>,
    writing: Option<JoinHandle<Writer<SessionUnits>>>,
}

/// The ledger as the store knows it.
pub(super) struct TakenUp {
    pub(super) ledger: Arc<Sessions>,
    pub(super) keys: Arc<Keys>,
    pub(super) tasks: Arc<dyn TaskStore>,
    store: Arc<dyn SessionStore>,
}

/// Opens the store and takes up the sessions that are kept there, each with its units.
pub(super) fn take_up(
    helm: &Runtime,
    config: &Config,
    upstreams: &[Arc<Upstream>],
    epoch: Instant,
) -> Result<TakenUp, StateError> {
    let keys = match config.state.store {
        config::Store::Memory => Keys::random()?,
        config::Store::Sqlite(_) => Keys::load_or_make(&config.state.key_file)?,
    };
    let (stores, records) = on(helm, async {
        let stores = store::open(&config.state).await?;
        let records = stores.sessions.load(MOST_SESSIONS).await?;
        Ok::<_, StateError>((stores, records))
    })?;
    let keys = Arc::new(keys);
    let ledger = Arc::new(Ledger::new(keys.clone(), MOST_SESSIONS));
    let named = |name: &str| config.upstreams.iter().position(|one| *one.name == *name);
    let now = clock(epoch);
    let restored = ledger.restore(
        records,
        now,
        |upstream, kind| {
            let speech = &config.upstreams.get(named(upstream)?)?.speech;
            Some(match kind {
                SessionKind::Rest => speech.session_idle_rest,
                SessionKind::Soap => speech.session_idle_soap,
            })
        },
        |record| {
            let index = named(&record.upstream)?;
            let user = record.user.as_ref().map(|user| user.id);
            let stack = upstreams.get(index)?.stack();
            let units = stack.hold_session(record.kind, user, record.address, now.moment);
            Some((index, units))
        },
    );
    if restored.unreadable > 0 {
        tracing::warn!(
            sessions = restored.unreadable,
            "tokens of kept sessions do not open with state.key_file: was it replaced? They cannot be logged out by id"
        );
    }
    tracing::info!(?restored, "sessions");
    Ok(TakenUp {
        ledger,
        keys,
        tasks: stores.tasks,
        store: stores.sessions,
    })
}

/// Runs `work` on the helm, also from within another runtime.
pub(super) fn on<T: Send>(helm: &Runtime, work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| helm.block_on(work));
        match worker.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

impl TakenUp {
    /// Starts writing what changes.
    pub(super) fn keep(self, helm: &Runtime, epoch: Instant) -> Kept {
        let mut writer = Writer::new(self.ledger, self.store.clone(), move || clock(epoch));
        let health = writer.health();
        let (stop, mut stopped) = watch::channel(false);
        let writing = helm.spawn(async move {
            let stopping = async {
                // An error means that the sender is gone: then it is over as well.
                drop(stopped.wait_for(|stop| *stop).await);
            };
            writer.run(stopping).await;
            writer
        });
        Kept {
            store: self.store,
            health,
            stop,
            writing: Some(writing),
        }
    }
}

impl Kept {
    /// How the store does.
    pub(super) fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Writes the last changes and closes the store. A store that hangs is left behind.
    pub(super) fn close(&mut self, helm: &Runtime) {
        self.stop.send_replace(true);
        let Some(writing) = self.writing.take() else {
            return;
        };
        let store = self.store.clone();
        on(helm, async move {
            if let Ok(mut writer) = writing.await
                && let Err(error) = writer.flush(FLUSH).await
            {
                tracing::error!(%error, "the last changes of sessions could not be written");
            }
            if tokio::time::timeout(CLOSE, store.close()).await.is_err() {
                tracing::error!("the store of sessions did not close within {CLOSE:?}");
            }
        });
    }
}

/// Starts on `helm` what goes on beside calls; it ends with that runtime.
pub(super) fn start(helm: &Runtime, shared: &Arc<Shared>, questions: mpsc::Receiver<Asking>) {
    helm.spawn(whose::ask(shared.clone(), questions));
    let shared = shared.clone();
    helm.spawn(async move {
        let mut ticks = tokio::time::interval(EXPIRE);
        loop {
            ticks.tick().await;
            let people = &shared.people;
            let now = shared.now();
            let idle = |upstream: &crate::session::Upstream, kind| {
                people.home(upstream.index).map(|home| home.idle(kind))
            };
            for ended in people.ledger().expire(now, idle) {
                tracing::debug!(id = %ended.id, upstream = %ended.upstream.name, "a session idled out");
            }
            people.proofs().tidy(now);
        }
    });
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::session::{Change, Record};

    /// Writes at once, and never closes.
    #[derive(Debug)]
    struct Hanging;

    #[async_trait]
    impl SessionStore for Hanging {
        async fn load(&self, _: usize) -> Result<Vec<Record>, StoreError> {
            Ok(Vec::new())
        }

        async fn apply(&self, _: &[Change]) -> Result<(), StoreError> {
            Ok(())
        }

        async fn check(&self) -> Result<(), StoreError> {
            Ok(())
        }

        async fn close(&self) {
            std::future::pending().await
        }
    }

    #[test]
    fn a_store_that_does_not_close_is_left_behind() {
        let mut helm = tokio::runtime::Builder::new_current_thread();
        let helm = helm.enable_all().start_paused(true).build().unwrap();
        let keys = Arc::new(Keys::random().unwrap());
        let taken_up = TakenUp {
            ledger: Arc::new(Ledger::new(keys.clone(), 8)),
            keys,
            tasks: Arc::new(store::Memory::default()),
            store: Arc::new(Hanging),
        };
        let mut kept = taken_up.keep(&helm, Instant::now());
        kept.close(&helm);
        assert!(kept.writing.is_none(), "it came back");
    }
}
