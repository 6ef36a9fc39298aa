//! All limits of one upstream, built once.

use std::sync::Arc;

use tokio::sync::Notify;

use super::adaptive;
use super::live::{Live, Rules};
use super::rule::{Count, Rule};
use super::yields::Pushed;
use crate::call::{Call, Class, Principal, Reason, SessionKind};
use crate::config::{self, Counts};
use crate::limit::{KeyHasher, Keyed, Moment, Seats};

/// Keys looked at in one round of tidying.
const TIDY_BUDGET: usize = 100_000;

/// All limits of one upstream.
#[derive(Debug)]
pub struct Stack {
    /// What is held first, rates last; by name within.
    rules: Box<[Rule]>,
    /// For each class, the rules that speak of it.
    by_class: [Rules; Class::ALL.len()],
    /// Rules that refuse, rather than only watch.
    enforced: Rules,
    /// Rules whose units are given back.
    held: Rules,
    rates: Rules,
    /// Rules before which calls wait.
    lined: Rules,
    /// The rule that follows the upstream.
    adaptive: Rules,
    caps: Rules,
    /// Rules that count login sessions.
    sessions: Rules,
    /// Logins in flight of each address, under names that are not proven.
    logins: Keyed<Principal>,
    sockets: Box<[SocketLimit]>,
    hasher: KeyHasher,
    live: Live,
    /// Somebody waits for a rate, or room came back in one.
    stirred: Notify,
    pushed: Pushed,
}

/// A set of `upstream_connections` limits: those that one socket is charged to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SocketGroup(u64);

impl SocketGroup {
    pub(super) const fn of(bits: u64) -> Self {
        Self(bits)
    }

    /// Whether limit number `bit` of [`Stack::socket_limits`] is in it.
    #[must_use]
    pub const fn contains(self, bit: usize) -> bool {
        bit < u64::BITS as usize && self.0 >> bit & 1 == 1
    }
}

/// An `upstream_connections` limit, as whoever opens sockets needs it.
#[derive(Debug, Clone)]
pub struct SocketLimit {
    /// Its name.
    pub name: Arc<str>,
    /// Sockets open, idle ones too.
    pub open: Arc<Seats>,
    /// Whether it refuses; else it only counts.
    pub enforced: bool,
    /// Whether it speaks of every call.
    pub everyone: bool,
}

/// The cap on one response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseCap {
    /// The limit's name.
    pub name: Arc<str>,
    /// Most bytes.
    pub bytes: u64,
    /// Only reports.
    pub shadow: bool,
}

impl Stack {
    /// The limits of `upstream` that this version enforces.
    #[must_use]
    pub fn build(upstream: &config::Upstream) -> Self {
        let hasher = KeyHasher::default();
        let mut next_bit = 0;
        let adaptive = adaptive::rule(upstream, &hasher);
        let (adaptive, its_limit) = adaptive.unzip();
        let mut rules: Vec<(Rule, &config::Limit)> = upstream
            .limits
            .iter()
            .filter_map(|limit| {
                Some((
                    Rule::new(limit, &upstream.routes, &hasher, &mut next_bit)?,
                    limit,
                ))
            })
            .collect();
        rules.extend(adaptive.zip(its_limit.as_ref()));
        rules.sort_by_key(|(rule, _)| order(&rule.count));
        let by_class = Class::ALL.map(|class| {
            let speaks = |limit: &config::Limit| {
                if matches!(limit.counts, Counts::Sessions | Counts::SessionCreations) {
                    return class == Class::Login;
                }
                limit.matches.class.is_empty() || limit.matches.class.contains(&class)
            };
            set(rules.iter().map(|(_, limit)| speaks(limit)))
        });
        let sockets = socket_limits(&rules);
        let rules: Box<[Rule]> = rules.into_iter().map(|(rule, _)| rule).collect();
        Self {
            by_class,
            enforced: set(rules.iter().map(|rule| rule.enforced)),
            held: set(rules.iter().map(Rule::is_held)),
            adaptive: set(rules.iter().map(|rule| rule.gradient.is_some())),
            lined: set(rules.iter().map(|rule| rule.line.is_some())),
            rates: set(rules
                .iter()
                .map(|rule| matches!(rule.count, Count::Rate(_) | Count::KeyedRate(..)))),
            caps: set(rules.iter().map(|rule| matches!(rule.count, Count::Bytes))),
            sessions: set(rules.iter().map(|rule| rule.counts == Counts::Sessions)),
            logins: Keyed::new(hasher.clone()),
            sockets,
            rules,
            hasher,
            live: Live::new(),
            stirred: Notify::new(),
            pushed: Pushed::new(longest_line(upstream)),
        }
    }

