//! A hundred thousand request lines, most of them twisted: the model upstream never runs an operation
//! that the gate had not classed as it, or as stricter, unless the gate answered 400.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use tidegate::call::Class;
use tidegate::classify::Table;

use crate::jetty::Read;
use crate::{ask, table};

const LINES: usize = 100_000;
const SEED: u64 = 0x7469_6465_6761_7465;

/// From what is let off the most to what is held to the most.
const ORDER: [Class; 10] = [
    Class::Transfer,
    Class::Other,
    Class::Logout,
    Class::Task,
    Class::Soap,
    Class::Rest,
    Class::Rpc,
    Class::Login,
    Class::LongPoll,
    Class::Blocking,
];

/// What the upstream can do: class, request line with `{}` for a name, and the route that a limit of
/// its own goes by. Of several operations that fit, the one with the longest query runs.
const OPERATIONS: &str = "\
blocking POST /api/vcenter/vm?action=clone
rest POST /api/vcenter/vm?action=clone&vmw-task=true
blocking POST /api/vcenter/vm?action=instant-clone
blocking POST /api/vcenter/vm?action=register
blocking POST /api/vcenter/vm/{}?action=relocate
rest POST /api/vcenter/vm/{}?action=relocate&vmw-task=true
blocking POST /api/vcenter/vm/{}?action=unregister
blocking DELETE /api/vcenter/vm/{}
rest POST /api/vcenter/vm
rest GET /api/vcenter/vm
rest POST /api/vcenter/vm/{}/power?action=start
blocking POST /rest/vcenter/vm?action=clone
rest POST /rest/vcenter/vm?action=clone&vmw-task=true
blocking DELETE /rest/vcenter/vm/{}
blocking POST /api/vcenter/ovf/library-item/{}?action=deploy
blocking POST /api/vcenter/ovf/library-item
blocking POST /rest/com/vmware/vcenter/ovf/library-item/{}?~action=deploy
blocking POST /api/vcenter/vm-template/library-items/{}?action=deploy
blocking DELETE /api/esx/settings/depots/online/{}
rest DELETE /api/esx/settings/depots/online/{}?vmw-task=true
login POST /api/session
logout DELETE /api/session
task GET /api/session
login POST /rest/com/vmware/cis/session
task POST /rest/com/vmware/cis/session?~action=get
logout DELETE /rest/com/vmware/cis/session
task GET /api/cis/tasks/{}
task POST /api/cis/tasks/{}?action=cancel
rest GET /api/cis/tagging/tag/{} tagging
rest GET /api/content/library/{} content-library
rpc POST /api
soap POST /sdk
login POST /sdk/vim25/{}/SessionManager/{}/Login
transfer GET /folder/{}
";

/// One operation of the upstream.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Operation {
    method: &'static str,
    path: &'static str,
    query: Vec<(&'static str, &'static str)>,
    class: Class,
    route: Option<&'static str>,
}

static UPSTREAM: LazyLock<Vec<Operation>> =
    LazyLock::new(|| OPERATIONS.lines().map(Operation::new).collect());

impl Operation {
    fn new(line: &'static str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let (path, query) = words[2].split_once('?').unwrap_or((words[2], ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        Self {
            method: words[1],
            path,
            query: pairs.collect(),
            class: Class::parse(words[0]).unwrap(),
            route: words.get(3).copied(),
        }
    }

    fn fits(&self, read: &Read) -> bool {
        let path = read.path.split(|byte| *byte == b'/');
        let wanted = self.path.split('/');
        let name_fits = |wanted: &str, name: &[u8]| match wanted {
            "{}" => !name.is_empty(),
            wanted => wanted.as_bytes() == name,
        };
        self.method == read.method
            && path.clone().count() == wanted.clone().count()
            && wanted
                .zip(path)
                .all(|(wanted, name)| name_fits(wanted, name))
            && (self.query.iter()).all(|(key, value)| read.first(key) == Some(value.as_bytes()))
    }

    /// Its request line, with `name` for each of its names.
    fn line(&self, name: &str) -> (String, String) {
        let pairs = self
            .query
            .iter()
            .map(|(key, value)| format!("{key}={value}"));
        (
            self.path.replace("{}", name),
            pairs.collect::<Vec<_>>().join("&"),
        )
    }
}

fn runs(line: &str, compact_path: bool) -> Option<&'static Operation> {
    let read = Read::new(line, compact_path)?;
    let fitting = UPSTREAM.iter().filter(|operation| operation.fits(&read));
    fitting.max_by_key(|operation| operation.query.len())
}

fn strictness(class: Class) -> usize {
    ORDER.iter().position(|one| *one == class).unwrap()
}

/// Numbers that are the same in every run (`SplitMix64`).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

const NAMES: [&str; 6] = ["vm-11", "a%20b", "id:4", "urn%3Ax", "x.y", "clone"];
const PIECES: [&str; 15] = [
    "/",
    "/.",
    "/%2e",
    "/x/..",
    "/x/%2E%2e",
    "/api/..",
    "/folder/..",
    "/x/.%2e",
    ";a=b",
    ";",
    "/..",
    "%2F",
    "%2f..",
    "//",
    "/;/..",
];
const PAIRS: [&str; 17] = [
    "vmw-task=true",
    "vmw-task=false",
    "vmw-task=TRUE",
    "vmw-tas%6B=true",
    "VMW-TASK=true",
    "vmw-task=+true",
    "action=clone",
    "action=get",
    "action=relocate",
    "~action=get",
    "~action=deploy",
    "action=cl%6fne",
    "action",
    "x;vmw-task=true",
    "vmw-task=true;x",
    "x=%26",
    "",
];
const METHODS: [&str; 6] = ["GET", "POST", "DELETE", "HEAD", "PUT", "post"];

