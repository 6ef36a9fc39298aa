//! What every store promises of tasks, tried on each.

use std::collections::BTreeSet;

use bytes::Bytes;
use tidegate::task::{
    Advanced, Answer, Event, Filter, Found, HookOutcome, Kept, Purged, Record, SeatChange, State,
    Step, Submitted, TaskId,
};

use super::task::{after, at, fresh, full, hook, id, keyed, new, owner, to};
use super::*;

on_every_store! {
    what_was_submitted_is_there
    every_field_comes_back_as_it_went
    a_key_names_one_task_and_one_request
    a_hundred_with_one_key_are_one_task
    a_released_key_is_free
    a_step_is_made_once_and_by_nobody_who_is_late
    long_and_odd_bodies_come_back
    a_request_is_forgotten
    seats_are_taken_and_given_back
    unfinished_tasks_come_in_pages
    lists_come_in_pages_and_by_filter
    a_task_that_is_over_is_forgotten_on_its_owners_word
    what_expired_is_purged
    the_outbox_is_emptied_in_order_of_time
    who_is_gone_hears_nothing_more
    everybody_sees_what_they_were_told
    it_can_be_written_to
}

impl Bench {
    async fn submit(&self, record: &Record) {
        let said = self.tasks.submit(new(record)).await.unwrap();
        assert_eq!(said, Submitted::New);
    }

    async fn make(&self, step: Step) {
        assert_eq!(self.tasks.advance(step).await.unwrap(), Advanced::Done);
    }

    async fn found(&self, number: u64) -> Found {
        self.tasks.task(id(number)).await.unwrap()
    }

    async fn unfinished(&self) -> Vec<Kept> {
        self.tasks.unfinished(None, 1000).await.unwrap()
    }

    async fn listed(&self, filter: &Filter) -> Vec<TaskId> {
        let tasks = self.tasks.list(filter, None, 1000).await.unwrap();
        tasks.iter().map(|task| task.id).collect()
    }

    /// Submitted, and brought to where `events` lead.
    async fn there(&self, number: u64, events: &[Event]) -> Record {
        let mut task = fresh(number);
        self.submit(&task).await;
        for event in events {
            let next = after(&task, &[*event]);
            self.make(to(&task, next.clone())).await;
            task = next;
        }
        task
    }

    /// Over, and to be forgotten at `expires`.
    async fn over(&self, number: u64, expires: u64) -> Record {
        let task = self.there(number, &[Event::Dispatch]).await;
        let mut next = after(&task, &[Event::Complete]);
        next.expires = Some(at(expires));
        self.make(to(&task, next.clone())).await;
        next
    }
}

fn task(record: &Record) -> Found {
    Found::Task(Arc::new(record.clone()))
}

fn kept(record: &Record, seat: Option<u64>) -> Kept {
    Kept {
        record: Arc::new(record.clone()),
        seat: seat.map(at),
    }
}

async fn what_was_submitted_is_there(bench: Bench) {
    assert_eq!(bench.found(1).await, Found::Nothing);
    assert_eq!(bench.tasks.request(id(1)).await.unwrap(), None);
    assert_eq!(bench.tasks.answer(id(1)).await.unwrap(), None);
    bench.submit(&fresh(1)).await;
    bench.submit(&fresh(2)).await;
    let bench = bench.reopened().await;
    for number in [1, 2] {
        assert_eq!(bench.found(number).await, task(&fresh(number)));
        let request = bench.tasks.request(id(number)).await.unwrap().unwrap();
        assert_eq!(request, format!("sealed {}", id(number)));
        assert_eq!(bench.tasks.answer(id(number)).await.unwrap(), None);
    }
    assert_eq!(bench.found(3).await, Found::Nothing);
}

async fn every_field_comes_back_as_it_went(bench: Bench) {
    bench.submit(&full(1)).await;
    let mut next = after(&full(2), &[]);
    next.requested = fresh(2).requested;
    bench.submit(&fresh(2)).await;
    next.version = 2;
    next.fence = 7;
    next.keyed = false;
    bench.make(to(&fresh(2), next.clone())).await;
    let bench = bench.reopened().await;
    assert_eq!(bench.found(1).await, task(&full(1)));
    assert_eq!(bench.found(2).await, task(&next));
}

async fn a_key_names_one_task_and_one_request(bench: Bench) {
    let submit = |new| bench.tasks.submit(new);
    assert_eq!(submit(keyed(1, "a", 1)).await.unwrap(), Submitted::New);
    assert_eq!(
        submit(keyed(2, "a", 1)).await.unwrap(),
        Submitted::Same(id(1))
    );
    assert_eq!(submit(keyed(3, "a", 2)).await.unwrap(), Submitted::Other);
    assert_eq!(submit(keyed(4, "b", 1)).await.unwrap(), Submitted::New);
    let mut elsewhere = keyed(5, "a", 1);
    elsewhere.key.as_mut().unwrap().owner = owner("user:ben");
    assert_eq!(submit(elsewhere).await.unwrap(), Submitted::New);
    // Where one part ends and the next begins is part of the name.
    let mut shifted = keyed(6, "a", 1);
    let key = shifted.key.as_mut().unwrap();
    key.scope = Arc::from(&key.scope[..key.scope.len() - 1]);
    key.key = Arc::from("ea");
    assert_eq!(submit(shifted).await.unwrap(), Submitted::New);
    let bench = bench.reopened().await;
    for gone in [2, 3] {
        assert_eq!(bench.found(gone).await, Found::Nothing);
        assert_eq!(bench.tasks.request(id(gone)).await.unwrap(), None);
    }
    let again = bench.tasks.submit(keyed(7, "a", 1)).await.unwrap();
    assert_eq!(again, Submitted::Same(id(1)));
    let Found::Task(kept) = bench.found(1).await else {
        panic!("it is kept");
    };
    assert!(kept.keyed);
}

