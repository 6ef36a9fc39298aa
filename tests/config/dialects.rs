//! Dialects of the operator's own: what is wrong with them, said at their keys and lines; what `check` and `GET /config` say.

use tidegate::config::Faults;

use crate::{folder, read};

/// A dialect with nothing wrong; lines behind it go on inside of its adapter.
pub(super) const SOUND: &str = "name = \"d\"\n[[adapter]]\nname = \"a\"\nmatch = { method = \"POST\", path = \"/x/*\" }\nstarted = { status = 202, id = \"json:id\" }\npoll = { get = \"/t/{id}\" }\naccept = [{ path = \"s\", equals = \"ok\", state = \"COMPLETED\" }]\n";

pub(super) fn with(test: &str, dialect: &str) -> Result<tidegate::config::Config, Faults> {
    let file =
        folder("dialects", &[(&format!("{test}.toml"), dialect)]).join(format!("{test}.toml"));
    read(&format!(
        "[[upstream]]\nname = \"u\"\naddress = \"https://a.example\"\ndialect_files = [{:?}]\n",
        file.to_str().unwrap()
    ))
}

#[test]
fn each_kind_of_fault_is_said_at_its_key_and_line() {
    let cases: &[(&str, &str, usize, &str)] = &[
        (
            "colour = 1",
            "adapter[0].colour",
            8,
            "unknown key; known here: accept",
        ),
        ("pol = {}", "adapter[0].pol", 8, "did you mean `poll`?"),
        (
            "rewrite = {}",
            "adapter[0].rewrite.add_query",
            8,
            "is missing",
        ),
        (
            "rewrite = { add_query = \"a=b&c=d\" }",
            "adapter[0].rewrite.add_query",
            8,
            "is no parameter",
        ),
        ("gone = 0", "adapter[0].gone", 8, "from 1 to 20"),
        (
            "confirm = { readings = 21 }",
            "adapter[0].confirm.readings",
            8,
            "from 1 to 20",
        ),
        ("settled = \"a..b\"", "adapter[0].settled", 8, "is no place"),
        (
            "progress = { done = \"xml:\" }",
            "adapter[0].progress.done",
            8,
            "is no place",
        ),
        (
            "cancel = { post = \"/x/{id\" }",
            "adapter[0].cancel.post",
            8,
            "that nothing closes",
        ),
        (
            "cancel = { post = \"/x/{2}\" }",
            "adapter[0].cancel.post",
            8,
            "stands for nothing",
        ),
        (
            "cancel = { post = \"x/{id}\" }",
            "adapter[0].cancel.post",
            8,
            "does not start at the root",
        ),
        (
            "cancel = { delete = \"//evil/{id}\" }",
            "adapter[0].cancel.delete",
            8,
            "does not start at the root",
        ),
        (
            "cancel = { ok = 204 }",
            "adapter[0].cancel.post",
            8,
            "or delete is wanted",
        ),
        (
            "fallback_to_blocking = { status = 404 }",
            "adapter[0].fallback_to_blocking",
            8,
            "proves nothing",
        ),
        (
            "refusal = [{ status = 503 }]",
            "adapter[0].refusal[0].status",
            8,
            "no proof that nothing was executed",
        ),
        (
            "refusal = [{ status = 423, within = \"x\" }]",
            "adapter[0].refusal[0].within",
            8,
            "no duration",
        ),
        (
            "result = { status = 99 }",
            "adapter[0].result.status",
            8,
            "from 200 to 599",
        ),
        (
            "result = { body = \"${json:a\" }",
            "adapter[0].result.body",
            8,
            "that nothing closes",
        ),
        (
            "result = { as_read = true, status = 200 }",
            "adapter[0].result.as_read",
            8,
            "make no sense",
        ),
        (
            "error = { statuses = { A = 200 } }",
            "adapter[0].error.statuses.A",
            8,
            "from 400 to 599",
        ),
        (
            "find = { get = \"/t\", entries = \"json:$\" }",
            "adapter[0].find.started",
            8,
            "or unseen = true is wanted",
        ),
        (
            "find = { entries = \"json:$\", unseen = true }",
            "adapter[0].find.get",
            8,
            "is missing",
        ),
        (
            "find = { get = \"/t\", unseen = true }",
            "adapter[0].find.entries",
            8,
            "is missing",
        ),
        (
            "find = { get = \"/t\", entries = \"xml:l/j\", unseen = true }",
            "adapter[0].find.id",
            8,
            "is missing; an XML list",
        ),
        (
            "find = { post = \"/t\", entries = \"json:$\", started = \"s\", body = '${2}' }",
            "adapter[0].find.body",
            8,
            "stands for nothing",
        ),
        (
            "find = { get = \"/t\", entries = \"json:$\", started = \"s\", slack = \"2h\" }",
            "adapter[0].find.slack",
            8,
            "out of range",
        ),
        ("face = \"f\"", "adapter[0].face", 8, "is no [[face]]"),
        (
            "emulated = true",
            "adapter[0].emulated",
            8,
            "needs a face and a parameter",
        ),
        (
            "like = \"b\"",
            "adapter[0].like",
            8,
            "no adapter above this one",
        ),
        (
            "before = { get = \"/x/{1}\" }",
            "adapter[0].before.busy",
            8,
            "is missing",
        ),
        (
            "before = { get = \"/x/{1}\", resource = \"x {2}\", busy = [{ path = \"s\", equals = \"b\" }] }",
            "adapter[0].before.resource",
            8,
            "stands for nothing",
        ),
        (
            "before = { get = \"/x/{1}\", fresh = \"1ms\", busy = [{ path = \"s\", equals = \"b\" }] }",
            "adapter[0].before.fresh",
            8,
            "100ms",
        ),
        (
            "body = { each = { a = \"b\" } }",
            "adapter[0].body.only",
            8,
            "is missing or empty",
        ),
        (
            "merge = {}",
            "adapter[0].merge.list",
            8,
            "is missing; write the list",
        ),
        (
            "merge = { list = \"l\" }",
            "adapter[0].merge.key",
            8,
            "is missing; write what tells entries apart",
        ),
        (
            "merge = { list = \"l\", key = { \"a.b\" = \"ipv6\" } }",
            "adapter[0].merge.key.\"a.b\"",
            8,
            "\"ipv4\", \"whole\" or \"text\" is wanted",
        ),
        (
            "merge = { list = \"l\", key = { a = \"text?\" } }",
            "adapter[0].merge.key",
            8,
            "no place that every entry has to have",
        ),
        (
            "merge = { list = \"l\", key = { a = \"text\" }, at_most = 0 }",
            "adapter[0].merge.at_most",
            8,
            "from 1 to 100000",
        ),
        (
            "merge = { list = \"l\", key = { a = \"text\" }, same = [\"a b\"] }",
            "adapter[0].merge.same[0]",
            8,
            "is no name of a header field",
        ),
        (
            "merge = { list = \"l\", key = { a = \"text\" } }",
            "adapter[0].merge",
            8,
            "needs a face and a parameter",
        ),
        (
            "never_rewrite = [1]",
            "adapter[0].never_rewrite[0]",
            8,
            "a string in quotes",
        ),
        (
            "[[adapter]]\nname = \"a\"\nlike = \"a\"\nmatch = { method = \"PUT\", path = \"/x\" }",
            "adapter[1].name",
            9,
            "is taken by another",
        ),
        (
            "[[adapter]]\nname = \"b\"\nlike = \"c\"\nmatch = { method = \"PUT\", path = \"/x\" }\nemulated = true",
            "adapter[1].like",
            10,
            "no adapter above",
        ),
        (
            "[[batch]]\nname = \"l\"\nget = \"/l\"\nentries = \"xml:l/j\"",
            "batch[0].id",
            8,
            "is missing; an XML list",
        ),
        (
            "[[face]]\nname = \"f\"\nstarted = {}\nstatus = { get = \"/t/{id}\", body = \"${ide}\" }",
            "face[0].status.body",
            11,
            "did you mean ${id}?",
        ),
        (
            "[[face]]\nname = \"f\"\nstarted = {}\nstatus = { get = \"/t/{id}/{x}\" }",
            "face[0].status.get",
            11,
            "is no path",
        ),
    ];
    for (index, (lines, key, line, part)) in cases.iter().enumerate() {
        let faults =
            with(&format!("fault-{index}"), &format!("{SOUND}{lines}\n")).expect_err(lines);
        let key = format!("dialect.{key}");
        let fault = faults.as_slice().iter().find(|fault| fault.key == key);
        let fault = fault.unwrap_or_else(|| panic!("{key} is not among {faults}"));
        assert!(fault.problem.contains(part), "{part:?} is not in: {fault}");
        assert_eq!(fault.place.line, Some(*line), "{fault}");
        assert_eq!(fault.upstream.as_deref(), Some("u"));
        assert!(
            fault
                .to_string()
                .contains(&format!("fault-{index}.toml, line {line}")),
            "{fault}"
        );
    }
}

