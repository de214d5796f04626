//! Checks the form of a document against the JSON Schema of [`super::Spec`]: keys, types, units.
//!
//! Every problem of form is found in one pass, each with its place, which serde alone would not give.

use super::document::{Document, Node, Value};
use super::report::Problem;
use super::words::nearest;
use crate::units::{BadUnit, BitRate, Quantity, Rate, Share, Size, Span, Step};
use serde_json::Value as Json;

/// All problems of form.
pub(super) fn check(document: &Document, schema: &Json) -> Vec<Problem> {
    let mut walk = Walk { document, schema, problems: vec![] };
    walk.visit(schema, &document.root, "");
    walk.problems
}

struct Walk<'d> {
    document: &'d Document,
    schema: &'d Json,
    problems: Vec<Problem>,
}

impl<'d> Walk<'d> {
    fn visit(&mut self, schema: &'d Json, node: &Node, path: &str) {
        let about = schema["description"].as_str();
        let schema = self.choose(schema, node);
        let about = about.or(schema["description"].as_str()).unwrap_or("");
        let words = words(schema);
        if !words.is_empty() {
            return self.visit_word(&words, node, path);
        }
        if let Some(format) = schema["format"].as_str().filter(|_| is(schema, "string")) {
            return self.visit_quantity(format, node, path);
        }
        match &node.value {
            Value::Table(_) if is(schema, "object") => self.visit_table(schema, node, path),
            Value::List(list) if is(schema, "array") => {
                for (i, item) in list.iter().enumerate() {
                    self.visit(&schema["items"], item, &join(path, &i.to_string()));
                }
            }
            Value::Whole(n) if is(schema, "integer") => self.visit_whole(schema, *n, node, path),
            Value::Text(_) if is(schema, "string") => {}
            Value::Flag(_) if is(schema, "boolean") => {}
            Value::Whole(_) | Value::Real(_) if is(schema, "number") => {}
            _ if schema["type"].is_null() => {}
            got => {
                let what = format!("{} must be {}, not {}", key(path), wanted(schema), kind(got));
                self.add(&node.span, what, about.to_owned());
            }
        }
    }