async fn a_hundred_with_one_key_are_one_task(bench: Bench) {
    let all: Vec<_> = (1..=100)
        .map(|number| {
            let tasks = bench.tasks.clone();
            tokio::spawn(async move { (number, tasks.submit(keyed(number, "a", 1)).await) })
        })
        .collect();
    let mut first = Vec::new();
    let mut same = BTreeSet::new();
    for one in all {
        match one.await.unwrap() {
            (number, Ok(Submitted::New)) => first.push(id(number)),
            (_, Ok(Submitted::Same(other))) => drop(same.insert(other)),
            (number, other) => panic!("{number}: {other:?}"),
        }
    }
    assert_eq!(first.len(), 1);
    assert_eq!(Vec::from_iter(same), first);
    assert_eq!(bench.listed(&Filter::default()).await, first);
}

async fn a_released_key_is_free(bench: Bench) {
    let first = keyed(1, "a", 1);
    bench.tasks.submit(first.clone()).await.unwrap();
    let mut next = after(&first.record, &[Event::Abort]);
    next.keyed = false;
    let step = Step {
        release_key: true,
        ..to(&first.record, next.clone())
    };
    bench.make(step).await;
    assert_eq!(bench.found(1).await, task(&next));
    let again = bench.tasks.submit(keyed(2, "a", 2)).await.unwrap();
    assert_eq!(again, Submitted::New);
    // Forgetting the first one does not take the key of the second.
    assert!(bench.tasks.forget(id(1), at(9)).await.unwrap());
    let again = bench.tasks.submit(keyed(3, "a", 2)).await.unwrap();
    assert_eq!(again, Submitted::Same(id(2)));
}

async fn a_step_is_made_once_and_by_nobody_who_is_late(bench: Bench) {
    let first = bench.there(1, &[]).await;
    let second = after(&first, &[Event::Dispatch]);
    let advance = |step| bench.tasks.advance(step);
    assert_eq!(
        advance(to(&fresh(2), after(&fresh(2), &[Event::Dispatch])))
            .await
            .unwrap(),
        Advanced::Stale,
        "there is no such task"
    );
    bench.make(to(&first, second.clone())).await;
    let late = Step {
        seat: SeatChange::Take { until: at(9) },
        answer: Some(Answer {
            status: 200,
            headers: Vec::new(),
            body: Bytes::from_static(b"late"),
        }),
        forget_request: true,
        hook: Some(hook(1, "https://a.example", 1)),
        ..to(&first, after(&first, &[Event::Expire]))
    };
    assert_eq!(advance(late).await.unwrap(), Advanced::Stale);
    let third = after(&second, &[Event::Sent]);
    let without = Step {
        fence: second.fence - 1,
        ..to(&second, third.clone())
    };
    assert_eq!(
        advance(without).await.unwrap(),
        Advanced::Stale,
        "an old fence"
    );
    let mut fourth = after(&third, &[Event::Complete]);
    assert_eq!(
        advance(to(&third, fourth.clone())).await.unwrap(),
        Advanced::Stale,
        "one version is left out"
    );
    fourth.version = 1;
    assert_eq!(
        advance(to(&third, fourth.clone())).await.unwrap(),
        Advanced::Stale
    );
    let bench = bench.reopened().await;
    assert_eq!(bench.found(1).await, task(&second));
    assert!(bench.tasks.request(id(1)).await.unwrap().is_some());
    assert_eq!(bench.tasks.answer(id(1)).await.unwrap(), None);
    assert_eq!(bench.tasks.next_hook().await.unwrap(), None);
    assert_eq!(bench.unfinished().await, [kept(&second, None)]);
}

