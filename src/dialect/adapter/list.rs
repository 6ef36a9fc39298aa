//! Lists of tasks in which the upstream's own and the gate's stand side by side: what a client asks for, and what it is told.

use serde_json::Value;

use super::LARGEST;
use super::fill::xml;
use super::seen::below;
use crate::config::{Face, List, Spot};

/// What a list asks for, as far as the gate's own tasks go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wish {
    /// Names of the gate's own that it asks for; `None`: it names none at all, and asks for all.
    pub ids: Option<Vec<String>>,
    /// The body that asks the upstream for the others, where that is another than was sent.
    pub rest: Option<Vec<u8>>,
    /// Whether the upstream is to be asked: false where it asks for the gate's alone.
    pub asks_upstream: bool,
    /// What a task has to say at these places: one of these.
    only: Vec<(Vec<Value>, Vec<String>)>,
    /// What it is not to tell.
    without: Vec<Vec<String>>,
}

impl Wish {
    /// All of them.
    #[must_use]
    pub fn all() -> Self {
        Self {
            asks_upstream: true,
            ..Self::default()
        }
    }

    /// What this request asks for, by its body. What is not understood asks the upstream alone.
    #[must_use]
    pub fn of(face: &Face, list: &List, body: &[u8]) -> Self {
        let nothing = || Self {
            ids: Some(Vec::new()),
            ..Self::all()
        };
        if list.ids.is_none() && list.only.is_empty() && list.without.is_empty() {
            return Self::all();
        }
        let whole = Some(body).filter(|body| body.len() <= LARGEST);
        let read = whole.and_then(|body| serde_json::from_slice::<Value>(body).ok());
        let Some(mut request) = read else {
            return nothing();
        };
        let only = list.only.iter().filter_map(|(of_request, of_task)| {
            let wanted = below(&request, of_request)?.as_array()?;
            (!wanted.is_empty()).then(|| (wanted.clone(), of_task.clone()))
        });
        let without = list.without.iter().filter(|(of_request, _)| {
            below(&request, of_request).and_then(Value::as_bool) == Some(true)
        });
        let mut wish = Self {
            only: only.collect(),
            without: without.map(|(_, of_task)| of_task.clone()).collect(),
            ..Self::all()
        };
        wish.take_ids(face, list, &mut request);
        wish
    }

    /// Takes the names of the gate's own out of the request.
    fn take_ids(&mut self, face: &Face, list: &List, request: &mut Value) {
        let Some(Spot::Json(steps)) = &list.ids else {
            return;
        };
        let place = steps
            .iter()
            .try_fold(&mut *request, |value, step| value.get_mut(step));
        let named = place.and_then(Value::as_array_mut);
        let Some(named) = named.filter(|named| !named.is_empty()) else {
            return;
        };
        let mut ids = Vec::new();
        named.retain(|one| match one.as_str() {
            Some(id) if id.starts_with(&face.prefix) => {
                ids.push(id.to_owned());
                false
            }
            _ => true,
        });
        self.asks_upstream = !named.is_empty();
        if self.asks_upstream && !ids.is_empty() {
            self.rest = Some(request.to_string().into_bytes());
        }
        self.ids = Some(ids);
    }

    /// Whether a task is to be told without its result, so that this need not be read.
    #[must_use]
    pub fn is_brief(&self) -> bool {
        !self.without.is_empty()
    }

    /// A task as this list tells it, of how it is shown by itself; `None` where it is not meant.
    #[must_use]
    pub fn told(&self, shown: Vec<u8>) -> Option<Vec<u8>> {
        if self.only.is_empty() && self.without.is_empty() {
            return Some(shown);
        }
        let mut task: Value = serde_json::from_slice(&shown).ok()?;
        let is_meant = |(wanted, place): &(Vec<Value>, Vec<String>)| {
            below(&task, place).is_some_and(|said| wanted.contains(said))
        };
        if !self.only.iter().all(is_meant) {
            return None;
        }
        for place in &self.without {
            remove(&mut task, place);
        }
        Some(task.to_string().into_bytes())
    }
}

fn remove(value: &mut Value, place: &[String]) {
    let Some((last, way)) = place.split_last() else {
        return;
    };
    let parent = way
        .iter()
        .try_fold(value, |value, step| value.get_mut(step));
    if let Some(Value::Object(map)) = parent {
        map.remove(last);
    }
}

