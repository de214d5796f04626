//! `ashiato trace list`: inquiries of other domains, and own cases.

use crate::cli::desk::Desk;
use crate::cli::form::Form;
use crate::cli::print;
use crate::exit::Exit;
use anyhow::Result;
use ashiato_collector::exchange::Received;
use serde_json::json;
use std::fmt::Write;

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Also those that wait for nobody any more.
    #[arg(long)]
    all: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t, env = "ASHIATO_TRACE_FORMAT")]
    format: Form,
}

pub(super) fn show(desk: &Desk, list: &List) -> Result<Exit> {
    let (received, cases) =
        desk.call(async |mut op| Ok((op.received().await?, op.cases().await?)))?;
    let open = |r: &&Received| list.all || r.state == "pending";
    let received: Vec<&Received> = received.iter().filter(open).collect();
    if list.format == Form::Json {
        let both = json!({ "received": received, "cases": cases });
        print(serde_json::to_string_pretty(&both)? + "\n")?;
        return Ok(Exit::Met);
    }
    let mut out = String::new();
    for one in received {
        let inquiry = &one.inquiry;
        let mark = if inquiry.exercise { "  EXERCISE" } else { "" };
        writeln!(
            out,
            "{}  from {} (began at {})  {}{mark}",
            inquiry.id, one.peer, inquiry.origin, one.state
        )?;
        let agreed: Vec<&str> = one.votes.iter().map(|v| v.operator.as_str()).collect();
        let agreed = if agreed.is_empty() { "nobody yet".into() } else { agreed.join(", ") };
        writeln!(
            out,
            "    {}, for {}; {} must agree: {agreed}",
            inquiry.tlp, inquiry.purpose, one.needs
        )?;
    }
    for case in cases.iter().filter(|_| list.all) {
        writeln!(
            out,
            "{}  own case, {}",
            case["id"].as_str().unwrap_or("-"),
            case["state"].as_str().unwrap_or("-")
        )?;
    }
    if out.is_empty() {
        out.push_str("nothing waits for people; --all shows the rest\n");
    }
    print(out)?;
    Ok(Exit::Met)
}
