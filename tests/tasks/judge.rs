//! What is right and what is wrong about one piece of work, told from what clients heard and what the model counted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::people::Work;

/// Most times that the gate sends what may be done twice, where each answer is lost.
const MOST_SENT: u64 = 6;

/// How a task ended, as its owner is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    pub state: String,
    pub outcome: Option<String>,
    pub by_probe: bool,
    pub not_applied: bool,
    pub dispatched: bool,
    pub attempts: u64,
}

impl End {
    pub fn of(status: &Value) -> Option<Self> {
        (status["done"] == true).then(|| Self {
            state: status["state"].as_str().unwrap_or_default().to_owned(),
            outcome: status["outcome"].as_str().map(str::to_owned),
            by_probe: status["result_source"] == "probe",
            not_applied: status["not_applied"] == true || status["outcome"] == "not_applied",
            dispatched: status["dispatched"] == true,
            attempts: status["attempts"].as_u64().unwrap_or_default(),
        })
    }

    /// In a word or two, for the table.
    pub fn how(&self) -> &'static str {
        match &*self.state {
            "COMPLETED" if self.by_probe => "completed, as a probe found",
            "COMPLETED" if self.attempts > 1 => "completed, sent again",
            "COMPLETED" => "completed, as answered",
            "ABORTED" if self.dispatched => "aborted before it was sent again",
            "ABORTED" => "aborted before it was sent",
            "FAILED" if self.not_applied => "failed, not applied",
            "FAILED" if self.outcome.as_deref() == Some("unknown") => "failed, outcome unknown",
            "FAILED" => "failed, as answered",
            "EXPIRED" => "expired",
            _ => "otherwise",
        }
    }

    /// Whether its answer was lost on the way.
    pub fn was_in_doubt(&self) -> bool {
        self.by_probe
            || self.not_applied
            || self.outcome.as_deref() == Some("unknown")
            || self.attempts > 1
    }
}

/// One piece of work, from all sides.
#[derive(Debug, Clone)]
pub struct Account {
    pub work: Work,
    pub keyed: bool,
    /// Ids that clients were given for it.
    pub ids: BTreeSet<String>,
    /// The gate refused it, and nothing else was heard.
    pub refused: bool,
    /// How it ended; none where nobody knows of it.
    pub end: Option<End>,
    /// How often it was done.
    pub effects: u64,
}

impl Account {
    pub fn new(work: Work, keyed: bool) -> Self {
        Self {
            work,
            keyed,
            ids: BTreeSet::new(),
            refused: false,
            end: None,
            effects: 0,
        }
    }

    fn is_accepted(&self) -> bool {
        !self.ids.is_empty()
    }

    /// Everything that is wrong about it.
    pub fn faults(&self) -> Vec<&'static str> {
        let mut faults = Vec::new();
        let mut wrong = |is: bool, what| {
            if is {
                faults.push(what);
            }
        };
        wrong(self.ids.len() > 1, "two ids for one request");
        wrong(self.keyed && !self.is_accepted(), "nobody took it");
        wrong(self.is_accepted() && self.end.is_none(), "lost");
        wrong(self.work != Work::Set && self.effects > 1, "doubled");
        wrong(
            self.refused && !self.is_accepted() && self.effects > 0,
            "refused, and done",
        );
        if let Some(end) = &self.end {
            self.of_end(end, &mut wrong);
        }
        faults
    }

    fn of_end(&self, end: &End, wrong: &mut impl FnMut(bool, &'static str)) {
        let done = end.state == "COMPLETED";
        wrong(done && self.effects == 0, "completed, and not done");
        // What was sent before and is sent again may be taken back in between, by who says that it may be done.
        let said =
            self.work == Work::Set && end.dispatched && end.outcome.as_deref() == Some("unknown");
        wrong(
            end.state == "ABORTED" && self.effects > 0 && !said,
            "aborted, and done",
        );
        wrong(end.not_applied && self.effects > 0, "not applied, and done");
        wrong(
            end.state == "EXPIRED" && !end.dispatched && self.effects > 0,
            "expired before it was sent, and done",
        );
        let again = matches!(self.work, Work::CloneAgain | Work::Set);
        // Lost as often as that, it is given up, and not said to be known.
        let given_up = self.work == Work::Set
            && end.attempts >= MOST_SENT
            && end.outcome.as_deref() == Some("unknown");
        wrong(
            again && !(done || end.state == "ABORTED" || given_up),
            "it was to be done, and is not",
        );
        let honest = done || end.state == "ABORTED" || end.was_in_doubt();
        wrong(!honest, "failed without a reason");
    }
}

