//! `ashiato scheme list|show ID`: the schemes' fact sheets, made from their cards.

use super::form::Form;
use crate::exit::Exit;
use clap::Subcommand;
use comfy_table::{Table, presets};
use serde_json::json;
use traceback::schemes::{Entry, SCHEMES};

/// Arguments of `ashiato scheme`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One line for each scheme.
    List {
        /// How to print.
        #[arg(long, value_enum, default_value_t, env = "ASHIATO_SCHEME_FORMAT")]
        format: Form,
    },
    /// One scheme's fact sheet and parameters.
    Show {
        /// The scheme's id, as `scheme list` shows it.
        id: String,
        /// How to print.
        #[arg(long, value_enum, default_value_t, env = "ASHIATO_SCHEME_FORMAT")]
        format: Form,
    },
}

/// Runs the verb.
///
/// # Errors
/// [`Exit::Usage`] where no scheme has the id.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let text = match &args.what {
        What::List { format: Form::Json } => {
            json_text(&SCHEMES.iter().map(|s| sheet(*s)).collect())
        }
        What::List { format: Form::Table } => list(),
        What::Show { id, format } => {
            let scheme = traceback::schemes::find(id).ok_or_else(|| unknown(id))?;
            match format {
                Form::Json => json_text(&sheet(scheme)),
                Form::Table => show(scheme),
            }
        }
    };
    super::print(text)?;
    Ok(Exit::Met)
}

/// Ids of all schemes, for messages.
pub fn ids() -> impl Iterator<Item = &'static str> {
    SCHEMES.iter().map(|s| s.card().id)
}

fn unknown(id: &str) -> anyhow::Error {
    let all: Vec<_> = ids().collect();
    Exit::Usage.refuse(format!("no scheme is called \"{id}\"; there are: {}", all.join(", ")))
}

fn sheet(scheme: &dyn Entry) -> serde_json::Value {
    json!({ "card": scheme.card(), "params": scheme.defaults() })
}

fn json_text(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

fn list() -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["SCHEME", "TITLE", "NAMES", "PAPER"]);
    for scheme in SCHEMES {
        let card = scheme.card();
        table.add_row([card.id, card.title, &word(card.names), card.paper]);
    }
    format!("{table}\n")
}

fn show(scheme: &dyn Entry) -> String {
    let card = scheme.card();
    let rows = [
        ("scheme", card.id.to_owned()),
        ("title", card.title.to_owned()),
        ("paper", card.paper.to_owned()),
        ("slot in IPv4", format!("{}, {} bits", word(card.v4), card.v4.bits())),
        ("slot in IPv6", format!("{}, {} bits", word(card.v6), card.v6.bits())),
        ("room for records", yes(card.records)),
        ("ledger kept by", word(card.keeper)),
        ("names", word(card.names)),
        ("needs a map", yes(card.needs_map)),
        ("groups by flow", yes(card.groups_by_flow)),
        ("harms", card.harms.to_owned()),
        ("state", card.state.to_owned()),
        ("parameters", scheme.defaults().to_string()),
    ];
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (key, value) in rows {
        table.add_row([key, &value]);
    }
    format!("{table}\n")
}

/// A unit variant's name as JSON spells it.
fn word(value: impl serde::Serialize) -> String {
    let text = serde_json::to_value(value).ok();
    text.and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}
