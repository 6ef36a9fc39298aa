//! As much of PromQL as these tests need: which series an expression stands on, and which names are in it.
//!
//! An alert has no result while all is well, so its expression cannot be asked as it is. What it compares can:
//! every operand of its comparisons and set operators has to return data.

/// The operands of the comparisons and set operators of `text`, numbers left out; `absent(x)` stands on `x`.
pub fn operands(text: &str) -> Vec<String> {
    let text = bare(text.trim());
    if text.parse::<f64>().is_ok() {
        return Vec::new();
    }
    if let Some((left, right)) = split(text, &[" or ", " and ", " unless "]) {
        return [operands(left), operands(right)].concat();
    }
    if let Some((left, right)) = split(text, &[" == ", " != ", " >= ", " <= ", " > ", " < "]) {
        return [operands(left), operands(right)].concat();
    }
    match text.strip_prefix("absent") {
        Some(inside) if inside.starts_with('(') => operands(inside),
        _ => vec![text.to_owned()],
    }
}

/// Without brackets around all of it.
fn bare(text: &str) -> &str {
    let inside = text
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'));
    match inside {
        Some(inside) if depths(text).skip(1).take(inside.len()).all(|(_, d)| d > 0) => {
            bare(inside.trim())
        }
        _ => text,
    }
}

/// At the first of `operators` outside brackets and quotes.
fn split<'a>(text: &'a str, operators: &[&str]) -> Option<(&'a str, &'a str)> {
    depths(text)
        .filter(|(_, depth)| *depth == 0)
        .find_map(|(at, _)| {
            let operator = operators.iter().find(|one| text[at..].starts_with(**one))?;
            Some((&text[..at], &text[at + operator.len()..]))
        })
}

/// Every place with how deep in brackets or quotes the character there leaves one.
fn depths(text: &str) -> impl Iterator<Item = (usize, u32)> {
    let (mut depth, mut quoted) = (0, false);
    text.char_indices().map(move |(at, letter)| {
        match letter {
            '"' => quoted = !quoted,
            '(' | '{' | '[' if !quoted => depth += 1,
            ')' | '}' | ']' if !quoted => depth -= 1,
            _ => {}
        }
        (at, depth + u32::from(quoted))
    })
}

/// The names of metrics in `text`: those of the gate, of its process, and recorded ones.
pub fn metrics(text: &str) -> Vec<&str> {
    let in_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    let ours = ["tidegate_", "tidegate:", "process_"];
    text.split(|letter| !in_name(letter))
        .filter(|name| ours.iter().any(|start| name.starts_with(start)))
        .collect()
}

#[test]
fn expressions_come_apart_where_they_compare() {
    for (text, wanted) in [
        ("up{job=\"a > b\"} == 0", vec!["up{job=\"a > b\"}"]),
        (
            "(up{a!=\"b\"} == 0) or absent(up)",
            vec!["up{a!=\"b\"}", "up"],
        ),
        ("(a - time()) / 86400 < 14", vec!["(a - time()) / 86400"]),
        ("sum(a > 0) > b", vec!["sum(a > 0)", "b"]),
        ("((a > 1) and b)", vec!["a", "b"]),
        ("(a) / (b)", vec!["(a) / (b)"]),
    ] {
        assert_eq!(operands(text), wanted, "{text}");
    }
    assert_eq!(
        metrics("rate(tidegate_x_total{a=\"b\"}[5m]) / tidegate:y:ratio + up"),
        ["tidegate_x_total", "tidegate:y:ratio"]
    );
}
