//! The rules of the house, each a function over the project's texts by path, so that a broken tree can be made up.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use crate::source::{Spelled, Token, paths, tokens};

/// Most lines of a source file.
const MOST_LINES: usize = 400;

/// Outside crates that only some rooms may name, by the start of their name.
const RESERVED: [(&str, &[&str]); 6] = [
    ("pingora", &["listen", "forward", "proxy", "admin", "app"]),
    ("sqlx", &["store"]),
    ("quick_xml", &["dialect"]),
    ("toml", &["config"]),
    ("governor", &["limit", "observe"]),
    ("prometheus", &["observe"]),
];

/// Names that say nothing of what is inside.
const EMPTY_NAMES: [&str; 9] = [
    "util", "utils", "common", "helper", "helpers", "manager", "managers", "types", "misc",
];

/// Plain checked types are what this one file is about.
const NAMED_TYPES: &str = "src/config/types.rs";

/// Which rule a fault breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A room uses only rooms listed above it.
    Arrow,
    /// At most 400 lines a file.
    Length,
    /// Each file opens with what it is for.
    Opening,
    /// Some outside crates belong to some rooms.
    Crate,
    /// `lib.rs` and the folders tell of the same rooms.
    Map,
    /// No room for what has no name.
    EmptyName,
    /// No `unsafe`, no bare `allow`.
    Forbidden,
    /// Nothing names one machine or a registry's host.
    Machine,
}

/// A broken rule and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which rule.
    pub rule: Rule,
    /// Path from the project's root.
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
    /// What is wrong, in words.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {:?}: {}",
            self.file, self.line, self.rule, self.what
        )
    }
}

/// One source file, read.
struct File<'a> {
    path: &'a str,
    text: &'a str,
    tokens: Vec<Token>,
}

impl File<'_> {
    fn fault(&self, rule: Rule, line: usize, what: String) -> Fault {
        Fault {
            rule,
            file: self.path.to_owned(),
            line,
            what,
        }
    }

    /// The modules it stands for, from the crate's root: `src/limit/rate.rs` is `["limit", "rate"]`.
    fn modules(&self) -> Vec<&str> {
        let inside = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        inside
            .split('/')
            .filter(|part| !matches!(*part, "mod" | "lib" | "main"))
            .collect()
    }

    fn is_source(&self) -> bool {
        self.path.starts_with("src/")
    }
}

/// Every fault of the tree, in the order of its files.
pub fn faults(tree: &BTreeMap<String, String>) -> Vec<Fault> {
    let rooms = rooms(tree);
    let mut found = map(tree, &rooms);
    for (path, text) in tree {
        found.extend(machine(path, text));
        if Path::new(path)
            .extension()
            .is_none_or(|ending| ending != "rs")
        {
            continue;
        }
        let file = File {
            path,
            text,
            tokens: tokens(text),
        };
        found.extend(length(&file));
        found.extend(opening(&file));
        if file.is_source() {
            let spelled = paths(&file.tokens);
            found.extend(arrows(&file, &spelled, &rooms));
            found.extend(crates(&file, &spelled));
            found.extend(empty_names(&file));
            found.extend(forbidden(&file));
        }
    }
    // One line that names the same thing twice is one fault.
    found.dedup();
    found
}

/// The rooms in the order of their arrows: the modules that `src/lib.rs` declares.
pub fn rooms(tree: &BTreeMap<String, String>) -> Vec<String> {
    let lib = tokens(tree.get("src/lib.rs").map_or("", String::as_str));
    let declared = lib
        .windows(3)
        .filter(|w| w[0].text == "mod" && w[2].text == ";");
    declared.map(|w| w[1].text.clone()).collect()
}

fn map(tree: &BTreeMap<String, String>, rooms: &[String]) -> Vec<Fault> {
    let inside = tree.keys().filter_map(|path| path.strip_prefix("src/"));
    let here: BTreeSet<&str> = inside
        .map(|path| {
            path.split('/')
                .next()
                .unwrap_or(path)
                .trim_end_matches(".rs")
        })
        .filter(|room| !matches!(*room, "lib" | "main"))
        .collect();
    let listed: BTreeSet<&str> = rooms.iter().map(String::as_str).collect();
    let fault = |what| Fault {
        rule: Rule::Map,
        file: "src/lib.rs".to_owned(),
        line: 1,
        what,
    };
    let unlisted = here
        .difference(&listed)
        .map(|room| fault(format!("src/{room} is not listed")));
    let missing = listed
        .difference(&here)
        .map(|room| fault(format!("{room} is listed and not there")));
    unlisted.chain(missing).collect()
}

fn length(file: &File<'_>) -> Option<Fault> {
    let lines = file.text.lines().count();
    (lines > MOST_LINES).then(|| {
        file.fault(
            Rule::Length,
            lines,
            format!("{lines} lines, more than {MOST_LINES}"),
        )
    })
}

fn opening(file: &File<'_>) -> Option<Fault> {
    let says = file
        .text
        .strip_prefix("//!")
        .is_some_and(|rest| !rest.lines().next().unwrap_or("").trim().is_empty());
    (!says).then(|| {
        file.fault(
            Rule::Opening,
            1,
            "does not open with `//!` and what it is for".to_owned(),
        )
    })
}

