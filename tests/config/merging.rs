//! `async_patch_merge_period`: what `check` and `GET /config` say of it, and where it makes no sense.

use tidegate::config::{describe, effective};

use crate::{good, read};

#[test]
fn what_the_gate_merges_is_said_and_for_what_it_is_no_period() {
    let upstream = |lines: &str| {
        format!("[[upstream]]\nname = \"u\"\naddress = \"https://a.example\"\n{lines}\n")
    };
    let avi = |period: &str| {
        upstream(&format!(
            "profile = \"avi\"\nasync_patch_merge_period = \"{period}\""
        ))
    };
    let config = good(&avi("30s"));
    let said = describe(&config);
    let part = "calls with method PATCH to /api/pool/* that ask with async_mode=true or async_mode and add or delete entries of servers alone are tasks of the gate's, gathered for 30 s and sent up as one for each resource, user and x-avi-tenant and x-avi-tenant-uuid, one x-avi-version a period, at most 10000 in one; all else of them: calls";
    assert!(said.contains(part), "{part:?} is not in\n{said}");
    let shown = effective(&config);
    assert_eq!(shown["upstream"][0]["async_patch_merge_period"], "30s");
    let said = describe(&good(&avi("0s")));
    assert!(said.contains("are executed at once, in order"), "{said}");
    let off = good(&avi("off"));
    assert!(!describe(&off).contains("gathered"));
    assert_eq!(
        effective(&off),
        effective(&good(&upstream("profile = \"avi\"")))
    );
    for (text, part) in [
        (avi("11m"), "from 0s to 10m is allowed; or write \"off\""),
        (avi("50ms"), "\"0s\" or at least 100ms is wanted"),
        (avi("soon"), "or write \"off\""),
        (
            upstream("profile = \"vcenter-8.0\"\nasync_patch_merge_period = \"30s\""),
            "is for APIs of which a dialect says how requests are merged",
        ),
    ] {
        let faults = read(&text).expect_err(&text);
        let fault = &faults.as_slice()[0];
        assert_eq!(fault.key, "upstream[0].async_patch_merge_period");
        assert!(fault.problem.contains(part), "{part:?} is not in: {fault}");
    }
}
