//! `ashiato trace`: inquiries between domains, as the people at a point of contact put, decide and read them.

mod joined;
mod list;
mod request;

use super::desk::Desk;
use super::print;
use crate::exit::Exit;
use anyhow::Result;
use ashiato_collector::exchange::Verdict;
use clap::Subcommand;
use list::{List, show};
use request::{Request, ask};
use traceback::disclose::Origin;

/// Arguments of `ashiato trace`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    desk: Desk,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Asks where packets came from, domain by domain, and waits for what comes of it.
    Request(Request),
    /// Shows inquiries of other domains, those that wait for people first, and own cases.
    List(List),
    /// Lets the policy's answer to an inquiry leave.
    Approve(Approve),
    /// Refuses an inquiry.
    Deny(Deny),
    /// Answers an inquiry by hand, with what a person found out.
    Answer(Answer),
    /// Shows what has left about addresses within a prefix.
    Told(Told),
}

#[derive(Debug, clap::Args)]
struct Approve {
    /// The inquiry's word.
    id: String,
}

#[derive(Debug, clap::Args)]
struct Deny {
    /// The inquiry's word.
    id: String,
    /// Why, which the asker is told.
    #[arg(long, default_value = "denied")]
    why: String,
}

#[derive(Debug, clap::Args)]
struct Answer {
    /// The inquiry's word.
    id: String,
    /// Where the packets came from: inside, unknown, not-seen, or a domain's word.
    #[arg(long)]
    from: String,
}

#[derive(Debug, clap::Args)]
struct Told {
    /// The prefix, such as 198.18.0.0/24.
    prefix: ipnet::IpNet,
}

/// Runs the verb.
///
/// # Errors
/// Bad files exit with 2, what the collector refuses with 5.
pub fn run(args: &Args) -> Result<Exit> {
    match &args.what {
        What::Request(request) => ask(&args.desk, request),
        What::List(list) => show(&args.desk, list),
        What::Approve(approve) => decide(&args.desk, &approve.id, &Verdict::Approve),
        What::Deny(deny) => decide(&args.desk, &deny.id, &Verdict::Deny { why: deny.why.clone() }),
        What::Answer(answer) => {
            let origin = match answer.from.as_str() {
                "inside" => Some(Origin::Inside),
                "unknown" => Some(Origin::Unknown { maybe: vec![] }),
                "not-seen" => None,
                id => Some(Origin::Domain { id: id.to_owned() }),
            };
            decide(&args.desk, &answer.id, &Verdict::Answer { origin })
        }
        What::Told(told) => {
            let facts = args.desk.call(async |mut op| op.left_about(told.prefix).await)?;
            let lines = facts.iter().map(|fact| Ok(serde_json::to_string(fact)? + "\n"));
            print(lines.collect::<Result<String>>()?)?;
            Ok(Exit::Met)
        }
    }
}

fn decide(desk: &Desk, id: &str, verdict: &Verdict) -> Result<Exit> {
    let missing = desk.call(async |mut op| op.decide(id, verdict).await)?;
    let denied = matches!(verdict, Verdict::Deny { .. });
    print(match (denied, missing) {
        (true, _) => format!("{id} is denied\n"),
        (false, 0) => format!("{id} is answered\n"),
        (false, n) => format!("noted; {n} more must agree to {id}\n"),
    })?;
    Ok(Exit::Met)
}
