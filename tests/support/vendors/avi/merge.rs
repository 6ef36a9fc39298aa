//! Pools, and the merge of patches that were gathered for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::super::avi_patch::apply;
use super::super::{Books, Ending, Works};

/// A patch that waits for its merge.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) id: String,
    pub(super) pool: String,
    pub(super) patch: Value,
}

/// Patches since the last merge, and the one version they were made with.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) waiting: Vec<Waiting>,
    pub(super) version: Option<String>,
    /// A merge is due at the end of a period that has begun.
    pub(super) is_due: bool,
}

/// What merges need.
pub(super) struct Core {
    pub(super) books: Arc<Books>,
    pub(super) works: Arc<Works>,
    pub(super) pools: Mutex<BTreeMap<String, Value>>,
    pub(super) poison: Mutex<BTreeSet<String>>,
    pub(super) queue: Mutex<Queue>,
}

impl Core {
    pub(super) fn new(books: Arc<Books>, works: Arc<Works>) -> Self {
        Self {
            books,
            works,
            pools: Mutex::default(),
            poison: Mutex::default(),
            queue: Mutex::default(),
        }
    }

    /// Each pool's patches become one: if one of them is bad, all of them have failed.
    pub(super) fn merge(&self) {
        let waiting = {
            let mut queue = self.queue.lock().unwrap();
            std::mem::take(&mut *queue).waiting
        };
        let pools: BTreeSet<&str> = waiting.iter().map(|each| &*each.pool).collect();
        for pool in pools {
            let of_pool = || waiting.iter().filter(|each| each.pool == pool);
            for each in of_pool() {
                self.works.begin(&each.id);
            }
            let patches: Vec<&Value> = of_pool().map(|each| &each.patch).collect();
            let failed = self.change(pool, &patches).err();
            let ending = failed.map(|(status, text)| Ending::failed(&status.to_string(), &text));
            for each in of_pool() {
                self.works.settle(&each.id, ending.clone());
            }
        }
    }

    /// One change of a pool; of several patches all or none.
    pub(super) fn change(&self, uuid: &str, patches: &[&Value]) -> Result<Value, (u16, String)> {
        let mut pools = self.pools.lock().unwrap();
        let not_found = || (404, "Pool object not found!".to_owned());
        let now = pools.get_mut(uuid).ok_or_else(not_found)?;
        let mut pool = now.clone();
        for patch in patches {
            self.tolerates(patch)?;
            pool = apply(&pool, patch).map_err(|text| (400, text))?;
        }
        now.clone_from(&pool);
        self.books.effect(&format!("pool {uuid}"));
        Ok(pool)
    }

    fn tolerates(&self, patch: &Value) -> Result<(), (u16, String)> {
        let poison = self.poison.lock().unwrap();
        let added = ["add", "replace"].map(|action| patch[action]["servers"].as_array());
        let mut added = added.into_iter().flatten().flatten();
        let bad = added.find_map(|server| {
            server["ip"]["addr"]
                .as_str()
                .filter(|a| poison.contains(*a))
        });
        bad.map_or(Ok(()), |bad| {
            Err((400, format!("{bad} is not allowed in a pool")))
        })
    }
}
