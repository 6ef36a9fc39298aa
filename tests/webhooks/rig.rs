//! A desk over a store in memory, and tasks that end.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tidegate::session::Keys;
use tidegate::store::Memory;
use tidegate::task::{
    Bounds, Carrier, Change, Desk, Event, Outbox, Outcome, Owner, Replay, Requested, Signer,
    Submission, TaskId, TaskStore,
};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Longest that a test waits for something to happen.
pub const PATIENCE: Duration = Duration::from_secs(30);
pub const KEY: &[u8] = b"an unguessable key of 32 letters";

pub struct Rig {
    pub store: Arc<Memory>,
    pub desk: Arc<Desk>,
}

impl Rig {
    pub fn new() -> Self {
        Self::over(Arc::default())
    }

    /// A desk that begins with what `store` keeps, as after a restart.
    pub fn over(store: Arc<Memory>) -> Self {
        let begun = Instant::now();
        let first = SystemTime::now();
        let clock = Arc::new(move || first + begun.elapsed());
        let bounds = Bounds {
            of_upstream: 10_000,
            of_owner: 10_000,
            retention: Duration::from_hours(24),
        };
        let keys = Arc::new(Keys::random().unwrap());
        let (desk, _) = Desk::new(store.clone(), keys, clock, bounds);
        Self {
            store,
            desk: Arc::new(desk.under("/-/jobs")),
        }
    }

    /// Starts an outbox; it ends with the test's runtime.
    pub fn outbox(&self, carrier: Arc<dyn Carrier>, allowed: &[&str]) -> JoinHandle<()> {
        let allowed = allowed.iter().map(|prefix| (*prefix).to_owned());
        let signer = Signer::new(&[KEY.to_vec()]);
        let outbox = Outbox::new(self.desk.clone(), carrier, signer, allowed.collect());
        tokio::spawn(outbox.run())
    }

    /// A task that was done, and of whose end `url` is to be told.
    pub async fn done(&self, url: &str) -> TaskId {
        let submission = Submission {
            requested: requested(url),
            request: Bytes::from_static(b"x"),
            key: None,
        };
        let id = self.desk.submit(submission).await.unwrap().task.id;
        for event in [Event::Dispatch, Event::Sent] {
            self.desk
                .advance(id, event, Change::default())
                .await
                .unwrap();
        }
        let known = Change {
            outcome: Some(Outcome::Known),
            ..Change::default()
        };
        self.desk.advance(id, Event::Complete, known).await.unwrap();
        id
    }

    /// Whether nobody is to be told of anything any more.
    pub async fn is_settled(&self) -> bool {
        self.store.next_hook().await.unwrap().is_none()
    }

    /// Waits until nobody is.
    pub async fn settled(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_settled().await {
            assert!(Instant::now() < deadline, "messages are left");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

fn requested(url: &str) -> Requested {
    Requested {
        upstream: "vc1".into(),
        route: "clone".into(),
        pool: "blocking_tasks".into(),
        method: "POST".to_owned(),
        target: "/api/vcenter/vm?action=clone".to_owned(),
        operation: None,
        body_sha256: [0; 32],
        owner: Owner("user:ada@example".into()),
        user: None,
        session: None,
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        replay: Replay::AtMostOnce,
        start_deadline: None,
        run_for: Duration::from_secs(60),
        callback: Some(url.into()),
        request_id: None,
    }
}
