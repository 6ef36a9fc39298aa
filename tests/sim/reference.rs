//! Who ought to be served when: a line kept in the plainest way, beside the one under test.
//!
//! It is told who came, whom the gate sent away and who gave up, and keeps a line of its own with the same
//! rules: users in turn, each user's calls in order. What it then says about who starts when must be what
//! happened; and whoever the gate sent away must have had no chance.

use std::collections::VecDeque;

use tidegate::call::Reason;
use tidegate::config::{Counts, Key, Limit};

use super::world::{Event, Fate, World};

/// Users in the order of their turns, calls of each in the order they came.
type Turns = VecDeque<(u32, VecDeque<usize>)>;

/// The limit under overload, and how long each call is inside.
pub struct Reference<'a> {
    limit: &'a Limit,
    window: u64,
    service: u64,
    /// Line of each lane.
    lanes: Vec<(u32, Turns)>,
    /// Lane and end of what is inside; of a rate, when each stamp leaves the window.
    inside: VecDeque<(u32, u64)>,
    /// Who starts when.
    starts: Vec<(u64, usize)>,
}

impl<'a> Reference<'a> {
    pub fn new(limit: &'a Limit, service: u64) -> Self {
        Self {
            limit,
            window: u64::try_from(limit.window.as_nanos()).unwrap(),
            service,
            lanes: Vec::new(),
            inside: VecDeque::new(),
            starts: Vec::new(),
        }
    }

    /// Plays what happened in `world` again; how many refusals of each reason it found right.
    pub fn replay(mut self, world: &World) -> [u64; Reason::ALL.len()] {
        let mut right = [0; Reason::ALL.len()];
        for (moment, event) in &world.log {
            self.frees_until(*moment, world);
            match *event {
                Event::Comes(call) => {
                    if let Some(reason) = self.comes(world, call, *moment) {
                        right[reason as usize] += 1;
                    }
                }
                Event::TimeIsUp(call) => {
                    let lane = self.lane_of(world, call);
                    assert!(self.leaves(lane, call), "{call} ought to have been served");
                    right[Reason::Timeout as usize] += 1;
                }
                _ => {}
            }
        }
        let happened: Vec<(u64, usize)> = (world.log.iter())
            .filter_map(|(moment, event)| match event {
                Event::Starts(call) => Some((*moment, *call)),
                _ => None,
            })
            .collect();
        let differs = happened.iter().zip(&self.starts).find(|(a, b)| a != b);
        assert_eq!(differs, None, "started, and ought to have");
        assert_eq!(happened.len(), self.starts.len());
        right
    }

    fn is_rate(&self) -> bool {
        self.limit.counts == Counts::Requests
    }

    fn lane_of(&self, world: &World, call: usize) -> u32 {
        match self.limit.key {
            Key::All => 0,
            _ => world.calls[call].offer.address,
        }
    }

    /// Units come free in time, and go to whoever is next.
    fn frees_until(&mut self, moment: u64, world: &World) {
        while let Some((lane, at)) = self.inside.front().copied()
            && at <= moment
        {
            self.inside.pop_front();
            if let Some(next) = self.next(lane) {
                self.starts(world, next, at);
            }
        }
    }

    fn starts(&mut self, world: &World, call: usize, now: u64) {
        let until = if self.is_rate() {
            now + self.window
        } else {
            now + self.service
        };
        self.inside.push_back((self.lane_of(world, call), until));
        self.starts.push((now, call));
    }

    fn has_room(&self, lane: u32) -> bool {
        let held = self.inside.iter().filter(|(of, _)| *of == lane).count();
        (held as u64) < self.limit.limit
    }

