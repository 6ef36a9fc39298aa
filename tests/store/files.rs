//! The SQLite file: whose it is, who may read it, and every way in which it can be the wrong one.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Executor};
use tidegate::session::Change;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The file as another program sees it.
async fn raw(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true);
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// Holds that the file cannot be opened, with these words, and is left as it was.
#[track_caller]
fn refused(path: &Path, said: Result<Arc<dyn SessionStore>, OpenError>, words: &str) {
    let said = said.unwrap_err().to_string();
    assert!(said.contains(words), "{said}");
    let url = format!("state.url = \"sqlite://{}\"", path.display());
    assert!(said.starts_with(&url), "{said}");
}

#[tokio::test]
async fn everything_made_is_for_its_owner_alone() {
    let folder = folder("modes");
    let store = open_at(&folder.join("tidegate.db")).await.unwrap();
    store
        .apply(&[Change::Put(Box::new(record(1)))])
        .await
        .unwrap();
    let made: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(
        made.len() >= 3,
        "the database, its log and its lock: {made:?}"
    );
    for path in made {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn it_is_made_as_it_should_be() {
    let path = folder("pragmas").join("tidegate.db");
    let store = open_at(&path).await.unwrap();
    store.close().await;
    let mut raw = raw(&path).await;
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&mut raw)
        .await
        .unwrap();
    assert_eq!(journal, "wal");
    let steps: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations")
            .fetch_all(&mut raw)
            .await
            .unwrap();
    assert_eq!(steps.len(), 5);
    assert_eq!((steps[0].0, steps[0].1.len()), (1, 48));
}

#[tokio::test]
async fn a_file_that_others_may_read_is_refused_with_the_way_out() {
    let path = folder("open").join("tidegate.db");
    open_at(&path).await.unwrap().close().await;
    for mode in [0o644, 0o640, 0o606] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let words = format!("chmod 600 {}", path.display());
        refused(&path, open_at(&path).await, &words);
    }
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    open_at(&path).await.unwrap();
}

