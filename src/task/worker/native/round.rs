//! When the tasks of a round are asked for: together by their list, or each by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::member::{Followed, Member};
use crate::task::id::TaskId;
use crate::task::worker::pause::back_off;

/// Most tasks that are asked for by themselves in one go.
const MOST_ALONE: usize = 64;
/// Longest rest that an upstream can ask for.
const LONGEST_REST: Duration = Duration::from_mins(5);

/// Tasks that are asked for together.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) members: BTreeMap<TaskId, Member>,
    /// Something is to be looked at.
    pub(super) wake: Arc<Notify>,
    pub(super) asks: AbortHandle,
    /// No other round of the same key has it.
    pub(super) number: u64,
    /// There is a list of them.
    pub(super) has_list: bool,
    last: Option<Instant>,
    /// How the next pause differs: between 0 and 1.
    spread: f64,
    not_before: Option<Instant>,
    failed: u32,
    /// Whose credentials are shown.
    lead: usize,
}

/// What is to be done next.
#[derive(Debug)]
pub(super) enum Turn {
    /// Nothing, until then.
    Rest(Instant),
    /// The list is asked for all of these, with the credentials of one of them.
    List {
        all: Vec<Arc<Followed>>,
        lead: Arc<Followed>,
    },
    /// Each of these is asked for.
    Alone(Vec<Arc<Followed>>),
}

impl Round {
    pub(super) fn new(number: u64, has_list: bool, wake: Arc<Notify>, asks: AbortHandle) -> Self {
        Self {
            members: BTreeMap::new(),
            wake,
            asks,
            number,
            has_list,
            last: None,
            spread: 0.5,
            not_before: None,
            failed: 0,
            lead: 0,
        }
    }

    /// What is to be done now.
    pub(super) fn turn(&mut self, now: Instant, spread: f64) -> Turn {
        let is_due = |member: &&mut Member| member.alone.is_some_and(|at| at <= now);
        let due = self.members.values_mut().filter(is_due).take(MOST_ALONE);
        let due: Vec<_> = due
            .map(|member| {
                member.alone = None;
                member.followed.clone()
            })
            .collect();
        if !due.is_empty() {
            return Turn::Alone(due);
        }
        let list = self.list_at(now);
        if list.is_some_and(|at| at <= now)
            && let Some(turn) = self.list(now, spread)
        {
            return turn;
        }
        let alone = self.members.values().filter_map(|member| member.alone);
        let next = alone.chain(list).min();
        Turn::Rest(next.unwrap_or(now + LONGEST_REST))
    }

    /// When the list is asked for next: however many tasks come, no sooner after the last time than the dialect allows.
    fn list_at(&self, now: Instant) -> Option<Instant> {
        if !self.has_list {
            return None;
        }
        let least = |member: &Member| member.followed.form.native.poll.least;
        let open = || self.members.values().filter(|member| !member.is_told);
        let fresh = open().filter(|member| member.is_fresh);
        let fresh = fresh.map(|member| {
            let spaced = self.last.map(|last| last + least(member));
            spaced.map_or(member.first_list(), |spaced| {
                spaced.max(member.first_list())
            })
        });
        let at = self.last.unwrap_or(now);
        let known = open().filter(|member| !member.is_fresh);
        let known = known.map(|member| at + member.pause(at, self.spread));
        let next = fresh.chain(known).min()?;
        Some(self.not_before.map_or(next, |then| next.max(then)))
    }

    fn list(&mut self, now: Instant, spread: f64) -> Option<Turn> {
        self.last = Some(now);
        self.spread = spread;
        let open = self.members.values_mut().filter(|member| !member.is_told);
        let all = open.map(|member| {
            member.is_fresh = false;
            member.followed.clone()
        });
        let all: Vec<_> = all.collect();
        let lead = all.get(self.lead.checked_rem(all.len())?)?.clone();
        Some(Turn::List { all, lead })
    }

    /// The list was told.
    pub(super) const fn told(&mut self) {
        self.failed = 0;
        self.not_before = None;
    }

