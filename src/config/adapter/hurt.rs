//! Whatever a file of a dialect holds, reading it ends with adapters or with faults, one line each.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::{BUILT_IN, file, say, shown};
use crate::config::findings::Findings;
use crate::config::node::Table;
use crate::config::reader::Reader;

const DOCUMENTED: &str = include_str!("../../../config/dialect.toml");
/// Pieces that are likely to hurt.
const PIECES: [&str; 20] = [
    "\"",
    "'''",
    "[",
    "]",
    "{",
    "}",
    "=",
    ",",
    "\n",
    "${",
    "${?",
    "{id}",
    "{/",
    "like = \"a\"\n",
    "[[adapter]]\n",
    "true",
    "99999999999999999999",
    "\u{0}",
    "é",
    "name = 1\n",
];

fn holds(text: &str) -> Result<(), TestCaseError> {
    let (findings, empty) = (Findings::new(Path::new(".")), Table::new());
    let upstream = Arc::from("u");
    let (_, adapters) = file("x", text, (&Reader::top(&findings, &empty), &upstream));
    let (_, faults) = findings.into_parts();
    for adapter in &adapters {
        prop_assert!(!say(adapter, None).is_empty() && shown(adapter).is_object());
    }
    for fault in faults {
        prop_assert!(!fault.to_string().contains(char::is_control), "{fault}");
        prop_assert!(fault.key.starts_with("dialect."), "{fault}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_file_hurts(
        which in 0..8_usize,
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..30_usize, prop::sample::select(&PIECES[..])), 1..4),
    ) {
        let mut text = BUILT_IN.get(which).map_or(DOCUMENTED, |(_, text)| text).to_owned();
        for (at, length, piece) in cuts {
            let at = at.index(text.len());
            let at = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
            let end = (at + length).min(text.len());
            let end = (end..=text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(at);
            text.replace_range(at..end, piece);
        }
        holds(&text)?;
    }
}
