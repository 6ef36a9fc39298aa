//! Tasks that ended badly and that others make up for.

use std::sync::Arc;
use std::time::Duration;

use tidegate::session::Keys;
use tidegate::store::Memory;
use tidegate::task::{Bond, Outcome, State};

use crate::after::{
    CLONE, DELETE, FIND, RETRY, UNDO_KNOWN, UNDO_LOST, alerts, all, has_token, made_up, ruled, set,
};
use crate::faulty::{Faulty, Whim};
use crate::model::{Act, Model};
use crate::rig::{Rig, Set, clone, until};

#[tokio::test]
async fn what_was_left_half_made_is_deleted_in_the_name_of_the_same_user() {
    for (status, state) in [(500, State::Failed), (207, State::PartialSuccess)] {
        let model = Model::start(move |asked, _| match asked.line.as_str() {
            CLONE => Act::Answer(status, r#"{"id":"vm-7"}"#),
            _ => Act::Answer(204, ""),
        })
        .await;
        let rig = Rig::start(model.address, set(&[UNDO_KNOWN])).await;
        let task = rig.over(rig.submit(clone()).await).await;
        assert_eq!(task.status.state(), state);
        let undo = made_up(&rig, &task).await;
        assert_eq!(undo.status.state(), State::Completed, "{undo:?}");
        assert_eq!(
            (
                undo.requested.method.as_str(),
                undo.requested.target.as_str()
            ),
            ("DELETE", "/api/vm/vm-7")
        );
        assert_eq!((model.times(CLONE), model.times(DELETE)), (1, 1));
        assert!(model.asked().iter().all(has_token));
        assert_eq!(all(&rig).await.len(), 2);
        for id in [task.id, undo.id] {
            assert_eq!(
                rig.desk.request(id).await.unwrap(),
                None,
                "credentials are forgotten"
            );
        }
        assert_eq!(rig.desk.tally().work("up").compensated, 1);
        assert_eq!(alerts(&rig, state), 0, "no rule has that told");
        rig.stop().await;
    }
}

#[tokio::test]
async fn nothing_makes_up_for_an_end_that_no_rule_is_for() {
    let model = Model::start(|_, before| match before {
        0 => Act::Answer(400, r#"{"error_type":"ALREADY_EXISTS"}"#),
        1 => Act::Answer(401, ""),
        2 => Act::Answer(500, "{}"),
        _ => Act::Answer(200, "{}"),
    })
    .await;
    let rig = Rig::start(model.address, set(&[UNDO_KNOWN])).await;
    for state in [
        State::Failed,
        State::Failed,
        State::Failed,
        State::Completed,
    ] {
        let task = rig.over(rig.submit(clone()).await).await;
        // The third has the status, and no id in it: nothing can be made of that, and that is told.
        assert_eq!((task.status.state(), task.bond), (state, None));
    }
    assert_eq!((all(&rig).await.len(), alerts(&rig, State::Failed)), (4, 1));
    rig.stop().await;
}

#[tokio::test]
async fn what_became_of_a_lost_call_is_found_before_it_is_undone() {
    let model = Model::start(|asked, before| match asked.line.as_str() {
        CLONE => Act::Close,
        FIND if before < 5 => Act::Answer(200, "[]"),
        FIND if before == 5 => Act::Answer(500, ""),
        FIND => Act::Answer(200, r#"[{"vm":"vm-7"}]"#),
        _ => Act::Answer(204, ""),
    })
    .await;
    let rig = Rig::start(model.address, set(&[UNDO_LOST])).await;
    let task = rig.over(rig.submit(clone()).await).await;
    assert_eq!(
        (task.status.state(), task.outcome),
        (State::Failed, Some(Outcome::Unknown))
    );
    let undo = made_up(&rig, &task).await;
    assert_eq!(undo.status.state(), State::Completed, "{undo:?}");
    assert_eq!(
        (model.times(CLONE), model.times(FIND), model.times(DELETE)),
        (1, 7, 1)
    );
    assert!(model.asked().iter().all(has_token));
    assert_eq!(alerts(&rig, State::Failed), 1, "the first one is told of");
    rig.stop().await;
}

#[tokio::test]
async fn what_is_not_there_once_the_call_can_be_at_work_no_more_is_not_undone() {
    let model = Model::start(|asked, _| match asked.line.as_str() {
        CLONE => Act::Close,
        _ => Act::Answer(200, "[]"),
    })
    .await;
    let brief = Duration::from_millis(600);
    let set = Set {
        max_blocking: brief,
        ..set(&[UNDO_LOST])
    };
    let rig = Rig::start(model.address, set).await;
    let mut requested = clone();
    requested.run_for = brief;
    let task = rig.over(rig.submit(requested).await).await;
    let undo = made_up(&rig, &task).await;
    assert_eq!(
        (undo.status.state(), undo.dispatched),
        (State::Aborted, false)
    );
    assert_eq!(undo.error.clone().unwrap().kind, "nothing-to-undo");
    assert!(model.times(FIND) >= 3, "not by one look");
    let lines = model.asked();
    assert!(
        lines.iter().all(|asked| !asked.line.starts_with("DELETE")),
        "{lines:?}"
    );
    assert_eq!(alerts(&rig, State::Aborted), 0, "it is no bad end");
    rig.stop().await;
}

#[tokio::test]
async fn what_stood_there_before_or_may_have_is_not_undone_and_the_operator_is_told() {
    for before in [Act::Answer(200, r#"[{"vm":"vm-7"}]"#), Act::Answer(500, "")] {
        let said = before.clone();
        let model = Model::start(move |asked, nth| match asked.line.as_str() {
            CLONE => Act::Close,
            FIND if nth == 0 => said.clone(),
            FIND => Act::Answer(200, r#"[{"vm":"vm-7"}]"#),
            _ => Act::Answer(204, ""),
        })
        .await;
        let quiet = UNDO_LOST.replace("alert = true\n", "");
        let rig = Rig::start(model.address, set(&[&quiet])).await;
        let task = rig.over(rig.submit(clone()).await).await;
        assert_eq!((task.outcome, task.bond), (Some(Outcome::Unknown), None));
        assert_eq!(alerts(&rig, State::Failed), 1, "{before:?}");
        assert_eq!((all(&rig).await.len(), model.times(DELETE)), (1, 0));
        rig.stop().await;
    }
}

/// What was refused goes up again later: what another has made of that name by then is not its work.
#[tokio::test]
async fn what_another_made_while_the_task_was_sent_back_is_not_undone() {
    let model = Model::start(|asked, nth| match asked.line.as_str() {
        CLONE if nth == 0 => Act::Answer(429, ""),
        CLONE => Act::Close,
        FIND if nth == 0 => Act::Answer(200, "[]"),
        FIND => Act::Answer(200, r#"[{"vm":"vm-7"}]"#),
        _ => Act::Answer(204, ""),
    })
    .await;
    let quiet = UNDO_LOST.replace("alert = true\n", "");
    let rig = Rig::start(model.address, set(&[&quiet])).await;
    let task = rig.over(rig.submit(clone()).await).await;
    assert_eq!((task.attempts, task.outcome), (2, Some(Outcome::Unknown)));
    assert_eq!((task.stood, task.bond), (Some(true), None));
    assert_eq!(alerts(&rig, State::Failed), 1);
    assert_eq!((all(&rig).await.len(), model.times(DELETE)), (1, 0));
    rig.stop().await;
}

#[tokio::test]
async fn a_run_cut_short_is_made_up_for_though_its_call_may_still_be_at_work() {
    let model = Model::start(|asked, before| match asked.line.as_str() {
        CLONE => Act::Hold,
        FIND if before == 0 => Act::Answer(200, "[]"),
        FIND => Act::Answer(200, r#"[{"vm":"vm-7"}]"#),
        _ => Act::Answer(204, ""),
    })
    .await;
    let rig = Rig::start(model.address, set(&[UNDO_LOST])).await;
    let mut brief = clone();
    brief.run_for = Duration::from_millis(100);
    let task = rig.over(rig.submit(brief).await).await;
    assert_eq!(
        (task.status.state(), task.dispatched),
        (State::Expired, true)
    );
    let undo = made_up(&rig, &task).await;
    assert_eq!(undo.status.state(), State::Completed);
    assert_eq!((model.times(CLONE), model.times(DELETE)), (1, 1));
    model.release();
    rig.stop().await;
}

#[tokio::test]
async fn a_compensation_that_does_not_succeed_is_told_of_and_not_made_up_for() {
    for (answer, state) in [
        (403, State::Failed),
        (404, State::Completed),
        (207, State::PartialSuccess),
    ] {
        let model = Model::start(move |asked, _| match asked.line.as_str() {
            CLONE => Act::Answer(500, r#"{"id":"vm-7"}"#),
            _ => Act::Answer(answer, r#"{"id":"vm-8"}"#),
        })
        .await;
        let retried = format!(
            "state = [\"FAILED\"]\nstatus = [403]\nerror = [\"X\"]\nrefusal = true\n{RETRY}"
        );
        let rig = Rig::start(model.address, set(&[UNDO_KNOWN, &retried])).await;
        let task = rig.over(rig.submit(clone()).await).await;
        let undo = made_up(&rig, &task).await;
        assert_eq!(
            undo.status.state(),
            state,
            "{answer}: what is gone needs no deletion"
        );
        let is_told = u64::from(state != State::Completed);
        assert_eq!(alerts(&rig, state), is_told, "{answer}");
        assert_eq!((all(&rig).await.len(), model.times(DELETE)), (2, 1));
        rig.stop().await;
    }
}

/// The clone and the deletion of a gate whose store does this with the steps of the clone.
async fn through(whims: &'static [Whim], dies: bool) {
    let model = Model::start(|asked, _| match asked.line.as_str() {
        CLONE => Act::Answer(500, r#"{"id":"vm-7"}"#),
        _ => Act::Answer(204, ""),
    })
    .await;
    let store = Faulty::new(whims);
    let keys = Arc::new(Keys::random().unwrap());
    let again = || Set {
        store: store.clone(),
        keys: keys.clone(),
        ..set(&[UNDO_KNOWN])
    };
    let mut rig = Rig::start(model.address, again()).await;
    let id = rig.submit(clone()).await;
    if dies {
        until("the last step is under way", || store.left() == 0).await;
        rig.crew.stop().await;
        rig = Rig::start(model.address, again()).await;
    }
    let task = rig.over(id).await;
    let undone = usize::from(matches!(task.bond, Some(Bond::CompensatedBy(_))));
    if undone == 1 {
        let undo = made_up(&rig, &task).await;
        assert_eq!(undo.status.state(), State::Completed, "{whims:?}");
    } else {
        // The answer died with the gate: what may be done once is not asked for again, and nobody knows of an id.
        assert_eq!(task.outcome, Some(Outcome::Unknown), "{whims:?}");
    }
    assert_eq!(all(&rig).await.len(), 1 + undone, "{whims:?}");
    assert_eq!(
        (model.times(CLONE), model.times(DELETE)),
        (1, undone),
        "{whims:?}"
    );
    rig.crew.stop().await;
}

#[tokio::test]
async fn whatever_the_store_does_as_a_task_ends_it_is_made_up_for_once() {
    use Whim::{Dawdles, Lies, Refuses, Works};
    for whims in [
        &[Works, Refuses][..],
        &[Works, Lies],
        &[Works, Dawdles],
        &[Works, Refuses, Lies],
        &[Works, Refuses, Refuses, Works, Lies],
        &[Works, Works, Lies, Lies],
    ] {
        through(whims, false).await;
    }
}

#[tokio::test]
async fn a_gate_that_dies_as_a_task_ends_leaves_its_compensation_or_none() {
    use Whim::{DiesBefore, DiesBehind, Works};
    for whims in [&[Works, DiesBefore][..], &[Works, DiesBehind]] {
        through(whims, true).await;
    }
}

/// By then another has made a thing of the same name.
#[tokio::test]
async fn a_gate_that_dies_as_it_makes_up_for_a_task_goes_on_with_that() {
    let model = Model::start(|asked, before| match asked.line.as_str() {
        CLONE => Act::Close,
        FIND if before == 0 => Act::Answer(200, "[]"),
        FIND if before == 1 => Act::Answer(200, r#"[{"vm":"vm-7"}]"#),
        FIND => Act::Answer(200, r#"[{"vm":"vm-8"}]"#),
        _ if before == 0 => Act::Hold,
        _ => Act::Answer(404, ""),
    })
    .await;
    let (store, keys) = (
        Arc::new(Memory::default()),
        Arc::new(Keys::random().unwrap()),
    );
    let blocks = "[[upstream.route]]\nname = \"delete\"\nclass = \"blocking\"\n\
                  match = { method = \"DELETE\", path = \"/api/vm/*\" }\n";
    let again = || Set {
        lines: ruled(&[UNDO_LOST]) + blocks,
        store: store.clone(),
        keys: keys.clone(),
        ..Set::default()
    };
    let first = Rig::start(model.address, again()).await;
    let task = first.over(first.submit(clone()).await).await;
    until("it is being deleted", || model.times(DELETE) == 1).await;
    assert_eq!(first.seated(), 2, "the lost call, and the deletion");
    first.crew.stop().await;
    let second = Rig::start(model.address, again()).await;
    assert_eq!(second.found.seats, 2);
    let undo = made_up(&second, &task).await;
    // That it is gone by now says that the first deletion was done.
    assert_eq!(undo.status.state(), State::Completed, "{undo:?}");
    assert_eq!((model.times(CLONE), model.times(DELETE)), (1, 2));
    assert_eq!(model.times("DELETE /api/vm/vm-8"), 0, "it is another's");
    assert_eq!(all(&second).await.len(), 2);
    model.release();
    second.crew.stop().await;
}

/// However long the deletion may take itself.
#[tokio::test]
async fn absence_is_believed_once_the_call_can_be_at_work_no_more() {
    let model = Model::start(|asked, _| match asked.line.as_str() {
        CLONE => Act::Close,
        _ => Act::Answer(200, "[]"),
    })
    .await;
    let brief = UNDO_LOST.replace("method", "deadline = \"1s\", method");
    let set = Set {
        max_blocking: Duration::from_millis(100),
        ..set(&[&brief])
    };
    let rig = Rig::start(model.address, set).await;
    let mut requested = clone();
    requested.run_for = Duration::from_secs(3);
    let task = rig.over(rig.submit(requested).await).await;
    let undo = made_up(&rig, &task).await;
    assert_eq!(undo.error.clone().unwrap().kind, "nothing-to-undo");
    let sent = task.started.unwrap();
    let waited = undo.ended.unwrap().since(sent);
    assert!(waited >= Duration::from_secs(3), "{waited:?}");
    rig.stop().await;
}

/// Its request is forgotten with its end: what it was sent for is told by what may be shown of it.
#[tokio::test]
async fn a_compensation_whose_answer_is_lost_for_good_holds_its_seat_at_the_next_start() {
    let model = Model::start(|asked, before| match asked.line.as_str() {
        CLONE => Act::Answer(500, "{}"),
        FIND if before == 0 => Act::Answer(200, "[]"),
        FIND => Act::Answer(200, r#"[{"vm":"vm-7"}]"#),
        _ => Act::Close,
    })
    .await;
    let (store, keys) = (
        Arc::new(Memory::default()),
        Arc::new(Keys::random().unwrap()),
    );
    let rule = UNDO_LOST
        .replace(
            "outcome = \"unknown\"",
            "outcome = \"known\"\nstatus = [500]",
        )
        .replace("\"DELETE\"", "\"POST\"");
    let blocks = "[[upstream.route]]\nname = \"delete\"\nclass = \"blocking\"\n\
                  match = { method = \"POST\", path = \"/api/vm/*\" }\n";
    let again = || Set {
        lines: ruled(&[&rule]) + blocks,
        store: store.clone(),
        keys: keys.clone(),
        ..Set::default()
    };
    let first = Rig::start(model.address, again()).await;
    let task = first.over(first.submit(clone()).await).await;
    let undo = made_up(&first, &task).await;
    assert_eq!(undo.outcome, Some(Outcome::Unknown), "{undo:?}");
    assert_eq!(first.seated(), 1, "it may be at work");
    first.stop().await;
    let second = Rig::start(model.address, again()).await;
    assert_eq!((second.found.seats, second.seated()), (1, 1));
    second.stop().await;
}
