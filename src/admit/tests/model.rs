//! Random claims and releases over random stacks, against a slow reference that keeps everything.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// One limit in its slowest form; key 0 is everybody.
struct Slow {
    limit: Limit,
    held: HashMap<u8, u64>,
    stamps: VecDeque<u64>,
    /// When each key's bucket is full again, if every token takes `window / limit`, rounded up.
    full_at: HashMap<u8, u64>,
    /// The bucket of everybody's rate: level in units of 1/limit nanosecond, and when it was so.
    level: (u128, u64),
    shadow_refused: u64,
}

impl Slow {
    fn new(limit: Limit) -> Self {
        let full = u128::from(limit.burst) * limit.window.as_nanos();
        Self {
            limit,
            held: HashMap::new(),
            stamps: VecDeque::new(),
            full_at: HashMap::new(),
            level: (full, 0),
            shadow_refused: 0,
        }
    }

    fn order(&self) -> u8 {
        match (self.limit.counts, self.limit.key) {
            (Counts::UpstreamConnections, _) => 0,
            (Counts::RequestsInFlight, Key::All) => 1,
            (Counts::RequestsInFlight, _) => 2,
            (Counts::Requests, Key::All) => 3,
            (Counts::Requests, _) => 4,
            _ => 5,
        }
    }

    fn is_held(&self) -> bool {
        self.order() < 3
    }

    fn key(&self, from: u8) -> u8 {
        if self.limit.key == Key::All { 0 } else { from }
    }

    fn speaks_of(&self, class: Class, path: &str) -> bool {
        let wanted = &self.limit.matches;
        (wanted.class.is_empty() || wanted.class.contains(&class))
            && wanted.path.as_ref().is_none_or(|wanted| wanted == path)
    }

    fn window(&self) -> u64 {
        u64::try_from(self.limit.window.as_nanos()).unwrap()
    }

    fn token(&self) -> u64 {
        self.window().div_ceil(self.limit.limit.max(1))
    }

    fn level_at(&self, now: u64) -> u128 {
        let full = u128::from(self.limit.burst) * u128::from(self.window());
        full.min(self.level.0 + u128::from(now - self.level.1) * u128::from(self.limit.limit))
    }

    fn in_use(&self, from: u8, now: u64) -> u64 {
        let in_window = |stamp: &&u64| **stamp + self.window() > now;
        match self.order() {
            3 => self.stamps.iter().filter(in_window).count() as u64,
            4 => {
                let full_at = self.full_at.get(&from).copied().unwrap_or(0);
                full_at.saturating_sub(now).div_ceil(self.token())
            }
            5 => 0,
            _ => self.held.get(&self.key(from)).copied().unwrap_or(0),
        }
    }

    fn has_room(&self, from: u8, now: u64) -> bool {
        let used = self.in_use(from, now);
        match self.order() {
            3 => used < self.limit.limit && self.level_at(now) >= u128::from(self.window()),
            4 => {
                let full_at = self.full_at.get(&from).copied().unwrap_or(0).max(now);
                let owed = full_at + self.token() - now;
                self.limit.limit > 0 && owed <= self.limit.burst * self.token()
            }
            5 => true,
            _ => used < self.limit.limit,
        }
    }

    /// How long until there is room, found by looking at every nanosecond.
    fn wait(&self, from: u8, now: u64) -> Duration {
        match (self.is_held(), self.limit.limit) {
            (true, 0) => Duration::from_mins(1),
            (true, _) => SECOND,
            (false, 0) => self.limit.window,
            (false, _) => {
                let opens = (now..now + 10_000)
                    .find(|then| self.has_room(from, *then))
                    .unwrap();
                Duration::from_nanos(opens - now)
            }
        }
    }

    fn take(&mut self, from: u8, now: u64) {
        match self.order() {
            3 => {
                self.level = (self.level_at(now) - u128::from(self.window()), now);
                self.stamps.push_back(now);
            }
            4 => {
                let token = self.token();
                let full_at = self.full_at.entry(from).or_default();
                *full_at = (*full_at).max(now) + token;
            }
            5 => {}
            _ => *self.held.entry(self.key(from)).or_default() += 1,
        }
    }

    fn is_enforced(&self) -> bool {
        self.limit.mode == Mode::Enforce
    }
}

/// The refusal that the reference gives: the limit, units in use, the wait.
type SlowRefusal = (String, u64, Duration);

