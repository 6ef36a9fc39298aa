//! Takes typed values out of a table by key, remembers every fault, and reports the keys nobody asked for.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::fault::{Fault, Place};
use super::findings::{Findings, bare, join};
use super::nearest::nearest;
use super::node::{Node, Table, Value};

/// Most elements of any list.
const MOST_ELEMENTS: usize = 1024;

/// One table being read. Reading never stops at a fault: it is noted and the caller goes on with a default.
pub(super) struct Reader<'a> {
    findings: &'a Findings,
    /// `None`: the table is not in the file, every key is absent.
    table: Option<&'a Table>,
    /// Its path, as `upstream[0].limits`.
    path: String,
    /// The same without indices and free names, as `upstream[].limits.*`.
    pattern: String,
    place: Place,
    upstream: Option<Arc<str>>,
    asked: RefCell<BTreeSet<&'static str>>,
    failed: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Reader<'a> {
    /// The whole file.
    pub(super) fn top(findings: &'a Findings, table: &'a Table) -> Self {
        Self::new(
            findings,
            Some(table),
            String::new(),
            String::new(),
            Place::default(),
            None,
        )
    }

    /// A file that `upstream` takes in, as the keys of `key`.
    pub(super) fn file(
        findings: &'a Findings,
        table: &'a Table,
        upstream: &Arc<str>,
        key: &str,
    ) -> Self {
        let path = key.to_owned();
        Self::new(
            findings,
            Some(table),
            path.clone(),
            path,
            Place::default(),
            Some(Arc::clone(upstream)),
        )
    }

    fn new(
        findings: &'a Findings,
        table: Option<&'a Table>,
        path: String,
        pattern: String,
        place: Place,
        upstream: Option<Arc<str>>,
    ) -> Self {
        Self {
            findings,
            table,
            path,
            pattern,
            place,
            upstream,
            asked: RefCell::default(),
            failed: RefCell::default(),
        }
    }

    /// The same place in the file, reading `table` instead and naming `upstream` in faults.
    pub(super) fn instead<'b>(&self, table: &'b Table, upstream: &Arc<str>) -> Reader<'b>
    where
        'a: 'b,
    {
        let (path, pattern) = (self.path.clone(), self.pattern.clone());
        Reader::new(
            self.findings,
            Some(table),
            path,
            pattern,
            self.place.clone(),
            Some(Arc::clone(upstream)),
        )
    }

    /// The same place in the file, reading `table` instead.
    pub(super) fn over<'b>(&self, table: &'b Table) -> Reader<'b>
    where
        'a: 'b,
    {
        Reader::new(
            self.findings,
            Some(table),
            self.path.clone(),
            self.pattern.clone(),
            self.place.clone(),
            self.upstream.clone(),
        )
    }

    pub(super) fn findings(&self) -> &'a Findings {
        self.findings
    }

    /// The folder relative paths start from.
    pub(super) fn base(&self) -> &'a Path {
        self.findings.base()
    }

    /// The table itself; empty when it is not in the file.
    pub(super) fn raw(&self) -> Table {
        self.table.cloned().unwrap_or_default()
    }

    /// Whether the file has `key`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Whether no value of `keys` was at fault so far: what follows from a fault is not worth another.
    pub(super) fn sound(&self, keys: &[&str]) -> bool {
        keys.iter().all(|key| !self.failed.borrow().contains(key))
    }

    /// The value of `key` if it can be read; notes neither a fault nor that the key is known.
    pub(super) fn peek<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&Node) -> Result<T, String>,
    ) -> Option<T> {
        self.find(key).and_then(|node| parse(node).ok())
    }

    /// Takes `keys` as known; somebody else reads them.
    pub(super) fn pass_over(&self, keys: &[&'static str]) {
        self.asked.borrow_mut().extend(keys);
    }

    /// The value of `key`, read by `parse`; `None` when absent or at fault.
    pub(super) fn get<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&Node) -> Result<T, String>,
    ) -> Option<T> {
        let node = self.ask(key)?;
        parse(node)
            .map_err(|problem| self.fault(key, &problem))
            .ok()
    }

    /// Like [`Reader::get`], for secrets: a fault never shows the value.
    pub(super) fn get_hidden<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&Node) -> Result<T, String>,
    ) -> Option<T> {
        let node = self.ask(key)?;
        parse(node)
            .map_err(|problem| self.note(key, "***", &problem, &node.place))
            .ok()
    }

    /// The list at `key`, each element read by `parse`; elements at fault are left out. `None` when absent or no list.
    pub(super) fn list<T>(
        &self,
        key: &'static str,
        parse: impl Fn(&Node) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let list = self.get(key, |node| match &node.value {
            Value::List(list) if list.len() <= MOST_ELEMENTS => Ok(list.clone()),
            Value::List(list) => Err(format!(
                "has {} elements; at most {MOST_ELEMENTS} are allowed",
                list.len()
            )),
            other => Err(format!("is {}; a list in [ ] is wanted", other.kind())),
        })?;
        let mut values = Vec::with_capacity(list.len());
        for (index, node) in list.iter().enumerate() {
            match parse(node) {
                Ok(value) => values.push(value),
                Err(problem) => self.element_fault(key, index, &problem),
            }
        }
        Some(values)
    }

    /// The table at `key`; an empty one when absent.
    pub(super) fn table(&self, key: &'static str) -> Reader<'a> {
        let found = self.ask(key);
        let table = found.and_then(|node| match &node.value {
            Value::Table(table) => Some(table),
            other => {
                self.fault(key, &format!("is {}; a table is wanted", other.kind()));
                None
            }
        });
        let place = found.map(|node| node.place.clone()).unwrap_or_default();
        self.inner(
            table,
            join(&self.path, key),
            join(&self.pattern, key),
            place,
        )
    }

    /// The tables of the list at `key` (`[[key]]`), in order; none when absent.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Reader<'a>> {
        let Some(node) = self.ask(key) else {
            return Vec::new();
        };
        let Value::List(list) = &node.value else {
            self.fault(
                key,
                &format!(
                    "is {}; write [[{}]]",
                    node.value.kind(),
                    join(&self.pattern, key).replace("[]", "")
                ),
            );
            return Vec::new();
        };
        let mut readers = Vec::with_capacity(list.len());
        for (index, item) in list.iter().enumerate() {
            if let Value::Table(table) = &item.value {
                let path = format!("{}[{index}]", join(&self.path, key));
                let pattern = format!("{}[]", join(&self.pattern, key));
                readers.push(self.inner(Some(table), path, pattern, item.place.clone()));
            } else {
                self.element_fault(
                    key,
                    index,
                    &format!("is {}; a table is wanted", item.value.kind()),
                );
            }
        }
        readers
    }

    /// Every entry of a table whose keys are names the operator chooses, in the order of the names.
    pub(super) fn entries(&self) -> Vec<(&'a str, &'a Node)> {
        self.findings.ask(join(&self.pattern, "*"));
        self.table
            .into_iter()
            .flatten()
            .map(|(name, node)| (name.as_str(), node))
            .collect()
    }

    /// The table of one such entry; `None`, and a fault, when it is none.
    pub(super) fn entry(&self, name: &str, node: &'a Node) -> Option<Reader<'a>> {
        let Value::Table(table) = &node.value else {
            self.entry_fault(
                name,
                node,
                &format!("is {}; a table is wanted", node.value.kind()),
            );
            return None;
        };
        let (path, pattern) = (join(&self.path, &bare(name)), join(&self.pattern, "*"));
        Some(self.inner(Some(table), path, pattern, node.place.clone()))
    }

    /// Reports the keys that no one asked for, each with the nearest known key. To be called once everything is read.
    pub(super) fn finish(&self) {
        let asked = self.asked.borrow();
        for (key, node) in self.table.into_iter().flatten() {
            if asked.contains(key.as_str()) {
                continue;
            }
            let problem = match nearest(key, asked.iter().copied()) {
                Some(known) => format!("unknown key; did you mean `{known}`?"),
                None => format!(
                    "unknown key; known here: {}",
                    asked.iter().copied().collect::<Vec<_>>().join(", ")
                ),
            };
            // The value is not repeated: it may be a secret under a mistyped name.
            self.note(&bare(key), "", &problem, &node.place);
        }
    }

    /// A fault at `key`, whether it is there or not.
    pub(super) fn fault(&self, key: &'static str, problem: &str) {
        self.failed.borrow_mut().insert(key);
        match self.find(key) {
            Some(node) => self.note(key, &node.written, problem, &node.place),
            None => self.note(key, "", problem, &self.place),
        }
    }

    /// `key` says to which URL messages go: a fault, unless the file allows that.
    pub(super) fn only_to_allowed(&self, key: &str, url: &str) {
        let place = self.find(key).map_or(&self.place, |node| &node.place);
        let problem = "is not below any of tasks.webhooks, and nothing is sent elsewhere; allow it there first";
        let fault = Fault::new(&join(&self.path, key), url, problem);
        let fault = fault.at(place.clone(), self.upstream.clone());
        self.findings.tells(url, fault);
    }

    /// A fault at element `index` of the list at `key`.
    pub(super) fn element_fault(&self, key: &'static str, index: usize, problem: &str) {
        self.failed.borrow_mut().insert(key);
        let element = self.find(key).and_then(|node| match &node.value {
            Value::List(list) => list.get(index),
            _ => None,
        });
        let (written, place) = element.map_or(("", &self.place), |node| {
            (node.written.as_str(), &node.place)
        });
        self.note(&format!("{key}[{index}]"), written, problem, place);
    }

    /// A fault at a freely named entry.
    pub(super) fn entry_fault(&self, name: &str, node: &Node, problem: &str) {
        self.note(&bare(name), &node.written, problem, &node.place);
    }

    fn inner(
        &self,
        table: Option<&'a Table>,
        path: String,
        pattern: String,
        place: Place,
    ) -> Reader<'a> {
        Reader::new(
            self.findings,
            table,
            path,
            pattern,
            place,
            self.upstream.clone(),
        )
    }

    fn find(&self, key: &str) -> Option<&'a Node> {
        self.table.and_then(|table| table.get(key))
    }

    fn ask(&self, key: &'static str) -> Option<&'a Node> {
        self.asked.borrow_mut().insert(key);
        self.findings.ask(join(&self.pattern, key));
        self.find(key)
    }

    fn note(&self, key: &str, written: &str, problem: &str, place: &Place) {
        let fault = Fault::new(&join(&self.path, key), written, problem);
        self.findings
            .report(fault.at(place.clone(), self.upstream.clone()));
    }
}