/// The upstream's list, or an empty one, with the gate's own tasks in it, each as [`shown`] has it. `None` where the upstream's
/// answer is no such list: then it goes down as it is.
#[must_use]
pub fn merged(list: &List, upstream: Option<&[u8]>, tasks: &[(&str, Vec<u8>)]) -> Option<Vec<u8>> {
    let body = upstream.unwrap_or(list.empty.as_bytes());
    match &list.into {
        Spot::Json(steps) => into_json(body, steps, tasks),
        Spot::Xml(path) => into_xml(body, &path.first()?.name, tasks),
        Spot::Header(_) | Spot::LastSegment => None,
    }
}

fn into_json(body: &[u8], steps: &[String], tasks: &[(&str, Vec<u8>)]) -> Option<Vec<u8>> {
    let mut all: Value = serde_json::from_slice(body).ok()?;
    below(&all, steps)?;
    let place = steps
        .iter()
        .try_fold(&mut all, |value, step| value.get_mut(step))?;
    for (id, shown) in tasks {
        let shown: Value = serde_json::from_slice(shown).ok()?;
        match place {
            Value::Object(map) => drop(map.insert((*id).to_owned(), shown)),
            Value::Array(list) => list.push(shown),
            _ => return None,
        }
    }
    Some(all.to_string().into_bytes())
}

