//! What the file says of tasks, told from the machine; and what it says that no gate has written.

use proptest::prelude::*;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection};
use tidegate::task::{Advanced, Event, Filter, Found, Record, TaskId};

use super::task::{fresh, id, new, to};
use super::*;

/// A way through the machine: of the events that are legal, the one with this number.
fn walked(first: &Record, choices: &[u8]) -> Vec<Record> {
    let mut steps = vec![first.clone()];
    for (choice, now) in choices.iter().zip(1..) {
        let last = steps.last().unwrap();
        let at = tidegate::task::Millis(last.updated.0 + now);
        let legal: Vec<Record> = Event::ALL
            .iter()
            .filter_map(|event| last.after(*event, at).ok())
            .collect();
        if legal.is_empty() {
            break;
        }
        steps.push(legal[usize::from(*choice) % legal.len()].clone());
    }
    steps
}

async fn written(path: &Path, walks: &[Vec<Record>]) {
    let stores = stores_at(path).await.unwrap();
    for walk in walks {
        stores.tasks.submit(new(&walk[0])).await.unwrap();
        for pair in walk.windows(2) {
            let said = stores.tasks.advance(to(&pair[0], pair[1].clone())).await;
            assert_eq!(said.unwrap(), Advanced::Done);
            let again = stores.tasks.advance(to(&pair[0], pair[1].clone())).await;
            assert_eq!(again.unwrap(), Advanced::Stale);
        }
    }
    stores.sessions.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn every_stored_history_replays_to_where_its_task_stands(
        choices in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..24), 1..8),
    ) {
        let path = folder("histories").join("tidegate.db");
        let walks: Vec<Vec<Record>> = choices
            .iter()
            .zip(1..)
            .map(|(choices, number)| walked(&fresh(number), choices))
            .collect();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            written(&path, &walks).await;
            let stores = stores_at(&path).await.unwrap();
            for walk in &walks {
                let last = walk.last().unwrap();
                let Found::Task(kept) = stores.tasks.task(last.id).await.unwrap() else {
                    panic!("it is kept");
                };
                assert_eq!(&*kept, last);
                assert_eq!(kept.replayed(), Ok(kept.status));
                assert_eq!(kept.history.len(), walk.len() - 1);
            }
            let open = walks.iter().filter_map(|walk| walk.last());
            let open = open.filter(|task| !task.status.state().is_done()).count();
            assert_eq!(stores.tasks.unfinished(None, 100).await.unwrap().len(), open);
            stores.sessions.close().await;
        });
    }
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_reported_and_hide_no_others() {
    let path = folder("unreadable").join("tidegate.db");
    let stores = stores_at(&path).await.unwrap();
    for number in 1..=9 {
        stores.tasks.submit(new(&fresh(number))).await.unwrap();
    }
    stores.sessions.close().await;
    drop(stores);
    let options = SqliteConnectOptions::new().filename(&path);
    let mut raw = SqliteConnection::connect_with(&options).await.unwrap();
    let damage = [
        (2, "progress = '{'"),
        (3, "form = 99"),
        (5, "substate = 'LIMBO'"),
        (6, "history = x'0001'"),
        (7, "history = x'ff0000000000000000'"),
        (
            8,
            "requested = json_set(requested, '$.replay', 'as-often-as-you-like')",
        ),
    ];
    for (number, set) in damage {
        let sql = format!("UPDATE task SET {set} WHERE id = ?");
        let bytes = id(number).bytes();
        let query = sqlx::query(AssertSqlSafe(sql)).bind(bytes.as_slice());
        assert_eq!(query.execute(&mut raw).await.unwrap().rows_affected(), 1);
    }
    raw.close().await.unwrap();

    let stores = stores_at(&path).await.unwrap();
    for (number, _) in damage {
        let said = stores.tasks.task(id(number)).await.unwrap_err();
        assert!(said.lasting, "{said:?}");
        assert!(said.what.contains(path.to_str().unwrap()), "{said:?}");
        assert!(said.what.contains(&id(number).to_string()), "{said:?}");
    }
    for most in [1, 2, 100] {
        let mut seen: Vec<TaskId> = Vec::new();
        loop {
            let behind = seen.last().copied();
            let page = stores.tasks.unfinished(behind, most).await.unwrap();
            if page.is_empty() {
                break;
            }
            seen.extend(page.iter().map(|kept| kept.record.id));
        }
        assert_eq!(seen, [id(1), id(4), id(9)], "pages of {most}");
        let list = Filter::default();
        let page = stores.tasks.list(&list, None, most).await.unwrap();
        assert_eq!(page.len(), most.min(3));
        assert_eq!(page[0].id, id(9));
    }
    stores.tasks.submit(new(&fresh(10))).await.unwrap();
}
