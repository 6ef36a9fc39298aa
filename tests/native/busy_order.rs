//! Changes of one environment over the death of a gate: the next one makes them in their order, whichever request it reads first.

use std::sync::Arc;

use serde_json::json;
use tidegate::task::{State, Status, TaskId};
use tokio::sync::Semaphore;

use crate::busy::{ENVIRONMENT, RUN, blameless, brief, looks, put};
use crate::busy_turns::named;
use crate::faulty::Faulty;
use crate::rig::{Kept, Rig, until};
use crate::vendors::skytap::Skytap;
use crate::vendors::{Fault, Kind, Model, When};

/// Where the changes of `rig` stand, whose store answers late for the request of the oldest.
struct Changes {
    kept: Kept,
    rig: Rig,
    ids: Vec<TaskId>,
    late: Arc<Semaphore>,
}

async fn rename(rig: &Rig, number: usize) -> TaskId {
    let body = json!({"name": format!("n-{number}")}).to_string();
    rig.submit(&put(ENVIRONMENT, &body)).await
}

impl Changes {
    /// The first of three changes has come as far as `far` says; then the gate is gone, and the next one is there.
    async fn over_a_death(skytap: &Model<Skytap>, far: impl AsyncFnOnce(&Rig, TaskId)) -> Self {
        let store = Faulty::new(&[]);
        let kept = Kept::on(store.clone());
        let first = Rig::start(skytap.address, "skytap", "", &kept).await;
        let mut ids = vec![rename(&first, 0).await];
        far(&first, ids[0]).await;
        for number in [1, 2] {
            ids.push(rename(&first, number).await);
        }
        first.crew.stop().await;
        let late = Arc::new(Semaphore::new(0));
        *store.held_back.lock().unwrap() = Some((ids[0], late.clone()));
        let rig = Rig::start(skytap.address, "skytap", "", &kept).await;
        Self {
            kept,
            rig,
            ids,
            late,
        }
    }

    /// Another environment is changed from the beginning to the end meanwhile, and this one is not; then all are made in order.
    async fn are_made_in_order(self, skytap: &Model<Skytap>, sent: usize) {
        let other = self.rig.submit(&put("/v2/configurations/5", RUN)).await;
        let other = self.rig.over(other).await;
        assert_eq!(other.status.state(), State::Completed, "{other:?}");
        for id in &self.ids[1..] {
            assert_eq!(self.rig.task(*id).await.status, Status::Queued);
        }
        assert_eq!(names(skytap).len(), sent, "{:?}", names(skytap));
        self.late.close();
        for id in &self.ids {
            let task = self.rig.over(*id).await;
            assert_eq!(task.status.state(), State::Completed, "{task:?}");
        }
        assert_eq!(names(skytap), ["n-0", "n-1", "n-2"]);
        assert_eq!(skytap.truth("1")["name"], "n-2");
        blameless(skytap);
        self.rig.stop().await;
        drop(self.kept);
    }
}

/// The names that were asked for.
fn names(skytap: &Model<Skytap>) -> Vec<serde_json::Value> {
    let mut names = named(skytap);
    names.retain(|name| !name.is_null());
    names
}

async fn skytap() -> Model<Skytap> {
    let skytap = Skytap::start(brief()).await;
    skytap.add("5", "other", &[]);
    skytap
}

#[tokio::test]
async fn what_was_on_its_way_is_found_out_before_the_next_goes_up() {
    let skytap = skytap().await;
    skytap.faults.on(Kind::Start, When::Next(1), Fault::Hangs);
    let is_up = async |_: &Rig, _| {
        until("it is up", || skytap.books.count(Kind::Start) == 1).await;
    };
    let changes = Changes::over_a_death(&skytap, is_up).await;
    assert_eq!(
        (changes.rig.found.in_doubt, changes.rig.found.waiting),
        (1, 2)
    );
    changes.are_made_in_order(&skytap, 1).await;
}

#[tokio::test]
async fn what_is_followed_is_over_before_the_next_goes_up() {
    let skytap = skytap().await;
    let polled = async |rig: &Rig, id| {
        rig.reaches(id, Status::Polling).await;
    };
    let changes = Changes::over_a_death(&skytap, polled).await;
    assert_eq!(
        (changes.rig.found.followed, changes.rig.found.waiting),
        (1, 2)
    );
    changes.are_made_in_order(&skytap, 1).await;
}

#[tokio::test]
async fn what_waited_longest_goes_first() {
    let skytap = skytap().await;
    skytap.busy("1", true);
    let waits = async |_: &Rig, _| looks(&skytap, 2).await;
    let changes = Changes::over_a_death(&skytap, waits).await;
    skytap.busy("1", false);
    assert_eq!(changes.rig.found.waiting, 3);
    changes.are_made_in_order(&skytap, 0).await;
}
