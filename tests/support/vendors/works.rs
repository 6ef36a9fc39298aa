//! Work that goes on behind the answers of a model: when it ends, what comes of it, and what readers are shown.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::watch;

use super::books::Books;
use super::faults::{Plan, When};
use super::twists::{Ending, Phase, Reading, Shown, Twist};

/// How work goes on.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// By [`Works::step`] and [`Works::finish`] alone.
    ByHand,
    /// It runs at once, and ends after so long.
    Lasts(Duration),
}

/// What work does at its end: its result, or how it failed.
pub(super) type Effect = Box<dyn FnOnce() -> Result<Value, Ending> + Send>;

/// Work that is to be done.
pub(super) struct Order {
    pub(super) id: String,
    /// What is done, in the vendor's words.
    pub(super) label: String,
    pub(super) target: String,
    pub(super) user: String,
    /// What it counts under besides `running`, from its order to its end.
    pub(super) gauge: Option<&'static str>,
    pub(super) effect: Effect,
}

struct Job {
    order: Order,
    phase: Phase,
    /// Its effect is about to be, or has been.
    is_settled: bool,
    is_held: bool,
    /// It should have ended while it was held.
    is_overdue: bool,
    ending: Option<Ending>,
    twists: Vec<Twist>,
    shown: Shown,
    started: String,
    ended: Option<String>,
}

/// Why work is not canceled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotCanceled {
    Unknown,
    Over,
    Unsupported,
}

/// All the work of a model.
pub struct Works {
    books: Arc<Books>,
    pace: Mutex<Pace>,
    jobs: Mutex<BTreeMap<String, Job>>,
    /// Names of jobs in the order of their start.
    order: Mutex<Vec<String>>,
    twists: Mutex<Vec<Plan<Twist>>>,
    stamp: Mutex<Option<String>>,
    names: Mutex<(u64, VecDeque<String>)>,
    changed: watch::Sender<u64>,
}

impl Works {
    pub(super) fn new(books: Arc<Books>, pace: Pace) -> Arc<Self> {
        Arc::new(Self {
            books,
            pace: Mutex::new(pace),
            jobs: Mutex::default(),
            order: Mutex::default(),
            twists: Mutex::default(),
            stamp: Mutex::default(),
            names: Mutex::default(),
            changed: watch::Sender::new(0),
        })
    }

    /// Another pace, for work that starts from now on.
    pub fn pace(&self, pace: Pace) {
        *self.pace.lock().unwrap() = pace;
    }

    /// Work that starts from now on is seen through `twist`, at `when`. Several may be on at once.
    pub fn twist(&self, when: When, twist: Twist) {
        self.twists.lock().unwrap().push(Plan::new(when, twist));
    }

    /// No twists any more, for work that starts from now on.
    pub fn straight(&self) {
        self.twists.lock().unwrap().clear();
    }

    /// What the clock of the model says from now on, in place of the time of day.
    pub fn clock(&self, stamp: &str) {
        *self.stamp.lock().unwrap() = Some(stamp.to_owned());
    }

    /// The next name that the model gives (a task's, a session's), in place of one made up.
    pub fn next_name(&self, name: &str) {
        self.names.lock().unwrap().1.push_back(name.to_owned());
    }

    /// Names of all work ever started, in order.
    pub fn all(&self) -> Vec<String> {
        self.order.lock().unwrap().clone()
    }

    /// How many have come to their end.
    pub fn ended(&self) -> usize {
        let jobs = self.jobs.lock().unwrap();
        jobs.values()
            .filter(|job| job.phase == Phase::Ended)
            .count()
    }

    /// One step for all: what waits runs, what runs ends.
    pub fn step(self: &Arc<Self>) {
        for id in self.all() {
            match self.phase(&id) {
                Some(Phase::Queued) => self.begin(&id),
                Some(Phase::Running) => self.finish(&id),
                _ => {}
            }
        }
    }

    /// Takes one to its end.
    pub fn finish(self: &Arc<Self>, id: &str) {
        self.begin(id);
        self.settle(id, None);
    }

    /// Takes all to their ends, after all of them have run.
    pub fn finish_all(self: &Arc<Self>) {
        let all = self.all();
        for id in &all {
            self.begin(id);
        }
        for id in &all {
            self.finish(id);
        }
    }

    /// Forgets what has ended.
    pub fn cleanup(&self) {
        let mut jobs = self.jobs.lock().unwrap();
        jobs.retain(|_, job| job.phase != Phase::Ended);
    }

    pub(super) fn now(&self) -> String {
        let fixed = self.stamp.lock().unwrap().clone();
        fixed.unwrap_or_else(|| rfc3339(OffsetDateTime::now_utc()))
    }

    /// A name: the next one of the test's, or what `make` makes of a number.
    pub(super) fn name(&self, make: impl FnOnce(u64) -> String) -> String {
        let mut names = self.names.lock().unwrap();
        names.0 += 1;
        let number = names.0;
        names.1.pop_front().unwrap_or_else(|| make(number))
    }

    /// A number that no name has had.
    pub(super) fn number(&self) -> u64 {
        let mut names = self.names.lock().unwrap();
        names.0 += 1;
        names.0
    }

