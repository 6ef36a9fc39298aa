//! The line of one resource: who changes it next. One change goes on at a time; owners take turns, and of an owner's tasks the
//! oldest comes first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::Notify;

use crate::limit::Moment;
use crate::task::id::TaskId;
use crate::task::record::Owner;

/// A task's place: since when it waits.
pub(super) type Place = (Moment, TaskId);

/// Who waits to change a resource, and who does.
#[derive(Debug, Default)]
pub(super) struct Line {
    owners: BTreeMap<Owner, Waiters>,
    /// Whose change goes on.
    up: BTreeSet<TaskId>,
    /// Whose change was refused, and who is not to come again yet.
    rests: BTreeSet<TaskId>,
    /// The turn that was taken last.
    served: u64,
}

/// Tasks of one owner.
#[derive(Debug)]
struct Waiters {
    /// Its next turn.
    turn: u64,
    tasks: BTreeMap<Place, Arc<Notify>>,
}

impl Line {
    /// A task comes to wait; `wake` tells it that it may be its turn.
    pub(super) fn enter(&mut self, owner: &Owner, place: Place, wake: Arc<Notify>) {
        // Who comes and goes has no advantage over those who stay.
        let turn = self.served + 1;
        let fresh = || Waiters {
            turn,
            tasks: BTreeMap::new(),
        };
        let waiters = self.owners.entry(owner.clone()).or_insert_with(fresh);
        waiters.tasks.insert(place, wake);
    }

    /// A task comes whose change goes on already.
    pub(super) fn enter_up(&mut self, id: TaskId) {
        self.up.insert(id);
    }

    /// Whose turn it is, whether or not a change goes on. Changes of one owner are made in their order: while the oldest rests,
    /// so do those behind it.
    fn first(&self) -> Option<(TaskId, &Arc<Notify>)> {
        let oldest = self.owners.values().filter_map(|waiters| {
            let (place, wake) = waiters.tasks.first_key_value()?;
            if self.rests.contains(&place.1) {
                return None;
            }
            Some((waiters.turn, *place, wake))
        });
        let first = oldest.min_by_key(|(turn, place, _)| (*turn, *place));
        first.map(|(_, (_, id), wake)| (id, wake))
    }

    /// Whether it is this task's turn, and no change goes on.
    pub(super) fn is_next(&self, id: TaskId) -> bool {
        self.up.is_empty() && self.first().is_some_and(|(first, _)| first == id)
    }

    /// Its change begins. False where it is not its turn any more.
    pub(super) fn take(&mut self, id: TaskId) -> bool {
        self.is_next(id) && self.up.insert(id)
    }

    /// Its change did not begin after all, or it has rested; it keeps its place.
    pub(super) fn back(&mut self, id: TaskId) {
        self.up.remove(&id);
        self.rests.remove(&id);
        self.wake();
    }

    /// Its change was refused, and it comes [back](Self::back) later, which may be an hour. Nobody works there meanwhile: other
    /// owners have their turns. It keeps its place, and its owner's turn is not spent.
    pub(super) fn rest(&mut self, id: TaskId) {
        self.up.remove(&id);
        self.rests.insert(id);
        self.wake();
    }

    /// It is gone: its change is over, or it does not wait any more.
    pub(super) fn leave(&mut self, owner: &Owner, place: Place) {
        self.rests.remove(&place.1);
        let was_up = self.up.remove(&place.1);
        if let Some(waiters) = self.owners.get_mut(owner) {
            let waited = waiters.tasks.remove(&place).is_some();
            if was_up && waited {
                self.served = self.served.max(waiters.turn);
                waiters.turn = self.served + 1;
            }
            if waiters.tasks.is_empty() {
                self.owners.remove(owner);
            }
        }
        self.wake();
    }

    /// Tells who is next.
    pub(super) fn wake(&self) {
        if self.up.is_empty()
            && let Some((_, wake)) = self.first()
        {
            wake.notify_one();
        }
    }

