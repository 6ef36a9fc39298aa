//! The text as a tree: every value knows how it was written and where.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Origin, Place};

/// One value of the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub value: Value,
    /// The first line of the value as it was written, shortened.
    pub written: String,
    pub place: Place,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Whole(i64),
    Real(f64),
    Flag(bool),
    List(Vec<Node>),
    Table(Table),
    /// What no key takes: dates, and numbers beyond 64 bits.
    Other(&'static str),
}

/// A table: keys and values.
pub(super) type Table = BTreeMap<String, Node>;

/// Longest piece of text kept with a value, bytes.
const KEPT: usize = 400;

/// Reads `text` as TOML. `file` names it in faults when it is not the operator's own.
///
/// # Errors
/// The first error of syntax, with line and column.
pub(super) fn parse(text: &str, file: Option<&Origin>) -> Result<Table, Fault> {
    let source = Source {
        text,
        file,
        ends: text.match_indices('\n').map(|(at, _)| at).collect(),
    };
    match DeTable::parse(text) {
        Ok(table) => Ok(source.table(table.get_ref())),
        Err(error) => Err(source.syntax(&error)),
    }
}

/// Lays `over` over `base`, key by key, nested tables too; anything else that `over` has replaces what `base` has.
pub(super) fn overlay(base: &Table, over: &Table) -> Table {
    let mut merged = base.clone();
    for (key, node) in over {
        let laid = match (base.get(key).map(|under| &under.value), &node.value) {
            (Some(Value::Table(under)), Value::Table(table)) => Node {
                value: Value::Table(overlay(under, table)),
                ..node.clone()
            },
            _ => node.clone(),
        };
        merged.insert(key.clone(), laid);
    }
    merged
}

impl Value {
    /// What it is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Whole(_) => "a whole number",
            Self::Real(_) => "a number with a point",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

/// A text and what it takes to say where in it something stands.
struct Source<'a> {
    text: &'a str,
    file: Option<&'a Origin>,
    /// Offsets of the line feeds.
    ends: Vec<usize>,
}

impl Source<'_> {
    fn table(&self, table: &DeTable<'_>) -> Table {
        table
            .iter()
            .map(|(key, value)| (key.get_ref().to_string(), self.node(value)))
            .collect()
    }

    fn node(&self, value: &Spanned<DeValue<'_>>) -> Node {
        let span = value.span();
        let written = match value.get_ref() {
            DeValue::Table(_) => String::new(),
            _ => self.written(span.clone()),
        };
        Node {
            value: self.value(value.get_ref()),
            written,
            place: self.place(span.start),
        }
    }

    fn value(&self, value: &DeValue<'_>) -> Value {
        match value {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or(Value::Other("a number beyond 64 bits"), Value::Whole),
            DeValue::Float(number) => number
                .as_str()
                .parse()
                .map_or(Value::Other("a number that cannot be read"), Value::Real),
            DeValue::Boolean(flag) => Value::Flag(*flag),
            DeValue::Datetime(_) => Value::Other("a date"),
            DeValue::Array(list) => Value::List(list.iter().map(|item| self.node(item)).collect()),
            DeValue::Table(table) => Value::Table(self.table(table)),
        }
    }

    fn written(&self, span: Range<usize>) -> String {
        let end = span.end.min(span.start.saturating_add(KEPT));
        let cut = (end..=self.text.len())
            .find(|at| self.text.is_char_boundary(*at))
            .unwrap_or(end);
        self.text
            .get(span.start..cut)
            .unwrap_or_default()
            .to_owned()
    }

    fn place(&self, offset: usize) -> Place {
        Place {
            file: self.file.cloned(),
            line: Some(self.line(offset)),
        }
    }

    /// Line of `offset`, from 1.
    fn line(&self, offset: usize) -> usize {
        self.ends.partition_point(|end| *end < offset) + 1
    }

    fn syntax(&self, error: &toml::de::Error) -> Fault {
        let offset = error.span().map_or(self.text.len(), |span| span.start);
        let start = self
            .text
            .get(..offset)
            .and_then(|before| before.rfind('\n'))
            .map_or(0, |end| end + 1);
        let column = self
            .text
            .get(start..offset)
            .map_or(0, |before| before.chars().count())
            + 1;
        let line = self.line(offset);
        let problem = format!(
            "no valid TOML at line {line}, column {column}: {}",
            error.message()
        );
        Fault::new("syntax", "", &problem).at(self.place(offset), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_know_their_line_and_how_they_were_written() {
        let table = parse("a = 1\n\n[b]\nc = 0x10\nd = '''\nx\ny'''\n", None).unwrap();
        assert_eq!(table["a"].place.line, Some(1));
        let Value::Table(b) = &table["b"].value else {
            panic!("b is a table")
        };
        assert_eq!(
            (b["c"].place.line, b["c"].written.as_str(), &b["c"].value),
            (Some(4), "0x10", &Value::Whole(16))
        );
        assert_eq!(b["d"].place.line, Some(5));
    }

    #[test]
    fn a_syntax_error_says_line_and_column() {
        let fault = parse("a = 1\nb = = 2\n", None).unwrap_err();
        assert!(fault.problem.contains("line 2, column 5"), "{fault}");
    }

    #[test]
    fn nested_tables_are_merged_and_lists_replaced() {
        let base = parse("a = [1, 2]\n[t]\nx = 1\n[t.u]\ny = 1\nz = 1", None).unwrap();
        let over = parse("a = [3]\n[t.u]\ny = 2", None).unwrap();
        let merged = overlay(&base, &over);
        let Value::List(a) = &merged["a"].value else {
            panic!("a is a list")
        };
        assert_eq!(a.len(), 1);
        let Value::Table(t) = &merged["t"].value else {
            panic!("t is a table")
        };
        let Value::Table(u) = &t["u"].value else {
            panic!("u is a table")
        };
        assert_eq!(
            (&t["x"].value, &u["y"].value, &u["z"].value),
            (&Value::Whole(1), &Value::Whole(2), &Value::Whole(1))
        );
    }

    #[test]
    fn an_empty_table_changes_nothing() {
        let base = parse("a = [1, 2]\n[t]\nx = 1\n[t.u]\ny = 1", None).unwrap();
        assert_eq!(overlay(&base, &Table::new()), base);
        let nested = parse("[t]\n[t.u]", None).unwrap();
        let merged = overlay(&base, &nested);
        let values = |table: &Table| format!("{:?}", strip(table));
        assert_eq!(values(&merged), values(&base));
    }

    /// The tree without places, which an overlay does change.
    fn strip(table: &Table) -> BTreeMap<String, String> {
        let mut flat = BTreeMap::new();
        for (key, node) in table {
            if let Value::Table(inner) = &node.value {
                flat.extend(
                    strip(inner)
                        .into_iter()
                        .map(|(k, v)| (format!("{key}.{k}"), v)),
                );
            } else {
                flat.insert(
                    key.clone(),
                    format!("{} {}", node.value.kind(), node.written),
                );
            }
        }
        flat
    }
}
