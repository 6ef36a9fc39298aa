//! What every store promises of tasks that wait, run, end and are forgotten, tried on each.

use tidegate::task::{
    Event, Filter, Found, GONE_FOR, HookOutcome, Kept, Purged, Record, SeatChange, State, Step,
    Submitted, TaskId, Tombstone,
};

use super::task::{after, at, hook, id, keyed, owner, requested, to};
use super::tasks::{kept, task};
use super::*;

on_every_store! {
    a_forgotten_task_is_kept_for_its_seat_alone
    seats_are_taken_and_given_back
    unfinished_tasks_come_in_pages
    lists_come_in_pages_and_by_filter
    a_task_that_is_over_is_forgotten_on_its_owners_word
    what_expired_is_purged
    the_outbox_is_emptied_in_order_of_time
    who_is_gone_hears_nothing_more
}

async fn seats_are_taken_and_given_back(bench: Bench) {
    let first = bench.there(1, &[]).await;
    let second = after(&first, &[Event::Dispatch]);
    let take = Step {
        seat: SeatChange::Take { until: at(60) },
        ..to(&first, second.clone())
    };
    bench.make(take).await;
    let bench = bench.reopened().await;
    assert_eq!(bench.unfinished().await, [kept(&second, Some(60))]);
    // It may be held though the task is over: then it is not purged before its time.
    let mut third = after(&second, &[Event::Lost, Event::Fail]);
    third.version = second.version + 1;
    third.expires = Some(at(10));
    bench.make(to(&second, third.clone())).await;
    let bench = bench.reopened().await;
    assert_eq!(bench.unfinished().await, [kept(&third, Some(60))]);
    let none = Purged::default();
    assert_eq!(bench.tasks.purge(at(11), at(99), 10).await.unwrap(), none);
    bench.tasks.free_seat(id(1)).await.unwrap();
    bench.tasks.free_seat(id(1)).await.unwrap();
    bench.tasks.free_seat(id(2)).await.unwrap();
    assert_eq!(bench.unfinished().await, []);
    assert!(bench.tasks.forget(id(1), at(99)).await.unwrap());

    let first = bench.there(3, &[Event::Dispatch]).await;
    for seat in [
        SeatChange::Take { until: at(1) },
        SeatChange::Take { until: at(2) },
    ] {
        let Found::Task(now) = bench.found(3).await else {
            panic!("it is there");
        };
        let mut next = Record::clone(&now);
        next.version += 1;
        bench
            .make(Step {
                seat,
                ..to(&now, next)
            })
            .await;
    }
    let seats: Vec<_> = bench
        .unfinished()
        .await
        .iter()
        .map(|kept| kept.seat)
        .collect();
    assert_eq!(seats, [Some(at(2))]);
    let mut next = after(&first, &[Event::Refused]);
    next.version = first.version + 3;
    let give = Step {
        seat: SeatChange::Free,
        ..to(&first, next.clone())
    };
    bench.make(give).await;
    assert_eq!(bench.unfinished().await, [kept(&next, None)]);
    // Past its time, a seat keeps nothing from being purged.
    let mut over = after(&next, &[Event::Abort]);
    over.expires = Some(at(5));
    let take = Step {
        seat: SeatChange::Take { until: at(4) },
        ..to(&next, over)
    };
    bench.make(take).await;
    assert_eq!(bench.tasks.purge(at(6), at(99), 10).await.unwrap().tasks, 1);
    assert_eq!(bench.reopened().await.unfinished().await, []);
}

async fn unfinished_tasks_come_in_pages(bench: Bench) {
    let mut wanted = Vec::new();
    for number in 1..=20 {
        let events: &[Event] = match number % 4 {
            0 => &[],
            1 => &[Event::Dispatch],
            2 => &[Event::Dispatch, Event::Sent, Event::Lost],
            _ => &[Event::Expire],
        };
        let task = bench.there(number, events).await;
        if !task.status.state().is_done() {
            wanted.push(kept(&task, None));
        }
    }
    assert_eq!(wanted.len(), 15);
    let bench = bench.reopened().await;
    assert_eq!(bench.unfinished().await, wanted);
    for most in [1, 4, 15, 16] {
        let mut paged = Vec::new();
        let mut behind = None;
        loop {
            let page = bench.tasks.unfinished(behind, most).await.unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() <= most);
            behind = Some(last.record.id);
            paged.extend(page);
        }
        assert_eq!(paged, wanted, "pages of {most}");
    }
}

