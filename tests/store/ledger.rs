//! The ledger over a store on disk: sessions outlive the gate, tokens are nowhere in the open.

use std::net::{IpAddr, Ipv4Addr};

use tidegate::limit::{Moment, Seat, Seats};
use tidegate::session::{
    Credential, Keys, Ledger, New, Now, Opened, Restored, Token, Upstream, Writer,
};

use super::*;

const TOKEN: &[u8] = b"5ecret-b00db39f948d13ea1e59b4d6fce56389";
const XSRF: &[u8] = b"5ecret-x5rf-0123456789abcdef";

fn now(millis: u64) -> Now {
    Now {
        moment: Moment::from_start(Duration::from_millis(millis)),
        wall: time(1_700_000_000_000 + millis),
    }
}

/// One life of a gate over the state in `folder`.
struct Gate {
    ledger: Arc<Ledger<Seat>>,
    store: Arc<dyn SessionStore>,
    seats: Arc<Seats>,
    restored: Restored,
}

impl Gate {
    async fn start(folder: &Path, at: Now) -> Self {
        let keys = Arc::new(Keys::load_or_make(&folder.join("state.key")).unwrap());
        let store = open_at(&folder.join("tidegate.db")).await.unwrap();
        let ledger = Arc::new(Ledger::new(keys, 1000));
        let seats = Arc::new(Seats::new(1));
        let records = store.load(1000).await.unwrap();
        let bound = |_: &str, _| Some(Duration::from_mins(30));
        let restored = ledger.restore(records, at, bound, |_| Some((0, seats.seat_unchecked().0)));
        Self {
            ledger,
            store,
            seats,
            restored,
        }
    }

    fn key(&self, token: &[u8]) -> SessionKey {
        self.ledger.keys().session("vc1", SessionKind::Rest, token)
    }

    fn open(&self, token: &[u8], at: Now) -> Opened {
        let upstream = Upstream {
            index: 0,
            name: Arc::from("vc1"),
        };
        let credential = Credential {
            token: Token::new(token),
            xsrf: Some(Token::new(XSRF)),
        };
        let new = New {
            key: self.key(token),
            kind: SessionKind::Rest,
            upstream: &upstream,
            user: Some(User {
                id: UserId::new([1; 16]),
                name: Arc::from("administrator@vsphere.local"),
            }),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            credential: Some(&credential),
            began: at.moment,
        };
        self.ledger.open(new, self.seats.seat_unchecked().0, at)
    }

    async fn flush(&self, at: Now) {
        let mut writer = Writer::new(
            Arc::clone(&self.ledger),
            Arc::clone(&self.store),
            move || at,
        );
        writer.flush(Duration::from_secs(30)).await.unwrap();
    }

    async fn stop(self) {
        self.store.close().await;
    }
}

fn everything_in(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap();
    files
        .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

#[tokio::test]
async fn sessions_outlive_the_gate_and_can_be_logged_out_by_the_next() {
    let folder = folder("lives");
    let gate = Gate::start(&folder, now(0)).await;
    let Opened::New(id) = gate.open(TOKEN, now(1000)) else {
        panic!("it is new");
    };
    let _ = gate.open(b"another token", now(1000));
    gate.flush(now(1000)).await;
    gate.ledger
        .close(&gate.key(b"another token"), now(2000).moment);
    gate.flush(now(2000)).await;
    gate.stop().await;

    let at = Now {
        wall: now(600_000).wall,
        ..now(5)
    };
    let gate = Gate::start(&folder, at).await;
    assert_eq!(
        gate.restored,
        Restored {
            kept: 1,
            ..Restored::default()
        }
    );
    assert_eq!(gate.seats.in_use(), 1, "its units are taken, free or not");
    let row = &gate.ledger.rows(at.moment)[0];
    assert_eq!((row.id, row.idle.as_secs()), (id, 599));
    let known = gate.ledger.find(&gate.key(TOKEN), at.moment).unwrap();
    assert_eq!(
        known.user.unwrap().name.as_ref(),
        "administrator@vsphere.local"
    );
    let logout = gate.ledger.logout(id).unwrap().credential.unwrap();
    assert_eq!(
        (logout.token.expose(), logout.xsrf.unwrap().expose()),
        (TOKEN, XSRF)
    );
    gate.flush(at).await;
    gate.stop().await;

    let at = Now {
        wall: now(600_000 + 1_800_000).wall,
        ..now(5)
    };
    let gate = Gate::start(&folder, at).await;
    assert_eq!(
        gate.restored,
        Restored {
            idle: 1,
            ..Restored::default()
        }
    );
    gate.flush(at).await;
    assert_eq!(gate.store.load(10).await.unwrap(), []);
}

#[tokio::test]
async fn no_token_is_on_disk_in_the_open() {
    let folder = folder("grep");
    let gate = Gate::start(&folder, now(0)).await;
    let _ = gate.open(TOKEN, now(1));
    gate.flush(now(1)).await;
    let written = everything_in(&folder);
    assert!(
        holds(&written, b"administrator@vsphere.local"),
        "it was written"
    );
    let key = gate.key(TOKEN);
    assert!(holds(&written, key.bytes()));
    for secret in [TOKEN, XSRF, b"5ecret"] {
        assert!(!holds(&written, secret));
    }
    gate.stop().await;
    assert!(!holds(&everything_in(&folder), b"5ecret"));
}

#[tokio::test]
async fn with_another_state_key_no_session_comes_back() {
    let folder = folder("otherkey");
    let gate = Gate::start(&folder, now(0)).await;
    let _ = gate.open(TOKEN, now(1));
    gate.flush(now(1)).await;
    gate.stop().await;
    std::fs::remove_file(folder.join("state.key")).unwrap();
    let gate = Gate::start(&folder, now(2)).await;
    assert_eq!(
        gate.restored,
        Restored {
            unreadable: 1,
            ..Restored::default()
        }
    );
    assert_eq!((gate.seats.in_use(), gate.ledger.len()), (0, 0));
}
