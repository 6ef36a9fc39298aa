//! When the tasks of a round are asked for: together by their list, or each by itself.

use std::collections::{BTreeMap, BTreeSet};
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
            return Turn::Alone(self.with_sharers(due));
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

    /// These, and those who would ask for the same a little later: they share the answer.
    fn with_sharers(&mut self, mut due: Vec<Arc<Followed>>) -> Vec<Arc<Followed>> {
        let asked: BTreeSet<_> = due.iter().filter_map(|one| one.target.clone()).collect();
        let open = self.members.values_mut();
        let sharers = open.filter(|member| {
            let target = member.followed.target.as_ref();
            member.alone.is_some()
                && !member.is_told
                && target.is_some_and(|one| asked.contains(one))
        });
        due.extend(sharers.map(|member| {
            member.alone = None;
            member.followed.clone()
        }));
        due
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

    /// The upstream said when this one is to be asked for again. Whatever it said, that is by the longest pause of its dialect.
    pub(super) fn rests(&mut self, id: TaskId, now: Instant, come_back: Duration) {
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        let rest = come_back.min(member.followed.form.native.poll.most);
        member.alone = member.alone.map(|at| at.max(now + rest));
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
pub(super) mod tests {
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

    /// Profile and target of a call that the upstream's own task does.
    pub(in super::super) const VCENTER: (&str, &str) =
        ("vcenter-8.0", "/api/vcenter/vm?action=clone");
    const NSX_V: (&str, &str) = ("nsx-v", "/api/4.0/edges");

    pub(in super::super) fn followed((profile, target): (&str, &str)) -> Followed {
        let text =
            format!("[[upstream]]\naddress = \"http://127.0.0.1:1\"\nprofile = \"{profile}\"");
        let config = config::parse(&text, Path::new(".")).unwrap();
        let upstream = Upstream::build(&config.upstreams[0], 0, 1).unwrap();
        let mut task = sample(Millis(0)).requested;
        task.operation = None;
        task.method = "POST".to_owned();
        task.target = target.to_owned();
        let parcel = Parcel {
            target: target.to_owned(),
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
            target: None,
            earlier: None,
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
            has_list: round.has_list,
            spread: 0.5,
        };
        let member = Member::new(followed.clone(), tell.clone(), times);
        let id = sample(Millis(number)).id;
        round.members.insert(id, member);
    }

    /// How often the list is asked for in ten minutes in which `tasks` begin, evenly.
    fn lists(of: (&str, &str), tasks: u32) -> (u32, usize) {
        let (followed, (tell, _words)) = (Arc::new(followed(of)), mpsc::channel(1));
        let least = followed.form.native.poll.least;
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
                    assert!(pause.is_none_or(|pause| pause >= least));
                    last = Some(now);
                    lists += 1;
                }
                Turn::Alone(due) => panic!("{} alone", due.len()),
            }
        }
        (lists, round.members.len())
    }

    /// A clone that is asked for at this target.
    fn at_target(target: &str) -> Arc<Followed> {
        Arc::new(Followed {
            target: Some(target.into()),
            ..followed(VCENTER)
        })
    }

    #[tokio::test]
    async fn those_who_ask_for_the_same_are_told_by_one_answer() {
        let (tell, _words) = mpsc::channel(1);
        let asks = tokio::spawn(async {}).abort_handle();
        let mut round = Round::new(0, false, Arc::default(), asks);
        let now = Instant::now();
        for (number, target) in (1..).zip(["/a", "/b", "/a", "/a"]) {
            let at = now + Duration::from_millis(900) * u32::try_from(number).unwrap();
            let times = Times {
                now: at,
                has_list: false,
                spread: 1.0,
            };
            let member = Member::new(at_target(target), tell.clone(), times);
            round.members.insert(sample(Millis(number)).id, member);
        }
        // The first is due a second after it came, when two others that ask for the same are not yet.
        let due = now + Duration::from_millis(1900);
        let Turn::Alone(asked) = round.turn(due, 0.5) else {
            panic!("nothing is due");
        };
        let targets = asked.iter().map(|one| one.target.as_deref().unwrap());
        assert_eq!(targets.collect::<Vec<_>>(), ["/a", "/a", "/a"]);
        let Turn::Rest(until) = round.turn(due, 0.5) else {
            panic!("they are asked for");
        };
        assert_eq!(until, now + Duration::from_millis(2800), "the other's time");
    }

    #[tokio::test]
    async fn a_list_is_asked_for_no_more_often_for_a_thousand_tasks_than_its_dialect_allows() {
        // From every 5 s to every 30 s, as they grow old; from every 2 s to every 15 s.
        for (of, alone, most) in [(VCENTER, 20..=60, 120), (NSX_V, 40..=120, 300)] {
            let (one, _) = lists(of, 1);
            println!("{}, 1 task: {one} lists in ten minutes", of.0);
            assert!(alone.contains(&one), "{one}");
            for tasks in [100, 1000] {
                let (many, members) = lists(of, tasks);
                println!("{}, {tasks} tasks: {many} lists in ten minutes", of.0);
                assert!(members > 1);
                assert!((most * 2 / 3..=most).contains(&many), "{many} for {tasks}");
            }
        }
    }

    #[tokio::test]
    async fn a_task_is_asked_for_when_the_upstream_wants_it_and_by_the_longest_pause_of_its_dialect()
     {
        let (followed, (tell, _words)) = (Arc::new(followed(VCENTER)), mpsc::channel(1));
        let asks = tokio::spawn(async {}).abort_handle();
        let mut round = Round::new(0, false, Arc::default(), asks);
        let mut now = Instant::now();
        joins(&mut round, 1, (&followed, &tell), now);
        let id = *round.members.keys().next().unwrap();
        let seconds = Duration::from_secs;
        for (wanted, rests) in [(20, 20), (3600, 30), (0, 5)] {
            now += seconds(60);
            assert!(matches!(round.turn(now, 0.5), Turn::Alone(_)), "{wanted}");
            let times = Times {
                now,
                has_list: false,
                spread: 0.5,
            };
            round.members.get_mut(&id).unwrap().heard(None, times);
            round.rests(id, now, seconds(wanted));
            let next = match round.turn(now, 0.5) {
                Turn::Rest(next) => next,
                other => panic!("{other:?}"),
            };
            assert!(next >= now + seconds(rests), "{wanted}");
            assert!(next <= now + seconds(rests.max(30)), "{wanted}");
        }
    }
}
