//! How long runs take, by upstream and route: for those who ask when to come back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::limit::Mutex;
use crate::task::record::Record;
use crate::task::state::Event;

/// Routes of one upstream that are known. A configuration has some dozens; names from before it changed count, too.
const MOST_ROUTES: usize = 256;
/// What a new run weighs against all before it.
const WEIGHT: f64 = 0.125;

/// Means of run times, which forget: the last dozen runs count most.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<HashMap<Arc<str>, Routes>>);

type Routes = HashMap<Arc<str>, f64>;

impl Pace {
    /// Takes in a task that is over, if the upstream answered it.
    pub(super) fn note(&self, task: &Record) {
        let Some(seconds) = ran(task) else {
            return;
        };
        let (upstream, route) = (&task.requested.upstream, &task.requested.route);
        let mut upstreams = self.0.lock();
        let routes = upstreams.entry(upstream.clone()).or_default();
        if let Some(mean) = routes.get_mut(route) {
            *mean += (seconds - *mean) * WEIGHT;
        } else if routes.len() < MOST_ROUTES {
            routes.insert(route.clone(), seconds);
        }
    }

    /// How long a run takes; none where none ended yet.
    pub(super) fn mean(&self, upstream: &str, route: &str) -> Option<Duration> {
        let upstreams = self.0.lock();
        let mean = upstreams.get(upstream)?.get(route)?;
        Duration::try_from_secs_f64(*mean).ok()
    }
}

/// Seconds of its last run, which the upstream ended itself.
fn ran(task: &Record) -> Option<f64> {
    task.result.as_ref()?;
    let mut moves = task.history.iter().rev();
    let began = moves.find(|moved| moved.event == Event::Dispatch)?.at;
    Some(task.ended?.since(began).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::record::{Millis, ResultHead, Source};
    use crate::task::sample::sample;

    fn ended(after: u64) -> Record {
        let task = sample(Millis(0)).after(Event::Dispatch, Millis(0)).unwrap();
        let mut task = task.after(Event::Complete, Millis(after)).unwrap();
        task.result = Some(ResultHead {
            status: 200,
            content_type: None,
            bytes: 0,
            source: Source::Answer,
        });
        task
    }

    #[test]
    fn the_mean_follows_what_runs_take() {
        let pace = Pace::default();
        let mean = || pace.mean("vc1", "vcenter-vm-clone");
        assert_eq!(mean(), None);
        pace.note(&ended(8000));
        assert_eq!(mean(), Some(Duration::from_secs(8)));
        pace.note(&ended(16_000));
        assert_eq!(mean(), Some(Duration::from_secs(9)));
        for _ in 0..100 {
            pace.note(&ended(2000));
        }
        assert!(mean() < Some(Duration::from_millis(2001)), "{:?}", mean());
        assert_eq!(pace.mean("vc2", "vcenter-vm-clone"), None);
        assert_eq!(pace.mean("vc1", "other"), None);
    }

    #[test]
    fn what_the_upstream_did_not_end_says_nothing() {
        let pace = Pace::default();
        let mut lost = ended(8000);
        lost.result = None;
        pace.note(&lost);
        pace.note(&sample(Millis(0)));
        assert_eq!(pace.mean("vc1", "vcenter-vm-clone"), None);
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let pace = Pace::default();
        for number in 0..2 * MOST_ROUTES {
            let mut task = ended(1000);
            task.requested.route = number.to_string().into();
            pace.note(&task);
        }
        let upstreams = pace.0.lock();
        assert_eq!(upstreams["vc1"].len(), MOST_ROUTES);
    }
}