async fn lists_come_in_pages_and_by_filter(bench: Bench) {
    for number in 1..=16 {
        let events: &[Event] = if number % 3 == 0 {
            &[Event::Abort]
        } else {
            &[]
        };
        bench.there(number, events).await;
    }
    let bench = bench.reopened().await;
    let owners = [None, Some("user:ann"), Some("user:ben"), Some("user:cat")];
    let upstreams = [None, Some("vc0"), Some("vc1")];
    let states = [
        None,
        Some(State::Scheduled),
        Some(State::Aborted),
        Some(State::Running),
    ];
    for (of, at, state) in owners.iter().flat_map(|owner| {
        let rest = upstreams.iter();
        rest.flat_map(move |at| states.map(|state| (*owner, *at, state)))
    }) {
        let filter = Filter {
            owner: of.map(owner),
            upstream: at.map(Arc::from),
            state,
            ..Filter::default()
        };
        let wanted: Vec<TaskId> = (1..=16)
            .rev()
            .filter(|number| {
                let requested = requested(*number);
                let is = if number % 3 == 0 {
                    State::Aborted
                } else {
                    State::Scheduled
                };
                of.is_none_or(|of| *requested.owner.0 == *of)
                    && at.is_none_or(|at| *requested.upstream == *at)
                    && state.is_none_or(|state| state == is)
            })
            .map(id)
            .collect();
        assert_eq!(bench.listed(&filter).await, wanted, "{filter:?}");
        let mut paged = Vec::new();
        loop {
            let before = paged.last().copied();
            let page = bench.tasks.list(&filter, before, 3).await.unwrap();
            assert!(page.len() <= 3);
            if page.is_empty() {
                break;
            }
            paged.extend(page.iter().map(|task| task.id));
        }
        assert_eq!(paged, wanted, "{filter:?} in pages");
    }
    assert_eq!(
        bench.tasks.list(&Filter::default(), None, 0).await.unwrap(),
        []
    );
}

async fn a_task_that_is_over_is_forgotten_on_its_owners_word(bench: Bench) {
    bench.tasks.submit(keyed(1, "a", 1)).await.unwrap();
    assert!(!bench.tasks.forget(id(1), at(50)).await.unwrap());
    assert!(!bench.tasks.forget(id(9), at(50)).await.unwrap());
    let first = keyed(1, "a", 1).record;
    let mut over = after(&first, &[Event::Fail]);
    over.expires = Some(at(20));
    bench.make(to(&first, over)).await;
    assert!(bench.tasks.forget(id(1), at(50)).await.unwrap());
    assert!(!bench.tasks.forget(id(1), at(50)).await.unwrap());
    let bench = bench.reopened().await;
    let whose = first.requested.owner.clone();
    let left = Tombstone {
        owner: whose,
        upstream: Some(first.requested.upstream.clone()),
    };
    assert_eq!(bench.found(1).await, Found::Gone(left));
    assert_eq!(bench.tasks.request(id(1)).await.unwrap(), None);
    assert_eq!(bench.tasks.answer(id(1)).await.unwrap(), None);
    assert_eq!(bench.listed(&Filter::default()).await, []);
    let again = bench.tasks.submit(keyed(2, "a", 2)).await.unwrap();
    assert_eq!(again, Submitted::New, "its key went with it");
}

async fn a_forgotten_task_is_kept_for_its_seat_alone(bench: Bench) {
    bench.tasks.submit(keyed(1, "a", 1)).await.unwrap();
    let first = keyed(1, "a", 1).record;
    let mut over = after(&first, &[Event::Fail]);
    over.expires = Some(at(20));
    let take = Step {
        seat: SeatChange::Take { until: at(60) },
        ..to(&first, over)
    };
    bench.make(take).await;
    assert!(bench.tasks.forget(id(1), at(50)).await.unwrap());
    assert!(!bench.tasks.forget(id(1), at(50)).await.unwrap());
    let bench = bench.reopened().await;
    assert!(matches!(bench.found(1).await, Found::Gone(_)));
    assert_eq!(bench.listed(&Filter::default()).await, []);
    assert_eq!(bench.tasks.request(id(1)).await.unwrap(), None);
    assert_eq!(bench.tasks.answer(id(1)).await.unwrap(), None);
    let again = bench.tasks.submit(keyed(2, "a", 2)).await.unwrap();
    assert_eq!(again, Submitted::New, "its key went with it");
    let seats = |kept: Vec<Kept>| -> Vec<_> {
        let seated = kept.into_iter().filter(|kept| kept.seat.is_some());
        seated.map(|kept| (kept.record.id, kept.seat)).collect()
    };
    assert_eq!(seats(bench.unfinished().await), [(id(1), Some(at(60)))]);
    let purge = |now| bench.tasks.purge(at(now), at(99), 10);
    assert_eq!(purge(30).await.unwrap().tasks, 0, "the seat is held");
    bench.tasks.free_seat(id(1)).await.unwrap();
    assert_eq!(purge(31).await.unwrap().tasks, 1, "and now it is not");
    let bench = bench.reopened().await;
    assert_eq!(seats(bench.unfinished().await), []);
    assert!(matches!(bench.found(1).await, Found::Gone(_)));
}