    /// Whether nobody is left.
    pub(super) fn is_empty(&self) -> bool {
        self.owners.is_empty() && self.up.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::task::Millis;
    use crate::task::sample::sample;

    /// Whose each task is, its number, and its place.
    type Task = (&'static str, u64, Place);

    fn task(name: &'static str, number: u64) -> Task {
        let since = Moment::from_start(Duration::from_millis(number));
        (name, number, (since, sample(Millis(number)).id))
    }

    fn enter(line: &mut Line, (name, _, place): &Task) {
        line.enter(&owner(name), *place, Arc::default());
    }

    fn leave(line: &mut Line, (name, _, place): &Task) {
        line.leave(&owner(name), *place);
    }

    fn owner(name: &str) -> Owner {
        Owner(name.into())
    }

    fn line(tasks: &[Task]) -> Line {
        let mut line = Line::default();
        tasks.iter().for_each(|task| enter(&mut line, task));
        line
    }

    /// Lets these go up one after the other; in which order.
    fn order(line: &mut Line, tasks: &[Task]) -> Vec<u64> {
        let mut order = Vec::new();
        while let Some((first, _)) = line.first() {
            assert!(line.take(first));
            let task = tasks.iter().find(|(.., place)| place.1 == first).unwrap();
            assert!(!line.is_next(first), "its change goes on");
            leave(line, task);
            order.push(task.1);
        }
        assert!(line.is_empty());
        order
    }

    #[test]
    fn the_oldest_of_an_owner_comes_first_whoever_entered_first() {
        let tasks = [task("a", 3), task("a", 1), task("a", 2)];
        let mut line = line(&tasks);
        assert!(!line.take(tasks[0].2.1));
        assert_eq!(order(&mut line, &tasks), [1, 2, 3]);
    }

    #[test]
    fn owners_take_turns_and_who_comes_again_is_behind_who_waits() {
        let tasks = [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("b", 5)];
        let tasks = tasks.map(|(name, number)| task(name, number));
        assert_eq!(order(&mut line(&tasks), &tasks), [1, 4, 2, 5, 3]);
    }

    #[test]
    fn what_did_not_begin_keeps_its_place_and_what_goes_on_is_waited_for() {
        let tasks = [task("a", 1), task("a", 2)];
        let mut line = line(&tasks);
        let [one, two] = tasks.map(|(.., place)| place.1);
        assert!(line.take(one) && !line.take(two) && !line.take(one));
        line.back(one);
        assert!(line.is_next(one) && !line.is_next(two));
        let goes_on = task("c", 9);
        line.enter_up(goes_on.2.1);
        assert!(!line.is_next(one));
        leave(&mut line, &goes_on);
        assert!(line.is_next(one));
        leave(&mut line, &tasks[0]);
        assert!(line.is_next(two));
    }

    #[test]
    fn who_rests_is_in_no_other_owner_s_way_and_loses_nothing() {
        let tasks = [task("a", 1), task("a", 2), task("b", 3), task("b", 4)];
        let mut line = line(&tasks);
        let [first, second, other, last] = &tasks;
        assert!(line.take(first.2.1));
        line.rest(first.2.1);
        assert!(
            !line.is_next(second.2.1),
            "an owner's changes keep their order"
        );
        assert!(line.take(other.2.1));
        leave(&mut line, other);
        line.back(first.2.1);
        let left = [*first, *second, *last];
        assert_eq!(order(&mut line, &left), [1, 2, 4]);
    }

    #[test]
    fn who_rests_alone_and_who_leaves_while_it_rests_leave_nothing_behind() {
        let tasks = [task("a", 1), task("a", 2)];
        let mut line = line(&tasks);
        let [first, second] = &tasks;
        assert!(line.take(first.2.1));
        line.rest(first.2.1);
        assert!(line.first().is_none() && !line.is_empty());
        leave(&mut line, first);
        assert!(line.take(second.2.1));
        leave(&mut line, second);
        assert!(line.is_empty() && line.rests.is_empty());
    }

    /// One owner always has a task in line, and another comes again as soon as it was served.
    #[test]
    fn nobody_is_kept_out_by_who_always_comes_anew() {
        let mut waits = [task("stays", 1), task("comes", 2)];
        let mut line = line(&waits);
        let mut served = Vec::new();
        for number in 3..13 {
            let (first, _) = line.first().unwrap();
            assert!(line.take(first));
            let waiting = waits.iter_mut();
            let waiting = waiting.into_iter().find(|(.., place)| place.1 == first);
            let waiting = waiting.unwrap();
            leave(&mut line, waiting);
            served.push(waiting.0);
            *waiting = task(waiting.0, number);
            enter(&mut line, waiting);
        }
        let of_one = served.iter().filter(|name| **name == "stays").count();
        assert_eq!(of_one, 5, "{served:?}");
    }
}