    /// The list told nothing. Another's credentials are shown next.
    pub(super) fn failed(&mut self, now: Instant, spread: f64, come_back: Option<Duration>) {
        self.failed = self.failed.saturating_add(1);
        self.lead = self.lead.wrapping_add(1);
        let most = self.members.values();
        let most = most
            .map(|member| member.followed.form.native.poll.most)
            .min();
        let rest = back_off(self.failed, spread).min(most.unwrap_or(LONGEST_REST));
        let rest = come_back.map_or(rest, |wanted| wanted.max(rest));
        self.not_before = Some(now + rest.min(LONGEST_REST));
    }

    /// The upstream has no such list: from now on each is asked for by itself.
    pub(super) fn has_no_list(&mut self, now: Instant) {
        self.has_list = false;
        for member in self.members.values_mut() {
            member.alone = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::path::Path;

    use bytes::Bytes;
    use http::HeaderMap;
    use tokio::sync::mpsc;

    use super::*;
    use crate::call::Caller;
    use crate::config;
    use crate::forward::Upstream;
    use crate::task::Millis;
    use crate::task::parcel::Parcel;
    use crate::task::sample::sample;
    use crate::task::worker::asking::Asking;
    use crate::task::worker::native::Own;
    use crate::task::worker::native::member::{Times, Word};

    const TARGET: &str = "/api/vcenter/vm?action=clone";

    /// A clone that a vCenter's own task does.
    fn followed() -> Followed {
        let text = "[[upstream]]\naddress = \"http://127.0.0.1:1\"\nprofile = \"vcenter-8.0\"";
        let config = config::parse(text, Path::new(".")).unwrap();
        let upstream = Upstream::build(&config.upstreams[0], 0, 1).unwrap();
        let mut task = sample(Millis(0)).requested;
        task.operation = None;
        task.method = "POST".to_owned();
        task.target = TARGET.to_owned();
        let parcel = Parcel {
            target: TARGET.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            look: None,
        };
        let own = Own::new(upstream.config());
        let form = own.form(&upstream, &task, &parcel).unwrap();
        let caller = (Caller::default(), NonZeroU32::MIN);
        let sent = (parcel.target, parcel.headers);
        Followed {
            id: sample(Millis(0)).id,
            form,
            handle: "t".into(),
            asking: Asking::new(upstream, &task, sent, caller).unwrap(),
        }
    }

    fn joins(
        round: &mut Round,
        number: u64,
        (followed, tell): (&Arc<Followed>, &mpsc::Sender<Word>),
        now: Instant,
    ) {
        let times = Times {
            now,
            has_list: true,
            spread: 0.5,
        };
        let member = Member::new(followed.clone(), tell.clone(), times);
        let id = sample(Millis(number)).id;
        round.members.insert(id, member);
    }

    /// How often the list is asked for in ten minutes in which `tasks` begin, evenly.
    fn lists(tasks: u32) -> (u32, usize) {
        let (followed, (tell, _words)) = (Arc::new(followed()), mpsc::channel(1));
        let asks = tokio::spawn(async {}).abort_handle();
        let mut round = Round::new(0, true, Arc::default(), asks);
        let began = Instant::now();
        let (mut lists, mut last, mut joined) = (0, None::<Instant>, 0);
        for tick in 0..6000 {
            let now = began + Duration::from_millis(100) * tick;
            while joined < tasks && joined * 6000 <= tick * tasks {
                joins(&mut round, 1 + u64::from(joined), (&followed, &tell), now);
                joined += 1;
            }
            match round.turn(now, f64::from(tick % 7) / 6.0) {
                Turn::Rest(_) => {}
                Turn::List { .. } => {
                    let pause = last.map(|last| now - last);
                    assert!(pause.is_none_or(|pause| pause >= Duration::from_secs(5)));
                    last = Some(now);
                    lists += 1;
                }
                Turn::Alone(due) => panic!("{} alone", due.len()),
            }
        }
        (lists, round.members.len())
    }

    #[tokio::test]
    async fn a_list_is_asked_for_no_more_often_for_a_thousand_tasks_than_its_dialect_allows() {
        let (one, _) = lists(1);
        // From every 5 s to every 30 s, as it grows old.
        assert!((20..=60).contains(&one), "{one}");
        for tasks in [100, 1000] {
            let (many, members) = lists(tasks);
            assert!(members > 1);
            assert!((80..=120).contains(&many), "{many} for {tasks}");
        }
    }
}
