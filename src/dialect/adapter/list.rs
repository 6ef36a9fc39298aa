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
