//! What was measured beside what was promised, as JSON.

use crate::lanes::{Empty, Spec, Way};
use crate::rates::Rates;
use crate::report::{median, rounded};
use crate::steps::{Steps, is_measured};
use crate::traffic::{Ends, Kind};
use ashiato_agent::config::Datapath;
use ashiato_agent::datapath::kernel::program::Hook;
use serde_json::{Map, Value, json};
use traceback::schemes::{AnyScheme, SCHEMES, find};

/// Benchmarks by name.
pub type Summary = Map<String, Value>;

/// How lanes end that ask the kernel for the way of every packet.
const ASKING: &str = ".asking";

/// Lanes of every datapath and scheme, unmarked ones among them.
pub fn specs() -> Vec<Spec> {
    let (tc, xdp) = (Way::Agent(Datapath::Tc), Way::Agent(Datapath::Xdp));
    let afpacket = Way::Agent(Datapath::Afpacket);
    let spec = |name: &str, way, scheme, every, kind| {
        let asks = name.ends_with(ASKING);
        Spec { name: name.into(), way, scheme, every, asks, kind }
    };
    let mut specs = vec![];
    for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_v6()) {
        let long = kind.suffix();
        specs.push(spec(&format!("tc.unmarked{long}"), Way::Kernel, "", 0, kind));
        specs.push(spec(&format!("xdp.unmarked{long}"), Way::Plain, "", 0, kind));
    }
    let short = Kind::Short;
    for (name, empty) in [
        ("tc.empty", Empty::Next),
        ("tc.empty.last", Empty::Last),
        ("tc.empty.ingress", Empty::Ingress),
        ("tc.empty.filter", Empty::Filter),
    ] {
        specs.push(spec(name, Way::Hook(empty), "", 0, short));
    }
    specs.push(spec("xdp.unmarked.asking", Way::Asking, "", 0, short));
    specs.push(spec("xdp.fms.asking", xdp, "fms", 0, short));
    // The way through the namespaces is IPv4's.
    let built = SCHEMES.iter().filter_map(|e| e.build(&json!({})).ok());
    let measured = built.filter(|s| is_measured(&**s)).map(|s| s.card());
    for card in measured.filter(|card| !Kind::of(card).is_v6()) {
        let (id, kind) = (card.id, Kind::of(&card));
        specs.push(spec(&format!("tc.{id}"), tc, id, 0, kind));
        specs.push(spec(&format!("xdp.{id}"), xdp, id, 0, kind));
    }
    specs.push(spec("tc.fms.sampled", tc, "fms", 64, short));
    specs.push(spec("xdp.fms.sampled", xdp, "fms", 64, short));
    specs.push(spec("xdp-pass.fms", Way::Agent(Datapath::XdpPass), "fms", 0, short));
    specs.push(spec("afpacket.none", afpacket, "none", 64, short));
    specs.push(spec("afpacket.fms", afpacket, "fms", 64, short));
    specs.push(spec("nfqueue.fms", Way::Queue, "fms", 0, short));
    specs
}

/// What a scheme does that costs time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Nothing,
    Bits,
    Hash,
    Log,
    /// A keyed hash of the packet that nobody without the key can make.
    Mac,
}

impl Work {
    fn of(scheme: &dyn AnyScheme, keyed: bool) -> Self {
        let card = scheme.card();
        match () {
            () if scheme.log().is_some() => Self::Log,
            () if scheme.outsider().is_some() => Self::Mac,
            () if card.hashes || keyed => Self::Hash,
            () if card.v4.bits().max(card.v6.bits()) > 0 || card.records => Self::Bits,
            () => Self::Nothing,
        }
    }

    /// Nanoseconds above parsing that a step may take.
    fn step_goal(self) -> Option<f64> {
        match self {
            Self::Nothing => None,
            Self::Bits => Some(10.0),
            Self::Hash => Some(25.0),
            Self::Log => Some(40.0),
            Self::Mac => Some(60.0),
        }
    }

    /// Part of the unmarked rate that a datapath must keep.
    fn rate_goal(self, way: Way) -> Option<f64> {
        let (bits, hash, mac) = match way {
            Way::Agent(Datapath::Xdp) => (0.92, 0.80, 0.72),
            Way::Agent(Datapath::Tc) => (0.96, 0.90, 0.85),
            _ => return None,
        };
        match self {
            Self::Nothing => None,
            Self::Bits => Some(bits),
            Self::Hash | Self::Log => Some(hash),
            Self::Mac => Some(mac),
        }
    }
}

fn work(id: &str, keyed: bool) -> Work {
    let scheme = find(id).and_then(|e| e.build(&json!({})).ok());
    scheme.map_or(Work::Nothing, |s| Work::of(&*s, keyed))
}

