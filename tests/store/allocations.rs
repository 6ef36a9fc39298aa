//! What a call costs in allocations, once its session is known: none.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use allocation_counter::measure;
use tidegate::limit::Moment;
use tidegate::session::{Keys, Ledger, New, Now, Opened, Proofs, Scheme, Upstream};

use super::*;

const TOKEN: &[u8] = b"b00db39f948d13ea1e59b4d6fce56389";

fn at(millis: u64) -> Moment {
    Moment::from_start(Duration::from_millis(millis))
}

fn user() -> User {
    User {
        id: UserId::new([1; 16]),
        name: Arc::from("administrator@vsphere.local"),
    }
}

#[test]
fn a_call_in_a_known_session_allocates_nothing() {
    let keys = Arc::new(Keys::derive(&[7; 32]).unwrap());
    let ledger = Ledger::new(Arc::clone(&keys), 1000);
    let upstream = Upstream {
        index: 0,
        name: Arc::from("vc1"),
    };
    let new = New {
        key: keys.session("vc1", SessionKind::Rest, TOKEN),
        kind: SessionKind::Rest,
        upstream: &upstream,
        user: Some(user()),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        credential: None,
        began: at(1),
    };
    let now = Now {
        moment: at(1),
        wall: time(1),
    };
    let open = || assert!(matches!(ledger.open(new.clone(), (), now), Opened::New(_)));
    assert!(measure(open).count_total > 0, "the counter counts");
    let calls = || {
        for millis in 2..1000 {
            let key = keys.session("vc1", SessionKind::Rest, TOKEN);
            black_box(ledger.find(&key, at(millis)).unwrap());
            let call = ledger.begin(&key, at(millis)).unwrap();
            black_box(call.known().user.clone());
            call.end(at(millis + 1));
        }
    };
    assert_eq!(measure(calls).count_total, 0);
}

#[test]
fn a_proven_caller_allocates_nothing() {
    let keys = Keys::derive(&[7; 32]).unwrap();
    let proofs = Proofs::new(1000);
    proofs.learn(keys.proof("nsx", Scheme::Basic, TOKEN), user(), at(1));
    let calls = || {
        for millis in 2..1000 {
            let key = keys.proof("nsx", Scheme::Basic, TOKEN);
            black_box(proofs.find(&key, at(millis)).unwrap());
        }
    };
    assert_eq!(measure(calls).count_total, 0);
}