/// Puts elements before the end of the root, which has this name.
fn into_xml(body: &[u8], root: &str, tasks: &[(&str, Vec<u8>)]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    super::tree::Tree::read(body).filter(|tree| tree.name == root)?;
    let (before, after) = if let Some(at) = text.rfind("</") {
        let (before, after) = text.split_at_checked(at)?;
        (before.to_owned(), after.to_owned())
    } else {
        // An empty root, as `<edgeJobs/>`.
        let (before, _) = text.rsplit_once("/>")?;
        (format!("{before}>"), format!("</{}>", xml(root)))
    };
    let mut all = before.into_bytes();
    for (_, shown) in tasks {
        let shown = std::str::from_utf8(shown).ok()?;
        let declaration = shown.find("?>").filter(|_| shown.starts_with("<?xml"));
        let element = declaration
            .and_then(|at| shown.get(at + 2..))
            .unwrap_or(shown);
        all.extend_from_slice(element.trim().as_bytes());
    }
    all.extend_from_slice(after.as_bytes());
    Some(all)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Adapter, parse};

    fn one(name: &str) -> Adapter {
        let text =
            "[[upstream]]\naddress = \"https://a.example\"\nadapters = [\"vcenter\", \"nsx-v\"]";
        let config = parse(text, Path::new(".")).unwrap();
        let mut all = config.upstreams[0].adapters.iter();
        all.find(|one| one.name == name).unwrap().clone()
    }

    #[test]
    fn the_gates_own_tasks_are_listed_among_the_upstreams() {
        let adapter = one("vcenter/vm-clone");
        let face = adapter.face.as_ref().unwrap();
        let list = face.list.as_ref().unwrap();
        let ours = [("gw-1", br#"{"status":"PENDING"}"#.to_vec())];
        let text = |made: Option<Vec<u8>>| made.map(|made| String::from_utf8(made).unwrap());
        let both = text(merged(
            list,
            Some(br#"{"52f9":{"status":"RUNNING"}}"#),
            &ours,
        ));
        assert_eq!(
            both.as_deref(),
            Some(r#"{"52f9":{"status":"RUNNING"},"gw-1":{"status":"PENDING"}}"#)
        );
        assert_eq!(
            text(merged(list, None, &ours)).as_deref(),
            Some(r#"{"gw-1":{"status":"PENDING"}}"#)
        );
        assert_eq!(merged(list, Some(b"nonsense"), &ours), None);
        let wish = |body: &str| Wish::of(face, list, body.as_bytes());
        let split = wish(r#"{"filter_spec":{"tasks":["gw-1","52f9"]}}"#);
        assert_eq!(split.ids.as_deref(), Some(&["gw-1".to_owned()][..]));
        assert_eq!(
            text(split.rest).as_deref(),
            Some(r#"{"filter_spec":{"tasks":["52f9"]}}"#)
        );
        let ours_alone = wish(r#"{"filter_spec":{"tasks":["gw-1"]}}"#);
        assert!(!ours_alone.asks_upstream && ours_alone.rest.is_none());
        for theirs in [r#"{"filter_spec":{"tasks":["52f9"]}}"#, "nonsense"] {
            let theirs = wish(theirs);
            assert_eq!((theirs.ids, theirs.rest), (Some(Vec::new()), None));
            assert!(theirs.asks_upstream);
        }
        for all in [
            r#"{"filter_spec":{"services":["x"]}}"#,
            r#"{"filter_spec":{"tasks":[],"services":["x"]}}"#,
        ] {
            let all = wish(all);
            assert_eq!((all.ids, all.rest, all.asks_upstream), (None, None, true));
        }

        let jobs = one("nsx-v/edge-put");
        let list = jobs.face.as_ref().unwrap().list.as_ref().unwrap();
        let ours = [(
            "gw-1",
            b"<?xml version=\"1.0\"?>\n<edgeJob><jobId>gw-1</jobId></edgeJob>".to_vec(),
        )];
        let job = "<edgeJob><jobId>gw-1</jobId></edgeJob>";
        for (upstream, want) in [
            (
                Some("<edgeJobs><edgeJob/></edgeJobs>"),
                format!("<edgeJobs><edgeJob/>{job}</edgeJobs>"),
            ),
            (Some("<edgeJobs/>"), format!("<edgeJobs>{job}</edgeJobs>")),
            (None, format!("<edgeJobs>{job}</edgeJobs>")),
        ] {
            assert_eq!(
                text(merged(list, upstream.map(str::as_bytes), &ours)),
                Some(want)
            );
        }
        assert_eq!(merged(list, Some(b"<other/>"), &ours), None);
    }

    #[test]
    fn an_answer_is_read_only_where_something_of_it_is_told() {
        use super::super::tells_answer;
        let [vcenter, nsx] = ["vcenter/vm-clone", "nsx-v/edge-put"].map(one);
        let face = vcenter.face.as_ref().unwrap();
        for (state, whole, brief) in [
            ("SCHEDULED", false, false),
            ("RUNNING", false, false),
            ("COMPLETED", true, false),
            ("PARTIAL_SUCCESS", true, false),
            ("FAILED", true, true),
        ] {
            assert_eq!(tells_answer(face, state, false), whole, "{state}");
            assert_eq!(tells_answer(face, state, true), brief, "{state}");
        }
        // Where it is, is a field of the answer, and no part of its result.
        let face = nsx.face.as_ref().unwrap();
        assert!(tells_answer(face, "COMPLETED", true));
        assert!(!tells_answer(face, "RUNNING", false));
    }

    #[test]
    fn a_list_tells_what_it_is_asked_for() {
        let adapter = one("vcenter/vm-clone");
        let face = adapter.face.as_ref().unwrap();
        let list = face.list.as_ref().unwrap();
        let task = br#"{"service":"s","operation":"o","status":"PENDING","result":"vm-1"}"#;
        for (spec, want) in [
            (r#""services":["s"]"#, true),
            (r#""services":["t"]"#, false),
            (
                r#""services":["s","t"],"status":["RUNNING","PENDING"]"#,
                true,
            ),
            (r#""services":["s"],"operations":["x"]"#, false),
            (r#""services":["s"],"operations":[]"#, true),
            (
                r#""services":["s"],"targets":[{"type":"a","id":"b"}]"#,
                false,
            ),
            (r#""services":["s"],"users":["anna"]"#, false),
        ] {
            let body = format!("{{\"filter_spec\":{{{spec}}}}}");
            let wish = Wish::of(face, list, body.as_bytes());
            assert_eq!(wish.told(task.to_vec()).is_some(), want, "{spec}");
            assert!(!wish.is_brief());
        }
        let brief = br#"{"filter_spec":{"services":["s"]},"result_spec":{"exclude_result":true}}"#;
        let brief = Wish::of(face, list, brief);
        assert!(brief.is_brief());
        let told = String::from_utf8(brief.told(task.to_vec()).unwrap()).unwrap();
        assert!(!told.contains("vm-1") && told.contains("PENDING"), "{told}");
        assert_eq!(Wish::all().told(b"<a/>".to_vec()), Some(b"<a/>".to_vec()));
    }
}
