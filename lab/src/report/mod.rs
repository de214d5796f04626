//! What people look at: a table for terminals, a page, CSV, Markdown. All numbers come from the
//! summary; the page's drawings come from truth and findings.

mod axes;
pub mod chart;
mod conditions;
mod costs;
mod graph;
mod inquiries;
mod layout;
mod page;
mod percentiles;
mod text;
mod troubles;

pub use graph::Drawing;
pub use page::{document, html};
pub use text::{csv, ending, markdown, markdown_table, table};
