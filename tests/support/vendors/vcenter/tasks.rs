//! Tasks of a vCenter: one, many in one call, and their cancelation.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::super::twists::{Phase, Reading};
use super::super::works::NotCanceled;
use super::super::{Ending, Reply, Request};
use super::{VCenter, normal, words};

/// The most tasks of one list.
const MOST: usize = 1000;

const SERVICE: &str = "com.vmware.vcenter.VM";

/// A message whose text is of no interest.
const SOMETHING: &str = "{\"id\":\"...\",\"default_message\":\"...\",\"args\":[]}";

impl VCenter {
    pub(super) fn task(&self, request: &Request, id: &str, user: &str) -> Reply {
        let seen = self.is_seen(id, user).then(|| self.works.read(id));
        let Some(reading) = seen.flatten() else {
            return words::not_found(request, id);
        };
        let with_result = request.parameter("exclude_result").as_deref() != Some("true");
        words::value(request, 200, &self.info(&reading, with_result))
    }

    /// Whether this user may see that task.
    fn is_seen(&self, id: &str, user: &str) -> bool {
        let user = normal(user);
        let sees_all = self.see_all.lock().unwrap().contains(&user);
        let is_native = id.contains(':');
        is_native && (sees_all || self.works.user(id).is_some_and(|own| normal(&own) == user))
    }

    pub(super) fn tasks(&self, request: &Request, user: &str) -> Reply {
        let body = request.json();
        let filter = Filter(&body["filter_spec"]);
        if filter.names("tasks").is_none() && filter.names("services").is_none() {
            let text = "At least one of tasks or services is required.";
            return words::invalid(request, text);
        }
        let asked = filter.names("tasks").unwrap_or_else(|| self.works.all());
        if filter
            .names("tasks")
            .is_some_and(|tasks| tasks.len() > MOST)
        {
            let what = format!("a list of {} tasks, more than {MOST}", asked.len());
            self.books.violated(what);
        }
        let with_result = body["result_spec"]["exclude_result"] != json!(true);
        let seen = asked.iter().filter(|id| self.is_seen(id, user));
        let found = seen.filter_map(|id| self.works.read(id));
        let pairs: Vec<(Value, String)> = found
            .filter(|reading| filter.takes(reading))
            .take(MOST)
            .map(|reading| (json!(reading.id), self.info(&reading, with_result)))
            .collect();
        // Maps come as lists of pairs in the older way.
        let text = if words::is_old(request) {
            let pairs = pairs
                .iter()
                .map(|(id, info)| format!("{{\"key\":{id},\"value\":{info}}}"));
            format!("[{}]", pairs.collect::<Vec<_>>().join(","))
        } else {
            let pairs = pairs.iter().map(|(id, info)| format!("{id}:{info}"));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
        };
        words::value(request, 200, &text)
    }

    pub(super) fn cancel(&self, request: &Request, id: &str, user: &str) -> Reply {
        if !self.is_seen(id, user) {
            return words::not_found(request, id);
        }
        let (word, text) = match self.works.cancel(id) {
            Ok(()) => return words::nothing(request),
            Err(NotCanceled::Unknown) => return words::not_found(request, id),
            Err(NotCanceled::Over) => ("NOT_ALLOWED_IN_CURRENT_STATE", "The task is over."),
            Err(NotCanceled::Unsupported) => ("UNSUPPORTED", "The task is not cancelable."),
        };
        words::error(request, 400, word, "com.vmware.vapi.tasks.cancel", text)
    }

    /// `Cis.Task.Info`.
    fn info(&self, reading: &Reading, with_result: bool) -> String {
        let operation = reading.label.replace('-', "_");
        let text = match &*reading.label {
            "clone" => "Clone virtual machine".to_owned(),
            other => format!("{other} of a virtual machine"),
        };
        let description = words::message(&format!("com.vmware.vcenter.vm.{operation}"), &text);
        let mut info = format!(
            "{{\"description\":{description},\"service\":\"{SERVICE}\",\"operation\":\"{operation}$task\",\
             \"parent\":null,\"target\":{{\"type\":\"VirtualMachine\",\"id\":{}}},\"status\":\"{}\",\
             \"cancelable\":{},\"user\":{},\"start_time\":\"{}\"",
            json!(reading.target),
            status(reading),
            reading.cancelable,
            json!(reading.user),
            reading.started,
        );
        if let Some(ended) = &reading.ended {
            info += &format!(",\"end_time\":\"{ended}\"");
        }
        info += &format!(
            ",\"progress\":{{\"total\":100,\"completed\":{},\"message\":{SOMETHING}}}",
            reading.view.progress
        );
        if let Some(result) = self.result(reading).filter(|_| with_result) {
            info += &format!(",\"result\":{result}");
        }
        if let Some(error) = reading.ending.as_ref().and_then(words::task_error) {
            info += &format!(",\"error\":{error}");
        }
        info + "}"
    }

    fn result(&self, reading: &Reading) -> Option<String> {
        let is_early = self.shows_early_results.load(Ordering::SeqCst);
        if is_early && reading.view.phase == Phase::Running {
            return Some("\"vm-not-yet\"".to_owned());
        }
        let ending = reading.ending.as_ref().filter(|_| !reading.view.is_bare);
        ending.and_then(words::task_result)
    }
}

fn status(reading: &Reading) -> &'static str {
    match (&reading.ending, reading.view.phase) {
        (Some(Ending::Done(_) | Ending::Partial(_)), _) => "SUCCEEDED",
        (Some(_), _) => "FAILED",
        (None, Phase::Queued) => "PENDING",
        (None, _) if reading.view.is_blocked => "BLOCKED",
        (None, _) => "RUNNING",
    }
}

/// Which tasks are asked for. A list that is missing or empty asks for all.
struct Filter<'b>(&'b Value);

impl Filter<'_> {
    fn names(&self, list: &str) -> Option<Vec<String>> {
        let names = self.0[list].as_array()?.iter().filter_map(Value::as_str);
        let names: Vec<String> = names.map(str::to_owned).collect();
        (!names.is_empty()).then_some(names)
    }

    fn has(&self, list: &str, is_it: impl Fn(&str) -> bool) -> bool {
        let names = self.names(list);
        names.is_none_or(|names| names.iter().any(|name| is_it(name)))
    }

    fn takes(&self, reading: &Reading) -> bool {
        let operation = reading.label.replace('-', "_");
        let of_target = match self.0["targets"].as_array() {
            Some(targets) if !targets.is_empty() => targets
                .iter()
                .any(|target| target["id"] == json!(reading.target)),
            _ => true,
        };
        of_target
            && self.has("services", |name| name == SERVICE)
            && self.has("operations", |name| {
                name == operation || name == format!("{operation}$task")
            })
            && self.has("status", |name| name == status(reading))
            && self.has("users", |name| normal(name) == normal(&reading.user))
    }
}
