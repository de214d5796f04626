//! `ashiato trace`: inquiries between domains, as the people at a point of contact put, decide and read them.

use super::desk::Desk;
use super::form::Form;
use super::print;
use crate::exit::Exit;
use anyhow::Result;
use ashiato_agent::capture::{file, link};
use ashiato_collector::exchange::join::{Stretch, Way};
use ashiato_collector::exchange::{Asked, Begin, Joined, Mode, Received, Status, Verdict};
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};
use std::fmt::Write;
use std::fs::File;
use std::io::BufReader;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use traceback::case::{Budget, Case, Filter, Sample, Window};
use traceback::disclose::{Origin, Shown, Tlp, not_disclosed};
use traceback::invariant::Key;
use traceback::map::Map;
use traceback::packet::Packet;
use traceback::{Nanos, RouterId};

/// Packets taken from a capture at most.
const SAMPLES: usize = 64;

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
struct Request {
    /// The case: gateway, packets, window (JSON).
    #[arg(long, value_name = "FILE", required_unless_present = "capture")]
    case: Option<PathBuf>,
    /// A capture (pcap or pcapng) of packets as the victim got them; the first 64 to the victim are asked about.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "case",
        requires = "gateway",
        requires = "victim"
    )]
    capture: Option<PathBuf>,
    /// The router that delivers to the victim.
    #[arg(long, value_name = "ADDRESS")]
    gateway: Option<Ipv4Addr>,
    /// The victim.
    #[arg(long, value_name = "ADDRESS")]
    victim: Option<IpAddr>,
    /// The scheme.
    #[arg(long, default_value = "spie")]
    scheme: String,
    /// Who asks whom.
    #[arg(long, value_enum, default_value = "star")]
    mode: How,
    /// What for.
    #[arg(long, default_value = "traceback")]
    purpose: String,
    /// The label of questions: CLEAR, GREEN, AMBER, AMBER+STRICT or RED.
    #[arg(long, default_value = "AMBER")]
    tlp: Tlp,
    /// Seconds for everything.
    #[arg(long, default_value_t = 60)]
    deadline: u64,
    /// Seconds that a domain has for an answer; the collector's own, where left out.
    #[arg(long)]
    patience: Option<u64>,
    /// It is an exercise, which every message says.
    #[arg(long)]
    exercise: bool,
    /// Asks those next to a domain also where it says that packets came from inside, or not at all.
    #[arg(long)]
    verify: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t, env = "ASHIATO_TRACE_FORMAT")]
    format: Form,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum How {
    /// This domain asks every other itself.
    Star,
    /// Every domain asks the next.
    Recursive,
}

#[derive(Debug, clap::Args)]
struct List {
    /// Also those that wait for nobody any more.
    #[arg(long)]
    all: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t, env = "ASHIATO_TRACE_FORMAT")]
    format: Form,
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

fn ask(desk: &Desk, request: &Request) -> Result<Exit> {
    let case = match (&request.case, &request.capture) {
        (Some(path), _) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| Exit::Usage.refuse(format!("cannot read {}: {e}", path.display())))?;
            let mut case: Value = serde_json::from_str(&text)
                .map_err(|e| Exit::Usage.refuse(format!("{}: {e}", path.display())))?;
            if case["map"].is_null() {
                case["map"] = json!(Map::default());
            }
            serde_json::from_value(case)
                .map_err(|e| Exit::Usage.refuse(format!("{}: {e}", path.display())))?
        }
        (None, Some(path)) => captured(path, request)?,
        (None, None) => return Err(Exit::Usage.refuse("give --case or --capture")),
    };
    let begin = Begin {
        scheme: request.scheme.clone(),
        params: None,
        case,
        mode: match request.mode {
            How::Star => Mode::Star,
            How::Recursive => Mode::Recursive,
        },
        purpose: request.purpose.clone(),
        tlp: request.tlp,
        deadline_ms: request.deadline.saturating_mul(1_000),
        patience_ms: request.patience.unwrap_or(0).saturating_mul(1_000),
        exercise: request.exercise,
        verify: request.verify,
        names: Default::default(),
    };
    let joined = desk.call(async |mut op| op.inquire(&begin).await)?;
    match request.format {
        Form::Json => print(serde_json::to_string_pretty(&joined)? + "\n")?,
        Form::Table => print(text(&joined)?)?,
    }
    let whole = joined.unseen.is_empty() && joined.ways.iter().all(|w| w.origin == Origin::Inside);
    Ok(if whole { Exit::Met } else { Exit::Partial })
}

