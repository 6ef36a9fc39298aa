//! Calls that do what several tasks ask for: who has their seats, whatever becomes of them.

use std::any::Any;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::HeaderMap;
use tidegate::call::{Caller, Spoken};
use tidegate::task::{Mode, Outcome, Record, Requested, Roster, State, Status, TaskId};

use crate::faulty::Faulty;
use crate::model::{Act, Model};
use crate::rig::{LONG, Nobody, Rig, Set, clone, until};

pub const PATCH: &str = "PATCH /api/pool/p";
const CLONE: &str = "POST /api/clone";
/// A pool without servers, and one with those of all tests.
pub const EMPTY: &str = r#"{"uuid":"p","servers":[]}"#;
pub const FULL: &str = r#"{"uuid":"p","servers":[{"ip":{"addr":"10.0.0.1","type":"V4"}},{"ip":{"addr":"10.0.0.2","type":"V4"}}]}"#;

/// An upstream that merges, calls it over after this long, and takes one blocking call at a time, patches and clones.
pub fn lines(response_timeout: &str, of_route: &str) -> String {
    format!(
        "adapters = [\"avi\"]\nasync_patch_merge_period = \"1s\"\nresponse_timeout = \"{response_timeout}\"\n\
         {}[[upstream.route]]\nname = \"patch\"\nmatch = {{ method = \"PATCH\", path = \"/api/pool/*\" }}\nclass = \"blocking\"\n{of_route}",
        crate::rig::seats(1)
    )
}

pub fn set(response_timeout: &str) -> Set {
    Set {
        lines: lines(response_timeout, ""),
        ..Set::default()
    }
}

/// The same, with room for a call beside one that was lost: who waits then waits for what it changes.
pub fn roomy(response_timeout: &str) -> Set {
    let lines = lines(response_timeout, "").replace("limit = 1\n", "limit = 2\n");
    assert!(lines.contains("limit = 2\n"), "{lines}");
    Set {
        lines,
        ..Set::default()
    }
}

/// The same, where nothing waits for a period.
pub fn at_once(set: Set) -> Set {
    let lines = set.lines.replace("period = \"1s\"", "period = \"0s\"");
    assert!(lines.contains("period = \"0s\""), "{lines}");
    Set { lines, ..set }
}

pub fn patch(run_for: Duration) -> Requested {
    Requested {
        route: "patch".into(),
        method: "PATCH".to_owned(),
        target: "/api/pool/p".to_owned(),
        run_for,
        ..clone()
    }
}

