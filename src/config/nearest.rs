//! The known word nearest to a mistyped one.

/// The word of `known` that `word` was probably meant to be, if any is near enough: one edit in three characters, rounded up.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Nothing we know is longer than this, and the distance costs the product of both lengths.
    if word.len() > 64 {
        return None;
    }
    let allowed = word.chars().count().div_ceil(3);
    known
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, in characters.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, to) in row.iter_mut().skip(1).zip(b.chars()) {
            let above = *cell;
            let best = (diagonal + usize::from(from != to))
                .min(above + 1)
                .min(left + 1);
            (diagonal, left) = (above, best);
            *cell = best;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
        for (a, b, want) in [
            ("", "", 0),
            ("a", "", 1),
            ("kitten", "sitting", 3),
            ("limit", "limit", 0),
            ("wnidow", "window", 2),
        ] {
            assert_eq!(distance(a, b), want, "{a} {b}");
            assert_eq!(distance(b, a), want, "{b} {a}");
        }
    }

    #[test]
    fn only_near_words_are_offered() {
        let known = ["window", "limit", "burst"];
        assert_eq!(nearest("wnidow", known.into_iter()), Some("window"));
        assert_eq!(nearest("limits", known.into_iter()), Some("limit"));
        assert_eq!(nearest("lmiit", known.into_iter()), Some("limit"));
        assert_eq!(nearest("colour", known.into_iter()), None);
        assert_eq!(nearest("", known.into_iter()), None);
        assert_eq!(nearest(&"x".repeat(100_000), known.into_iter()), None);
    }
}