/// The case that a capture is.
fn captured(path: &PathBuf, request: &Request) -> Result<Case> {
    let (Some(gateway), Some(victim)) = (request.gateway, request.victim) else {
        return Err(Exit::Usage.refuse("a capture needs --gateway and --victim"));
    };
    let shown = path.display();
    let file =
        File::open(path).map_err(|e| Exit::Usage.refuse(format!("cannot read {shown}: {e}")))?;
    let mut samples: Vec<Sample> = vec![];
    file::walk(BufReader::new(file), None::<std::io::Sink>, |frame| {
        let bytes = link::ip_offset(frame.link, frame.bytes).map(|at| frame.bytes[at..].to_vec());
        let to = |b: &Vec<u8>| Packet::parse(b.as_slice()).is_ok_and(|p| p.destination() == victim);
        let bytes = bytes.filter(|b| samples.len() < SAMPLES && to(b));
        samples.extend(bytes.map(|bytes| Sample { bytes, at: frame.at }));
    })
    .map_err(|e| Exit::Usage.refuse(format!("{shown}: {e}")))?;
    if samples.is_empty() {
        return Err(Exit::Usage.refuse(format!("{shown} holds no packet to {victim}")));
    }
    let times = || samples.iter().map(|s| s.at);
    let (from, to) = (times().min().unwrap_or(Nanos(0)), times().max().unwrap_or(Nanos(u64::MAX)));
    Ok(Case {
        gateway: RouterId::from(gateway),
        filter: Filter { victim, protocol: None, source_port: None, port: None },
        window: Window { from, to },
        samples,
        key: Key(0, 0),
        map: Map::default(),
        budget: Budget::default(),
        beyond: Default::default(),
    })
}

fn show(desk: &Desk, list: &List) -> Result<Exit> {
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

/// What came of an inquiry, for people.
fn text(joined: &Joined) -> Result<String> {
    let mut out = String::new();
    let mark = if joined.exercise { "  EXERCISE" } else { "" };
    let took = joined.ended_ms.saturating_sub(joined.begun_ms);
    writeln!(out, "{}  {}  {} packets, {took} ms{mark}", joined.id, joined.tlp, joined.packets)?;
    for way in &joined.ways {
        writeln!(out, "{} packets came from {}", way.packets.len(), origin(way))?;
        for stretch in &way.stretches {
            writeln!(out, "    {:<12} {}", stretch.domain, hops(stretch))?;
        }
    }
    if !joined.unseen.is_empty() {
        writeln!(out, "{} packets were seen by nobody", joined.unseen.len())?;
    }
    for named in &joined.names {
        writeln!(
            out,
            "{} is {} of {}",
            named.name,
            hop(&named.shown, &named.domain),
            named.domain
        )?;
    }
    writeln!(out, "asked:")?;
    for asked in &joined.asked {
        writeln!(out, "    {}", question(asked))?;
    }
    for flag in &joined.flags {
        writeln!(out, "odd: {} {}", flag.domain, flag.what)?;
    }
    for (domain, reach) in &joined.escalate {
        writeln!(out, "{domain} does not answer; turn to")?;
        out.extend(reach.iter().map(super::poc::person));
    }
    Ok(out)
}

fn origin(way: &Way) -> String {
    let first = way.stretches.first().map_or("-", |s| &s.domain);
    match &way.origin {
        Origin::Inside => format!("inside {first}"),
        Origin::Domain { id } => format!("{id}, which does not say how"),
        Origin::Unknown { maybe } if maybe.is_empty() => format!("beyond {first}: not disclosed"),
        Origin::Unknown { maybe } => format!("{first} or {}: not known", maybe.join(", ")),
    }
}

fn hops(stretch: &Stretch) -> String {
    if !stretch.told {
        return format!("passed; nothing disclosed by {}", stretch.domain);
    }
    let hops: Vec<String> = stretch.hops.iter().map(|h| hop(h, &stretch.domain)).collect();
    if hops.is_empty() { "passed".into() } else { hops.join(", ") }
}

fn hop(shown: &Shown, domain: &str) -> String {
    match shown {
        Shown::Router { id } => id.to_string(),
        Shown::As { asn } => format!("AS{asn}"),
        Shown::Nation { nation } => nation.clone(),
        Shown::Alias { id } => format!("alias {id}"),
        Shown::Present => "passed".into(),
        Shown::Hidden { hops } => not_disclosed(*hops, domain),
    }
}

fn question(asked: &Asked) -> String {
    let status = match &asked.status {
        Status::Answered => format!("answered ({} told, {})", asked.told, asked.tlp),
        Status::NotSeen => "did not see them".into(),
        Status::Refused { why, .. } => format!("refused: {why}"),
        Status::Pending { .. } => "people there have not decided".into(),
        Status::AlreadySeen => "has the question already".into(),
        Status::Silent => "silent".into(),
        Status::Failed { why } => format!("failed: {why}"),
    };
    let time = asked.asked_ms.zip(asked.answered_ms).map(|(a, b)| b.saturating_sub(a));
    let time = time.unwrap_or(asked.took_ms);
    let rule = if asked.rule.is_empty() { String::new() } else { format!(", rule {}", asked.rule) };
    format!("{} about {} packets: {status}{rule}, {time} ms", asked.domain, asked.packets.len())
}
