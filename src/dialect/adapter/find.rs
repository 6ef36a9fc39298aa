//! A start whose answer was lost, among the upstream's tasks: which of them it could be.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use serde_json::{Value, json};

use super::fill;
use super::origin::Origin;
use super::reading::holds;
use super::request::Request;
use super::seen::{Seen, below};
use crate::config::{Adapter, Find, Spot, What};
use crate::dialect::stamp::{clock, rfc3339};
use crate::dialect::user::{Aliases, normal};

/// What tells a start from others, beside what its dialect says.
#[derive(Debug, Clone)]
pub struct Sought {
    /// Whose it is, in normal form; `None`: nobody knows, and none can be told to be that one's.
    pub user: Option<String>,
    /// How names of users are read.
    pub aliases: Aliases,
    /// When it went up, and when its answer was given up, by the gate's clock.
    pub up: (SystemTime, SystemTime),
    /// What was in the list before it went up; `None`: that is not known.
    pub before: Option<Arc<BTreeSet<String>>>,
}

/// The call that lists the upstream's tasks; `None` where the request does not have what that asks by.
#[must_use]
pub fn find_request(find: &Find, adapter: &Adapter, origin: &Origin<'_>) -> Option<Request> {
    let lacks = Cell::new(false);
    let body = find.list.body.as_ref();
    let body = body.map(|body| {
        fill::template(body, |fill| {
            let said = said(adapter, origin, &fill.what).filter(|said| !said.is_null());
            lacks.set(lacks.get() || said.is_none());
            said
        })
    });
    let is_whole = body
        .as_ref()
        .is_none_or(|body| serde_json::from_str::<Value>(body).is_ok());
    (is_whole && !lacks.get()).then(|| Request {
        method: find.list.method,
        target: find.list.target.clone(),
        body: body.map(String::into_bytes),
    })
}

/// What the request says, or the adapter of its operation.
fn said(adapter: &Adapter, origin: &Origin<'_>, what: &What) -> Option<Value> {
    match what {
        What::Spot(Spot::Json(steps)) => below(origin.body.as_ref()?, steps).cloned(),
        What::Spot(_) => None,
        What::Fact(name) => match name.strip_prefix("words.") {
            Some(name) => {
                let mut words = adapter.words.iter();
                let found = words.find(|(word, _)| word == name);
                found.map(|(_, said)| json!(said))
            }
            None => origin.star(name.parse().ok()?).map(|taken| json!(taken)),
        },
    }
}

