//! When a period is over, and what becomes of those that leave, come late or are lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::plan_tests::{item, merge, patch};
use super::queue::{Asks, Queue, Turn};
use crate::task::id::TaskId;

const PERIOD: Duration = Duration::from_secs(30);

struct Rig {
    queue: Queue,
    begun: Instant,
    namer: u64,
}

impl Rig {
    fn new(period: Duration) -> Self {
        let driver = tokio::spawn(async {}).abort_handle();
        let merge = Arc::new(merge(1 << 20, 1000, false));
        let queue = Queue::new(1, (merge, period), Arc::new(Notify::new()), driver);
        Self {
            queue,
            begun: Instant::now(),
            namer: 0,
        }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.begun + Duration::from_secs(seconds)
    }

    fn id(&mut self) -> TaskId {
        self.namer += 1;
        TaskId::new(SystemTime::UNIX_EPOCH + Duration::from_secs(self.namer))
    }

    /// A patch comes at this second; its name, and where the end of it is heard.
    fn join(&mut self, second: u64, changes: &str) -> (TaskId, oneshot::Receiver<()>) {
        let id = self.id();
        (id, self.join_as(id, second, changes))
    }

    fn join_as(&mut self, id: TaskId, second: u64, changes: &str) -> oneshot::Receiver<()> {
        let (done, hears) = oneshot::channel();
        let at = (self.at(second), Duration::ZERO);
        self.queue.join(id, item("a", "v", changes), done, at);
        hears
    }

    /// At this second, of all that are not here, these are still on the desk.
    fn prune(&mut self, second: u64, open: &[TaskId]) {
        let at = self.at(second);
        self.queue.prune(at, |id| open.contains(&id));
    }

    /// A call that was lost is asked after from this second on, and can be at work until that one.
    fn doubt(&mut self, id: TaskId, changes: &str, (second, over): (u64, u64)) {
        let (done, _) = oneshot::channel();
        let asked = (Arc::new(patch(changes)), "a".into());
        let times = (self.at(over), self.at(over));
        let asks = Asks::new(asked, times, done);
        let at = self.at(second);
        self.queue.doubt(id, asks, at);
    }

    fn turn(&mut self, second: u64) -> Turn {
        let at = self.at(second);
        self.queue.turn(at, &BTreeSet::new())
    }
}

