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
        let segments: Box<[Option<Box<str>>]> = segments(path)
            .map(|one| (one != "*").then(|| Box::from(one)))
            .collect();
        let strange = segments.iter().flatten().any(|one| one.contains('*'));
        (!strange).then_some(Self { segments, open })
    }

    /// Whether one spelling of a path matches.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
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

    /// Its segments; `None` stands for any one.
    pub(super) fn segments(&self) -> impl Iterator<Item = Option<&str>> {
        self.segments.iter().map(Option::as_deref)
    }

    /// Whether any number of segments may follow.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }
}

/// The segments of a path without its first slash; one slash at the end is not a segment more.
pub(super) fn segments(path: &str) -> impl Iterator<Item = &str> + Clone {
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/')
        .take(if path.is_empty() { 0 } else { usize::MAX })
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn stars_stand_for_segments_and_letters_match_in_either_case() {
        let matches = |pattern: &str, path: &str| Pattern::new(pattern).unwrap().matches(path);
        for path in [
            "/api/cis/tagging",
            "/api/cis/tagging/",
            "/api/cis/tagging/tag/1",
            "/API/cis/Tagging/x",
        ] {
            assert!(matches("/api/cis/tagging/**", path), "{path}");
        }
        for path in ["/api/cis/taggings", "/api/cis", "/", "/api/cis/x/tagging"] {
            assert!(!matches("/api/cis/tagging/**", path), "{path}");
        }
        assert!(matches(
            "/api/vcenter/vm/*/power",
            "/api/vcenter/vm/vm-1/power/"
        ));
        assert!(!matches("/api/vcenter/vm/*/power", "/api/vcenter/vm/power"));
        assert!(!matches("/api/vcenter/vm/*", "/api/vcenter/vm"));
        assert!(
            matches("/**", "/")
                && matches("/**", "/a/b")
                && matches("/", "/")
                && !matches("/", "/a")
        );
        for wrong in ["api", "", "/a/**/b", "/a**", "/a*", "/*b/c"] {
            assert_eq!(Pattern::new(wrong), None, "{wrong}");
        }
    }
}