    /// Resolves references, and of alternatives the one that the node's type fits.
    fn choose(&self, mut schema: &'d Json, node: &Node) -> &'d Json {
        while let Some(name) = schema["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
            schema = &self.schema["$defs"][name];
        }
        let Some(any) = schema["anyOf"].as_array() else { return schema };
        let fitting = any.iter().map(|s| self.choose(s, node)).filter(|s| !is(s, "null"));
        let mut fitting = fitting.peekable();
        let first = fitting.peek().copied().unwrap_or(schema);
        fitting.find(|s| fits(s, &node.value)).unwrap_or(first)
    }

    fn visit_table(&mut self, schema: &'d Json, node: &Node, path: &str) {
        let Value::Table(table) = &node.value else { return };
        let none = serde_json::Map::new();
        let known = schema["properties"].as_object().unwrap_or(&none);
        let names: Vec<_> = known.keys().map(String::as_str).collect();
        for (name, value) in table {
            if known.contains_key(name) {
                self.visit(&schema["properties"][name], value, &join(path, name));
            } else if schema["additionalProperties"] == false {
                let what = format!("unknown key \"{name}\"{}", inside(path));
                self.add(&value.key, what, nearest(name, &names));
            }
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
            if !table.contains_key(name) {
                let property = self.choose(&known[name], node);
                let about = known[name]["description"].as_str();
                let about = about.or(property["description"].as_str()).unwrap_or("");
                let what = format!("the key \"{name}\" is missing{}", inside(path));
                self.add(&node.span, what, format!("{name}: {about}"));
            }
        }
    }

    fn visit_word(&mut self, words: &[&str], node: &Node, path: &str) {
        match node.as_text() {
            Some(word) if words.contains(&word) => {}
            Some(word) => {
                let what = format!("{} cannot be \"{word}\"", key(path));
                self.add(&node.span, what, nearest(word, words));
            }
            None => {
                let what = format!("{} must be a word, not {}", key(path), kind(&node.value));
                self.add(&node.span, what, format!("one of {}", words.join(", ")));
            }
        }
    }

    fn visit_quantity(&mut self, format: &str, node: &Node, path: &str) {
        let problem = match format {
            Rate::FORMAT => quantity::<Rate>(&node.value),
            Span::FORMAT => quantity::<Span>(&node.value),
            Size::FORMAT => quantity::<Size>(&node.value),
            Share::FORMAT => quantity::<Share>(&node.value),
            BitRate::FORMAT => quantity::<BitRate>(&node.value),
            Step::FORMAT => match &node.value {
                Value::Text(text) if text.parse::<Step>().is_ok() => None,
                _ => Some(("no step of a clock".into(), "write \"+1500 ms\"".into())),
            },
            _ => None,
        };
        if let Some((what, mend)) = problem {
            self.add(&node.span, format!("{}: {what}", key(path)), mend);
        }
    }

    fn visit_whole(&mut self, schema: &Json, n: i128, node: &Node, path: &str) {
        let format = schema["format"].as_str().unwrap_or("");
        let (low, high) = match format {
            "uint8" => (0, u8::MAX.into()),
            "uint16" => (0, u16::MAX.into()),
            "uint32" => (0, u32::MAX.into()),
            _ => (0, u64::MAX.into()),
        };
        if !(low..=high).contains(&n) {
            let what = format!("{} must lie between {low} and {high}, not {n}", key(path));
            let about = schema["description"].as_str().unwrap_or("").to_owned();
            self.add(&node.span, what, about);
        }
    }

    fn add(&mut self, span: &std::ops::Range<usize>, what: String, mend: String) {
        self.problems.push(Problem { place: Some(self.document.place(span)), what, mend });
    }
}

/// Why a value is no quantity of this kind, and how to write it.
fn quantity<Q: Quantity + std::str::FromStr<Err = BadUnit>>(
    value: &Value,
) -> Option<(String, String)> {
    let units: Vec<_> = Q::UNITS.iter().map(|(name, _)| *name).collect();
    let write = |number: &str| format!("write \"{}\"", Q::example(number));
    match value {
        Value::Text(text) => {
            let why = text.parse::<Q>().err()?;
            let number = text.trim_end_matches(|c: char| !c.is_ascii_digit());
            let mend = match &why {
                BadUnit::Missing => write(number),
                BadUnit::Unknown(unit) => nearest(unit, &units),
                BadUnit::NoNumber => write("1"),
                BadUnit::Range => format!("units here: {}", units.join(", ")),
            };
            Some((why.to_string(), mend))
        }
        Value::Whole(n) => Some((BadUnit::Missing.to_string(), write(&n.to_string()))),
        Value::Real(x) => Some((BadUnit::Missing.to_string(), write(&x.to_string()))),
        other => Some((format!("must be a text with a unit, not {}", kind(other)), write("1"))),
    }
}

/// The words of an enumeration, whichever way its schema spells it.
fn words(schema: &Json) -> Vec<&str> {
    let plain = schema["enum"].as_array().into_iter().flatten().filter_map(Json::as_str);
    let told = schema["oneOf"].as_array().into_iter().flatten();
    plain.chain(told.filter_map(|s| s["const"].as_str())).collect()
}

fn is(schema: &Json, name: &str) -> bool {
    match &schema["type"] {
        Json::String(one) => one == name,
        Json::Array(several) => several.iter().any(|s| s == name) && name != "null",
        _ => false,
    }
}

fn fits(schema: &Json, value: &Value) -> bool {
    match value {
        Value::Text(_) => is(schema, "string") || !words(schema).is_empty(),
        Value::Whole(_) => is(schema, "integer") || is(schema, "number"),
        Value::Real(_) => is(schema, "number"),
        Value::Flag(_) => is(schema, "boolean"),
        Value::List(_) => is(schema, "array"),
        Value::Table(_) => is(schema, "object"),
        Value::Date => false,
    }
}

fn wanted(schema: &Json) -> &'static str {
    let names = [
        ("string", "a text"),
        ("integer", "a whole number"),
        ("number", "a number"),
        ("boolean", "true or false"),
        ("array", "a list"),
        ("object", "a table"),
    ];
    names.iter().find(|(name, _)| is(schema, name)).map_or("something else", |(_, words)| words)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Text(_) => "a text",
        Value::Whole(_) => "a whole number",
        Value::Real(_) => "a number",
        Value::Flag(_) => "true or false",
        Value::List(_) => "a list",
        Value::Table(_) => "a table",
        Value::Date => "a date",
    }
}

fn join(path: &str, step: &str) -> String {
    if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") }
}

/// The key that a path ends in, quoted.
fn key(path: &str) -> String {
    let named = path.split('.').rfind(|s| s.parse::<usize>().is_err());
    format!("\"{}\"", named.unwrap_or("the file"))
}

/// " in traffic", from the path of a table.
fn inside(path: &str) -> String {
    let steps: Vec<_> = path.split('.').filter(|s| s.parse::<usize>().is_err()).collect();
    let inside = steps.join(".");
    if inside.is_empty() { String::new() } else { format!(" in \"{inside}\"") }
}
