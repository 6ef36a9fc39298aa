//! The claims that live, one by one: what the counters are audited against.

use slab::Slab;

use crate::call::Principal;
use crate::limit::{Moment, Mutex, MutexGuard, own_place};

/// Pages that the claims are spread over, by thread.
const PAGES: usize = 16;

/// A set of rules, one bit each.
pub(super) type Rules = u64;

/// The live claims, each with the rules it holds units of, on as many pages as threads need.
///
/// Units are taken and given back with a page open, so that whoever holds every page sees no claim
/// on its way: what the counters say is then exactly what the claims hold.
#[derive(Debug)]
pub(super) struct Live([Page; PAGES]);

/// Aligned so that threads do not share a cache line.
#[derive(Debug)]
#[repr(align(128))]
struct Page(Mutex<Slab<Entry>>);

/// One claim, or the units that a session holds.
#[derive(Debug, Clone, Copy)]
struct Entry {
    held: Rules,
    who: Principal,
    since: Moment,
}

/// Where a claim stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    page: usize,
    entry: usize,
}

impl Live {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| Page(Mutex::new(Slab::new()))))
    }

    /// Opens the running thread's page, to take units and to enter who holds them.
    pub(super) fn open(&self) -> OpenPage<'_> {
        let page = own_place() % PAGES;
        OpenPage {
            page,
            entry: None,
            claims: self.page(page),
        }
    }

    /// Opens the page of somebody who holds units already, to take more.
    pub(super) fn open_at(&self, place: Option<Place>) -> OpenPage<'_> {
        place.map_or_else(
            || self.open(),
            |place| OpenPage {
                page: place.page,
                entry: Some(place.entry),
                claims: self.page(place.page),
            },
        )
    }

    /// Strikes a claim off while `give_back` gives its units back.
    pub(super) fn leave(&self, place: Place, give_back: impl FnOnce()) {
        let mut claims = self.page(place.page);
        claims.try_remove(place.entry);
        give_back();
    }

    /// Moves `units` of one holder to another of its own, which is `who` from `since` on.
    pub(super) fn split(
        &self,
        place: Place,
        units: Rules,
        (who, since): (Principal, Moment),
    ) -> Place {
        let mut claims = self.page(place.page);
        if let Some(entry) = claims.get_mut(place.entry) {
            entry.held &= !units;
        }
        let held = units;
        Place {
            page: place.page,
            entry: claims.insert(Entry { held, who, since }),
        }
    }

    /// Changes what the holder at `place` holds, and who it is, while `change` takes and gives units.
    pub(super) fn change(
        &self,
        place: Place,
        (held, who): (Rules, Principal),
        change: impl FnOnce(),
    ) {
        let mut claims = self.page(place.page);
        change();
        if let Some(entry) = claims.get_mut(place.entry) {
            (entry.held, entry.who) = (held, who);
        }
    }

    /// Opens every page: nothing is taken or given back until they are closed.
    pub(super) fn halt(&self) -> Halted<'_> {
        Halted(std::array::from_fn(|page| self.page(page)))
    }

    #[expect(clippy::indexing_slicing, reason = "every number is below PAGES")]
    fn page(&self, page: usize) -> MutexGuard<'_, Slab<Entry>> {
        self.0[page].0.lock()
    }
}

/// A page, open for the running thread alone.
pub(super) struct OpenPage<'a> {
    page: usize,
    /// Who holds units already.
    entry: Option<usize>,
    claims: MutexGuard<'a, Slab<Entry>>,
}

impl OpenPage<'_> {
    /// Enters a claim of `who` that holds a unit of each of `held` since then, beside those it held before.
    pub(super) fn enter(mut self, held: Rules, who: Principal, since: Moment) -> Place {
        let known = self.entry.filter(|entry| self.claims.contains(*entry));
        let entry = known.unwrap_or_else(|| {
            self.claims.insert(Entry {
                held: 0,
                who,
                since,
            })
        });
        if let Some(holder) = self.claims.get_mut(entry) {
            holder.held |= held;
            holder.since = since;
        }
        Place {
            page: self.page,
            entry,
        }
    }
}

/// Every page, open.
pub(super) struct Halted<'a>([MutexGuard<'a, Slab<Entry>>; PAGES]);

impl Halted<'_> {
    /// Claims that hold a unit of rule number `rule`.
    pub(super) fn holders(&self, rule: usize) -> u64 {
        let claims = self.0.iter().flat_map(|page| page.iter());
        claims.map(|(_, entry)| entry.held >> rule & 1).sum()
    }

    /// Who holds a unit of rule number `rule`, and since when.
    pub(super) fn who_holds(&self, rule: usize) -> impl Iterator<Item = (Principal, Moment)> {
        let claims = self.0.iter().flat_map(|page| page.iter());
        claims
            .filter(move |(_, entry)| entry.held >> rule & 1 == 1)
            .map(|(_, entry)| (entry.who, entry.since))
    }
}
