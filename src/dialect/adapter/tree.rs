//! An XML document as a tree: bounded, names without prefixes, no attributes.

use crate::config::Element;
use crate::dialect::xml::{Step, Stop, Walk};

/// Most elements of a document.
const MOST: usize = 100_000;
/// Longest text of one element, bytes.
const LONGEST: usize = 16 * 1024;

/// An element.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Tree {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) children: Vec<Tree>,
}

impl Tree {
    /// The root of a document that is there as a whole.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut walk = Walk::new(body).ok()?;
        let mut open: Vec<Self> = Vec::new();
        let mut root = None;
        let mut count = 0_usize;
        loop {
            match walk.next() {
                Ok((_, Step::Open { start, .. })) => {
                    count += 1;
                    let name = start.local_name().into_inner().to_owned();
                    open.push(Self {
                        name,
                        ..Self::default()
                    });
                }
                Ok((_, Step::Text(text))) => open.last_mut()?.add(&text),
                Ok((_, Step::Close)) => {
                    let done = open.pop()?;
                    match open.last_mut() {
                        Some(parent) => parent.children.push(done),
                        None => root = Some(done),
                    }
                }
                Err(Stop::End) => return root,
                Err(_) => return None,
            }
            if count > MOST {
                return None;
            }
        }
    }

    /// The elements at `path`, whose first is the root itself.
    pub(super) fn at<'t>(&'t self, path: &[Element]) -> Vec<&'t Self> {
        let Some((first, rest)) = path.split_first() else {
            return Vec::new();
        };
        let mut found: Vec<&Self> = Some(self)
            .filter(|root| root.is(first))
            .into_iter()
            .collect();
        for wanted in rest {
            let children = found.into_iter().flat_map(|one| &one.children);
            found = children.filter(|child| child.is(wanted)).collect();
        }
        found
    }

    /// Its text without blanks around it.
    pub(super) fn said(&self) -> &str {
        self.text.trim()
    }

    fn is(&self, wanted: &Element) -> bool {
        let has = |(name, text): &(String, String)| {
            let mut children = self.children.iter();
            children.any(|child| child.name == *name && child.said() == text)
        };
        self.name == wanted.name && wanted.with.as_ref().is_none_or(has)
    }

    fn add(&mut self, piece: &str) {
        let left = LONGEST.saturating_sub(self.text.len());
        let cut = (0..=left.min(piece.len()))
            .rev()
            .find(|at| piece.is_char_boundary(*at));
        self.text
            .push_str(piece.get(..cut.unwrap_or_default()).unwrap_or_default());
    }
}
