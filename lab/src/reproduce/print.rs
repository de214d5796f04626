//! Rows as a table, as JSON, and as CSV.

use super::Row;
use super::row::round;
use comfy_table::{CellAlignment, Table, presets};

/// A table for people, numbers to five digits.
pub fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    let head = ["ID", "PAPER", "LAW", "OURS", "LOW", "HIGH", "RUNS", "MET", "GATE"];
    table.load_style(presets::NOTHING).set_header(head);
    let number = |n: Option<f64>| n.map_or_else(|| "-".to_owned(), round);
    for row in rows {
        table.add_row([
            row.id.clone(),
            number(row.paper),
            number(row.law),
            number(row.ours),
            number(row.low),
            number(row.high),
            row.runs.to_string(),
            if row.met { "yes" } else { "NO" }.to_owned(),
            row.gate.clone(),
        ]);
    }
    for column in table.column_iter_mut().skip(1).take(6) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{table}\n")
}

/// A JSON array of rows.
pub fn json(rows: &[Row]) -> String {
    let text = serde_json::to_string_pretty(rows).expect("invariant: rows hold no maps");
    text + "\n"
}

/// Comma-separated values after RFC 4180, with a line of names; a number that does not exist is an
/// empty field.
pub fn csv(rows: &[Row]) -> String {
    let mut text = "id,paper,law,ours,low,high,runs,met,gate,why\r\n".to_owned();
    let number = |n: Option<f64>| n.map(|n| n.to_string()).unwrap_or_default();
    for row in rows {
        let numbers = [row.paper, row.law, row.ours, row.low, row.high].map(number).join(",");
        let why = row.why.as_deref().unwrap_or_default();
        let (id, gate, why) = (quote(&row.id), quote(&row.gate), quote(why));
        text += &format!("{id},{numbers},{},{},{gate},{why}\r\n", row.runs, row.met);
    }
    text
}

fn quote(field: &str) -> String {
    if field.contains([',', '"', '\n']) {
        return format!("\"{}\"", field.replace('"', "\"\""));
    }
    field.to_owned()
}