#[tokio::test(start_paused = true)]
async fn a_period_begins_with_its_first_and_ends_for_all() {
    let mut rig = Rig::new(PERIOD);
    assert_eq!(rig.turn(0), Turn::Rest(None));
    let (first, _hears) = rig.join(5, "+1");
    let (second, _hears_too) = rig.join(20, "+2");
    assert_eq!(rig.turn(20), Turn::Rest(Some(rig.at(35))));
    assert_eq!(rig.turn(35), Turn::Merge(vec![vec![first, second]]));
    rig.queue.take(&[first, second]);
    assert!(!rig.queue.leave(first), "it is on its way");
    rig.queue.finish(&[first, second]);
    assert!(rig.queue.is_idle());
    let (third, _hears) = rig.join(40, "+3");
    assert_eq!(
        rig.turn(40),
        Turn::Rest(Some(rig.at(65))),
        "the next one has begun"
    );
    assert_eq!(rig.turn(65), Turn::Merge(vec![vec![third]]));
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_before_a_restart_waits_no_longer_for_that() {
    let mut rig = Rig::new(PERIOD);
    let (done, _hears) = oneshot::channel();
    let (id, at) = (rig.id(), rig.at(0));
    let age = Duration::from_secs(25);
    rig.queue.join(id, item("a", "v", "+1"), done, (at, age));
    assert_eq!(rig.turn(0), Turn::Rest(Some(rig.at(5))));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_overtaken_by_who_came_later() {
    let mut rig = Rig::new(PERIOD);
    let slow = rig.id();
    let (quick, _hears) = rig.join(0, "+1");
    let later = rig.id();
    let expected = BTreeSet::from([slow, later]);
    let at = rig.at(30);
    assert_eq!(
        rig.queue.turn(at, &expected),
        Turn::Rest(None),
        "one that came before is still on its way here"
    );
    let _hears_too = rig.join_as(slow, 31, "-1");
    // Who comes after the period is over waits for the next, though nothing of this one went up yet.
    let at = rig.at(31);
    let turn = rig.queue.turn(at, &BTreeSet::from([later]));
    assert_eq!(turn, Turn::Merge(vec![vec![slow, quick]]));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_is_not_planned_and_a_released_call_goes_up_as_soon_as_it_may() {
    let mut rig = Rig::new(PERIOD);
    let (gone, _hears) = rig.join(0, "+1");
    let (stays, _hears_too) = rig.join(0, "+2");
    assert!(rig.queue.leave(gone) && !rig.queue.leave(gone));
    assert_eq!(rig.turn(30), Turn::Merge(vec![vec![stays]]));
    assert_eq!(rig.queue.take(&[gone, stays]), [stays]);
    let (until, from) = (rig.at(50), rig.at(31));
    rig.queue.put_off(&[stays], until);
    rig.queue.release(&[stays], from);
    assert_eq!(rig.turn(31), Turn::Rest(Some(until)));
    assert_eq!(rig.turn(50), Turn::Merge(vec![vec![stays]]));
}

#[tokio::test(start_paused = true)]
async fn who_changes_what_is_in_doubt_waits_and_nobody_else() {
    let mut rig = Rig::new(Duration::ZERO);
    let (lost, mut hears) = rig.join(0, "+1");
    assert_eq!(rig.turn(0), Turn::Merge(vec![vec![lost]]));
    rig.queue.take(&[lost]);
    let over = rig.at(2);
    rig.queue.lose(&[lost], over);
    assert_eq!(hears.try_recv(), Ok(()), "its job finds it in doubt");
    let (same, _hears) = rig.join(1, "-1");
    let (other, _hears_too) = rig.join(1, "+2");
    assert_eq!(rig.turn(1), Turn::Merge(vec![vec![other]]));
    rig.queue.take(&[other]);
    rig.queue.finish(&[other]);
    let Turn::Rest(Some(next)) = rig.turn(1) else {
        panic!("its job has not come yet, and may never");
    };
    assert!(next <= rig.at(3));
    rig.prune(1, &[]);
    assert!(
        matches!(rig.turn(1), Turn::Rest(_)),
        "its call may be at work"
    );
    rig.prune(3, &[lost]);
    assert!(matches!(rig.turn(3), Turn::Rest(_)), "its job may come");
    rig.prune(3, &[]);
    assert_eq!(
        rig.turn(3),
        Turn::Merge(vec![vec![same]]),
        "nobody asks after it any more"
    );
}

/// The rule of a route has one tried again an hour later: nobody else's patch waits for that.
#[tokio::test(start_paused = true)]
async fn one_that_is_put_off_is_waited_for_by_those_alone_who_change_what_it_does() {
    let mut rig = Rig::new(Duration::ZERO);
    let (first, _hears) = rig.join(0, "+1");
    let until = rig.at(3600);
    rig.queue.put_off(&[first], until);
    let (same, _hears_too) = rig.join(1, "-1");
    let (other, _hears_as_well) = rig.join(1, "+2");
    assert_eq!(rig.turn(1), Turn::Merge(vec![vec![other]]));
    rig.queue.take(&[other]);
    rig.queue.finish(&[other]);
    assert_eq!(rig.turn(2), Turn::Rest(Some(until)));
    assert!(rig.queue.leave(same));
    assert_eq!(rig.turn(3), Turn::Rest(Some(until)));
    assert_eq!(rig.turn(3600), Turn::Merge(vec![vec![first]]));
}

#[tokio::test(start_paused = true)]
async fn who_comes_while_a_call_is_under_way_waits_for_a_period_all_the_same() {
    let mut rig = Rig::new(PERIOD);
    let (first, _hears) = rig.join(0, "+1");
    assert_eq!(rig.turn(30), Turn::Merge(vec![vec![first]]));
    rig.queue.take(&[first]);
    let (second, _hears_too) = rig.join(31, "+2");
    rig.queue.finish(&[first]);
    // Nothing of the call is left, or nothing that waits.
    let from = rig.at(32);
    rig.queue.release(&[], from);
    rig.queue.release(&[first], from);
    assert_eq!(rig.turn(32), Turn::Rest(Some(rig.at(60))));
    assert_eq!(rig.turn(60), Turn::Merge(vec![vec![second]]));
}

/// It is done, as far as it shows, and its call may come through yet.
#[tokio::test(start_paused = true)]
async fn what_is_known_is_not_overtaken_while_its_call_may_be_at_work() {
    let mut rig = Rig::new(Duration::ZERO);
    let lost = rig.id();
    rig.doubt(lost, "+1", (0, 20));
    let (same, _hears) = rig.join(1, "-1");
    assert_eq!(rig.turn(1), Turn::Ask(vec![lost]));
    let over = rig.at(20);
    rig.queue.known(lost, over);
    // Its job is gone, and so it is itself.
    rig.queue.give_up(lost);
    rig.prune(2, &[]);
    assert!(!rig.queue.is_idle());
    assert!(matches!(rig.turn(2), Turn::Rest(Some(_))));
    rig.prune(20, &[]);
    assert_eq!(rig.turn(20), Turn::Merge(vec![vec![same]]));
}

/// One that is to go up again may be taken back before it has joined.
#[tokio::test(start_paused = true)]
async fn who_goes_up_again_is_waited_for_until_it_is_back_or_gone() {
    for comes in [true, false] {
        let mut rig = Rig::new(Duration::ZERO);
        let lost = rig.id();
        rig.doubt(lost, "+1", (0, 20));
        let (same, _hears) = rig.join(1, "-1");
        let (other, _hears_too) = rig.join(1, "+2");
        let now = rig.at(20);
        rig.queue.known(lost, now);
        rig.prune(20, &[lost]);
        assert_eq!(rig.turn(20), Turn::Merge(vec![vec![other]]));
        rig.queue.take(&[other]);
        rig.queue.finish(&[other]);
        if comes {
            let _hears = rig.join_as(lost, 21, "+1");
            rig.prune(21, &[lost]);
            assert_eq!(rig.turn(21), Turn::Merge(vec![vec![lost, same]]));
        } else {
            rig.prune(21, &[]);
            assert_eq!(rig.turn(21), Turn::Merge(vec![vec![same]]));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_was_over_while_its_call_was_up_is_not_waited_for_once_that_is_refused() {
    let mut rig = Rig::new(Duration::ZERO);
    let (over, gone) = rig.join(0, "+1");
    let (stays, _hears) = rig.join(0, "+2");
    assert_eq!(rig.turn(0), Turn::Merge(vec![vec![over, stays]]));
    rig.queue.take(&[over, stays]);
    drop(gone);
    let (back, from) = (rig.at(5), rig.at(1));
    rig.queue.put_off(&[over, stays], back);
    rig.queue.release(&[over, stays], from);
    assert_eq!(rig.turn(5), Turn::Merge(vec![vec![stays]]));
    rig.queue.take(&[stays]);
    rig.queue.finish(&[stays]);
    assert!(rig.queue.is_idle(), "or its queue would never end");
}