    /// The same stack, with this share of sessions, logins and seats, in millionths, kept free for named
    /// administrators (`admin.break_glass`).
    #[must_use]
    pub fn reserving(mut self, share_ppm: u32) -> Self {
        for rule in &mut self.rules {
            let counts_calls = matches!(
                rule.counts,
                Counts::Sessions | Counts::SessionCreations | Counts::RequestsInFlight
            );
            if counts_calls {
                rule.reserve(share_ppm);
            }
        }
        self
    }

    /// The limits on sockets, in the order of the bits of [`SocketGroup`].
    #[must_use]
    pub fn socket_limits(&self) -> &[SocketLimit] {
        &self.sockets
    }

    /// Counts a response that was larger than the cap of this name.
    pub fn note_response_refused(&self, name: &str) {
        if let Some(rule) = self.rules.iter().find(|rule| *rule.name == *name) {
            if rule.enforced {
                rule.tally.refuse(Reason::Full);
            } else {
                rule.tally.shadow_refuse();
            }
        }
    }

    /// Forgets idle keys. Forgetting one refills nothing: only full buckets are forgotten.
    pub fn tidy(&self, now: Moment) {
        for rule in &self.rules {
            if let Count::KeyedSeats(keyed) | Count::KeyedRate(keyed, _) = &rule.count {
                keyed.tidy(now, TIDY_BUDGET);
            }
            if let Some(promises) = &rule.promises {
                promises.tidy(now);
            }
        }
    }

    pub(super) fn rules_for(&self, call: &Call<'_>) -> Rules {
        self.each(self.rules_of(call.class))
            .filter(|(_, rule)| rule.speaks_of(call))
            .fold(0, |rules, (at, _)| rules | 1 << at)
    }

    pub(super) fn rules_of(&self, class: Class) -> Rules {
        self.by_class.get(class.index()).copied().unwrap_or(0)
    }

    pub(super) fn rule(&self, at: usize) -> Option<&Rule> {
        self.rules.get(at)
    }

    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub(super) fn enforced(&self) -> Rules {
        self.enforced
    }

    pub(super) fn held(&self) -> Rules {
        self.held
    }

    pub(super) fn lined(&self) -> Rules {
        self.lined
    }

    pub(super) fn adaptive(&self) -> Rules {
        self.adaptive
    }

    pub(super) fn bell(&self) -> &Notify {
        &self.stirred
    }

    pub(super) fn pushed(&self) -> &Pushed {
        &self.pushed
    }

    pub(super) fn rates(&self) -> Rules {
        self.rates
    }

    pub(super) fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    pub(super) fn session_rules(&self) -> Rules {
        self.sessions
    }

    pub(super) fn sessions_of(&self, kind: SessionKind) -> Rules {
        let of_kind = |(_, rule): &(usize, &Rule)| rule.counts_sessions_of(kind);
        let rules = self.each(self.sessions).filter(of_kind);
        rules.fold(0, |rules, (at, _)| rules | 1 << at)
    }

    pub(super) fn logins(&self) -> &Keyed<Principal> {
        &self.logins
    }

    pub(super) fn live(&self) -> &Live {
        &self.live
    }

    pub(super) fn smallest_cap(&self, rules: Rules) -> Option<usize> {
        let smallest = self
            .each(rules & self.caps)
            .min_by_key(|(_, rule)| (!rule.enforced, rule.ceiling));
        smallest.map(|(at, _)| at)
    }
}

fn longest_line(upstream: &config::Upstream) -> u64 {
    let lines = upstream.limits.iter().map(|limit| limit.wait.line);
    lines.max().unwrap_or(0)
}

/// The set of the places where `member` is true.
fn set(members: impl Iterator<Item = bool>) -> Rules {
    members.enumerate().fold(0, |set, (at, member)| {
        if member && at < 64 {
            set | 1 << at
        } else {
            set
        }
    })
}

/// Cheap to give back first.
fn order(count: &Count) -> u8 {
    match count {
        Count::Sockets { .. } => 0,
        Count::Seats(_) => 1,
        Count::KeyedSeats(_) => 2,
        Count::Rate(_) => 3,
        Count::KeyedRate(..) => 4,
        Count::Bytes => 5,
    }
}

fn socket_limits(rules: &[(Rule, &config::Limit)]) -> Box<[SocketLimit]> {
    // Bits were given in the order of the configuration, and sorting by kind kept that order.
    rules
        .iter()
        .filter_map(|(rule, limit)| match &rule.count {
            Count::Sockets { open, .. } => Some(SocketLimit {
                name: rule.name.clone(),
                open: Arc::clone(open),
                enforced: rule.enforced,
                everyone: limit.matches == config::Match::default(),
            }),
            _ => None,
        })
        .collect()
}
