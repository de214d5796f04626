//! A scenario as typed: the TOML tree with a place for every key and value, and what the command
//! line put over it.

use super::report::{Place, Problem, Report};
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// The tree and the texts it came from.
#[derive(Debug, Clone)]
pub struct Document {
    sources: Vec<Source>,
    /// The top table.
    pub root: Node,
}

/// A text; positions count on from one source to the next.
#[derive(Debug, Clone)]
struct Source {
    name: String,
    text: String,
    base: usize,
}

/// A value and its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Bytes of the value.
    pub span: Range<usize>,
    /// Bytes of its key; the value's own where it is an element of a list.
    pub key: Range<usize>,
}

/// A TOML value.
#[derive(Debug, Clone)]
pub enum Value {
    /// A string.
    Text(String),
    /// A whole number.
    Whole(i128),
    /// A number with a fraction.
    Real(f64),
    /// True or false.
    Flag(bool),
    /// A list, or an array of tables.
    List(Vec<Node>),
    /// A table.
    Table(BTreeMap<String, Node>),
    /// A date or time, which no scenario needs.
    Date,
}

impl Document {
    /// Parses a scenario's text; `name` stands in messages.
    ///
    /// # Errors
    /// Every syntax error of the text.
    pub fn parse(name: &str, text: &str) -> Result<Self, Report> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let source = Source { name: name.to_owned(), text: text.to_owned(), base: 0 };
        let span = table.span();
        let root = Node { value: Value::Table(tables(table.into_inner())), key: 0..0, span };
        let document = Self { sources: vec![source], root };
        let problems = errors.iter().map(|e| {
            let place = e.span().map(|s| document.place(&s));
            Problem { place, what: e.message().replace('`', "\""), mend: String::new() }
        });
        match problems.collect::<Vec<_>>() {
            problems if problems.is_empty() => Ok(document),
            problems => Err(Report::new(problems)),
        }
    }

    /// The scenario's text, without what the command line added.
    pub fn text(&self) -> &str {
        &self.sources[0].text
    }

    /// Adds a text of the command line and returns where its positions start.
    fn cite(&mut self, name: String, text: &str) -> usize {
        let base = self.sources.last().map_or(0, |s| s.base + s.text.len() + 1);
        self.sources.push(Source { name, text: text.to_owned(), base });
        base
    }

    /// A node for a value given on the command line, with all of the option as its place.
    pub fn cited(&mut self, option: &str, value: Value) -> Node {
        let base = self.cite(option.to_owned(), option);
        let span = base..base + option.len();
        Node { value, key: span.clone(), span }
    }

    /// Reads `key=value` of the command line. A value that is no TOML is a string.
    pub fn cited_value(&mut self, option: &str, value: &str) -> Node {
        let text = format!("v = {value}");
        let parsed = DeTable::parse(&text).ok().map(|t| tables(t.into_inner()));
        let parsed = parsed.filter(|t| t.len() == 1).and_then(|mut t| t.remove("v"));
        let value = parsed.map_or_else(|| Value::Text(value.to_owned()), |n| n.value);
        let mut node = self.cited(option, value);
        let span = node.span.clone();
        node.settle(&span);
        node
    }

    /// The place of a range of bytes.
    pub fn place(&self, span: &Range<usize>) -> Place {
        let source = self.sources.iter().rev().find(|s| s.base <= span.start);
        let source = source.unwrap_or(&self.sources[0]);
        let text = &source.text;
        // Errors at the end of the file point behind its last byte.
        let clamp = |at: usize| {
            let at = at.saturating_sub(source.base).min(text.len());
            (0..=at).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
        };
        let (start, end) = (clamp(span.start), clamp(span.end));
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line = text[line_start..].lines().next().unwrap_or("");
        let line_end = line_start + line.len();
        let width = text[start.min(line_end)..end.clamp(start.min(line_end), line_end)].chars();
        Place {
            source: source.name.clone(),
            line: text[..line_start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            width: width.count().max(1),
            text: line.replace('\t', " "),
        }
    }

    /// The place of the value at a dotted path such as `traffic.0.to`, or of the nearest table
    /// around it where the value was left out.
    pub fn locate(&self, path: &str) -> Place {
        let mut node = &self.root;
        for step in path.split('.').filter(|s| !s.is_empty()) {
            match node.child(step) {
                Some(child) => node = child,
                None => break,
            }
        }
        self.place(&node.span)
    }
}

impl Node {
    /// A table's value by key, or a list's by position.
    pub fn child(&self, step: &str) -> Option<&Self> {
        match &self.value {
            Value::Table(table) => table.get(step),
            Value::List(list) => list.get(step.parse::<usize>().ok()?),
            _ => None,
        }
    }

    /// The text, where it is one.
    pub fn as_text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// Plain data, without places.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Text(text) => text.as_str().into(),
            Value::Whole(n) => match (u64::try_from(*n), i64::try_from(*n)) {
                (Ok(n), _) => n.into(),
                (_, Ok(n)) => n.into(),
                _ => serde_json::Value::Null,
            },
            Value::Real(x) => (*x).into(),
            Value::Flag(flag) => (*flag).into(),
            Value::List(list) => list.iter().map(Self::to_json).collect(),
            Value::Table(table) => table.iter().map(|(k, n)| (k.clone(), n.to_json())).collect(),
            Value::Date => serde_json::Value::Null,
        }
    }

    fn settle(&mut self, span: &Range<usize>) {
        (self.span, self.key) = (span.clone(), span.clone());
        match &mut self.value {
            Value::List(list) => list.iter_mut().for_each(|n| n.settle(span)),
            Value::Table(table) => table.values_mut().for_each(|n| n.settle(span)),
            _ => {}
        }
    }
}

fn tables(table: DeTable<'_>) -> BTreeMap<String, Node> {
    let entry = |(key, value): (Spanned<DeString<'_>>, Spanned<DeValue<'_>>)| {
        let span = key.span();
        (key.into_inner().into_owned(), node(value, Some(span)))
    };
    table.into_iter().map(entry).collect()
}

fn node(value: Spanned<DeValue<'_>>, key: Option<Range<usize>>) -> Node {
    let span = value.span();
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(n) => {
            let whole = i128::from_str_radix(n.as_str(), n.radix());
            whole.map_or(Value::Real(f64::INFINITY), Value::Whole)
        }
        DeValue::Float(x) => Value::Real(x.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Value::Flag(flag),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(list) => Value::List(list.into_iter().map(|v| node(v, None)).collect()),
        DeValue::Table(table) => Value::Table(tables(table)),
    };
    Node { value, key: key.unwrap_or_else(|| span.clone()), span }
}