async fn what_expired_is_purged(bench: Bench) {
    for number in 1..=10 {
        bench.over(number, number * 10).await;
    }
    let open = bench.there(11, &[Event::Dispatch]).await;
    let purge = |now, until, most| bench.tasks.purge(at(now), at(until), most);
    assert_eq!(purge(9, 500, 100).await.unwrap(), Purged::default());
    assert_eq!(purge(30, 500, 2).await.unwrap().tasks, 2);
    assert_eq!(purge(30, 500, 2).await.unwrap().tasks, 1);
    assert_eq!(purge(30, 500, 2).await.unwrap(), Purged::default());
    assert!(matches!(bench.found(3).await, Found::Gone(_)));
    assert!(matches!(bench.found(4).await, Found::Task(_)));
    assert_eq!(purge(499, 900, 100).await.unwrap().tasks, 7);
    let gone = Purged {
        tasks: 0,
        tombstones: 2,
    };
    assert_eq!(purge(500, 900, 2).await.unwrap(), gone);
    assert_eq!(purge(500, 900, 100).await.unwrap().tombstones, 1);
    let bench = bench.reopened().await;
    assert_eq!(bench.found(3).await, Found::Nothing);
    assert!(matches!(bench.found(4).await, Found::Gone(_)));
    assert_eq!(bench.found(11).await, task(&open));
}

async fn the_outbox_is_emptied_in_order_of_time(bench: Bench) {
    assert_eq!(bench.tasks.next_hook().await.unwrap(), None);
    for (number, next) in [(1, 30), (2, 10), (3, 20), (4, 20)] {
        let first = bench.there(number, &[]).await;
        let step = Step {
            hooks: vec![hook(number, "https://a.example/ü", next)],
            ..to(&first, after(&first, &[Event::Abort]))
        };
        bench.make(step).await;
    }
    let bench = bench.reopened().await;
    let due = |now, most| bench.tasks.due_hooks(at(now), most);
    assert_eq!(bench.tasks.next_hook().await.unwrap(), Some(at(10)));
    assert_eq!(due(9, 10).await.unwrap(), []);
    let url = "https://a.example/ü";
    let wanted = [hook(2, url, 10), hook(3, url, 20), hook(4, url, 20)];
    assert_eq!(due(20, 10).await.unwrap(), wanted);
    assert_eq!(due(99, 2).await.unwrap(), wanted[..2]);
    let settle = |number: u64, outcome| bench.tasks.settle_hook(id(1000 + number), outcome);
    settle(2, HookOutcome::Settled).await.unwrap();
    settle(2, HookOutcome::Settled).await.unwrap();
    settle(2, HookOutcome::Again(at(1))).await.unwrap();
    settle(3, HookOutcome::Again(at(40))).await.unwrap();
    settle(3, HookOutcome::Again(at(45))).await.unwrap();
    // It was not tried: that counts as none.
    settle(3, HookOutcome::Later(at(50))).await.unwrap();
    // The tasks may be gone before somebody hears of their end.
    assert!(bench.tasks.forget(id(1), at(99)).await.unwrap());
    let again = tidegate::task::Hook {
        tries: 2,
        ..hook(3, url, 50)
    };
    let wanted = [hook(4, url, 20), hook(1, url, 30), again];
    assert_eq!(due(99, 10).await.unwrap(), wanted);
    assert_eq!(bench.tasks.next_hook().await.unwrap(), Some(at(20)));
}

async fn who_is_gone_hears_nothing_more(bench: Bench) {
    let (gone, there) = ("https://gone.example", "https://there.example");
    for (number, url) in [(1, gone), (2, there), (3, gone)] {
        let first = bench.there(number, &[]).await;
        let step = Step {
            hooks: vec![hook(number, url, number)],
            ..to(&first, after(&first, &[Event::Abort]))
        };
        bench.make(step).await;
    }
    let disabled = bench
        .tasks
        .settle_hook(id(1003), HookOutcome::Disabled(at(0)));
    disabled.await.unwrap();
    let bench = bench.reopened().await;
    let first = bench.there(4, &[]).await;
    let next = after(&first, &[Event::Abort]);
    let step = Step {
        hooks: vec![hook(4, gone, 1)],
        ..to(&first, next.clone())
    };
    bench.make(step).await;
    assert_eq!(bench.found(4).await, task(&next), "the step is made");
    let due = bench.tasks.due_hooks(at(99), 10).await.unwrap();
    assert_eq!(due, [hook(2, there, 2)]);
    let unknown = bench
        .tasks
        .settle_hook(id(1003), HookOutcome::Disabled(at(0)));
    unknown.await.unwrap();
    assert_eq!(bench.tasks.due_hooks(at(99), 10).await.unwrap(), due);
    // Three months later it may be there again.
    let later = at(0).after(GONE_FOR);
    bench.tasks.purge(later, later, 10).await.unwrap();
    let first = bench.there(5, &[]).await;
    let step = Step {
        hooks: vec![hook(5, gone, 1)],
        ..to(&first, after(&first, &[Event::Abort]))
    };
    bench.make(step).await;
    let due = bench.tasks.due_hooks(at(99), 10).await.unwrap();
    assert_eq!(due, [hook(5, gone, 1), hook(2, there, 2)]);
}
