//! What the imitation has in store: three machines, the clones of them, a few tags.

use std::collections::VecDeque;

use serde_json::{Value, json};

/// Most clones that are kept, to bound memory; the oldest go first.
const MOST_CLONES: usize = 1000;

/// Identifiers of the tags.
pub(super) const TAGS: [&str; 3] = [
    "urn:vmomi:InventoryServiceTag:4f2b1c7e-1a5d-4c7e-9f62-0d8a6f1e5b01:GLOBAL",
    "urn:vmomi:InventoryServiceTag:4f2b1c7e-1a5d-4c7e-9f62-0d8a6f1e5b02:GLOBAL",
    "urn:vmomi:InventoryServiceTag:4f2b1c7e-1a5d-4c7e-9f62-0d8a6f1e5b03:GLOBAL",
];

/// Identifiers of the tag categories.
pub(super) const CATEGORIES: [&str; 1] =
    ["urn:vmomi:InventoryServiceCategory:8c0f3c52-7b1e-4b58-8a3a-5d1f0c9e7a01:GLOBAL"];

/// One virtual machine.
#[derive(Debug, Clone)]
struct Machine {
    id: String,
    name: String,
    on: bool,
}

/// The machines.
#[derive(Debug)]
pub(super) struct Inventory {
    first: [Machine; 3],
    clones: VecDeque<Machine>,
    next: u64,
}

impl Default for Inventory {
    fn default() -> Self {
        let machine = |id: u64, name: &str| Machine {
            id: format!("vm-{id}"),
            name: name.to_owned(),
            on: true,
        };
        Self {
            first: [
                machine(11, "web-01"),
                machine(12, "web-02"),
                machine(13, "db-01"),
            ],
            clones: VecDeque::new(),
            next: 14,
        }
    }
}

impl Inventory {
    /// Whether there is a machine of this id.
    pub(super) fn has(&self, id: &str) -> bool {
        self.all().any(|machine| machine.id == id)
    }

    /// Adds a clone and returns its id.
    pub(super) fn add(&mut self, name: String) -> String {
        let id = format!("vm-{}", self.next);
        self.next += 1;
        if self.clones.len() == MOST_CLONES {
            self.clones.pop_front();
        }
        self.clones.push_back(Machine {
            id: id.clone(),
            name,
            on: false,
        });
        id
    }

    /// The list of machines as a vCenter answers it.
    pub(super) fn list(&self) -> Value {
        let machines = self.all().map(|machine| {
            json!({
                "memory_size_MiB": 4096,
                "vm": machine.id,
                "name": machine.name,
                "power_state": if machine.on { "POWERED_ON" } else { "POWERED_OFF" },
                "cpu_count": 2,
            })
        });
        Value::Array(machines.collect())
    }

    fn all(&self) -> impl Iterator<Item = &Machine> {
        self.first.iter().chain(&self.clones)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_are_added_and_bounded_and_the_first_three_stay() {
        let mut inventory = Inventory::default();
        assert_eq!(inventory.add("web-04".to_owned()), "vm-14");
        assert!(inventory.has("vm-11") && inventory.has("vm-14"));
        for _ in 0..MOST_CLONES {
            inventory.add("more".to_owned());
        }
        assert!(inventory.has("vm-11") && !inventory.has("vm-14"));
        assert_eq!(
            inventory.list().as_array().map(Vec::len),
            Some(MOST_CLONES + 3)
        );
    }
}