/// Moments tried, tasks accepted, lost, doubled, in doubt and how each was resolved.
#[derive(Debug, Default)]
pub struct Table {
    pub kills: usize,
    pub accounts: BTreeMap<String, Account>,
}

impl Table {
    fn count(&self, is: impl Fn(&Account) -> bool) -> usize {
        self.accounts.values().filter(|account| is(account)).count()
    }

    pub fn faults(&self) -> Vec<String> {
        let named = self.accounts.iter();
        named
            .flat_map(|(name, account)| {
                let said = move |fault| format!("{name}: {fault}: {account:?}");
                account.faults().into_iter().map(said)
            })
            .collect()
    }

    /// For people.
    pub fn print(&self, title: &str) {
        let has = |account: &Account, fault| account.faults().contains(&fault);
        println!("{title}");
        println!("  moments tried   {:>6}", self.kills);
        println!("  tasks accepted  {:>6}", self.count(Account::is_accepted));
        println!(
            "  never answered  {:>6}",
            self.count(|one| !one.is_accepted() && !one.refused)
        );
        println!(
            "  lost            {:>6}",
            self.count(|one| has(one, "lost"))
        );
        println!(
            "  doubled         {:>6}",
            self.count(|one| has(one, "doubled"))
        );
        let mut ways: BTreeMap<(Work, bool, &str), usize> = BTreeMap::new();
        for account in self.accounts.values() {
            if let Some(end) = &account.end {
                *ways
                    .entry((account.work, end.was_in_doubt(), end.how()))
                    .or_default() += 1;
            }
        }
        for ((work, in_doubt, how), count) in ways {
            let doubt = if in_doubt { "in doubt" } else { "" };
            println!(
                "  {:<10} {doubt:<8} {how:<30} {count:>6}",
                format!("{work:?}")
            );
        }
    }
}

#[test]
fn a_judge_sees_what_is_wrong() {
    let end = |state: &str| End {
        state: state.to_owned(),
        outcome: Some("known".to_owned()),
        by_probe: false,
        not_applied: false,
        dispatched: true,
        attempts: 1,
    };
    let fine = Account {
        ids: BTreeSet::from(["a".to_owned()]),
        end: Some(end("COMPLETED")),
        effects: 1,
        ..Account::new(Work::Clone, true)
    };
    let none: [&str; 0] = [];
    assert_eq!(fine.faults(), none);
    let broken: [(&str, Account); 9] = [
        (
            "doubled",
            Account {
                effects: 2,
                ..fine.clone()
            },
        ),
        (
            "lost",
            Account {
                end: None,
                ..fine.clone()
            },
        ),
        (
            "completed, and not done",
            Account {
                effects: 0,
                ..fine.clone()
            },
        ),
        (
            "aborted, and done",
            Account {
                end: Some(end("ABORTED")),
                ..fine.clone()
            },
        ),
        (
            "failed without a reason",
            Account {
                end: Some(end("FAILED")),
                effects: 0,
                ..fine.clone()
            },
        ),
        (
            "nobody took it",
            Account {
                ids: BTreeSet::new(),
                end: None,
                effects: 0,
                ..fine.clone()
            },
        ),
        (
            "two ids for one request",
            Account {
                ids: BTreeSet::from(["a".to_owned(), "b".to_owned()]),
                ..fine.clone()
            },
        ),
        (
            "not applied, and done",
            Account {
                end: Some(End {
                    not_applied: true,
                    ..end("FAILED")
                }),
                ..fine.clone()
            },
        ),
        (
            "it was to be done, and is not",
            Account {
                work: Work::CloneAgain,
                end: Some(End {
                    not_applied: true,
                    ..end("FAILED")
                }),
                effects: 0,
                ..fine.clone()
            },
        ),
    ];
    for (fault, account) in broken {
        assert_eq!(account.faults(), [fault], "{account:?}");
        let accounts = BTreeMap::from([("one".to_owned(), account)]);
        let table = Table { kills: 1, accounts };
        assert_eq!(table.faults().len(), 1, "and the table does");
    }
    let again = Account {
        work: Work::Set,
        effects: 2,
        ..fine
    };
    assert_eq!(again.faults(), none, "a state may be set twice");
}
