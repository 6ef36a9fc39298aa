//! Disks that fail, fill up or go read-only under a store, and processes killed while it commits: new work is refused in
//! words that name the file, old truth stays, and nothing acknowledged is lost.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use tidegate::task::{Filter, Found, TaskId};

use super::puppet::{Puppet, submission};
use super::shim::{Faults, killed};
use super::task::id;
use super::*;

/// What is in the file, each with its request.
async fn everything(path: &Path) -> BTreeSet<TaskId> {
    let stores = stores_at(path).await.unwrap();
    let all = Filter::default();
    let list = stores.tasks.list(&all, None, usize::MAX);
    let all: BTreeSet<TaskId> = list.await.unwrap().iter().map(|task| task.id).collect();
    for id in &all {
        assert!(stores.tasks.request(*id).await.unwrap().is_some());
    }
    stores.sessions.close().await;
    all
}

/// Task 1 is kept, 2 meets the faults, 3 comes when they are over, and then the process is killed.
async fn refused_while(name: &str, faulty: &str) -> String {
    let folder = folder(name);
    let path = folder.join("tidegate.db");
    let faults = Faults::new(&folder);
    let mut puppet = Puppet::on(&path, &faults);
    puppet.submits(1);
    faults.set(faulty);
    let said = puppet.is_refused("submit 2 100", &path);
    puppet.is_refused("check", &path);
    puppet.is_refused("submit 2 100", &path);
    assert!(puppet.finds(1) && !puppet.finds(2));
    faults.lift();
    puppet.submits(3);
    assert_eq!(puppet.ask("check"), "fine");
    assert!(puppet.finds(1) && !puppet.finds(2) && puppet.finds(3));
    puppet.kill();
    assert_eq!(everything(&path).await, BTreeSet::from([id(1), id(3)]));
    said
}

#[tokio::test]
async fn a_sync_that_fails_refuses_new_work_until_it_is_over() {
    let said = refused_while("sync", "sync EIO wal").await;
    assert!(said.starts_with("lasting=false"), "{said}");
    assert!(said.contains("its disk fails"), "{said}");
}

#[tokio::test]
async fn a_full_disk_refuses_new_work_until_there_is_room() {
    let said = refused_while("full", "write ENOSPC\ntruncate ENOSPC").await;
    assert!(said.starts_with("lasting=false"), "{said}");
    assert!(said.contains("no room"), "{said}");
}

#[tokio::test]
async fn a_disk_gone_read_only_refuses_new_work_until_it_is_back() {
    let said = refused_while("readonly", "write EROFS\ntruncate EROFS\nopen EROFS").await;
    assert!(said.contains("does not let it write"), "{said}");
}

#[tokio::test]
async fn a_disk_that_fails_refuses_new_work_until_it_is_back() {
    refused_while("broken", "write EIO\nsync EIO\ntruncate EIO\nopen EIO").await;
}

#[tokio::test]
async fn work_that_was_refused_is_not_found_after_a_kill() {
    // One that is short, one of many pages, and several.
    for (round, sizes) in [&[100][..], &[100_000], &[100, 100_000, 100]]
        .iter()
        .enumerate()
    {
        let folder = folder(&format!("refused{round}"));
        let path = folder.join("tidegate.db");
        let faults = Faults::new(&folder);
        let mut puppet = Puppet::on(&path, &faults);
        puppet.submits(1);
        // All of it stands in the log when the sync fails, and no later sync succeeds.
        faults.set("sync EIO wal");
        for (number, size) in (2..).zip(*sizes) {
            puppet.is_refused(&format!("submit {number} {size}"), &path);
        }
        puppet.kill();
        assert_eq!(
            everything(&path).await,
            BTreeSet::from([id(1)]),
            "{sizes:?}"
        );
    }
}

#[tokio::test]
async fn what_was_acknowledged_outlives_faults_that_come_and_go() {
    let folder = folder("flaky");
    let path = folder.join("tidegate.db");
    let faults = Faults::new(&folder);
    let mut puppet = Puppet::on(&path, &faults);
    let mut kept = BTreeSet::new();
    puppet.tell("storm 1000 40");
    for faulty in ["sync EIO wal", "write ENOSPC wal", "write EIO", "sync EIO"] {
        kept.extend(puppet.kept(60));
        faults.set(faulty);
        puppet.tell("check");
        faults.lift();
        kept.extend(puppet.kept(60));
    }
    puppet.kill();
    let there = everything(&path).await;
    let lost: Vec<_> = kept.difference(&there).collect();
    assert!(
        kept.len() >= 400 && lost.is_empty(),
        "{} kept, lost {lost:?}",
        kept.len()
    );
}