/// `main.rs` reaches rooms by the crate's name and `lib.rs` is the map itself: neither is a room.
fn arrows(file: &File<'_>, spelled: &[Spelled], rooms: &[String]) -> Vec<Fault> {
    let modules = file.modules();
    let Some(own) = modules.first() else {
        return Vec::new();
    };
    let Some(rank) = rooms.iter().position(|room| room == own) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for path in spelled {
        let Some(used) = room_of(path, &modules) else {
            continue;
        };
        match rooms.iter().position(|room| room == used) {
            Some(other) if other <= rank => {}
            Some(_) => found.push(file.fault(
                Rule::Arrow,
                path.line,
                format!("{own} uses {used}, a room below it"),
            )),
            None => found.push(file.fault(
                Rule::Arrow,
                path.line,
                format!("crate::{used} names no room"),
            )),
        }
    }
    found
}

/// The first name below the crate's root that `path` reaches from inside `modules`, if it goes by the root.
fn room_of<'a>(path: &'a Spelled, modules: &[&str]) -> Option<&'a str> {
    let segments: Vec<&str> = path
        .segments
        .iter()
        .map(String::as_str)
        .skip_while(|s| *s == "self")
        .collect();
    let supers = segments.iter().take_while(|s| **s == "super").count();
    let below = match segments.first() {
        Some(&"crate") => 1,
        Some(&"super") if supers >= modules.len() + path.inline => supers,
        _ => return None,
    };
    // `use crate as other;` would hide every later use: it counts as a use of all.
    Some(segments.get(below).copied().unwrap_or("*"))
}

fn crates(file: &File<'_>, spelled: &[Spelled]) -> Vec<Fault> {
    let room = file
        .modules()
        .first()
        .copied()
        .unwrap_or("the crate's root");
    let named = spelled
        .iter()
        .filter_map(|path| Some((path.line, path.segments.first()?.as_str())));
    let external = file
        .tokens
        .windows(3)
        .filter(|w| w[0].text == "extern" && w[1].text == "crate");
    let named = named.chain(external.map(|w| (w[2].line, w[2].text.as_str())));
    let mut found = Vec::new();
    for (line, name) in named {
        let reserved = RESERVED
            .iter()
            .find(|(start, _)| name == *start || name.starts_with(&format!("{start}_")));
        if let Some((_, allowed)) = reserved.filter(|(_, allowed)| !allowed.contains(&room)) {
            found.push(file.fault(
                Rule::Crate,
                line,
                format!("{room} uses {name}; only {} may", allowed.join(", ")),
            ));
        }
    }
    found
}

fn empty_names(file: &File<'_>) -> Vec<Fault> {
    let of_file = file.modules().into_iter().map(|name| (1, name));
    let inline = file
        .tokens
        .windows(3)
        .filter(|w| w[0].text == "mod" && w[2].text == "{");
    let names = of_file.chain(inline.map(|w| (w[1].line, w[1].text.as_str())));
    names
        .filter(|(_, name)| EMPTY_NAMES.contains(name) && file.path != NAMED_TYPES)
        .map(|(line, name)| {
            file.fault(
                Rule::EmptyName,
                line,
                format!("`{name}` says nothing: name the thing"),
            )
        })
        .collect()
}

fn forbidden(file: &File<'_>) -> Vec<Fault> {
    let mut found = Vec::new();
    let mut attribute = 0_usize;
    for (i, token) in file.tokens.iter().enumerate() {
        let before = |n: usize| {
            i.checked_sub(n)
                .and_then(|at| file.tokens.get(at))
                .map_or("", |t| t.text.as_str())
        };
        match token.text.as_str() {
            "[" if attribute > 0 || before(1) == "#" || (before(1) == "!" && before(2) == "#") => {
                attribute += 1;
            }
            "]" => attribute = attribute.saturating_sub(1),
            "unsafe" => found.push(file.fault(Rule::Forbidden, token.line, "`unsafe`".to_owned())),
            "(" if attribute > 0 && before(1) == "allow" => {
                let what = "a bare `allow`: write `#[expect(lint, reason = \"…\")]`".to_owned();
                found.push(file.fault(Rule::Forbidden, token.line, what));
            }
            _ => {}
        }
    }
    found
}

/// Folders of one machine, and hosts of package registries (joined here, so that this file names none itself).
fn machine(path: &str, text: &str) -> Vec<Fault> {
    let folders = ["tmp", "work", "root", "home"].map(|folder| format!("/{folder}/"));
    let hosts = [
        ["crates", "io"],
        ["pypi", "org"],
        ["npmjs", "org"],
        ["pythonhosted", "org"],
        ["golang", "org"],
    ];
    let hosts = hosts
        .map(|host| host.join("."))
        .into_iter()
        .chain([["deb", "debian", "org"].join(".")]);
    let hosts: Vec<String> = hosts.collect();
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let folder = folders.iter().find(|folder| names_inside(line, folder));
        let host = hosts.iter().find(|host| line.contains(host.as_str()));
        for named in folder.into_iter().chain(host) {
            let what = format!("names {named}");
            found.push(Fault {
                rule: Rule::Machine,
                file: path.to_owned(),
                line: number,
                what,
            });
        }
    }
    found
}

/// Whether `line` goes on below `folder` with a name. A folder inside another path is another folder.
fn names_inside(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + folder.len()..].chars().next();
        !before.is_some_and(|c| c.is_alphanumeric() || "-_.})$".contains(c))
            && after.is_some_and(char::is_alphanumeric)
    })
}
