//! What every store promises of steps that have consequences, tried on each.

use bytes::Bytes;
use tidegate::task::{Advanced, Bond, Event, Found, Key, New, Step, Submitted};

use super::task::{after, at, fresh, hook, id, new, to};
use super::tasks::{kept, task};
use super::*;

on_every_store! {
    what_makes_up_for_a_task_comes_with_its_end_or_not_at_all
    several_are_told_of_one_end
    a_request_that_is_sealed_anew_takes_the_place_of_the_first
}

/// The task `number`, keyed by the one that it makes up for.
fn makes_up(number: u64, of: u64) -> New {
    let mut record = fresh(number);
    record.bond = Some(Bond::Compensates(id(of)));
    record.keyed = true;
    New {
        key: Some(Key {
            owner: record.requested.owner.clone(),
            scope: "compensate".into(),
            key: id(of).to_string().into(),
            fingerprint: [7; 32],
        }),
        sealed: vec![7; 1 << 17].into(),
        ..new(&record)
    }
}

async fn what_makes_up_for_a_task_comes_with_its_end_or_not_at_all(bench: Bench) {
    let first = bench.there(1, &[Event::Dispatch]).await;
    let mut ended = after(&first, &[Event::Fail]);
    ended.bond = Some(Bond::CompensatedBy(id(2)));
    let end = |number| Step {
        forget_request: true,
        follows: Some(makes_up(number, 1)),
        ..to(&first, ended.clone())
    };
    let late = Step {
        follows: Some(makes_up(9, 1)),
        ..to(&fresh(1), after(&fresh(1), &[Event::Expire]))
    };
    assert_eq!(bench.tasks.advance(late).await.unwrap(), Advanced::Stale);
    assert_eq!(bench.found(9).await, Found::Nothing, "its end was not that");
    bench.make(end(2)).await;
    let again = bench.tasks.advance(end(3)).await.unwrap();
    assert_eq!(again, Advanced::Stale, "it is over");
    let bench = bench.reopened().await;
    assert_eq!(bench.found(1).await, task(&ended));
    assert_eq!(bench.found(2).await, task(&makes_up(2, 1).record));
    assert_eq!(bench.found(3).await, Found::Nothing, "once is enough");
    assert_eq!(
        bench.unfinished().await,
        [kept(&makes_up(2, 1).record, None)]
    );
    assert_eq!(bench.tasks.request(id(1)).await.unwrap(), None);
    let own = bench.tasks.request(id(2)).await.unwrap().unwrap();
    assert_eq!(own.len(), 1 << 17, "it has a request of its own");
    let keyed = makes_up(2, 1).key.unwrap();
    let taken = bench.tasks.keyed(&keyed).await.unwrap();
    assert_eq!(taken, Some(Submitted::Same(id(2))));
    // Of the same owner, and by the same key: whatever comes of that, there is no second one.
    let other = bench.there(5, &[]).await;
    let step = Step {
        follows: Some(makes_up(6, 1)),
        ..to(&other, after(&other, &[Event::Expire]))
    };
    bench.make(step).await;
    assert_eq!(bench.found(6).await, Found::Nothing);
}

async fn several_are_told_of_one_end(bench: Bench) {
    let first = bench.there(1, &[]).await;
    let hooks = vec![
        hook(1, "https://a.example", 5),
        hook(2, "https://b.example", 5),
    ];
    let step = Step {
        hooks: hooks.clone(),
        ..to(&first, after(&first, &[Event::Expire]))
    };
    bench.make(step).await;
    let bench = bench.reopened().await;
    assert_eq!(bench.tasks.due_hooks(at(9), 9).await.unwrap(), hooks);
}

async fn a_request_that_is_sealed_anew_takes_the_place_of_the_first(mut bench: Bench) {
    for (number, sizes) in [
        (1, [100, 200]),
        (2, [100, 1 << 20]),
        (3, [1 << 20, 100]),
        (4, [1 << 20, 1 << 19]),
    ] {
        let [old, new_one] = sizes.map(|size| Bytes::from(vec![7; size]));
        let first = fresh(number);
        let new = New {
            sealed: old.clone(),
            ..new(&first)
        };
        bench.tasks.submit(new).await.unwrap();
        let second = after(&first, &[Event::Dispatch]);
        let late = Step {
            resealed: Some(new_one.clone()),
            ..to(&second, after(&second, &[Event::Sent]))
        };
        let stale = bench.tasks.advance(late).await.unwrap();
        assert_eq!(stale, Advanced::Stale);
        assert_eq!(bench.tasks.request(id(number)).await.unwrap(), Some(old));
        let step = Step {
            resealed: Some(new_one.clone()),
            ..to(&first, second.clone())
        };
        bench.make(step).await;
        bench
            .make(to(&second, after(&second, &[Event::Sent])))
            .await;
        bench = bench.reopened().await;
        let kept = bench.tasks.request(id(number)).await.unwrap();
        assert_eq!(kept, Some(new_one));
        let third = after(&second, &[Event::Sent]);
        let over = Step {
            forget_request: true,
            ..to(&third, after(&third, &[Event::Complete]))
        };
        bench.make(over).await;
        assert_eq!(bench.tasks.request(id(number)).await.unwrap(), None);
    }
}