/// The frames on which a scheme is measured.
fn kind(id: &str) -> Kind {
    find(id).map_or(Kind::Short, |e| Kind::of(&e.card()))
}

/// Single programs: the slower of the two hooks counts.
pub fn steps(steps: &Steps, summary: &mut Summary) {
    for name in steps.names().into_iter().filter(|n| *n != "empty" && !n.starts_with("none.")) {
        let id = name.trim_end_matches(".keyed");
        // What only parses is compared with what does nothing at all.
        let (peer, what) = match id {
            "none" => ("empty".to_owned(), "an empty program"),
            _ => (
                format!("none{}", kind(id).suffix()),
                "a program that parses, counts and decides, but marks nothing, on the same frames",
            ),
        };
        let above = |hook| steps.compare(name, &peer, hook, |ns, peer| ns - peer);
        let ratio = |hook| steps.compare(name, &peer, hook, |ns, peer| ns / peer);
        let (tc, xdp) = (above(Hook::Tc), above(Hook::Xdp));
        let (slower, hook) = if tc > xdp { (tc, Hook::Tc) } else { (xdp, Hook::Xdp) };
        let goal = work(id, name != id).step_goal();
        let value = json!({
            "median": rounded(slower, 2), "unit": "ns/packet above the peer, the slower of tc and xdp",
            "tc": rounded(tc, 2), "xdp": rounded(xdp, 2),
            "peer": what, "ratio": rounded(ratio(hook), 3),
            "goal": goal.map(|g| format!("<= {g} ns")), "met": goal.map(|g| slower <= g),
        });
        summary.insert(format!("step.{name}"), value);
    }
}

/// Whole paths, and what timing costs.
pub fn rates(rates: &Rates, specs: &[Spec], summary: &mut Summary) {
    for spec in specs {
        let Spec { name, way, scheme, kind, .. } = spec;
        let (unmarked, what) = match way {
            Way::Agent(Datapath::Xdp) if spec.asks => {
                ("xdp.unmarked.asking", "XDP forwarding only, which asks for every packet, too")
            }
            Way::Agent(Datapath::Xdp) | Way::Plain | Way::Asking => {
                ("xdp.unmarked", "XDP forwarding only")
            }
            _ => ("tc.unmarked", "the kernel forwarding"),
        };
        let peer = format!("{unmarked}{}", kind.suffix());
        let goal = work(scheme, false).rate_goal(*way);
        let ratio = rates.ratio(name, &peer);
        let Ends { sent, arrived, .. } = rates.ends(name);
        let value = json!({
            "median": rates.median(name).round(), "unit": "packet/s of one core, all the way",
            "peer": what, "ratio": rounded(ratio, 4), "sent": sent, "lost": sent - arrived,
            "goal": goal.map(|g| format!(">= {g} of the peer")), "met": goal.map(|g| ratio >= g),
        });
        summary.insert(format!("e2e.{name}"), value);
    }
    for (datapath, goal) in [("xdp", 20.0), ("tc", 6.0)] {
        let fms = format!("{datapath}.fms");
        let ratio = rates.ratio(&fms, "nfqueue.fms");
        let value = json!({
            "median": rates.median(&fms).round(), "unit": "packet/s of one core, all the way",
            "peer": "fms by iptables -j NFQUEUE and crate nfq 0.2.5", "ratio": rounded(ratio, 2),
            "goal": format!(">= {goal} times the peer"), "met": ratio >= goal,
        });
        summary.insert(format!("vs_nfqueue.{datapath}"), value);
        let ratio = rates.ratio(&format!("{fms}.sampled"), &fms);
        let cost = (1.0 - ratio) * 100.0;
        let value = json!({
            "median": rounded(cost, 2), "unit": "% of fms's rate",
            "peer": "the same with no step timed", "ratio": rounded(ratio, 4),
            "goal": "< 2 %, one step in 64 timed", "met": cost < 2.0,
        });
        summary.insert(format!("sampling.{datapath}"), value);
    }
}

/// Packets lost at half of each lane's own rate.
pub fn loss(paced: &Rates, peak: &Rates, want: u64, summary: &mut Summary) {
    let mut sum = Ends::default();
    for row in &paced.rows {
        sum.sent += row.ends.sent;
        sum.arrived += row.ends.arrived;
    }
    let lost = sum.sent - sum.arrived;
    let rates = paced.rows.iter().map(|r| peak.median(&r.lane) / 2.0).collect();
    let value = json!({
        "median": lost, "unit": "packets lost", "sent": sum.sent,
        "peer": "half of the rate that each datapath and scheme reaches",
        "pace": median(rates).round(), "ratio": lost as f64 / sum.sent as f64,
        "goal": format!("0 of {want}"), "met": lost == 0 && sum.sent >= want,
    });
    summary.insert("loss".into(), value);
}