/// Writes `text` with one letter encoded, or in upper case.
fn respelled(random: &mut Random, text: &str) -> String {
    let at = random.below(text.len().max(1));
    let Some(byte) = text
        .as_bytes()
        .get(at)
        .filter(|byte| byte.is_ascii_alphabetic())
    else {
        return text.to_owned();
    };
    if text[..at].ends_with('%')
        || text[..at]
            .get(at.wrapping_sub(2)..)
            .is_some_and(|two| two.starts_with('%'))
    {
        return text.to_owned();
    }
    let new = match random.below(4) {
        0 => char::from(*byte).to_uppercase().to_string(),
        1 => format!("%{byte:02X}"),
        _ => format!("%{byte:02x}"),
    };
    format!("{}{new}{}", &text[..at], &text[at + 1..])
}

fn twisted_path(random: &mut Random, path: String) -> String {
    match random.below(10) {
        0..4 => respelled(random, &path),
        4..9 => {
            let slashes: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
            let mut at = random.pick(&slashes);
            if random.below(4) == 0 {
                at = path.len();
            }
            let (start, end) = path.split_at(at);
            format!("{start}{}{end}", random.pick(&PIECES))
        }
        _ => path.replacen("/", "%2F", 2).replacen("%2F", "/", 1),
    }
}

fn twisted_query(random: &mut Random, query: String) -> String {
    match random.below(4) {
        0 => respelled(random, &query),
        1 => format!("{query}&{}", random.pick(&PAIRS)),
        2 => format!("{}&{query}", random.pick(&PAIRS)),
        _ => {
            let mut pairs: Vec<&str> = query.split('&').collect();
            pairs.reverse();
            pairs.join("&")
        }
    }
}

fn generated(random: &mut Random) -> String {
    let operation = &UPSTREAM[random.below(UPSTREAM.len())];
    let (mut path, mut query) = operation.line(random.pick(&NAMES));
    for _ in 0..random.below(4) {
        path = twisted_path(random, path);
    }
    for _ in 0..random.below(3) {
        query = twisted_query(random, query);
    }
    let method = match random.below(20) {
        0 => random.pick(&METHODS),
        _ => operation.method,
    };
    let authority = match random.below(20) {
        0 => "https://vc.example:443",
        _ => "",
    };
    match query.as_str() {
        "" => format!("{method} {authority}{path}"),
        query => format!("{method} {authority}{path}?{query}"),
    }
}

/// Holds that the gate let nothing pass for less than it is. Whether something ran.
fn check(table: &Table, line: &str) -> Option<&'static Operation> {
    let asked = ask(table, line).ok()?;
    let mut ran = None;
    for compact_path in [false, true] {
        let Some(operation) = runs(line, compact_path) else {
            continue;
        };
        ran = Some(operation);
        assert!(
            strictness(asked.class) >= strictness(operation.class),
            "{line}: classed {}, runs {} {} ({})",
            asked.class,
            operation.method,
            operation.path,
            operation.class
        );
        let routes: Vec<&str> = asked
            .routes
            .iter()
            .filter_map(|at| table.name(at))
            .collect();
        assert!(
            operation.route.is_none_or(|route| routes.contains(&route)),
            "{line}: took {routes:?}, not {:?}",
            operation.route
        );
        let in_body = matches!(operation.class, Class::Rpc | Class::Soap);
        assert!(
            asked.operation_in_body || !in_body,
            "{line}: the body is not read"
        );
    }
    ran
}

#[test]
fn the_upstream_runs_nothing_that_was_classed_as_less() {
    let table = table("vcenter-8.0");
    let mut random = Random(SEED);
    let (mut ran, mut refused) = (BTreeMap::new(), 0);
    for _ in 0..LINES {
        let line = generated(&mut random);
        refused += usize::from(ask(&table, &line).is_err());
        if let Some(operation) = check(&table, &line) {
            *ran.entry(operation).or_insert(0_usize) += 1;
        }
    }
    // It was no idle run: every operation ran many times, and few lines were refused.
    assert_eq!(ran.len(), UPSTREAM.len());
    let (least, total) = (*ran.values().min().unwrap(), ran.values().sum::<usize>());
    assert!(least > LINES / 1000 && total > LINES / 4, "{least} {total}");
    assert!(refused < LINES / 4, "{refused} refused");
}

#[test]
fn in_plain_spelling_each_is_classed_as_it_is() {
    let table = table("vcenter-8.0");
    for operation in &*UPSTREAM {
        for name in NAMES {
            let (path, query) = operation.line(name);
            let line = format!("{} {path}?{query}", operation.method);
            let line = line.strip_suffix('?').unwrap_or(&line);
            assert_eq!(ask(&table, line).unwrap().class, operation.class, "{line}");
            assert_eq!(
                runs(line, false).map(|ran| ran.path),
                Some(operation.path),
                "{line}"
            );
        }
    }
}
