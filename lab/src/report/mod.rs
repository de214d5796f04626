//! What people look at, all of it made from the summary: a table for terminals, a page, CSV, Markdown.

mod page;
mod text;

pub use page::html;
pub use text::{csv, ending, markdown, table};
