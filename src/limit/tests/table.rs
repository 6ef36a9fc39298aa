//! The table against a plain map, with hashes so poor that most keys run over their lines.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use proptest::prelude::*;

use super::super::hash::{Hashed, KeyHasher};
use super::super::pace::Arrival;
use super::super::table::Table;

/// A number that hashes like all others of its home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Homed {
    number: u16,
    homes: u16,
}

impl Hash for Homed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.number % self.homes).hash(state);
    }
}

fn put(table: &mut Table<Homed>, key: &Hashed<Homed>, hasher: &KeyHasher, held: u32) {
    let entry = match table.find(key) {
        Some(spot) => table.get_mut(spot),
        None => table.insert(key, hasher),
    };
    entry.expect("there is room").held = held;
}

/// Every key of the map is found with its count, no other is, and a walk meets each once.
fn agree(
    table: &Table<Homed>,
    map: &HashMap<u16, u32>,
    key_of: impl Fn(u16) -> Hashed<Homed>,
    keys: u16,
) -> Result<(), TestCaseError> {
    for number in 0..keys {
        let held = table
            .find(&key_of(number))
            .and_then(|spot| table.get(spot))
            .map(|entry| entry.held);
        prop_assert_eq!(held, map.get(&number).copied(), "key {}", number);
    }
    prop_assert_eq!(table.len(), map.len());
    let walked: HashMap<u16, u32> = table
        .iter()
        .map(|(key, entry)| (key.number, entry.held))
        .collect();
    prop_assert_eq!(&walked, map);
    prop_assert_eq!(table.iter().count(), map.len());
    prop_assert!(table.len() <= table.capacity());
    Ok(())
}

proptest! {
    #[test]
    fn it_agrees_with_a_map(
        homes in prop::sample::select(vec![1_u16, 2, 3, 7, 1000]),
        keys in 1_u16..60,
        steps in prop::collection::vec((0_u16..60, 0_u8..20), 1..400),
    ) {
        let hasher = KeyHasher::default();
        let key_of = |number| hasher.hash(Homed { number, homes });
        let (mut table, mut map) = (Table::new(), HashMap::new());
        for (turn, (number, what)) in (1_u32..).zip(steps) {
            let number = number % keys;
            match what {
                0 => {
                    let odd = |held: u32| held % 2 == 1;
                    table.retain(|entry| odd(entry.held), &hasher);
                    map.retain(|_, held| odd(*held));
                }
                1 => table.shrink_to(0, &hasher),
                2 => table.grow(&hasher),
                3..=9 => {
                    let found = table.find(&key_of(number));
                    prop_assert_eq!(found.is_some(), map.remove(&number).is_some());
                    if let Some(spot) = found {
                        table.remove(spot, &hasher);
                    }
                }
                _ => {
                    put(&mut table, &key_of(number), &hasher, turn);
                    map.insert(number, turn);
                }
            }
            agree(&table, &map, key_of, keys)?;
        }
    }
}

#[test]
fn a_new_entry_has_counted_nothing_where_another_one_was_removed() {
    let hasher = KeyHasher::default();
    let mut table = Table::new();
    for number in 0..200 {
        let key = hasher.hash(Homed { number, homes: 1 });
        let entry = table.insert(&key, &hasher).expect("there is room");
        assert_eq!((entry.held, entry.arrival), (0, Arrival::default()));
        entry.held = 1;
        if number % 3 > 0 {
            let spot = table.find(&key).expect("just inserted");
            table.remove(spot, &hasher);
        }
    }
    assert_eq!(table.len(), 67);
}

#[test]
fn it_allocates_nothing_before_the_first_key_and_keeps_nothing_after_the_last() {
    let hasher = KeyHasher::default();
    let mut table = Table::new();
    assert_eq!(table.allocated_bytes(), 0);
    let keys: Vec<_> = (0..5000)
        .map(|number| {
            hasher.hash(Homed {
                number,
                homes: 5000,
            })
        })
        .collect();
    for key in &keys {
        put(&mut table, key, &hasher, 1);
    }
    assert!(table.allocated_bytes() >= 5000 * 16);
    table.retain(|_| false, &hasher);
    assert_eq!(table.len(), 0);
    table.shrink_to(0, &hasher);
    assert_eq!(table.allocated_bytes(), 0);
    assert!(keys.iter().all(|key| table.find(key).is_none()));
}

#[test]
fn an_address_and_its_counters_share_a_line_with_another() {
    let hasher = KeyHasher::default();
    let mut table = Table::new();
    let address = std::net::IpAddr::from([192, 0, 2, 1]);
    table.insert(&hasher.hash(address), &hasher);
    let lines = table.capacity() * 4 / 3 / 2;
    assert_eq!(table.allocated_bytes(), lines * 64);
}
