//! How much is kept of what is over, tried on every store.

use tidegate::task::{Answer, Event, Found, Keep, Most, SeatChange, Step, TaskId};

use super::task::{after, at, fresh, id, to};
use super::*;

on_every_store! {
    no_more_is_kept_than_may_be
    a_share_pays_for_itself
    however_many_shares_are_too_large_none_is_left_out
    bytes_count_and_seats_are_spared
    tombstones_are_bounded
}

const ANY: Most = Most {
    tasks: 1000,
    bytes: u64::MAX,
};

fn keep(of_all: Most, of_one: Most, tombstones: usize) -> Keep {
    Keep {
        of_all,
        of_one,
        tombstones,
    }
}

const fn tasks(tasks: usize) -> Most {
    Most {
        tasks,
        bytes: u64::MAX,
    }
}

impl Bench {
    /// The n-th is over, from the n-th place of four, and expires at `expires`.
    async fn over_from(&self, number: u64, place: u8, expires: u64) {
        let mut task = fresh(number);
        task.requested.address = [192, 0, 2, place].into();
        self.submit(&task).await;
        let mut over = after(&task, &[Event::Abort]);
        over.expires = Some(at(expires));
        self.make(to(&task, over)).await;
    }

    async fn trim(&self, keep: Keep, most: usize) -> Vec<TaskId> {
        let mut gone = self
            .tasks
            .trim(&keep, (at(0), at(900)), most)
            .await
            .unwrap();
        gone.sort();
        gone
    }
}

fn ids(numbers: impl IntoIterator<Item = u64>) -> Vec<TaskId> {
    numbers.into_iter().map(id).collect()
}

async fn no_more_is_kept_than_may_be(bench: Bench) {
    for number in 1..=10 {
        bench
            .over_from(number, u8::try_from(number).unwrap(), 100 - number)
            .await;
    }
    bench.there(11, &[]).await;
    let bench = bench.reopened().await;
    assert_eq!(bench.trim(keep(tasks(10), ANY, 1000), 100).await, []);
    let of_six = keep(tasks(6), ANY, 1000);
    assert_eq!(
        bench.trim(of_six, 3).await,
        ids(8..=10),
        "the first to expire"
    );
    assert_eq!(bench.trim(of_six, 3).await, ids([7]));
    assert_eq!(bench.trim(of_six, 3).await, []);
    assert!(matches!(bench.found(7).await, Found::Gone(_)));
    assert!(matches!(bench.found(6).await, Found::Task(_)));
    assert!(matches!(bench.found(11).await, Found::Task(_)), "not over");
    // What goes otherwise is counted too.
    assert!(bench.tasks.forget(id(6), at(900)).await.unwrap());
    assert_eq!(
        bench.tasks.purge(at(96), at(900), 10).await.unwrap().tasks,
        2
    );
    assert_eq!(bench.trim(keep(tasks(3), ANY, 1000), 100).await, []);
    assert_eq!(bench.trim(keep(tasks(2), ANY, 1000), 100).await, ids([3]));
}

async fn a_share_pays_for_itself(bench: Bench) {
    for number in 1..=10 {
        bench.over_from(number, 1, 100).await;
    }
    for number in 11..=13 {
        bench.over_from(number, 2, 10).await;
    }
    let bench = bench.reopened().await;
    let gone = bench.trim(keep(tasks(8), tasks(5), 1000), 100).await;
    assert_eq!(gone.len(), 5);
    assert!(gone.iter().all(|gone| *gone <= id(10)), "{gone:?}");
}

async fn however_many_shares_are_too_large_none_is_left_out(bench: Bench) {
    for number in 1..=160 {
        bench
            .over_from(number, u8::try_from(number % 80).unwrap(), 1000 - number)
            .await;
    }
    let gone = bench.trim(keep(ANY, tasks(1), 1000), 100).await;
    assert_eq!(gone, ids(81..=160), "of each the first to expire");
}

async fn bytes_count_and_seats_are_spared(bench: Bench) {
    for number in 1..=4 {
        let task = bench.there(number, &[Event::Dispatch]).await;
        let mut over = after(&task, &[Event::Complete]);
        over.expires = Some(at(100 + number));
        let step = Step {
            seat: if number == 1 {
                SeatChange::Take { until: at(50) }
            } else {
                SeatChange::Keep
            },
            answer: Some(Answer {
                status: 200,
                headers: Vec::new(),
                body: vec![b'x'; 100_000].into(),
            }),
            ..to(&task, over)
        };
        bench.make(step).await;
    }
    let most = Most {
        tasks: 1000,
        bytes: 350_000,
    };
    assert_eq!(bench.trim(keep(most, ANY, 1000), 100).await, ids([2]));
    assert_eq!(bench.trim(keep(most, ANY, 1000), 100).await, []);
    let none = keep(tasks(0), ANY, 1000);
    assert_eq!(bench.trim(none, 100).await, ids([3, 4]));
    let later = bench.tasks.trim(&none, (at(50), at(900)), 100).await;
    assert_eq!(later.unwrap(), ids([1]), "its seat was not held any more");
}

async fn tombstones_are_bounded(bench: Bench) {
    for number in 1..=10 {
        bench.over_from(number, 1, 100).await;
        assert!(
            bench
                .tasks
                .forget(id(number), at(500 + number))
                .await
                .unwrap()
        );
    }
    let bench = bench.reopened().await;
    assert_eq!(bench.trim(keep(ANY, ANY, 4), 100).await, []);
    assert_eq!(bench.found(6).await, Found::Nothing);
    assert!(matches!(bench.found(7).await, Found::Gone(_)));
    let gone = bench.tasks.purge(at(600), at(900), 100).await.unwrap();
    assert_eq!(gone.tombstones, 4);
}
