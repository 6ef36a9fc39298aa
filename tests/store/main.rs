//! The stores: the same tests over each of them, what an SQLite file may not be, and crashes.

/// Each of these tests runs over every store.
macro_rules! on_every_store {
    ($($test:ident)*) => {$(
        mod $test {
            use super::Bench;

            #[tokio::test]
            async fn on_memory() {
                super::$test(Bench::memory().await).await;
            }

            #[tokio::test]
            async fn on_sqlite() {
                super::$test(Bench::sqlite(stringify!($test)).await).await;
            }
        }
    )*};
}

mod allocations;
mod bounds;
mod conformance;
mod crash;
mod faults;
mod files;
mod follows;
mod histories;
mod ledger;
mod lives;
mod puppet;
#[path = "../support/shim.rs"]
mod shim;
mod task;
mod tasks;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tidegate::call::{SessionKey, SessionKind, UserId};
use tidegate::config::{State, Store};
use tidegate::session::{Record, Sealed, SessionId, SessionStore, User};
use tidegate::store::{OpenError, Stores, open};
use tidegate::task::TaskStore;

/// A new folder of the test's own, without symbolic links in its path.
fn folder(name: &str) -> PathBuf {
    let folder = format!("tidegate-store-{name}-{}", std::process::id());
    let folder = std::env::temp_dir().join(folder);
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir(&folder).unwrap();
    folder
}

async fn stores_at(path: &Path) -> Result<Stores, OpenError> {
    let state = State {
        store: Store::Sqlite(path.to_owned()),
        key_file: PathBuf::new(),
    };
    open(&state).await
}

async fn open_at(path: &Path) -> Result<Arc<dyn SessionStore>, OpenError> {
    Ok(stores_at(path).await?.sessions)
}

/// A store that can be left and opened again.
enum Kind {
    Memory,
    Sqlite(PathBuf),
}

struct Bench {
    kind: Kind,
    store: Arc<dyn SessionStore>,
    tasks: Arc<dyn TaskStore>,
}

impl Bench {
    fn of(kind: Kind, stores: Stores) -> Self {
        Self {
            kind,
            store: stores.sessions,
            tasks: stores.tasks,
        }
    }

    async fn memory() -> Self {
        let state = State {
            store: Store::Memory,
            key_file: PathBuf::new(),
        };
        Self::of(Kind::Memory, open(&state).await.unwrap())
    }

    async fn sqlite(name: &str) -> Self {
        let path = folder(name).join("tidegate.db");
        let stores = stores_at(&path).await.unwrap();
        Self::of(Kind::Sqlite(path), stores)
    }

    async fn reopened(self) -> Self {
        match self.kind {
            Kind::Memory => self,
            Kind::Sqlite(path) => {
                self.store.close().await;
                drop((self.store, self.tasks));
                let stores = stores_at(&path).await.unwrap();
                Self::of(Kind::Sqlite(path), stores)
            }
        }
    }
}

fn time(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
}

fn key(number: u64) -> SessionKey {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    SessionKey::new(bytes)
}

/// A record like no other; every second has a user, every third a token.
fn record(number: u64) -> Record {
    let user = User {
        id: UserId::new([u8::try_from(number % 250).unwrap(); 16]),
        name: Arc::from(format!("user {number} ü@vsphere.local")),
    };
    let kinds = SessionKind::ALL;
    Record {
        key: key(number),
        id: SessionId::new(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        kind: kinds[usize::try_from(number % 2).unwrap()],
        upstream: Arc::from(format!("vc{}", number % 3)),
        user: number.is_multiple_of(2).then_some(user),
        address: if number.is_multiple_of(5) {
            "2001:db8::7".parse().unwrap()
        } else {
            "192.0.2.7".parse().unwrap()
        },
        opened: time(1_700_000_000_000 + number),
        last_used: time(1_700_000_000_000 + number * 3),
        adopted: number.is_multiple_of(7),
        sealed: number
            .is_multiple_of(3)
            .then(|| Sealed::new(&number.to_le_bytes())),
    }
}