pub fn body(action: &str, nth: u8) -> String {
    format!(r#"{{"{action}":{{"servers":[{{"ip":{{"addr":"10.0.0.{nth}","type":"V4"}}}}]}}}}"#)
}

/// Adds servers 1 and 2 to the pool, by a task each.
pub async fn two(rig: &Rig) -> [TaskId; 2] {
    let mut ids = Vec::new();
    for nth in 1..=2 {
        ids.push(rig.submit_of(patch(LONG), body("add", nth)).await.unwrap());
    }
    ids.try_into().unwrap()
}

/// As long as the upstream is not asked for what is merged, it shows this.
pub async fn model(
    shows: &'static str,
    says: impl Fn(usize) -> Act + Send + Sync + 'static,
) -> Model {
    Model::start(move |asked, before| match &*asked.line {
        PATCH => says(before),
        CLONE => Act::Answer(200, "{}"),
        _ => Act::Answer(200, shows),
    })
    .await
}

pub fn ended(task: &Record) -> (State, Option<Outcome>) {
    (task.status.state(), task.outcome)
}

/// Breaks as it hears of the first answer.
struct Breaks(AtomicBool);

impl Roster for Breaks {
    fn caller(&self, upstream: usize, task: &Requested) -> (Caller, NonZeroU32) {
        Nobody.caller(upstream, task)
    }

    fn answered(&self, _: usize, _: (Spoken, &HeaderMap), _: u16) {
        assert!(self.0.swap(true, Ordering::SeqCst), "it breaks here");
    }

    fn busy(&self, _: &Requested) -> Option<Box<dyn Any + Send>> {
        None
    }
}

#[tokio::test]
async fn whoever_sends_a_merged_call_up_may_break_and_its_seat_has_an_heir() {
    let model = model(EMPTY, |_| Act::Answer(200, EMPTY)).await;
    let set = Set {
        roster: Arc::new(Breaks(AtomicBool::new(false))),
        ..set("4s")
    };
    let rig = Rig::start(model.address, set).await;
    let ids = two(&rig).await;
    until("it broke", || !rig.crew.lever().lost().is_empty()).await;
    let lost = rig.crew.lever().lost();
    let wanted = (1, "task", ids[1]);
    assert_eq!((lost.len(), lost[0].of, lost[0].id), wanted, "{lost:?}");
    assert_eq!(rig.seated(), 1, "its call may be at work");
    let other = rig.submit(clone()).await;
    let behind = rig.submit_of(patch(LONG), body("delete", 1)).await.unwrap();
    for id in ids {
        let task = rig.over(id).await;
        let not_applied = (State::Failed, Some(Outcome::NotApplied));
        assert_eq!(ended(&task), not_applied, "the pool never shows it");
    }
    let [other, behind] = [rig.over(other).await, rig.over(behind).await];
    assert_eq!(other.status.state(), State::Completed);
    assert_eq!(behind.status.state(), State::Completed);
    let first = rig.task(ids[0]).await;
    let over = first.started.unwrap().after(Duration::from_secs(4));
    for one in [&other, &behind] {
        assert!(
            one.started.unwrap() >= over,
            "beside the lost call: {one:?}"
        );
    }
    rig.stop().await;
}

/// The next queue knows nothing of what was in the one that broke.
#[tokio::test]
async fn what_comes_behind_a_queue_that_broke_overtakes_nothing_of_it() {
    let model = model(EMPTY, |_| Act::Answer(200, EMPTY)).await;
    let set = Set {
        roster: Arc::new(Breaks(AtomicBool::new(false))),
        ..at_once(roomy("4s"))
    };
    let rig = Rig::start(model.address, set).await;
    let first = rig.submit_of(patch(LONG), body("add", 1)).await.unwrap();
    until("it broke", || !rig.crew.lever().lost().is_empty()).await;
    let behind = rig.submit_of(patch(LONG), body("delete", 1)).await.unwrap();
    let behind = rig.over(behind).await;
    assert_eq!(behind.status.state(), State::Completed);
    let first = rig.over(first).await;
    let over = first.started.unwrap().after(Duration::from_secs(4));
    assert!(behind.started.unwrap() >= over, "{behind:?}");
    rig.stop().await;
}

#[tokio::test]
async fn whose_deadline_is_over_is_told_so_and_the_call_goes_on_with_its_seat_for_the_others() {
    let model = model(EMPTY, |_| Act::Hold).await;
    let store = Faulty::new(&[]);
    let set = Set {
        store: store.clone(),
        ..set("600s")
    };
    let rig = Rig::start(model.address, set).await;
    let stays = rig.submit_of(patch(LONG), body("add", 1)).await.unwrap();
    // The last of them has the seat of the call in the store.
    let short = patch(Duration::from_millis(200));
    let late = rig.submit_of(short, body("add", 2)).await.unwrap();
    let task = rig.over(late).await;
    assert_eq!(ended(&task), (State::Expired, Some(Outcome::Unknown)));
    assert_eq!(
        (task.error.clone().unwrap().kind, task.mode),
        ("expired", Mode::Merged)
    );
    assert!(task.ended.unwrap() >= task.started.unwrap().after(Duration::from_millis(200)));
    assert_eq!(rig.task(stays).await.status, Status::Dispatching);
    assert_eq!(
        (model.times(PATCH), model.running(), rig.seated()),
        (1, 1, 1)
    );
    assert!(
        store.freed.lock().unwrap().is_empty(),
        "its call is at work"
    );
    model.release();
    assert_eq!(rig.over(stays).await.status.state(), State::Completed);
    let task = rig.task(late).await;
    assert_eq!(ended(&task), (State::Expired, Some(Outcome::Unknown)));
    until("its seat is free", || rig.seated() == 0).await;
    until("the store knows", || {
        store.freed.lock().unwrap().contains(&late)
    })
    .await;
    rig.stop().await;
}

/// It may have been applied: who changes the same waits until the call can be at work no more.
#[tokio::test]
async fn what_was_overdue_when_its_call_was_lost_is_not_overtaken() {
    let model = model(EMPTY, |before| match before {
        0 => Act::Breaks,
        _ => Act::Answer(200, EMPTY),
    })
    .await;
    let rig = Rig::start(model.address, roomy("4s")).await;
    let short = patch(Duration::from_millis(200));
    let late = rig.submit_of(short, body("add", 1)).await.unwrap();
    let late = rig.over(late).await;
    assert_eq!(ended(&late), (State::Expired, Some(Outcome::Unknown)));
    model.release();
    let same = rig.submit_of(patch(LONG), body("delete", 1)).await.unwrap();
    let same = rig.over(same).await;
    assert_eq!(same.status.state(), State::Completed);
    let over = late.started.unwrap().after(Duration::from_secs(4));
    assert!(same.started.unwrap() >= over, "{same:?}");
    until("its seat is free", || rig.seated() == 0).await;
    rig.stop().await;
}

/// What the upstream says to the first merged call and to all others, and what that comes to.
struct Row {
    says: (Act, Act),
    /// Calls, by what came of them, and the patches in them.
    calls: [u64; 4],
    patches: u64,
    ends: State,
}

impl Row {
    const fn new(says: (Act, Act), (calls, patches): ([u64; 4], u64), ends: State) -> Self {
        Self {
            says,
            calls,
            patches,
            ends,
        }
    }

    async fn holds(self) {
        let Self {
            says: (first, then),
            calls,
            patches,
            ends,
        } = self;
        let said = first.clone();
        let model = model(FULL, move |before| {
            if before == 0 {
                said.clone()
            } else {
                then.clone()
            }
        });
        let model = model.await;
        let rig = Rig::start(model.address, set("2s")).await;
        for id in two(&rig).await {
            let task = rig.over(id).await;
            assert_eq!(task.status.state(), ends, "{first:?}: {task:?}");
            let word = matches!(first, Act::Answer(400, _)) && ends == State::Failed;
            assert_eq!(task.error_type.as_deref(), word.then_some("INVALID"));
        }
        until("the seat is free", || rig.seated() == 0).await;
        assert!(rig.crew.lever().lost().is_empty());
        let merges = rig.desk.tally().merges("up");
        assert_eq!(
            (merges.calls, merges.requests),
            (calls, patches),
            "{first:?}"
        );
        let went: u64 = calls.iter().sum();
        assert_eq!(model.times(PATCH), usize::try_from(went).unwrap());
        rig.stop().await;
    }
}

#[tokio::test]
async fn every_unit_comes_back_however_a_merged_call_ends() {
    let bad = || Act::Answer(400, r#"{"error":"bad","error_type":"INVALID"}"#);
    let good = || Act::Answer(200, FULL);
    let full = Act::With(429, "Retry-After: 0", "");
    let (completed, failed) = (State::Completed, State::Failed);
    let rows = [
        Row::new((good(), good()), ([1, 0, 0, 0], 2), completed),
        Row::new((bad(), good()), ([2, 1, 0, 0], 4), completed),
        Row::new((bad(), bad()), ([2, 1, 0, 0], 4), failed),
        Row::new((Act::Answer(500, ""), good()), ([1, 0, 0, 0], 2), failed),
        Row::new((full, good()), ([1, 0, 1, 0], 4), completed),
        Row::new((Act::Answer(401, ""), good()), ([0, 0, 1, 0], 2), failed),
        // The pool shows it, though its answer is lost.
        Row::new((Act::Close, good()), ([0, 0, 0, 1], 2), completed),
        Row::new((Act::Cut, good()), ([0, 0, 0, 1], 2), completed),
        Row::new((Act::Answer(503, ""), good()), ([0, 0, 0, 1], 2), completed),
        Row::new((Act::Hold, good()), ([0, 0, 0, 1], 2), completed),
    ];
    let rows = rows.map(|row| tokio::spawn(row.holds()));
    for row in rows {
        row.await.unwrap();
    }
}

#[tokio::test]
async fn a_token_that_is_over_fails_its_own_alone_in_whatever_field_it_stands() {
    let model = Model::start(|asked, _| {
        if asked.head.contains("vmware-api-session-id: over") {
            Act::Answer(401, "")
        } else {
            Act::Answer(200, FULL)
        }
    })
    .await;
    let rig = Rig::start(model.address, set("600s")).await;
    let mut ids = Vec::new();
    for (token, nth) in [("lasts", 1), ("over", 2)] {
        let id = rig.submit_as(token, patch(LONG), body("add", nth)).await;
        ids.push(id.unwrap());
    }
    let over = rig.over(ids[1]).await;
    assert_eq!(ended(&over), (State::Failed, Some(Outcome::NotApplied)));
    assert_eq!(over.error.clone().unwrap().kind, "credentials-expired");
    let lasts = rig.over(ids[0]).await;
    assert_eq!(lasts.status.state(), State::Completed, "{lasts:?}");
    rig.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_longer_than_a_limit_takes_is_told_of_and_counted() {
    let model = model(FULL, |_| Act::Answer(200, FULL)).await;
    let cap = "[upstream.limits.response_bytes]\ncounts = \"response_bytes\"\nlimit = 4\nmatch = { class = [\"blocking\"] }\n";
    let set = Set {
        lines: lines("600s", cap),
        ..Set::default()
    };
    let rig = Rig::start(model.address, set).await;
    for id in two(&rig).await {
        let task = rig.over(id).await;
        assert_eq!(ended(&task), (State::Failed, Some(Outcome::Known)));
        assert_eq!(task.error.clone().unwrap().kind, "answer-too-large");
    }
    let refused: u64 = rig.view("response_bytes").refused.iter().sum();
    assert_eq!((refused, rig.seated()), (1, 0), "it was one answer");
    rig.stop().await;
}
