//! Tasks that end badly, or would: tried again, told of, made up for.

use std::sync::Arc;
use std::time::Duration;

use tidegate::session::Keys;
use tidegate::store::Memory;
use tidegate::task::{Bond, Filter, Outcome, Record, Replay, State};

use crate::model::{Act, Asked, Model};
use crate::rig::{Rig, Set, clone, seats, until};

pub const CLONE: &str = "POST /api/clone";
pub const FIND: &str = "GET /api/vm?names=web%2002";
pub const DELETE: &str = "DELETE /api/vm/vm-7";
pub const BUSY: &str = r#"{"error_type":"RESOURCE_BUSY"}"#;

/// A route whose tasks these rules are for.
pub fn ruled(rules: &[&str]) -> String {
    let rules = rules
        .iter()
        .map(|rule| format!("[[upstream.route.after]]\n{rule}\n"));
    seats(10) + &rules.collect::<String>()
}

pub fn set(rules: &[&str]) -> Set {
    Set {
        lines: ruled(rules),
        ..Set::default()
    }
}

pub const RETRY: &str = "retry = { times = 3, first = \"5ms\", cap = \"10ms\" }";
pub const REFUSAL: &str =
    "state = [\"FAILED\"]\nstatus = [400]\nerror = [\"RESOURCE_BUSY\"]\nrefusal = true";
const REFUSAL_TOLD: &str = "state = [\"FAILED\"]\nstatus = [400]\nerror = [\"RESOURCE_BUSY\"]\nrefusal = true\nalert = true";
pub const UNDO_KNOWN: &str = "state = [\"FAILED\", \"PARTIAL_SUCCESS\"]\noutcome = \"known\"\nstatus = [500, 207]\n\
                          compensate = { method = \"DELETE\", target = \"/api/vm/{answer:id}\" }";
pub const UNDO_LOST: &str = "state = [\"FAILED\", \"EXPIRED\"]\noutcome = \"unknown\"\nalert = true\n\
                         compensate = { method = \"DELETE\", target = \"/api/vm/{found:0.vm}\", \
                         find = { get = \"/api/vm?names={/name}\", json = \"/0/vm\", every = \"100ms\" } }";

/// Every task of the store, the oldest first.
pub async fn all(rig: &Rig) -> Vec<Arc<Record>> {
    let filter = Filter::default();
    let mut tasks = rig.desk.store().list(&filter, None, 99).await.unwrap();
    tasks.reverse();
    tasks
}

/// The task that makes up for this one, once it is over.
pub async fn made_up(rig: &Rig, task: &Record) -> Arc<Record> {
    let Some(Bond::CompensatedBy(by)) = task.bond else {
        panic!("nothing makes up for it: {task:?}");
    };
    let undo = rig.over(by).await;
    assert_eq!(undo.bond, Some(Bond::Compensates(task.id)));
    assert_eq!(undo.requested.owner, task.requested.owner);
    undo
}

pub fn alerts(rig: &Rig, state: State) -> u64 {
    let place = State::ALL.iter().position(|one| *one == state).unwrap();
    rig.desk.tally().work("up").alerts[place]
}

pub fn has_token(asked: &Asked) -> bool {
    asked.head.contains("vmware-api-session-id: token")
}

#[tokio::test]
async fn what_was_refused_is_tried_again_until_it_is_done() {
    let model = Model::start(|_, before| match before {
        0 | 1 => Act::Answer(400, BUSY),
        _ => Act::Answer(200, "{}"),
    })
    .await;
    let rig = Rig::start(model.address, set(&[&format!("{REFUSAL}\n{RETRY}")])).await;
    let id = rig.submit(clone()).await;
    let task = rig.over(id).await;
    assert_eq!(task.status.state(), State::Completed, "{task:?}");
    assert_eq!((task.attempts, task.retries()), (3, 2));
    assert_eq!((task.error.clone(), task.bond), (None, None));
    assert_eq!(rig.desk.tally().work("up").retries, 2);
    assert!(
        model
            .asked()
            .iter()
            .all(|asked| has_token(asked) && asked.body == b"{\"name\":\"web 02\"}")
    );
    rig.stop().await;
}

