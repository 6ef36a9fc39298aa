//! A process with a store of its own, on a file system of the test's own, which does as it is told.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use tidegate::task::{Found, New, TaskId};

use super::shim::Faults;
use super::task::{fresh, id, new};
use super::*;

/// Names the database to the process that is told what to do with it.
const PUPPET: &str = "TIDEGATE_STORE_PUPPET";
/// Before what it says.
const SAYS: &str = "puppet says: ";

pub fn submission(number: u64, bytes: usize) -> New {
    New {
        sealed: vec![u8::try_from(number % 251).unwrap(); bytes].into(),
        ..new(&fresh(number))
    }
}

/// Not run for itself: the process that the tests below start, with a file system of theirs.
#[tokio::test]
#[ignore = "the tests below run it, as a process of its own"]
async fn the_puppet_does_as_it_is_told() {
    let path = std::env::var_os(PUPPET).expect("run by another test");
    let stores = stores_at(Path::new(&path)).await.unwrap();
    println!("{SAYS}ready");
    let orders = std::io::stdin().lines().map_while(Result::ok);
    for order in orders {
        let mut words = order.split(' ');
        let what = words.next().unwrap();
        let mut number = || words.next().unwrap().parse::<u64>().unwrap();
        let said = match what {
            "submit" => {
                let new = submission(number(), usize::try_from(number()).unwrap());
                stores
                    .tasks
                    .submit(new)
                    .await
                    .map(|said| format!("{said:?}"))
            }
            "find" => {
                let found = stores.tasks.task(id(number())).await;
                found.map(|found| matches!(found, Found::Task(_)).to_string())
            }
            "check" => stores.tasks.check().await.map(|()| "fine".to_owned()),
            "storm" => {
                storm(&stores, number(), number()).await;
                Ok("over".to_owned())
            }
            other => panic!("{other}?"),
        };
        match said {
            Ok(said) => println!("{SAYS}{said}"),
            Err(error) => println!("{SAYS}lasting={} {}", error.lasting, error.what),
        }
    }
    stores.sessions.close().await;
}

/// Many submit at once, and each says what was acknowledged to it.
async fn storm(stores: &Stores, from: u64, each: u64) {
    let all: Vec<_> = (0..32)
        .map(|client| {
            let tasks = stores.tasks.clone();
            tokio::spawn(async move {
                for number in 0..each {
                    let number = from + client * each + number;
                    if tasks.submit(submission(number, 2000)).await.is_ok() {
                        println!("{SAYS}kept {number}");
                    }
                }
            })
        })
        .collect();
    for one in all {
        one.await.unwrap();
    }
}

pub struct Puppet {
    pub process: Child,
    says: BufReader<ChildStdout>,
}

impl Puppet {
    pub fn start(path: &Path, on: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--ignored", "--exact", "--nocapture"])
            .arg("puppet::the_puppet_does_as_it_is_told")
            .env(PUPPET, path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        on(&mut command);
        let mut process = command.spawn().unwrap();
        let says = BufReader::new(process.stdout.take().unwrap());
        Self { process, says }
    }

    pub fn on(path: &Path, faults: &Faults) -> Self {
        let mut puppet = Self::start(path, |command| faults.on(command));
        assert_eq!(puppet.hear().unwrap(), "ready");
        puppet
    }

    /// What it says next; none once it is gone.
    pub fn hear(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.says.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some((_, said)) = line.trim_end().split_once(SAYS) {
                return Some(said.to_owned());
            }
        }
    }

    pub fn tell(&mut self, order: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{order}").unwrap();
    }

    pub fn ask(&mut self, order: &str) -> String {
        self.tell(order);
        self.hear().expect("it is alive")
    }

    pub fn submits(&mut self, number: u64) {
        assert_eq!(self.ask(&format!("submit {number} 100")), "New");
    }

    /// Holds that it is refused, in words that name the file.
    pub fn is_refused(&mut self, order: &str, path: &Path) -> String {
        let said = self.ask(order);
        assert!(said.starts_with("lasting="), "{order}: {said}");
        assert!(said.contains(path.to_str().unwrap()), "{order}: {said}");
        said
    }

    pub fn finds(&mut self, number: u64) -> bool {
        self.ask(&format!("find {number}")).parse().unwrap()
    }

    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Everything that it says it kept, until it is gone or has said `count`.
    pub fn kept(&mut self, count: usize) -> BTreeSet<TaskId> {
        let mut kept = BTreeSet::new();
        while kept.len() < count {
            match self.hear() {
                Some(said) => match said.strip_prefix("kept ") {
                    Some(number) => drop(kept.insert(id(number.parse().unwrap()))),
                    None if said == "over" => break,
                    None => {}
                },
                None => break,
            }
        }
        kept
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
