//! Which routes a path is on: a tree of segments, walked once for each spelling of the path.

use super::pattern::{Pattern, segments};

/// Most routes of one table; the configuration allows no more than 1000.
pub(super) const MOST: usize = 1024;

/// Routes, by their place in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places {
    words: [u64; MOST / 64],
    /// Words that may hold some: the rest need no look.
    used: u16,
}

impl Places {
    pub(super) const NONE: Self = Self {
        words: [0; MOST / 64],
        used: 0,
    };

    pub(super) fn insert(&mut self, place: u16) {
        let at = usize::from(place / 64);
        if let Some(word) = self.words.get_mut(at) {
            *word |= 1 << (place % 64);
            self.used |= 1 << at;
        }
    }

    pub(super) fn contains(&self, place: u16) -> bool {
        let word = self.words.get(usize::from(place / 64));
        word.is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    /// All of them, the first of the table first.
    pub(super) fn iter(&self) -> impl Iterator<Item = u16> {
        ones(self.used.into()).flat_map(|at| {
            let word = self.words.get(usize::from(at)).copied();
            ones(word.unwrap_or_default()).map(move |bit| at * 64 + bit)
        })
    }

    /// Takes away what is in `others`.
    pub(super) fn remove(&mut self, others: &Self) {
        for (word, other) in self.words.iter_mut().zip(others.words) {
            *word &= !other;
        }
    }

    fn add(&mut self, others: &Self) {
        self.used |= others.used;
        for (word, other) in self.words.iter_mut().zip(others.words) {
            *word |= other;
        }
    }

    fn keep(&mut self, others: &Self) {
        for (word, other) in self.words.iter_mut().zip(others.words) {
            *word &= other;
        }
    }
}

/// The places of the ones in a word, the lowest first.
fn ones(word: u64) -> impl Iterator<Item = u16> {
    let mut left = word;
    std::iter::from_fn(move || {
        let bit = u16::try_from(left.trailing_zeros()).ok();
        let bit = bit.filter(|_| left != 0)?;
        left &= left - 1;
        Some(bit)
    })
}

/// The routes that a path is on.
#[derive(Debug)]
pub(super) struct Found {
    /// In some spelling, with letters in either case.
    pub(super) some: Places,
    /// In every spelling, with letters as the route has them.
    pub(super) every: Places,
}

impl Found {
    /// What another spelling of the same path found.
    pub(super) fn and(&mut self, other: &Self) {
        self.some.add(&other.some);
        self.every.keep(&other.every);
    }
}

/// The paths of all routes.
#[derive(Debug)]
pub(super) struct Tree {
    root: Node,
    /// Routes without a path: every path is on them.
    anywhere: Places,
}

/// What may follow one start of a path.
#[derive(Debug, Default)]
struct Node {
    /// By segment, in the order of their keys: names that differ in the case of letters alone stand together.
    children: Vec<Child>,
    /// Any one segment.
    any: Option<Box<Node>>,
    /// Routes whose path ends here.
    here: Vec<u16>,
    /// Routes whose path goes on with any number of segments.
    below: Vec<u16>,
}

/// One segment that may come next, and what may follow it.
#[derive(Debug)]
struct Child {
    key: Key,
    name: Box<str>,
    node: Node,
}

/// What tells most names apart at a glance: the length, and the first bytes with letters in lower case.
type Key = (usize, u64);

impl Tree {
    /// A tree without routes.
    pub(super) fn new() -> Self {
        Self {
            root: Node::default(),
            anywhere: Places::NONE,
        }
    }

    /// Puts in the route at `place`, whose path is `pattern`.
    pub(super) fn insert(&mut self, pattern: Option<&Pattern>, place: u16) {
        let Some(pattern) = pattern else {
            self.anywhere.insert(place);
            return;
        };
        let mut node = &mut self.root;
        for segment in pattern.segments() {
            let next = match segment {
                Some(name) => node.child(name),
                None => Some(&mut **node.any.get_or_insert_default()),
            };
            let Some(next) = next else { return };
            node = next;
        }
        let end = if pattern.is_open() {
            &mut node.below
        } else {
            &mut node.here
        };
        end.push(place);
    }

    /// The routes that this spelling of a path is on.
    pub(super) fn find(&self, path: &str) -> Found {
        let mut found = Found {
            some: self.anywhere,
            every: self.anywhere,
        };
        let path = path.strip_prefix('/').unwrap_or(path);
        self.root.walk(segments(path), true, &mut found);
        found
    }
}

impl Node {
    /// The child of this name, which is put in if it is not there yet.
    fn child(&mut self, name: &str) -> Option<&mut Self> {
        let order = (key(name), name);
        let at = self
            .children
            .partition_point(|other| (other.key, &*other.name) < order);
        let is_there = self
            .children
            .get(at)
            .is_some_and(|other| *other.name == *name);
        if !is_there {
            let child = Child {
                key: key(name),
                name: name.into(),
                node: Self::default(),
            };
            self.children.insert(at, child);
        }
        self.children.get_mut(at).map(|child| &mut child.node)
    }

    /// Steps down; no deeper than the longest pattern, and to no node twice.
    fn walk<'p>(
        &self,
        mut left: impl Iterator<Item = &'p str> + Clone,
        exact: bool,
        found: &mut Found,
    ) {
        found.note(&self.below, exact);
        let Some(segment) = left.next() else {
            found.note(&self.here, exact);
            return;
        };
        if let Some(any) = &self.any {
            any.walk(left.clone(), exact, found);
        }
        let key = key(segment);
        let from = self.children.partition_point(|child| child.key < key);
        for child in self.children.iter().skip(from) {
            if child.key != key {
                break;
            }
            if child.name.eq_ignore_ascii_case(segment) {
                let exact = exact && *child.name == *segment;
                child.node.walk(left.clone(), exact, found);
            }
        }
    }
}

impl Found {
    fn note(&mut self, routes: &[u16], exact: bool) {
        for route in routes {
            self.some.insert(*route);
            if exact {
                self.every.insert(*route);
            }
        }
    }
}

fn key(name: &str) -> Key {
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(name.bytes()) {
        *to = from.to_ascii_lowercase();
    }
    (name.len(), u64::from_be_bytes(first))
}

#[cfg(test)]
mod tests;