#[tokio::test]
async fn tries_end_and_then_the_operator_is_told() {
    for replay in [Replay::AtMostOnce, Replay::AtLeastOnce] {
        let model = Model::start(|_, _| Act::Answer(400, BUSY)).await;
        let told = "state = [\"FAILED\"]\nalert = true";
        let busy = format!("{REFUSAL}\n{RETRY}");
        let rig = Rig::start(model.address, set(&[&busy, told])).await;
        let mut requested = clone();
        requested.replay = replay;
        let task = rig.over(rig.submit(requested).await).await;
        assert_eq!((task.status.state(), task.retries()), (State::Failed, 3));
        assert_eq!(task.outcome, Some(Outcome::NotApplied), "so the rule says");
        assert!(!task.dispatched);
        assert_eq!(model.times(CLONE), 4, "{replay:?}");
        assert_eq!(alerts(&rig, State::Failed), 1, "once, at the end");
        rig.stop().await;
    }
}

#[tokio::test]
async fn what_an_attempt_before_may_have_done_is_not_said_to_be_undone() {
    let model = Model::start(|_, before| match before {
        0 => Act::Answer(500, "{}"),
        _ => Act::Answer(400, BUSY),
    })
    .await;
    let any = format!("state = [\"FAILED\"]\nstatus = [500]\n{RETRY}");
    let rig = Rig::start(model.address, set(&[REFUSAL_TOLD, &any])).await;
    let mut harmless = clone();
    harmless.replay = Replay::AtLeastOnce;
    let task = rig.over(rig.submit(harmless).await).await;
    assert_eq!((task.retries(), model.times(CLONE)), (1, 2));
    assert_eq!(
        (task.outcome, task.dispatched),
        (Some(Outcome::Unknown), true)
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_call_that_may_have_been_done_and_must_not_be_twice_is_never_sent_again() {
    for act in [
        Act::Close,
        Act::Answer(504, ""),
        Act::Answer(500, "{}"),
        Act::Answer(207, "{}"),
    ] {
        let said = act.clone();
        let model = Model::start(move |_, _| said.clone()).await;
        let every = format!(
            "state = [\"FAILED\", \"PARTIAL_SUCCESS\", \"EXPIRED\", \"ABORTED\"]\nalert = true\n{RETRY}"
        );
        let rig = Rig::start(model.address, set(&[&every])).await;
        let task = rig.over(rig.submit(clone()).await).await;
        assert_eq!((model.times(CLONE), task.retries()), (1, 0), "{act:?}");
        assert_eq!(alerts(&rig, task.status.state()), 1, "{act:?}");
        rig.stop().await;
    }
}

#[tokio::test]
async fn what_may_be_done_twice_is_tried_again_after_each_bad_end() {
    for (act, state) in [
        (Act::Answer(500, "{}"), State::Failed),
        (Act::Answer(207, "{}"), State::PartialSuccess),
        (Act::Hold, State::Expired),
    ] {
        let said = act.clone();
        let model = Model::start(move |_, before| match before {
            0 => said.clone(),
            _ => Act::Answer(200, "{}"),
        })
        .await;
        let every = format!("state = [\"FAILED\", \"PARTIAL_SUCCESS\", \"EXPIRED\"]\n{RETRY}");
        let set = Set {
            max_blocking: Duration::from_millis(300),
            ..set(&[&every])
        };
        let rig = Rig::start(model.address, set).await;
        let mut harmless = clone();
        harmless.replay = Replay::AtLeastOnce;
        if state == State::Expired {
            harmless.run_for = Duration::from_millis(100);
        }
        let task = rig.over(rig.submit(harmless).await).await;
        assert_eq!(
            (task.status.state(), task.retries()),
            (State::Completed, 1),
            "{state:?}"
        );
        assert_eq!(model.times(CLONE), 2, "{state:?}");
        model.release();
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_task_taken_back_before_it_began_is_told_of_and_nothing_else() {
    let model = Model::start(|_, _| Act::Hold).await;
    let every = "state = [\"ABORTED\", \"EXPIRED\"]\nalert = true";
    let lines = seats(1)
        + &format!(
            "[[upstream.route.after]]\n{every}\n[[upstream.route.after]]\nstate = [\"ABORTED\"]\n{RETRY}\n\
                                     [[upstream.route.after]]\nstate = [\"ABORTED\", \"EXPIRED\"]\noutcome = \"known\"\n\
                                     compensate = {{ method = \"DELETE\", target = \"/api/vm/{{/name}}\" }}\n"
        );
    let set = Set {
        lines,
        ..Set::default()
    };
    let rig = Rig::start(model.address, set).await;
    let holds = rig.submit(clone()).await;
    until("one is up", || model.running() == 1).await;
    let mut late = clone();
    late.start_deadline = Some(crate::rig::shortly(Duration::from_millis(50)));
    let late = rig.submit(late).await;
    let waits = rig.submit(clone()).await;
    rig.desk.cancel(waits).await.unwrap();
    for (id, state) in [(waits, State::Aborted), (late, State::Expired)] {
        let task = rig.over(id).await;
        assert_eq!(
            (task.status.state(), task.bond, task.retries()),
            (state, None, 0)
        );
        assert_eq!(alerts(&rig, state), 1);
    }
    model.release();
    rig.over(holds).await;
    assert_eq!((all(&rig).await.len(), model.asked().len()), (3, 1));
    rig.stop().await;
}

#[tokio::test]
async fn a_try_that_waits_outlives_the_gate() {
    let model = Model::start(|_, before| match before {
        0 => Act::With(400, "Retry-After: 1", BUSY),
        _ => Act::Answer(200, "{}"),
    })
    .await;
    let (store, keys) = (
        Arc::new(Memory::default()),
        Arc::new(Keys::random().unwrap()),
    );
    let again = || Set {
        store: store.clone(),
        keys: keys.clone(),
        ..set(&[&format!("{REFUSAL}\n{RETRY}")])
    };
    let first = Rig::start(model.address, again()).await;
    let id = first.submit(clone()).await;
    let mut seen = first.desk.watch(id).unwrap();
    let waits = seen
        .wait_for(|task| task.retries() == 1)
        .await
        .unwrap()
        .clone();
    assert_eq!(waits.status.state(), State::Scheduled);
    let rest = waits.not_before.unwrap().since(waits.updated);
    assert!(
        rest >= Duration::from_millis(900),
        "Retry-After is heard: {rest:?}"
    );
    first.stop().await;
    assert_eq!(model.times(CLONE), 1);
    let second = Rig::start(model.address, again()).await;
    assert_eq!(second.found.waiting, 1);
    let task = second.over(id).await;
    assert_eq!((task.status.state(), task.attempts), (State::Completed, 2));
    second.stop().await;
}

/// The keys that went up, in their order.
fn keys(model: &Model) -> Vec<String> {
    let key = |asked: Asked| {
        let fields = asked.head.lines().filter_map(|line| line.split_once(": "));
        let mut keys = fields.filter(|(name, _)| name.eq_ignore_ascii_case("idempotency-key"));
        keys.next().unwrap().1.to_owned()
    };
    model.asked().into_iter().map(key).collect()
}

/// What the upstream has spoken of, it would say again under the same key; and what may be done twice by no other proof than its
/// key keeps that.
#[tokio::test]
async fn a_try_has_a_key_of_its_own_once_the_upstream_has_spoken_and_again_does_no_harm() {
    let refused = format!("{REFUSAL}\n{RETRY}");
    let any = format!("state = [\"FAILED\"]\n{RETRY}");
    let (busy, broken) = (Act::Answer(400, BUSY), Act::Answer(500, "{}"));
    for (rule, act, replay, is_new) in [
        (&refused, busy, "", true),
        (&any, broken.clone(), "replay = \"at-least-once\"\n", true),
        (&any, broken, "", false),
        (&any, Act::Close, "replay = \"at-least-once\"\n", false),
    ] {
        let model = Model::start(move |_, before| match before {
            0 | 1 => act.clone(),
            _ => Act::Answer(200, "{}"),
        })
        .await;
        let key = "upstream_key = \"derive\"\n";
        let lines = seats(10) + key + replay + "[[upstream.route.after]]\n" + rule;
        let (store, sealing) = (
            Arc::new(Memory::default()),
            Arc::new(Keys::random().unwrap()),
        );
        let again = || Set {
            lines: lines.clone(),
            store: store.clone(),
            keys: sealing.clone(),
            ..Set::default()
        };
        let mut rig = Rig::start(model.address, again()).await;
        let mut requested = clone();
        requested.replay = Replay::AtLeastOnce;
        let id = rig.submit_keyed(requested, "\"its own\"").await;
        let mut seen = rig.desk.watch(id).unwrap();
        seen.wait_for(|task| task.attempts == 2).await.unwrap();
        rig.stop().await;
        rig = Rig::start(model.address, again()).await;
        let task = rig.over(id).await;
        assert_eq!(task.status.state(), State::Completed, "{rule} {replay}");
        let sent = keys(&model);
        let tries = task.retries();
        assert_eq!(sent.first().unwrap(), "\"its own\"");
        let last = sent.last().unwrap();
        let wanted = if is_new {
            format!("\"gw-{id}-{tries}\"")
        } else {
            "\"its own\"".to_owned()
        };
        assert_eq!(*last, wanted, "{sent:?}");
        rig.stop().await;
    }
}