/// Whether the entry `seen` of a list, by this name, could be the task that is sought. `headers` are those of the answer that it
/// stood in, which came at `now` by the gate's clock: the upstream's may say something else.
#[must_use]
pub fn could_be(
    find: &Find,
    origin: &Origin<'_>,
    (name, seen): (&str, &Seen<'_>),
    sought: &Sought,
    (headers, now): (&HeaderMap, SystemTime),
) -> bool {
    let fits =
        || find.fits.is_empty() || find.fits.iter().any(|one| holds(one, origin, seen, None));
    let is_new = || {
        let before = sought.before.as_ref();
        !find.unseen || before.is_some_and(|before| !before.contains(name))
    };
    let is_its_users = || {
        find.user.as_ref().is_none_or(|spot| {
            let said = seen.at(spot).and_then(|found| found.text());
            let said = said.and_then(|said| normal(&said, &sought.aliases));
            said.is_some() && said == sought.user
        })
    };
    let is_in_time = || {
        find.started.as_ref().is_none_or(|spot| {
            let said = seen.at(spot).and_then(|found| found.text());
            let began = said.and_then(|said| rfc3339(&said));
            began.is_some_and(|began| is_within(began, sought.up, find.slack, (headers, now)))
        })
    };
    is_new() && is_in_time() && is_its_users() && fits()
}

/// Whether a moment of the upstream's lies between two of the gate's, give or take `slack`.
fn is_within(
    began: SystemTime,
    (sent, given_up): (SystemTime, SystemTime),
    slack: Duration,
    (headers, now): (&HeaderMap, SystemTime),
) -> bool {
    // As the gate's clock would have said.
    let theirs = clock(headers).unwrap_or(now);
    let began = match theirs.duration_since(now) {
        Ok(ahead) => began.checked_sub(ahead),
        Err(behind) => began.checked_add(behind.duration()),
    };
    let (from, to) = (sent.checked_sub(slack), given_up.checked_add(slack));
    let after = from.is_none_or(|from| began.is_some_and(|began| began >= from));
    let before = to.is_none_or(|to| began.is_some_and(|began| began <= to));
    after && before
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::seen::Answered;
    use super::super::{batch_read, find_request};
    use super::*;
    use crate::config::parse;

    fn adapter(name: &str) -> Adapter {
        let text =
            "[[upstream]]\naddress = \"https://a.example\"\nadapters = [\"vcenter\", \"nsx-v\"]";
        let mut all = parse(text, Path::new("."))
            .unwrap()
            .upstreams
            .remove(0)
            .adapters;
        let at = all.iter().position(|one| one.name == name).unwrap();
        all.swap_remove(at)
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 + seconds)
    }

    /// Up from second 100 to second 110.
    fn sought() -> Sought {
        Sought {
            user: Some("anna@vsphere.local".to_owned()),
            aliases: Aliases::default(),
            up: (at(100), at(110)),
            before: None,
        }
    }

    const CLONE: &[u8] = br#"{"source":"vm-11","name":"web"}"#;

    fn fits(
        adapter: &Adapter,
        target: &str,
        answer: (&HeaderMap, &str),
        sought: &Sought,
    ) -> Vec<String> {
        let find = adapter.native.as_ref().unwrap().find.as_ref().unwrap();
        let origin = Origin::new(adapter, target, CLONE);
        let answered = Answered {
            status: 200,
            headers: answer.0,
            body: answer.1.as_bytes(),
        };
        let entries = batch_read(&find.list, &answered).unwrap();
        let named = |name: &&str| {
            let seen = entries.get(name).unwrap();
            could_be(find, &origin, (name, &seen), sought, (answer.0, at(120)))
        };
        entries.names().filter(named).map(str::to_owned).collect()
    }

    #[test]
    fn a_clone_is_told_by_its_user_and_when_it_began() {
        let vcenter = adapter("vcenter/vm-clone");
        let none = HeaderMap::new();
        let info = |user: &str, started: &str| {
            format!(
                r#"{{"t":{{"operation":"clone$task","target":{{"id":"vm-11"}},"user":{},"start_time":"{started}"}},"r":{{"operation":"relocate$task","target":{{"id":"vm-11"}},"user":{0},"start_time":"{started}"}}}}"#,
                json!(user)
            )
        };
        // 08:49:37 is second 0.
        for (user, started, want) in [
            ("VSPHERE.LOCAL\\Anna", "1994-11-06T08:51:20Z", 1),
            ("VSPHERE.LOCAL\\Anna", "1994-11-06T08:51:12.5Z", 1),
            ("VSPHERE.LOCAL\\Anna", "1994-11-06T08:51:11Z", 0),
            ("VSPHERE.LOCAL\\Anna", "1994-11-06T08:51:33Z", 0),
            ("VSPHERE.LOCAL\\Bert", "1994-11-06T08:51:20Z", 0),
            ("", "1994-11-06T08:51:20Z", 0),
            ("VSPHERE.LOCAL\\Anna", "yesterday", 0),
        ] {
            let body = info(user, started);
            let found = fits(&vcenter, "/api/vcenter/vm", (&none, &body), &sought());
            assert_eq!(found.len(), want, "{user} {started}");
        }
        let nobody = Sought {
            user: None,
            ..sought()
        };
        let body = info("VSPHERE.LOCAL\\Anna", "1994-11-06T08:51:20Z");
        assert!(fits(&vcenter, "/api/vcenter/vm", (&none, &body), &nobody).is_empty());
        // The upstream's clock is an hour behind: so are its stamps.
        let date = "Sun, 06 Nov 1994 07:51:37 GMT";
        let behind = HeaderMap::from_iter([(http::header::DATE, date.parse().unwrap())]);
        assert!(fits(&vcenter, "/api/vcenter/vm", (&behind, &body), &sought()).is_empty());
        let body = info("VSPHERE.LOCAL\\Anna", "1994-11-06T07:51:20Z");
        assert_eq!(
            fits(&vcenter, "/api/vcenter/vm", (&behind, &body), &sought()).len(),
            1
        );
    }

    #[test]
    fn a_job_is_told_by_what_was_there_before_and_by_its_edge() {
        let nsx = adapter("nsx-v/edge-put");
        let none = HeaderMap::new();
        let job = |id: &str, edge: &str| {
            format!(
                "<edgeJob><jobId>{id}</jobId><status>RUNNING</status><result><key>edgeId</key><value>{edge}</value></result></edgeJob>"
            )
        };
        let all = format!(
            "<edgeJobs>{}{}{}</edgeJobs>",
            job("old", "edge-4"),
            job("new", "edge-4"),
            job("other", "edge-5")
        );
        let target = "/api/4.0/edges/edge-4/nat";
        assert!(
            fits(&nsx, target, (&none, &all), &sought()).is_empty(),
            "nobody knows what was there"
        );
        let before = Some(Arc::new(BTreeSet::from(["old".to_owned()])));
        let knowing = Sought { before, ..sought() };
        assert_eq!(fits(&nsx, target, (&none, &all), &knowing), ["new"]);
    }

    #[test]
    fn the_list_is_asked_for_by_what_the_request_says() {
        let clone = adapter("vcenter/vm-clone");
        let find = clone.native.as_ref().unwrap().find.as_ref().unwrap();
        let origin = Origin::new(&clone, "/api/vcenter/vm?action=clone", CLONE);
        let request = find_request(find, &clone, &origin).unwrap();
        let body: Value = serde_json::from_slice(&request.body.unwrap()).unwrap();
        let want = json!({"services": ["com.vmware.vcenter.VM"], "targets": [{"type": "VirtualMachine", "id": "vm-11"}]});
        assert_eq!((request.method, &body["filter_spec"]), ("POST", &want));
        let relocate = adapter("vcenter/vm-relocate");
        let find = relocate.native.as_ref().unwrap().find.as_ref().unwrap();
        let origin = Origin::new(&relocate, "/api/vcenter/vm/vm-7?action=relocate", b"{}");
        let request = find_request(find, &relocate, &origin).unwrap();
        let body: Value = serde_json::from_slice(&request.body.unwrap()).unwrap();
        assert_eq!(body["filter_spec"]["targets"][0]["id"], "vm-7");
        let origin = Origin::new(&clone, "/api/vcenter/vm?action=clone", b"{}");
        let find = clone.native.as_ref().unwrap().find.as_ref().unwrap();
        assert_eq!(
            find_request(find, &clone, &origin),
            None,
            "it says no source"
        );
    }
}