#[tokio::test]
async fn a_place_where_no_file_can_be_is_refused() {
    let folder = folder("places");
    refused(
        &folder,
        open_at(&folder).await,
        "is a folder; name a file in it",
    );
    let path = folder.join("missing/tidegate.db");
    refused(&path, open_at(&path).await, "there is no folder");
    let file = folder.join("file");
    drop(File::create(&file).unwrap());
    let path = file.join("tidegate.db");
    refused(&path, open_at(&path).await, "is no folder");
    // No one makes files there, root neither.
    let path = Path::new("/sys/tidegate.db");
    refused(
        path,
        open_at(path).await,
        "has to be able to write into /sys",
    );
    let path = folder.join("null");
    symlink("/dev/null", &path).unwrap();
    refused(&path, open_at(&path).await, "no plain file");
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_left_as_it_is() {
    let path = folder("damaged").join("tidegate.db");
    fs::write(
        &path,
        b"this is no database, however long it may be ".repeat(100),
    )
    .unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let before = fs::read(&path).unwrap();
    refused(
        &path,
        open_at(&path).await,
        "is damaged, or no SQLite database",
    );
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_file_damaged_in_the_middle_is_refused() {
    let path = folder("middle").join("tidegate.db");
    let store = open_at(&path).await.unwrap();
    let changes: Vec<Change> = (0..2000)
        .map(|number| Change::Put(Box::new(record(number))))
        .collect();
    store.apply(&changes).await.unwrap();
    store.close().await;
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    refused(&path, open_at(&path).await, "is damaged");
}

#[tokio::test]
async fn a_file_cut_short_is_refused() {
    let path = folder("short").join("tidegate.db");
    open_at(&path).await.unwrap().close().await;
    let length = fs::metadata(&path).unwrap().len();
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(length / 2).unwrap();
    refused(&path, open_at(&path).await, "is damaged");
}

#[tokio::test]
async fn an_empty_file_becomes_a_database() {
    let path = folder("empty").join("tidegate.db");
    drop(File::create(&path).unwrap());
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    open_at(&path).await.unwrap();
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_left_as_it_is() {
    let path = folder("foreign").join("theirs.db");
    let mut theirs = raw(&path).await;
    theirs.execute("CREATE TABLE theirs (x)").await.unwrap();
    theirs.close().await.unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let before = fs::read(&path).unwrap();
    refused(&path, open_at(&path).await, "of another program");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let path = folder("newer").join("tidegate.db");
    open_at(&path).await.unwrap().close().await;
    let mut newer = raw(&path).await;
    let step = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
        VALUES (999, 'of tomorrow', TRUE, x'00', 0)";
    newer.execute(step).await.unwrap();
    newer.close().await.unwrap();
    refused(
        &path,
        open_at(&path).await,
        "made by a newer version of the gate (its tables are at step 999",
    );
}

#[tokio::test]
async fn a_database_with_a_changed_step_is_refused() {
    let path = folder("changed").join("tidegate.db");
    open_at(&path).await.unwrap().close().await;
    let mut changed = raw(&path).await;
    changed
        .execute("UPDATE _sqlx_migrations SET checksum = x'00'")
        .await
        .unwrap();
    changed.close().await.unwrap();
    refused(&path, open_at(&path).await, "step 1 differs");
}

#[tokio::test]
async fn two_gates_do_not_share_a_file() {
    let path = folder("shared").join("tidegate.db");
    let first = open_at(&path).await.unwrap();
    refused(&path, open_at(&path).await, "another gate uses it");
    first.close().await;
    drop(first);
    open_at(&path).await.unwrap();
}

#[tokio::test]
async fn a_file_that_another_process_has_locked_is_refused() {
    let path = folder("locked").join("tidegate.db");
    open_at(&path).await.unwrap().close().await;
    let mut other = raw(&path).await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    refused(&path, open_at(&path).await, "another process has locked it");
    other.execute("ROLLBACK").await.unwrap();
    open_at(&path).await.unwrap();
}

#[tokio::test]
async fn a_lock_that_comes_and_goes_is_no_lasting_fault() {
    let path = folder("busy").join("tidegate.db");
    let store = open_at(&path).await.unwrap();
    let mut other = raw(&path).await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let said = store
        .apply(&[Change::Put(Box::new(record(1)))])
        .await
        .unwrap_err();
    assert!(!said.lasting && said.what.contains("state.url"), "{said:?}");
    assert!(said.what.contains(path.to_str().unwrap()), "{said:?}");
    assert!(!store.check().await.unwrap_err().lasting);
    other.execute("ROLLBACK").await.unwrap();
    store
        .apply(&[Change::Put(Box::new(record(1)))])
        .await
        .unwrap();
    assert_eq!(store.load(10).await.unwrap(), [record(1)]);
}

#[tokio::test]
async fn a_batch_that_fails_leaves_nothing_of_itself() {
    let path = folder("whole").join("tidegate.db");
    let store = open_at(&path).await.unwrap();
    let mut other = raw(&path).await;
    let trap = "CREATE TRIGGER trap BEFORE INSERT ON session WHEN NEW.id = 0 BEGIN SELECT RAISE(ABORT, 'trap'); END";
    other.execute(trap).await.unwrap();
    let bad = Record {
        id: SessionId::new(0),
        ..record(2)
    };
    let changes = [Change::Put(Box::new(record(1))), Change::Put(Box::new(bad))];
    let said = store.apply(&changes).await.unwrap_err();
    assert!(said.lasting, "{said:?}");
    assert_eq!(store.load(10).await.unwrap(), []);
    store.apply(&changes[..1]).await.unwrap();
    assert_eq!(store.load(10).await.unwrap(), [record(1)]);
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let path = folder("closed").join("tidegate.db");
    let store = open_at(&path).await.unwrap();
    store
        .apply(&[Change::Put(Box::new(record(1)))])
        .await
        .unwrap();
    store.close().await;
    let said = store.check().await.unwrap_err();
    assert!(said.what.contains("does not answer"), "{said:?}");
}