    /// Takes an order, and goes on with it by the pace.
    pub(super) fn start(self: &Arc<Self>, order: Order) {
        let id = order.id.clone();
        self.place(order);
        let Pace::Lasts(time) = *self.pace.lock().unwrap() else {
            return;
        };
        self.begin(&id);
        let works = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            works.finish(&id);
        });
    }

    /// Takes an order; it waits.
    pub(super) fn place(&self, order: Order) {
        let mut plans = self.twists.lock().unwrap();
        let due = plans.iter_mut().filter_map(|plan| {
            let is_due = plan.due();
            is_due.then(|| plan.what.clone())
        });
        let twists = due.collect();
        drop(plans);
        if let Some(gauge) = order.gauge {
            self.books.enter(gauge);
        }
        let id = order.id.clone();
        let job = Job {
            order,
            phase: Phase::Queued,
            is_settled: false,
            is_held: false,
            is_overdue: false,
            ending: None,
            twists,
            shown: Shown::default(),
            started: self.now(),
            ended: None,
        };
        self.order.lock().unwrap().push(id.clone());
        self.jobs.lock().unwrap().insert(id, job);
    }

    pub(super) fn begin(&self, id: &str) {
        let mut jobs = self.jobs.lock().unwrap();
        let waiting = jobs.get_mut(id).filter(|job| job.phase == Phase::Queued);
        if let Some(job) = waiting {
            job.phase = Phase::Running;
            self.books.enter("running");
        }
    }

    /// Brings one to its end: as `ending` says, or as its twists or its effect do.
    pub(super) fn settle(&self, id: &str, ending: Option<Ending>) {
        let Some((twisted, effect)) = self.take_effect(id) else {
            return;
        };
        let ending = match (ending.or(twisted), effect) {
            (Some(Ending::Partial(messages)), effect) => {
                // What it could do is done.
                drop(effect());
                Ending::Partial(messages)
            }
            (Some(ending), _) => ending,
            (None, effect) => effect().map_or_else(|ending| ending, Ending::Done),
        };
        self.end(id, ending);
    }

    fn take_effect(&self, id: &str) -> Option<(Option<Ending>, Effect)> {
        let mut jobs = self.jobs.lock().unwrap();
        let job = jobs.get_mut(id).filter(|job| !job.is_settled)?;
        if job.is_held {
            job.is_overdue = true;
            return None;
        }
        job.is_settled = true;
        let nothing: Effect = Box::new(|| Ok(Value::Null));
        let effect = std::mem::replace(&mut job.order.effect, nothing);
        Some((job.twists.iter().find_map(Twist::ending), effect))
    }

    fn end(&self, id: &str, ending: Ending) {
        let now = self.now();
        let mut jobs = self.jobs.lock().unwrap();
        let job = jobs.get_mut(id).unwrap();
        if job.phase == Phase::Running {
            self.books.leave("running");
        }
        if let Some(gauge) = job.order.gauge {
            self.books.leave(gauge);
        }
        job.phase = Phase::Ended;
        job.ending = Some(ending);
        job.ended = Some(now);
        drop(jobs);
        self.changed.send_modify(|round| *round += 1);
    }

    /// Keeps one from its end, or lets it go on.
    pub(super) fn hold(self: &Arc<Self>, id: &str, is_held: bool) {
        let mut jobs = self.jobs.lock().unwrap();
        let Some(job) = jobs.get_mut(id) else { return };
        job.is_held = is_held;
        let is_due = !is_held && job.is_overdue;
        drop(jobs);
        if is_due {
            self.finish(id);
        }
    }

    pub(super) fn cancel(&self, id: &str) -> Result<(), NotCanceled> {
        let jobs = self.jobs.lock().unwrap();
        let job = jobs.get(id).ok_or(NotCanceled::Unknown)?;
        if job.is_settled {
            return Err(NotCanceled::Over);
        }
        if job.twists.contains(&Twist::NotCancelable) {
            return Err(NotCanceled::Unsupported);
        }
        drop(jobs);
        self.settle(id, Some(Ending::Canceled));
        Ok(())
    }

    pub(super) fn phase(&self, id: &str) -> Option<Phase> {
        let jobs = self.jobs.lock().unwrap();
        jobs.get(id).map(|job| job.phase)
    }

    /// How one ended, if it has.
    pub(super) fn ending(&self, id: &str) -> Option<Ending> {
        let jobs = self.jobs.lock().unwrap();
        jobs.get(id)?.ending.clone()
    }

    /// Waits for the end of one, as it truly is.
    pub(super) async fn end_of(&self, id: &str) -> Ending {
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            let ending = self.jobs.lock().unwrap()[id].ending.clone();
            if let Some(ending) = ending {
                return ending;
            }
            let _ = changed.changed().await;
        }
    }

    /// One reading: what is shown now to whoever asks after it; `None` where it is not to be found.
    pub(super) fn read(&self, id: &str) -> Option<Reading> {
        let mut jobs = self.jobs.lock().unwrap();
        let job = jobs.get_mut(id)?;
        let view = job.shown.next(&job.twists, job.phase)?;
        let shows_end = view.phase == Phase::Ended;
        Some(Reading {
            id: id.to_owned(),
            label: job.order.label.clone(),
            target: job.order.target.clone(),
            user: job.order.user.clone(),
            ending: job.ending.clone().filter(|_| shows_end),
            started: job.started.clone(),
            ended: job.ended.clone().filter(|_| shows_end && !view.is_bare),
            cancelable: !job.twists.contains(&Twist::NotCancelable),
            view,
        })
    }

    /// What it is about.
    pub(super) fn target(&self, id: &str) -> Option<String> {
        let jobs = self.jobs.lock().unwrap();
        jobs.get(id).map(|job| job.order.target.clone())
    }

    /// Whose it is.
    pub(super) fn user(&self, id: &str) -> Option<String> {
        let jobs = self.jobs.lock().unwrap();
        jobs.get(id).map(|job| job.order.user.clone())
    }
}

fn rfc3339(at: OffsetDateTime) -> String {
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second, milli) = at.to_hms_milli();
    let month = u8::from(month);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}
