//! What every store promises of tasks, tried on each.

use std::collections::BTreeSet;

use bytes::Bytes;
use tidegate::task::{
    Advanced, Answer, Event, Filter, Found, Kept, Record, SeatChange, Step, Submitted, TaskId,
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
    other_names_find_their_tasks
    everybody_sees_what_they_were_told
    it_can_be_written_to
}

impl Bench {
    pub async fn submit(&self, record: &Record) {
        let said = self.tasks.submit(new(record)).await.unwrap();
        assert_eq!(said, Submitted::New);
    }

    pub async fn make(&self, step: Step) {
        assert_eq!(self.tasks.advance(step).await.unwrap(), Advanced::Done);
    }

    pub async fn found(&self, number: u64) -> Found {
        self.tasks.task(id(number)).await.unwrap()
    }

    pub async fn unfinished(&self) -> Vec<Kept> {
        self.tasks.unfinished(None, 1000).await.unwrap()
    }

    pub async fn listed(&self, filter: &Filter) -> Vec<TaskId> {
        let tasks = self.tasks.list(filter, None, 1000).await.unwrap();
        tasks.iter().map(|task| task.id).collect()
    }

    /// Submitted, and brought to where `events` lead.
    pub async fn there(&self, number: u64, events: &[Event]) -> Record {
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
    pub async fn over(&self, number: u64, expires: u64) -> Record {
        let task = self.there(number, &[Event::Dispatch]).await;
        let mut next = after(&task, &[Event::Complete]);
        next.expires = Some(at(expires));
        self.make(to(&task, next.clone())).await;
        next
    }
}

pub fn task(record: &Record) -> Found {
    Found::Task(Arc::new(record.clone()))
}

pub fn kept(record: &Record, seat: Option<u64>) -> Kept {
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
    for (new, said) in [
        (keyed(4, "a", 1), Some(Submitted::Same(id(1)))),
        (keyed(4, "a", 2), Some(Submitted::Other)),
        (keyed(4, "b", 1), None),
    ] {
        let key = new.key.unwrap();
        assert_eq!(bench.tasks.keyed(&key).await.unwrap(), said);
    }
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

async fn other_names_find_their_tasks(bench: Bench) {
    for (number, name) in [(1, Some("build-7")), (2, None), (5, Some("build-7"))] {
        let mut record = fresh(number);
        record.requested.request_id = name.map(Arc::from);
        bench.submit(&record).await;
        let mut next = after(&record, &[Event::Dispatch]);
        next.upstream_task = Some(Arc::from(format!("up-{number}")));
        bench.make(to(&record, next)).await;
    }
    let of = |name: &str| Filter {
        request_id: Some(Arc::from(name)),
        ..Filter::default()
    };
    let bench = bench.reopened().await;
    let requested = fresh(1).requested;
    assert_eq!(bench.listed(&of("build-7")).await, [id(5), id(1)]);
    assert_eq!(bench.listed(&of("build-8")).await, []);
    let own = Filter {
        owner: Some(requested.owner.clone()),
        upstream: Some(requested.upstream.clone()),
        state: Some(tidegate::task::State::Running),
        ..of("build-7")
    };
    assert_eq!(bench.listed(&own).await, [id(5), id(1)]);
    let other = Filter {
        owner: Some(owner("user:nobody")),
        ..own.clone()
    };
    assert_eq!(bench.listed(&other).await, []);
    let over = Filter {
        state: Some(tidegate::task::State::Completed),
        ..own
    };
    assert_eq!(bench.listed(&over).await, []);
    for (upstream, name, whose) in [
        (&*requested.upstream, "up-5", Some(id(5))),
        (&*requested.upstream, "up-4", None),
        ("elsewhere", "up-5", None),
    ] {
        assert_eq!(
            bench.tasks.task_of(upstream, name).await.unwrap(),
            whose,
            "{name}"
        );
    }
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
        hooks: vec![hook(1, "https://a.example", 1)],
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
