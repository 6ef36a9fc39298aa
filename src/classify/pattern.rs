//! Path patterns of limits and routes: `/api/cis/tagging/**`, `/api/vcenter/vm/*/power`.

/// A path pattern, compiled: `*` is one segment, `**` any number of them (none too), at the end only.
///
/// Letters match in either case and a slash at the end makes no difference: a limit is not to be
/// dodged by either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// `None` is any one segment.
    segments: Box<[Option<Box<str>>]>,
    /// Whether any number may follow.
    open: bool,
}

impl Pattern {
    /// Compiles `text`; `None` when it does not start with a slash, or `**` is not at its end.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let path = text.strip_prefix('/')?;
        let (path, open) = match path.strip_suffix("**") {
            Some(before) if before.is_empty() || before.ends_with('/') => (before, true),
            Some(_) => return None,
            None => (path, false),
        };
        let segments: Box<[_]> = segments(path)
            .map(|one| (one != "*").then(|| Box::from(one)))
            .collect();
        let strange = segments
            .iter()
            .flatten()
            .any(|one: &Box<str>| one.contains('*'));
        (!strange).then_some(Self { segments, open })
    }

    /// Whether either spelling of a path matches.
    #[must_use]
    pub fn matches(&self, path: &str, normal_path: &str) -> bool {
        self.matches_one(normal_path) || (path != normal_path && self.matches_one(path))
    }

    fn matches_one(&self, path: &str) -> bool {
        let mut left = segments(path.strip_prefix('/').unwrap_or(path));
        let fits = self
            .segments
            .iter()
            .all(|wanted| match (wanted, left.next()) {
                (None, Some(_)) => true,
                (Some(wanted), Some(segment)) => wanted.eq_ignore_ascii_case(segment),
                (_, None) => false,
            });
        fits && (self.open || left.next().is_none())
    }
}

/// The segments of a path without its first slash; one slash at the end is not a segment more.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/')
        .take(if path.is_empty() { 0 } else { usize::MAX })
}