#[test]
fn what_an_adapter_has_to_say_is_asked_for() {
    for (taken, key, part) in [
        ("accept = ", "accept", ""),
        ("poll = ", "poll", "say how a task is asked for"),
        ("started = ", "started", "say how an answer that begins"),
        ("match = ", "match.method", "for one method and one path"),
        ("name = \"a\"", "name", "every adapter needs one"),
    ] {
        let text: String = SOUND
            .lines()
            .filter(|line| !line.starts_with(taken))
            .map(|line| format!("{line}\n"))
            .collect();
        let read = with(&format!("without-{}", key.replace('.', "-")), &text);
        let faults = read.expect_err(taken);
        let key = format!("dialect.adapter[0].{key}");
        let has =
            |fault: &&tidegate::config::Fault| fault.key == key && fault.problem.contains(part);
        assert!(
            faults.as_slice().iter().any(|fault| has(&fault)),
            "{key} is not in {faults}"
        );
    }
}

#[test]
fn a_fault_that_others_take_over_is_said_once() {
    let text = format!(
        "{SOUND}gone = 0\n[[adapter]]\nname = \"b\"\nlike = \"a\"\nmatch = {{ method = \"PUT\", path = \"/x/*\" }}\n"
    );
    let faults = with("once", &text).unwrap_err();
    assert_eq!(faults.as_slice().len(), 1, "{faults}");
}

#[test]
fn of_the_files_themselves() {
    let upstream = "[[upstream]]\naddress = \"https://a.example\"\n";
    for (line, key, part) in [
        (
            "adapters = [\"vcentre\"]",
            "upstream[0].adapters[0]",
            "did you mean \"vcenter\"?",
        ),
        (
            "adapters = [\"avi\", \"avi\"]",
            "upstream[0].adapters[1]",
            "has already",
        ),
        (
            "dialect_files = [\"no-such.toml\"]",
            "upstream[0].dialect_files[0]",
            "cannot be read",
        ),
        (
            "dialect_files = [\"config\"]",
            "upstream[0].dialect_files[0]",
            "is no plain file",
        ),
        (
            "dialect_files = [\"Cargo.lock\"]",
            "dialect.name",
            "is missing",
        ),
        (
            "dialect_files = [\"README.md\"]",
            "dialect.syntax",
            "no valid TOML",
        ),
    ] {
        let faults = read(&format!("{upstream}{line}")).unwrap_err();
        let found = faults
            .as_slice()
            .iter()
            .any(|fault| fault.key == key && fault.problem.contains(part));
        assert!(found, "{key}: {part:?} is not in {faults}");
    }
}
