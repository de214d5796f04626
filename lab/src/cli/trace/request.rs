//! `ashiato trace request`: an inquiry about a case, or about the packets of a capture.

use super::joined::text;
use crate::cli::desk::Desk;
use crate::cli::form::Form;
use crate::cli::print;
use crate::exit::Exit;
use anyhow::Result;
use ashiato_agent::capture::{file, link};
use ashiato_collector::exchange::{Begin, Mode};
use clap::ValueEnum;
use serde_json::{Value, json};
use std::fs::File;
use std::io::BufReader;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use traceback::case::{Budget, Case, Filter, Sample, Window};
use traceback::disclose::{Origin, Tlp};
use traceback::invariant::Key;
use traceback::map::Map;
use traceback::packet::Packet;
use traceback::{Nanos, RouterId};

/// Packets taken from a capture at most.
const SAMPLES: usize = 64;

#[derive(Debug, clap::Args)]
pub(super) struct Request {
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

pub(super) fn ask(desk: &Desk, request: &Request) -> Result<Exit> {
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