#[tokio::test]
async fn killed_at_a_sync_nothing_acknowledged_is_lost() {
    let folder = folder("killed");
    let path = folder.join("tidegate.db");
    let mut kept = BTreeSet::new();
    for (round, when, file, nth) in [
        (1, "before", "wal", 9),
        (2, "after", "wal", 12),
        (3, "before", "db", 1),
        (4, "after", "db", 1),
        (5, "after", "any", 31),
    ] {
        let mut puppet = Puppet::start(&path, |command| killed(command, when, file, nth));
        puppet.tell(&format!("storm {} 400", round * 100_000));
        // It dies by itself, and what it said before counts.
        kept.extend(puppet.kept(usize::MAX));
        puppet.process.wait().unwrap();
        let there = everything(&path).await;
        let lost: Vec<_> = kept.difference(&there).collect();
        assert!(
            lost.is_empty(),
            "{when} sync {nth} of {file}: lost {lost:?}"
        );
    }
    assert!(!kept.is_empty());
}

#[tokio::test]
async fn killed_at_any_moment_nothing_acknowledged_is_lost() {
    let path = folder("moments").join("tidegate.db");
    let mut kept = BTreeSet::new();
    for round in 1..=5 {
        let mut puppet = Puppet::start(&path, |command| command);
        puppet.tell(&format!("storm {} 4000", round * 1_000_000));
        kept.extend(puppet.kept(100 * usize::try_from(round).unwrap()));
        puppet.process.kill().unwrap();
        kept.extend(puppet.kept(usize::MAX));
        puppet.process.wait().unwrap();
        let there = everything(&path).await;
        let lost: Vec<_> = kept.difference(&there).collect();
        assert!(lost.is_empty(), "round {round}: lost {lost:?}");
    }
}

/// A small disk of one's own.
struct Disk(PathBuf);

impl Disk {
    /// None where nobody lets us mount one.
    fn mounted(at: PathBuf) -> Option<Self> {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m,mode=0700", "tidegate"])
            .arg(&at)
            .stderr(Stdio::null())
            .status();
        mount.is_ok_and(|status| status.success()).then(|| Self(at))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

#[tokio::test]
async fn a_small_disk_fills_up_and_is_given_room() {
    let Some(disk) = Disk::mounted(folder("small")) else {
        eprintln!(
            "no file system can be mounted here: a_full_disk_refuses_new_work_until_there_is_room stands for it"
        );
        return;
    };
    let path = disk.0.join("tidegate.db");
    let ballast = disk.0.join("ballast");
    std::fs::write(&ballast, vec![1; 300 << 10]).unwrap();
    let stores = stores_at(&path).await.unwrap();
    let submit = |number| stores.tasks.submit(submission(number, 20 << 10));
    let mut kept = 0;
    let said = loop {
        match submit(kept).await {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 100, "it has to be full one day");
    };
    assert!(kept > 3 && !said.lasting, "{kept} kept, then {said:?}");
    assert!(said.what.contains(path.to_str().unwrap()), "{said:?}");
    for number in 0..kept {
        assert!(matches!(
            stores.tasks.task(id(number)).await,
            Ok(Found::Task(_))
        ));
    }
    assert_eq!(stores.tasks.task(id(kept)).await.unwrap(), Found::Nothing);
    std::fs::remove_file(ballast).unwrap();
    submit(kept).await.unwrap();
    stores.sessions.close().await;
    drop(stores);
    assert_eq!(
        everything(&path).await.len(),
        usize::try_from(kept).unwrap() + 1
    );
}

#[tokio::test]
async fn pages_damaged_under_an_open_store_are_a_lasting_fault() {
    let path = folder("pages").join("tidegate.db");
    let stores = stores_at(&path).await.unwrap();
    for from in [0, 500] {
        let all = (from..from + 500).map(|number| {
            let tasks = stores.tasks.clone();
            tokio::spawn(async move { tasks.submit(submission(number, 1000)).await })
        });
        for one in all.collect::<Vec<_>>() {
            one.await.unwrap().unwrap();
        }
    }
    stores.sessions.close().await;
    drop(stores);
    let stores = stores_at(&path).await.unwrap();
    // In place, as a bad disk would: the store keeps its file open.
    let length = std::fs::metadata(&path).unwrap().len();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let from = 20 * 4096;
    let garbage = vec![0xa5; usize::try_from(length - from).unwrap()];
    std::os::unix::fs::FileExt::write_all_at(&file, &garbage, from).unwrap();
    let mut said = Vec::new();
    for number in 0..1000 {
        if let Err(error) = stores.tasks.task(id(number)).await {
            said.push(error);
        }
    }
    let first = said.first().expect("damage is seen");
    assert!(first.lasting, "{first:?}");
    assert!(first.what.contains(path.to_str().unwrap()), "{first:?}");
    assert!(first.what.contains("damaged"), "{first:?}");
    let refused = stores.tasks.submit(submission(2000, 10)).await.unwrap_err();
    assert!(
        refused.lasting && refused.what.contains("damaged"),
        "{refused:?}"
    );
    assert!(
        stores.tasks.check().await.is_err(),
        "nor does it say that it is well"
    );
}