    /// A call comes; why it is rightly refused, if it was.
    fn comes(&mut self, world: &World, call: usize, now: u64) -> Option<Reason> {
        let lane = self.lane_of(world, call);
        let nobody = self.waiting(lane).next().is_none();
        // Counting is slow where there are many, and whoever finds somebody in line waits anyhow.
        if nobody && self.has_room(lane) {
            self.starts(world, call, now);
            return None;
        }
        let refusal = match &world.calls[call].fate {
            Fate::Refused(refusal) if refusal.reason != Reason::Timeout => refusal,
            _ => {
                self.enters(lane, world.calls[call].offer.address, call);
                return None;
            }
        };
        assert_eq!(refusal.limit, self.limit.name);
        let user = world.calls[call].offer.address;
        match refusal.reason {
            Reason::LineFull => {
                let all: usize = self.lanes.iter().map(|(_, users)| len(users)).sum();
                let own: usize = (self.lanes.iter().flat_map(|(_, users)| users))
                    .filter(|(other, _)| *other == user)
                    .map(|(_, calls)| calls.len())
                    .sum();
                let wait = &self.limit.wait;
                assert!(
                    all as u64 >= wait.line || own as u64 >= wait.per_user,
                    "there was room in the line: {all} wait, {own} of its user"
                );
            }
            Reason::Hopeless if call.is_multiple_of(7) => {
                let at_most = u64::try_from(self.limit.wait.at_most.as_nanos()).unwrap();
                let patience = world.calls[call].offer.terms.patience.as_nanos();
                let deadline = now + at_most.min(u64::try_from(patience).unwrap());
                let served = self.would_be_served(lane, user);
                assert!(served > deadline, "served at {served}, until {deadline}");
            }
            Reason::Hopeless | Reason::Timeout => {}
            Reason::Full => panic!("nobody is refused without a look at the line"),
        }
        Some(refusal.reason)
    }

    /// When one more call of `user` would be served, were nobody to come or go.
    fn would_be_served(&self, lane: u32, user: u32) -> u64 {
        let own: usize = (self.waiting(lane))
            .filter(|(other, _)| *other == user)
            .map(|(_, calls)| calls.len())
            .sum();
        let mut before = own;
        let mut seen = false;
        for (other, calls) in self.waiting(lane) {
            if *other == user {
                seen = true;
                continue;
            }
            // Users whose turn is before its own have one more before it than those behind.
            before += calls.len().min(own + usize::from(!seen));
        }
        let ends = self.inside.iter().filter(|(of, _)| *of == lane);
        let ends: Vec<u64> = ends.map(|(_, end)| *end).collect();
        let round = if self.is_rate() {
            self.window
        } else {
            self.service
        };
        ends[before % ends.len()] + round * (before / ends.len()) as u64
    }

    fn waiting(&self, lane: u32) -> impl Iterator<Item = &(u32, VecDeque<usize>)> {
        let lane = self.lanes.iter().find(|(other, _)| *other == lane);
        lane.into_iter().flat_map(|(_, users)| users)
    }

    fn enters(&mut self, lane: u32, user: u32, call: usize) {
        if !self.lanes.iter().any(|(other, _)| *other == lane) {
            self.lanes.push((lane, VecDeque::new()));
        }
        let lane = self.lanes.iter_mut().find(|(other, _)| *other == lane);
        let (_, users) = lane.unwrap();
        match users.iter_mut().find(|(other, _)| *other == user) {
            Some((_, calls)) => calls.push_back(call),
            None => users.push_back((user, VecDeque::from([call]))),
        }
    }

    /// Whose turn it is: its user's next one comes when all others had theirs.
    fn next(&mut self, lane: u32) -> Option<usize> {
        let (_, users) = self.lanes.iter_mut().find(|(other, _)| *other == lane)?;
        loop {
            let (user, mut calls) = users.pop_front()?;
            let Some(call) = calls.pop_front() else {
                continue; // all of its calls gave up
            };
            if !calls.is_empty() {
                users.push_back((user, calls));
            } else if len(users) == 0 {
                users.clear();
            }
            return Some(call);
        }
    }

    /// Whether it waited.
    fn leaves(&mut self, lane: u32, call: usize) -> bool {
        let lane = self.lanes.iter_mut().find(|(other, _)| *other == lane);
        let Some((_, users)) = lane else {
            return false;
        };
        if len(users) == 1 {
            // The last one: whoever comes next begins a new round.
            return users.drain(..).any(|(_, calls)| calls.contains(&call));
        }
        for (_, calls) in users {
            if let Some(at) = calls.iter().position(|other| *other == call) {
                calls.remove(at);
                return true;
            }
        }
        false
    }
}

fn len(users: &Turns) -> usize {
    users.iter().map(|(_, calls)| calls.len()).sum()
}
