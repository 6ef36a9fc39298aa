//! Whatever is fed to it, checking ends with a configuration or with faults, one line each.

use proptest::prelude::*;
use tidegate::config::{describe, effective};

use crate::read;

/// Valid files to start from.
const SEEDS: [&str; 4] = [
    include_str!("../../config/tidegate.toml"),
    include_str!("../../config/examples/tuned.toml"),
    include_str!("../../config/examples/behind-a-load-balancer.toml"),
    include_str!("../../config/examples/waiting.toml"),
];

/// Pieces that are likely to hurt.
const PIECES: [&str; 24] = [
    "\"",
    "'",
    "[",
    "]",
    "{",
    "}",
    "=",
    ".",
    ",",
    "\n",
    "#",
    "0",
    "-1",
    "1e400",
    "99999999999999999999",
    "\"5s\"",
    "[[upstream]]\n",
    "true",
    "\u{0}",
    "\u{1b}[31m",
    "é",
    "limits = 1\n",
    "\"\"\"",
    "\\u0000",
];

fn holds(text: &str) {
    match read(text) {
        Ok(config) => {
            assert!(describe(&config).ends_with('\n'));
            assert!(effective(&config).is_object());
        }
        Err(faults) => {
            let shown = faults.to_string();
            assert!(!faults.as_slice().is_empty());
            assert_eq!(
                shown.split('\n').count(),
                faults.as_slice().len() + 1,
                "{shown:?}"
            );
            assert!(
                shown.chars().all(|c| c == '\n' || !c.is_control()),
                "{shown:?}"
            );
            assert!(
                faults
                    .as_slice()
                    .iter()
                    .all(|fault| !fault.key.is_empty() && !fault.problem.is_empty()),
                "{shown:?}"
            );
        }
    }
}

/// The byte at a share of `text`, moved to the start of a character.
fn cut(text: &str, share: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a short text"
    )]
    let at = (text.len() as f64 * share) as usize;
    (0..=at)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_any_text(text in any::<String>()) {
        holds(&text);
    }

    #[test]
    fn of_any_keys_and_values(pairs in prop::collection::vec(("[a-z\"\\[\\]._]{1,12}", "[ -~\\n]{0,20}"), 0..8)) {
        let lines: Vec<_> = pairs.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        holds(&lines.concat());
    }

    #[test]
    fn of_mutated_files(
        seed in 0..SEEDS.len(),
        changes in prop::collection::vec((0.0..1.0_f64, 0..PIECES.len(), 0..12_usize), 1..6),
    ) {
        let mut text = SEEDS[seed].to_owned();
        for (share, piece, removed) in changes {
            let start = cut(&text, share);
            let end = (start + removed..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
            text.replace_range(start..end, PIECES[piece]);
        }
        holds(&text);
    }

    #[test]
    fn of_a_value_of_the_wrong_kind_anywhere(seed in 0..SEEDS.len(), line in 0..400_usize, piece in 0..PIECES.len()) {
        let lines: Vec<_> = SEEDS[seed].lines().collect();
        let at = line % lines.len();
        let text: String = lines.iter().enumerate().map(|(index, line)| match line.split_once('=') {
            Some((key, _)) if index == at => format!("{key} = {}\n", PIECES[piece]),
            _ => format!("{line}\n"),
        }).collect();
        holds(&text);
    }
}

#[test]
fn of_deep_nesting() {
    for text in [
        format!("a = {}1{}", "[".repeat(10_000), "]".repeat(10_000)),
        format!("a = {}", "{ b = ".repeat(10_000)),
        format!("[{}a]", "a.".repeat(10_000)),
        format!("{}a = 1", "a.".repeat(10_000)),
    ] {
        holds(&text);
    }
}