/// Takes everything of `rules` (or rates alone), or nothing.
fn slow_claim(slow: &mut [Slow], rules: &[usize], from: u8, now: u64) -> Result<(), SlowRefusal> {
    let (mut take, mut watched) = (Vec::new(), Vec::new());
    for at in rules {
        let one = &mut slow[*at];
        if one.has_room(from, now) {
            take.push(*at);
        } else if one.is_enforced() {
            let refusal = (one.limit.name.to_string(), one.in_use(from, now));
            let shut = |at: &&usize| slow[**at].is_enforced() && !slow[**at].has_room(from, now);
            let waits = rules
                .iter()
                .filter(shut)
                .map(|at| slow[*at].wait(from, now));
            return Err((refusal.0, refusal.1, waits.max().unwrap()));
        } else {
            watched.push(*at);
            if one.is_held() {
                take.push(*at); // counted all the same
            }
        }
    }
    for at in take {
        slow[at].take(from, now);
    }
    for at in watched {
        slow[at].shadow_refused += 1; // of calls that passed, and of no others
    }
    Ok(())
}

fn any_limit() -> impl Strategy<Value = Limit> {
    let kind = prop::sample::select(vec![
        (Counts::UpstreamConnections, Key::All),
        (Counts::RequestsInFlight, Key::All),
        (Counts::RequestsInFlight, Key::Address),
        (Counts::Requests, Key::All),
        (Counts::Requests, Key::Address),
        (Counts::ResponseBytes, Key::All),
    ]);
    let class = prop::option::of(prop::sample::select(vec![Class::Rest, Class::Soap]));
    let path = prop::option::weighted(0.3, Just("/a".to_owned()));
    (
        kind,
        0_u64..6,
        1_u64..80,
        1_u64..6,
        prop::bool::weighted(0.3),
        class,
        path,
    )
        .prop_map(
            |((counts, key), ceiling, window, burst, quiet, class, path)| {
                let mut one = limit("", counts, key, ceiling);
                if counts == Counts::Requests {
                    one.window = Duration::from_nanos(window);
                    one.burst = burst.min(ceiling);
                }
                one.matches.class = class.into_iter().collect();
                one.matches.path = path;
                if quiet { shadow(one) } else { one }
            },
        )
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Claim {
        class: Class,
        path: &'static str,
        from: u8,
    },
    Release {
        which: usize,
    },
    Again {
        which: usize,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    let class = prop::sample::select(vec![Class::Rest, Class::Soap, Class::Other]);
    let path = prop::sample::select(vec!["/a", "/b"]);
    prop_oneof![
        3 => (class, path, 1_u8..4).prop_map(|(class, path, from)| Step::Claim { class, path, from }),
        2 => (0_usize..64).prop_map(|which| Step::Release { which }),
        1 => (0_usize..64).prop_map(|which| Step::Again { which }),
    ]
}

/// A claim that lives, and the rules of it.
struct Live {
    claim: super::super::Claim,
    call: Call<'static>,
    rules: Vec<usize>,
    from: u8,
}

/// The stack and the reference side by side.
struct Both {
    fast: Arc<Stack>,
    slow: Vec<Slow>,
    live: Vec<Live>,
}

impl Both {
    fn new(mut limits: Vec<Limit>) -> Self {
        for (n, limit) in limits.iter_mut().enumerate() {
            limit.name = Arc::from(format!("l{n}"));
        }
        let mut slow: Vec<Slow> = limits.iter().cloned().map(Slow::new).collect();
        slow.sort_by_key(Slow::order);
        Self {
            fast: stack(limits),
            slow,
            live: Vec::new(),
        }
    }

    fn step(&mut self, step: Step, now: u64) -> Result<(), TestCaseError> {
        let moment = Moment::from_nanos(now);
        match step {
            Step::Claim { class, path, from } => {
                let call = call(class, path, from);
                let spoken_of = |at: &usize| self.slow[*at].speaks_of(class, path);
                let rules: Vec<usize> = (0..self.slow.len()).filter(spoken_of).collect();
                let expected = slow_claim(&mut self.slow, &rules, from, now);
                let got = self.fast.claim(&call, moment);
                let said = got.as_ref().map(|_| ()).map_err(said);
                prop_assert_eq!(self.unspread(said, &expected), expected);
                if let Ok(claim) = got {
                    self.check_claim(&claim, &rules)?;
                    self.live.push(Live {
                        claim,
                        call,
                        rules,
                        from,
                    });
                }
            }
            Step::Release { .. } | Step::Again { .. } if self.live.is_empty() => {}
            Step::Release { which } => {
                let live = self.live.swap_remove(which % self.live.len());
                for at in live.rules {
                    let one = &mut self.slow[at];
                    let key = one.key(live.from);
                    if one.is_held() {
                        *one.held.get_mut(&key).unwrap() -= 1;
                    }
                }
                drop(live.claim);
            }
            Step::Again { which } => {
                let at = which % self.live.len();
                let live = &mut self.live[at];
                let rates = live
                    .rules
                    .iter()
                    .copied()
                    .filter(|at| !self.slow[*at].is_held());
                let rates: Vec<usize> = rates.collect();
                let got = live
                    .claim
                    .again(&live.call, moment)
                    .map_err(|refusal| said(&refusal).0);
                let expected = slow_claim(&mut self.slow, &rates, live.from, now);
                prop_assert_eq!(got, expected.map_err(|refusal| refusal.0));
            }
        }
        Ok(())
    }

    /// What was said, with the wait that the reference gives where the one said is an estimate (of what
    /// is held) between that and twice as long: estimates are spread.
    fn unspread(
        &self,
        said: Result<(), SlowRefusal>,
        expected: &Result<(), SlowRefusal>,
    ) -> Result<(), SlowRefusal> {
        let (Err((limit, in_use, wait)), Err((_, _, estimate))) = (&said, expected) else {
            return said;
        };
        let held = |one: &Slow| *one.limit.name == **limit && one.is_held();
        let spread = self.slow.iter().any(held);
        let own_moment = !spread && wait >= estimate && wait.subsec_nanos() == 0;
        if own_moment || (spread && (*estimate..=*estimate * 2).contains(wait)) {
            return Err((limit.clone(), *in_use, *estimate));
        }
        said
    }

    fn check_claim(
        &self,
        claim: &super::super::Claim,
        rules: &[usize],
    ) -> Result<(), TestCaseError> {
        let names = |at: &usize| self.slow[*at].limit.name.clone();
        let sockets = rules.iter().filter(|at| self.slow[**at].order() == 0);
        let limits = self.fast.socket_limits().iter().enumerate();
        let charged = limits.filter(|(bit, _)| claim.socket_group().contains(*bit));
        let charged: Vec<_> = charged.map(|(_, limit)| limit.name.clone()).collect();
        prop_assert_eq!(charged, sockets.map(names).collect::<Vec<_>>());
        let caps = rules
            .iter()
            .map(|at| &self.slow[*at])
            .filter(|one| one.order() == 5);
        let smallest = caps.map(|one| (!one.is_enforced(), one.limit.limit)).min();
        let cap = claim.response_cap().map(|cap| (cap.shadow, cap.bytes));
        prop_assert_eq!(cap, smallest);
        Ok(())
    }

    fn compare(&self, now: u64) -> Result<(), TestCaseError> {
        let counted = counters(&self.fast, Moment::from_nanos(now));
        for (one, (name, units)) in self.slow.iter().zip(counted) {
            let keyed = one.limit.key == Key::Address;
            let keys = if keyed { 1..4 } else { 0..1 };
            let mut expected: Vec<u64> = keys.map(|key| one.in_use(key, now)).collect();
            if keyed {
                expected.sort_unstable_by(|a, b| b.cmp(a));
                expected.retain(|units| *units > 0);
            }
            if one.order() == 5 {
                expected.clear();
            }
            prop_assert_eq!((&name, units), (&one.limit.name.to_string(), expected));
            let seen = view(&self.fast, &name, Moment::from_nanos(now));
            prop_assert_eq!(seen.shadow_refused, one.shadow_refused, "{}", &name);
        }
        for (name, mismatch) in self.fast.audit() {
            prop_assert_eq!(mismatch, 0, "{}", name);
        }
        Ok(())
    }
}

fn said(refusal: &crate::call::Refusal) -> SlowRefusal {
    let limit = refusal.limit.to_string();
    (limit, refusal.in_use, refusal.retry_after)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn agrees_with_the_reference(
        limits in prop::collection::vec(any_limit(), 1..8),
        steps in prop::collection::vec((0_u64..30, any_step()), 1..80),
    ) {
        let mut both = Both::new(limits);
        let mut now = 1;
        for (gap, step) in steps {
            now += gap;
            both.step(step, now)?;
            both.compare(now)?;
        }
        both.live.clear();
        both.slow.iter_mut().for_each(|one| one.held.clear());
        both.compare(now)?;
    }
}
