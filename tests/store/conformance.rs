//! What every store promises, tried on each.

use tidegate::session::Change;

use super::*;

impl Bench {
    async fn apply(&self, changes: &[Change]) {
        self.store.apply(changes).await.unwrap();
    }

    /// Everything kept, by key.
    async fn all(&self) -> Vec<Record> {
        let mut records = self.store.load(usize::MAX).await.unwrap();
        records.sort_by_key(|record| record.key);
        records
    }
}

fn put(number: u64) -> Change {
    Change::Put(Box::new(record(number)))
}

on_every_store! {
    nothing_is_kept_at_first
    what_was_put_is_loaded
    applying_again_changes_nothing
    changes_are_made_in_their_order
    a_put_takes_the_place_of_the_one_before
    what_is_unknown_is_touched_and_removed_without_harm
    the_last_used_are_loaded_first
    large_batches_are_applied
    an_empty_batch_is_applied
    it_answers
    many_at_once_are_all_applied
    odd_values_come_back_as_they_went
}

async fn nothing_is_kept_at_first(bench: Bench) {
    assert_eq!(bench.all().await, []);
    assert_eq!(bench.reopened().await.all().await, []);
}

async fn what_was_put_is_loaded(bench: Bench) {
    let changes: Vec<Change> = (0..40).map(put).collect();
    bench.apply(&changes).await;
    let wanted: Vec<Record> = (0..40).map(record).collect();
    assert_eq!(bench.all().await, wanted);
    let bench = bench.reopened().await;
    assert_eq!(bench.all().await, wanted);
    assert_eq!(bench.reopened().await.all().await, wanted);
}

async fn applying_again_changes_nothing(bench: Bench) {
    let changes = [
        put(1),
        put(2),
        Change::Touch(key(1), time(5)),
        Change::Remove(key(2)),
    ];
    bench.apply(&changes).await;
    let once = bench.all().await;
    bench.apply(&changes).await;
    assert_eq!(bench.all().await, once);
    let used = Record {
        last_used: time(5),
        ..record(1)
    };
    assert_eq!(once, [used]);
}

async fn changes_are_made_in_their_order(bench: Bench) {
    bench.apply(&[put(1), Change::Remove(key(1))]).await;
    assert_eq!(bench.all().await, []);
    bench.apply(&[put(1), Change::Remove(key(1)), put(1)]).await;
    assert_eq!(bench.all().await, [record(1)]);
    bench.apply(&[Change::Touch(key(1), time(9)), put(1)]).await;
    assert_eq!(bench.all().await, [record(1)]);
}

async fn a_put_takes_the_place_of_the_one_before(bench: Bench) {
    bench.apply(&[put(2), put(3)]).await;
    // Nothing of the old one stays: neither its user nor its token.
    let plain = Record {
        user: None,
        sealed: None,
        adopted: true,
        ..record(6)
    };
    let plain = Record {
        key: key(3),
        ..plain
    };
    bench.apply(&[Change::Put(Box::new(plain.clone()))]).await;
    assert_eq!(bench.all().await, [record(2), plain.clone()]);
    assert_eq!(bench.reopened().await.all().await, [record(2), plain]);
}

async fn what_is_unknown_is_touched_and_removed_without_harm(bench: Bench) {
    bench.apply(&[put(1)]).await;
    bench
        .apply(&[Change::Touch(key(2), time(1)), Change::Remove(key(3))])
        .await;
    assert_eq!(bench.all().await, [record(1)]);
}

async fn the_last_used_are_loaded_first(bench: Bench) {
    let changes: Vec<Change> = (0..20).map(put).collect();
    bench.apply(&changes).await;
    bench
        .apply(&[Change::Touch(key(4), time(1_800_000_000_000))])
        .await;
    let loaded = bench.store.load(3).await.unwrap();
    let keys: Vec<SessionKey> = loaded.iter().map(|record| record.key).collect();
    assert_eq!(keys, [key(4), key(19), key(18)]);
    assert_eq!(bench.store.load(0).await.unwrap(), []);
}

async fn large_batches_are_applied(bench: Bench) {
    let changes: Vec<Change> = (0..10_000).map(put).collect();
    bench.apply(&changes).await;
    let touches: Vec<Change> = (0..10_000)
        .map(|number| Change::Touch(key(number), time(number)))
        .collect();
    bench.apply(&touches).await;
    let removals: Vec<Change> = (0..9_990)
        .map(|number| Change::Remove(key(number)))
        .collect();
    assert_eq!(bench.store.load(usize::MAX).await.unwrap().len(), 10_000);
    bench.apply(&removals).await;
    let left = bench.reopened().await.all().await;
    assert_eq!(left.len(), 10);
    assert!(
        left.iter()
            .zip(9_990..)
            .all(|(record, number)| record.last_used == time(number))
    );
}

async fn an_empty_batch_is_applied(bench: Bench) {
    bench.apply(&[]).await;
    assert_eq!(bench.all().await, []);
}

async fn it_answers(bench: Bench) {
    bench.store.check().await.unwrap();
    bench.apply(&[put(1)]).await;
    bench.store.check().await.unwrap();
    assert_eq!(bench.all().await, [record(1)]);
}

async fn many_at_once_are_all_applied(bench: Bench) {
    let tasks: Vec<_> = (0..50)
        .map(|number| {
            let store = Arc::clone(&bench.store);
            tokio::spawn(async move { store.apply(&[put(number)]).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(bench.all().await.len(), 50);
}

async fn odd_values_come_back_as_they_went(bench: Bench) {
    let name = "O'Brien\"; DROP TABLE session; --\u{0} \u{1f980}";
    let mut odd = record(1);
    odd.id = SessionId::new(u64::MAX);
    odd.user = Some(User {
        id: UserId::new([0; 16]),
        name: Arc::from(name),
    });
    odd.upstream = Arc::from("");
    odd.sealed = Some(Sealed::new(&[]));
    odd.opened = SystemTime::UNIX_EPOCH;
    bench.apply(&[Change::Put(Box::new(odd.clone()))]).await;
    assert_eq!(bench.reopened().await.all().await, [odd]);
}
