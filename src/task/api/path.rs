//! The paths of the API.

/// A part of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Status,
    Result,
    Events,
    Cancel,
}

/// What a path stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'a> {
    List,
    Policy,
    /// A task, by what stands where its id does.
    Task(&'a str, Part),
    /// The explanation of a problem.
    Problem(&'a str),
    OpenApi,
    Nothing,
}

const READ: &[&str] = &["GET", "HEAD"];
const READ_OR_DELETE: &[&str] = &["GET", "HEAD", "DELETE"];
const POST: &[&str] = &["POST"];

/// Where the neighbours of tasks stand: `/-` for `/-/tasks`.
pub(super) fn parent(prefix: &str) -> &str {
    prefix.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Whether `path` is the gate's own.
pub(super) fn owns(prefix: &str, path: &str) -> bool {
    if let Some(rest) = path.strip_prefix(prefix)
        && (rest.is_empty() || rest.starts_with('/'))
    {
        return true;
    }
    let beside = path.strip_prefix(parent(prefix));
    beside.is_some_and(|rest| rest == "/openapi.json" || rest.starts_with("/problems/"))
}

impl<'a> Place<'a> {
    pub(super) fn of(prefix: &str, path: &'a str) -> Self {
        match path.strip_prefix(prefix) {
            Some("") => return Self::List,
            Some(rest) if rest.starts_with('/') => return Self::below(rest),
            _ => {}
        }
        let Some(beside) = path.strip_prefix(parent(prefix)) else {
            return Self::Nothing;
        };
        match (beside, beside.strip_prefix("/problems/")) {
            ("/openapi.json", _) => Self::OpenApi,
            (_, Some(name)) => Self::Problem(name),
            _ => Self::Nothing,
        }
    }

    fn below(rest: &'a str) -> Self {
        let mut parts = rest.split('/').skip(1);
        match (parts.next(), parts.next(), parts.next()) {
            (Some("policy"), None, _) => Self::Policy,
            (Some(id), None, _) if !id.is_empty() => Self::Task(id, Part::Status),
            (Some(id), Some("result"), None) => Self::Task(id, Part::Result),
            (Some(id), Some("events"), None) => Self::Task(id, Part::Events),
            (Some(id), Some("cancel"), None) => Self::Task(id, Part::Cancel),
            _ => Self::Nothing,
        }
    }

    /// Methods that it knows; none where there is nothing.
    pub(super) const fn methods(&self) -> &'static [&'static str] {
        match self {
            Self::List
            | Self::Policy
            | Self::Problem(_)
            | Self::OpenApi
            | Self::Task(_, Part::Result | Part::Events) => READ,
            Self::Task(_, Part::Status) => READ_OR_DELETE,
            Self::Task(_, Part::Cancel) => POST,
            Self::Nothing => &[],
        }
    }

    /// Whether anybody may read it.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self, Self::Policy | Self::Problem(_) | Self::OpenApi)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_whole_or_not_at_all() {
        let of = |path| Place::of("/-/tasks", path);
        assert_eq!(of("/-/tasks"), Place::List);
        assert_eq!(of("/-/tasks/policy"), Place::Policy);
        assert_eq!(of("/-/tasks/1"), Place::Task("1", Part::Status));
        assert_eq!(of("/-/tasks/1/result"), Place::Task("1", Part::Result));
        assert_eq!(of("/-/tasks/1/events"), Place::Task("1", Part::Events));
        assert_eq!(of("/-/tasks/1/cancel"), Place::Task("1", Part::Cancel));
        assert_eq!(of("/-/problems/gone"), Place::Problem("gone"));
        assert_eq!(of("/-/openapi.json"), Place::OpenApi);
        for nothing in [
            "/-/tasks/",
            "/-/tasks/1/",
            "/-/tasks/1/other",
            "/-/tasks/1/result/",
            "/-/tasksx",
            "/-/",
            "/openapi.json",
            "/problems/gone",
            "",
        ] {
            assert_eq!(of(nothing), Place::Nothing, "{nothing}");
        }
    }

    #[test]
    fn the_neighbours_go_by_the_parent_of_the_prefix() {
        assert_eq!(Place::of("/tasks", "/openapi.json"), Place::OpenApi);
        assert_eq!(Place::of("/a/b/c", "/a/b/problems/x"), Place::Problem("x"));
        assert!(owns("/-/tasks", "/-/tasks"));
        assert!(owns("/-/tasks", "/-/tasks/anything/else"));
        assert!(owns("/-/tasks", "/-/problems/x"));
        assert!(owns("/-/tasks", "/-/openapi.json"));
        for upstreams in [
            "/-/tasksx",
            "/-/problems",
            "/-/other",
            "/api/vcenter/vm",
            "/",
        ] {
            assert!(!owns("/-/tasks", upstreams), "{upstreams}");
        }
    }
}