async fn long_and_odd_bodies_come_back(bench: Bench) {
    let odd =
        |size: usize| -> Bytes { (0..size).map(|n| u8::try_from(n % 256).unwrap()).collect() };
    let sizes = [0, 1, 1 << 16, (1 << 16) + 1, 3 << 20];
    for (number, size) in (1..).zip(sizes) {
        let first = fresh(number);
        let new = tidegate::task::New {
            sealed: odd(size),
            ..new(&first)
        };
        bench.tasks.submit(new).await.unwrap();
        let step = Step {
            answer: Some(Answer {
                status: 207,
                headers: vec![
                    ("X-Odd".to_owned(), odd(256)),
                    ("x-odd".to_owned(), Bytes::new()),
                ],
                body: odd(size),
            }),
            ..to(&first, after(&first, &[Event::Dispatch]))
        };
        bench.make(step).await;
    }
    let bench = bench.reopened().await;
    for (number, size) in (1..).zip(sizes) {
        let request = bench.tasks.request(id(number)).await.unwrap().unwrap();
        assert!(request == odd(size), "request of {size} bytes");
        let answer = bench.tasks.answer(id(number)).await.unwrap().unwrap();
        assert_eq!((answer.status, answer.headers.len()), (207, 2));
        assert_eq!(answer.headers[0], ("X-Odd".to_owned(), odd(256)));
        assert!(answer.body == odd(size), "answer of {size} bytes");
    }
}

async fn a_request_is_forgotten(bench: Bench) {
    for (number, size) in [(1, 100), (2, 1 << 20)] {
        let first = fresh(number);
        let new = tidegate::task::New {
            sealed: vec![7; size].into(),
            ..new(&first)
        };
        bench.tasks.submit(new).await.unwrap();
        let step = Step {
            forget_request: true,
            ..to(&first, after(&first, &[Event::Expire]))
        };
        bench.make(step).await;
        assert_eq!(bench.tasks.request(id(number)).await.unwrap(), None);
    }
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
    // It may be held though the task is over: then it is neither forgotten nor purged before its time.
    let mut third = after(&second, &[Event::Lost, Event::Fail]);
    third.version = second.version + 1;
    third.expires = Some(at(10));
    bench.make(to(&second, third.clone())).await;
    let bench = bench.reopened().await;
    assert_eq!(bench.unfinished().await, [kept(&third, Some(60))]);
    assert!(!bench.tasks.forget(id(1), at(99)).await.unwrap());
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
        };
        let wanted: Vec<TaskId> = (1..=16)
            .rev()
            .filter(|number| {
                let requested = task::requested(*number);
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
    assert_eq!(bench.found(1).await, Found::Gone(whose));
    assert_eq!(bench.tasks.request(id(1)).await.unwrap(), None);
    assert_eq!(bench.tasks.answer(id(1)).await.unwrap(), None);
    assert_eq!(bench.listed(&Filter::default()).await, []);
    let again = bench.tasks.submit(keyed(2, "a", 2)).await.unwrap();
    assert_eq!(again, Submitted::New, "its key went with it");
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
            hook: Some(hook(number, "https://a.example/ü", next)),
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
    settle(3, HookOutcome::Again(at(50))).await.unwrap();
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
            hook: Some(hook(number, url, number)),
            ..to(&first, after(&first, &[Event::Abort]))
        };
        bench.make(step).await;
    }
    let disabled = bench.tasks.settle_hook(id(1003), HookOutcome::Disabled);
    disabled.await.unwrap();
    let bench = bench.reopened().await;
    let first = bench.there(4, &[]).await;
    let next = after(&first, &[Event::Abort]);
    let step = Step {
        hook: Some(hook(4, gone, 1)),
        ..to(&first, next.clone())
    };
    bench.make(step).await;
    assert_eq!(bench.found(4).await, task(&next), "the step is made");
    let due = bench.tasks.due_hooks(at(99), 10).await.unwrap();
    assert_eq!(due, [hook(2, there, 2)]);
    let unknown = bench.tasks.settle_hook(id(1003), HookOutcome::Disabled);
    unknown.await.unwrap();
    assert_eq!(bench.tasks.due_hooks(at(99), 10).await.unwrap(), due);
}

async fn everybody_sees_what_they_were_told(bench: Bench) {
    let all: Vec<_> = (0..40)
        .map(|client| {
            let tasks = bench.tasks.clone();
            tokio::spawn(async move {
                for number in (client * 100)..(client * 100 + 10) {
                    let first = fresh(number);
                    tasks.submit(new(&first)).await.unwrap();
                    let there = tasks.task(first.id).await.unwrap();
                    assert_eq!(there, self::task(&first));
                    let next = after(&first, &[Event::Dispatch]);
                    let said = tasks.advance(to(&first, next.clone())).await.unwrap();
                    assert_eq!(said, Advanced::Done);
                    let there = tasks.task(first.id).await.unwrap();
                    assert_eq!(there, self::task(&next));
                }
            })
        })
        .collect();
    let sessions: Vec<_> = (0..10)
        .map(|number| {
            let store = bench.store.clone();
            let put = tidegate::session::Change::Put(Box::new(record(number)));
            tokio::spawn(async move { store.apply(&[put]).await })
        })
        .collect();
    for one in all {
        one.await.unwrap();
    }
    for one in sessions {
        one.await.unwrap().unwrap();
    }
    assert_eq!(bench.unfinished().await.len(), 400);
    assert_eq!(bench.store.load(100).await.unwrap().len(), 10);
}

async fn it_can_be_written_to(bench: Bench) {
    bench.tasks.check().await.unwrap();
    bench.submit(&fresh(1)).await;
    bench.tasks.check().await.unwrap();
}
