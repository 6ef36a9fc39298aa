//! Dialects of the operator's own: which come first, and what `check` and `GET /config` say of them.

use tidegate::config::{describe, effective};

use crate::dialects::{SOUND, with};
use crate::good;

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
