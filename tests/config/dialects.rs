//! Dialects of the operator's own: what is wrong with them, said at their keys and lines; what `check` and `GET /config` say.

use tidegate::config::{Faults, describe, effective};

use crate::{folder, good, read};

/// A dialect with nothing wrong; lines behind it go on inside of its adapter.
const SOUND: &str = "name = \"d\"\n[[adapter]]\nname = \"a\"\nmatch = { method = \"POST\", path = \"/x/*\" }\nstarted = { status = 202, id = \"json:id\" }\npoll = { get = \"/t/{id}\" }\naccept = [{ path = \"s\", equals = \"ok\", state = \"COMPLETED\" }]\n";

fn with(test: &str, dialect: &str) -> Result<tidegate::config::Config, Faults> {
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

#[test]
fn ones_own_come_before_those_inside_the_program() {
    let text = "[[upstream]]\naddress = \"https://a.example\"\nadapters = [\"avi\"]\ndialect_files = [\"config/examples/dna-center.dialect.toml\"]";
    let adapters = &good(text).upstreams[0].adapters;
    let names: Vec<_> = adapters.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "dna-center/intent-post",
            "dna-center/intent-put",
            "dna-center/intent-delete",
            "avi/pool-patch"
        ]
    );
}

#[test]
fn check_explains_each_and_the_config_shows_each() {
    let config = good("[[upstream]]\naddress = \"https://a.example\"\nprofile = \"vcenter-8.0\"");
    let said = describe(&config);
    let line = said
        .lines()
        .find(|line| line.contains("vcenter/vm-clone:"))
        .unwrap();
    for part in [
        "with method POST to /api/vcenter/vm with query action=clone go up with vmw-task=true",
        "a 202 names the task in the whole body",
        "GET /api/cis/tasks/{id} every 5 s to 30 s, all of them by POST /api/cis/tasks?action=list at a time",
        "the answer is 200 with a body made of the reading",
        "taken back by POST /api/cis/tasks/{id}?action=cancel",
        "never changed when Authorization is SIGN or Digest",
    ] {
        assert!(line.contains(part), "{part:?} is not in {line}");
    }
    let shown = effective(&config);
    let all = shown["upstream"][0]["adapter"].as_array().unwrap();
    assert_eq!(all.len(), config.upstreams[0].adapters.len());
    assert_eq!(all[1]["name"], "vcenter/vm-relocate");
    assert_eq!(all[1]["rewrite"]["add_query"], "vmw-task=true");
    assert_eq!(all[1]["gone"], 3);
}

#[test]
fn what_acceptors_say_of_a_request_and_of_what_was_not_made_has_to_make_sense() {
    for (accept, key, part) in [
        (
            "{ path = \"s\", equals = \"ok\", state = \"COMPLETED\", unmade = true }",
            "unmade",
            "for state = \"FAILED\" alone",
        ),
        (
            "{ path = \"s\", equals = \"ok\", says = [\"a\"], state = \"COMPLETED\" }",
            "says",
            "needs asked",
        ),
        (
            "{ asked = \"{/s}\", says = [], state = \"COMPLETED\" }",
            "says",
            "is empty",
        ),
    ] {
        let accepts = "accept = [{ path = \"s\", equals = \"ok\", state = \"COMPLETED\" }]";
        let text = SOUND.replace(accepts, &format!("accept = [{accept}]"));
        let faults = with("acceptors", &text).unwrap_err().to_string();
        assert!(faults.contains(&format!("accept[0].{key}")), "{faults}");
        assert!(faults.contains(part), "{faults}");
    }
}

#[test]
fn what_is_kept_back_and_what_is_refused_is_said() {
    let config = good(
        "[[upstream]]\nname = \"s\"\naddress = \"https://a.example\"\nprofile = \"skytap\"\n[[upstream.route]]\nname = \"mine\"\nmatch = { method = \"PUT\", path = \"/configurations/*\" }\nclass = \"blocking\"\nbusy = \"refuse\"\n",
    );
    let said = describe(&config);
    for part in [
        "one at a time for environment {1}; kept back while GET /configurations/{1} says that it is busy, asked every 10 s",
        "sent again when it was taken and not made, where again does no harm",
        "mine: calls with method PUT to /configurations/* are blocking, async prefer, refused while what they change is busy",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let shown = effective(&config);
    assert_eq!(shown["upstream"][0]["route"][0]["busy"], "refuse");
    assert_eq!(
        shown["upstream"][0]["route"][1].get("busy"),
        None,
        "as by default"
    );
}
