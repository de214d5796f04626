//! What simulated packets cost: frames past routers, whole turns of the simulator, packets drawn from the law
//! of a path, and how they grow. Needs no root. See benches/README.md.

use anyhow::{Context, anyhow, ensure};
use ashiato::scenario::{self, Overrides};
use ashiato::sim::Sim;
use ashiato::world::World;
use ashiato::{plan::Plan, resolve};
use ashiato_benches::report::{keep, median, most_held_mib, rounded, slope};
use serde_json::{Map as Json, Value, json};
use std::fmt::Write as _;
use std::hint::black_box;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use traceback::arrivals::{Arrivals, Arrived};
use traceback::checksum;
use traceback::counts::Counts;
use traceback::fib::{Fib, NextHop};
use traceback::invariant::{Key, mix};
use traceback::packet::Packet;
use traceback::router::{Far, Port, Router};
use traceback::scheme::{Hop, Keeper};
use traceback::schemes::{AnyScheme, SCHEMES, entry};
use traceback::vantage::{Draws, Setting};
use traceback::{Nanos, Place, RouterId};

const ROUNDS: usize = 15;
const HOPS: u16 = 10;
/// Packets of one round past routers, and drawn from a law by each thread.
const PACKETS: u32 = 100_000;
const DRAWN: u64 = 20_000_000;
/// The kind of mark that the goal speaks of.
const BITS: u32 = 16;
/// Bytes before a packet's payload.
const HEADERS: usize = 28;

fn main() -> anyhow::Result<()> {
    let out = std::env::args().nth(1).map(PathBuf::from);
    let mut raw = String::from("what,round,value\n");
    let mut summary = Json::new();
    // First, since the most that was ever held never falls.
    memory(&mut summary, &mut raw)?;
    frames(&mut summary, &mut raw)?;
    turns(&mut summary, &mut raw)?;
    drawn(&mut summary, &mut raw)?;
    slopes(&mut summary)?;
    let summary = Value::from(summary);
    if let Some(out) = out {
        keep(&out, &[("raw.csv", raw)], &summary)?;
    }
    println!("{summary}");
    Ok(())
}

/// Nanoseconds for each router and packet, all schemes in turns; the peer is the control.
fn frames(summary: &mut Json<String, Value>, raw: &mut String) -> anyhow::Result<()> {
    let wanted = SCHEMES.iter().filter(|e| {
        let card = e.card();
        card.v4.bits() == BITS && card.keeper != Keeper::None || card.id == "none"
    });
    let schemes: Vec<_> = wanted.map(|e| e.build(&json!({}))).collect::<Result<_, _>>()?;
    let mut times = vec![vec![]; schemes.len()];
    for round in 0..ROUNDS {
        for (scheme, times) in schemes.iter().zip(&mut times) {
            let ns = walk(&**scheme, HOPS, PACKETS)? / f64::from(PACKETS) / f64::from(HOPS);
            writeln!(raw, "frame.{},{round},{ns:.3}", scheme.card().id)?;
            times.push(ns);
        }
    }
    let control = schemes.iter().position(|s| s.card().id == "none").context("no control")?;
    for (scheme, ns) in schemes.iter().zip(&times) {
        let ratio = median(ns.iter().zip(&times[control]).map(|(ns, peer)| ns / peer).collect());
        let value = json!({
            "median": rounded(median(ns.clone()), 2), "unit": "ns for each router and packet, one core",
            "peer": "the same routers without a mark", "ratio": rounded(ratio, 3),
            "goal": "<= 25 ns", "met": median(ns.clone()) <= 25.0,
        });
        summary.insert(format!("frame.{}", scheme.card().id), value);
    }
    Ok(())
}

/// Nanoseconds in which so many packets pass so many routers.
fn walk(scheme: &dyn AnyScheme, hops: u16, packets: u32) -> anyhow::Result<f64> {
    let mut routers = routers(scheme, hops);
    let fresh = packet();
    let start = Instant::now();
    for number in 0..packets {
        // As the simulator does it: a packet is parsed once, its hashes are made where they are first wanted, and no
        // two are alike.
        let (mut bytes, mut known) = (fresh, None);
        bytes[HEADERS..][..4].copy_from_slice(&number.to_be_bytes());
        let mut packet = Packet::parse(&mut bytes[..])?;
        for router in &mut routers {
            let at = (0, Nanos(number.into()));
            black_box(&router.pass_on(at, packet.lend(), &mut known));
        }
    }
    Ok(start.elapsed().as_secs_f64() * 1e9)
}

/// The same for whole turns of the simulator: packets are made, timed, forwarded, counted by taps, seen and kept by
/// the victim. The peer is the way past routers alone.
fn turns(summary: &mut Json<String, Value>, raw: &mut String) -> anyhow::Result<()> {
    for id in ["none", "fms"] {
        let plan = Arc::new(line(id, PACKETS)?);
        let scheme = entry(id)?.build(&json!({}))?;
        let (mut ours, mut peer) = (vec![], vec![]);
        for round in 0..ROUNDS {
            let each = |ns: f64| ns / f64::from(PACKETS) / f64::from(HOPS);
            let start = Instant::now();
            let traffic = Sim::new(plan.clone()).traffic(0)?;
            ours.push(each(start.elapsed().as_secs_f64() * 1e9));
            ensure!(traffic.tape.len() == u64::from(PACKETS), "packets were lost");
            peer.push(each(walk(&*scheme, HOPS, PACKETS)?));
            writeln!(raw, "turn.{id},{round},{:.3}", ours[round])?;
        }
        let ratio = median(ours.iter().zip(&peer).map(|(ours, peer)| ours / peer).collect());
        let value = json!({
            "median": rounded(median(ours), 2), "unit": "ns for each router and packet, one core, whole turn",
            "peer": "the way past routers alone", "ratio": rounded(ratio, 3),
            "goal": null, "met": null,
        });
        summary.insert(format!("turn.{id}"), value);
    }
    Ok(())
}

/// The most memory that this program held after a turn of so many packets, and after one of four times as many.
fn memory(summary: &mut Json<String, Value>, raw: &mut String) -> anyhow::Result<()> {
    let mut held = vec![];
    for packets in [10 * PACKETS, 40 * PACKETS] {
        let traffic = Sim::new(Arc::new(line("fms", packets)?)).traffic(0)?;
        ensure!(traffic.tape.len() == u64::from(packets), "packets were lost");
        held.push(most_held_mib()?);
        writeln!(raw, "turn.memory.{packets},0,{:.1}", held[held.len() - 1])?;
    }
    let ratio = held[1] / held[0];
    let value = json!({
        "median": rounded(held[1], 1), "unit": format!("MiB, the most, {} packets", 40 * PACKETS),
        "peer": "a quarter of the packets", "ratio": rounded(ratio, 3),
        "goal": "no more than 1.05 of the peer", "met": ratio <= 1.05,
    });
    summary.insert("turn.memory".into(), value);
    Ok(())
}

/// A line of routers between an attacker and a victim.
fn line(scheme: &str, packets: u32) -> anyhow::Result<Plan> {
    let routers: Vec<String> = (0..HOPS).map(|i| format!(r#"{{ id = "r{i}" }}"#)).collect();
    let link = |i: u16| format!(r#"{{ a = "r{}", b = "r{i}" }}"#, i - 1);
    let links: Vec<String> = (1..HOPS).map(link).collect();
    let text = format!(
        r#"
schema = "ashiato.scenario/1"
name = "line"
title = "A line of {HOPS} routers"
[[domain]]
id = "xa"
nation = "XA"
asns = [64512]
[topology]
routers = [{}]
links = [{}]
hosts = [
  {{ id = "victim", router = "r0", kind = "victim" }},
  {{ id = "attacker", router = "r{}", kind = "attacker" }},
]
[[scheme]]
id = "{scheme}"
[[traffic]]
id = "flood"
class = "attack"
from = "attacker"
to = "victim"
rate = "50 kpkt/s"
packets = {packets}
spoof = {{ per = "packet" }}
"#,
        routers.join(", "),
        links.join(", "),
        HOPS - 1
    );
    let scenario = scenario::parse("line.toml", &text, &Overrides::default());
    scenario.and_then(|s| resolve::plan(&s)).map_err(|r| anyhow!("{r}"))
}

fn id(i: u16) -> RouterId {
    RouterId(0xc613_0000 | u32::from(i))
}

fn routers(scheme: &dyn AnyScheme, hops: u16) -> Vec<Router> {
    let mut fib = Fib::default();
    let net: IpAddr = [198, 18, 0, 0].into();
    fib.insert(net, 15, NextHop { port: 1, via: None });
    let make = |i: u16| {
        let place = Place { id: id(i), index: i, degree: 2, asn: 64_512 };
        let far = |n: Option<u16>| Far { neighbour: n.map(id), ..Far::default() };
        let port = |n| Port { far: far(n), addresses: vec![], mtu: 1500 };
        let ports = vec![port(i.checked_sub(1)), port(Some(i + 1).filter(|n| *n < hops))];
        let mut router = Router::new(place, ports, &[], fib.clone());
        let (key, draws) = (Key(1, 2), Draws::Seeded(7));
        router.vantage = Some(scheme.vantage(Setting { place, key, draws, filter: None }));
        router
    };
    (0..hops).map(make).collect()
}

/// A UDP packet of 46 bytes, that of the shortest frame.
fn packet() -> [u8; 46] {
    let mut ip = [0; 46];
    ip[..12].copy_from_slice(&[0x45, 0, 0, 46, 0x1f, 0, 0, 0, 64, 17, 0, 0]);
    ip[12..20].copy_from_slice(&[198, 18, 255, 7, 198, 18, 0, 2]);
    ip[20..28].copy_from_slice(&[0x10, 0, 0, 9, 0, 26, 0, 0]);
    let check = checksum::of(&ip[..20]);
    ip[10..12].copy_from_slice(&check.to_be_bytes());
    ip
}

fn law(hops: u16) -> anyhow::Result<Arrivals> {
    let hop = |i: u16| {
        let place = Place { id: id(i), index: i, degree: 2, asn: 64_512 };
        (place, Hop { me: id(i), edge: u8::from(i == 0), degree: 2, ..Hop::default() })
    };
    let route: Vec<_> = (0..hops).map(hop).collect();
    let scheme = entry("fms")?.build(&json!({}))?;
    scheme.arrivals(&route, Arrived { mark: 0x1f00, ttl: 64 }).context("FMS has a law")
}

/// Packets a second on two threads, drawn and counted; the peer draws random numbers only.
fn drawn(summary: &mut Json<String, Value>, raw: &mut String) -> anyhow::Result<()> {
    let law = law(HOPS)?;
    let count = |law: Option<&Arrivals>, seed: u64| {
        let (mut ledger, mut state, mut sum) = (Counts::default(), seed, 0_u64);
        for _ in 0..DRAWN {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let random = mix(state);
            match law {
                Some(law) => ledger.add((law.pick(random).mark & 0xffff) as u16),
                None => sum ^= random,
            }
        }
        black_box((ledger.packets(), sum));
    };
    let rate = |law: Option<&Arrivals>| {
        let start = Instant::now();
        std::thread::scope(|s| (0..2).for_each(|t| drop(s.spawn(move || count(law, t)))));
        2.0 * DRAWN as f64 / start.elapsed().as_secs_f64()
    };
    let (mut ours, mut peer) = (vec![], vec![]);
    for round in 0..ROUNDS {
        ours.push(rate(Some(&law)));
        peer.push(rate(None));
        writeln!(raw, "law,{round},{:.0}\nrandom,{round},{:.0}", ours[round], peer[round])?;
    }
    let ratio = median(ours.iter().zip(&peer).map(|(a, b)| a / b).collect());
    let value = json!({
        "median": median(ours.clone()).round(), "unit": "packets/s drawn and counted, two threads, FMS, 10 hops",
        "peer": "random numbers alone", "ratio": rounded(ratio, 3),
        "goal": ">= 50,000,000", "met": median(ours) >= 50e6,
    });
    summary.insert("law".into(), value);
    Ok(())
}

/// How time grows with packets and with routers: slopes on logarithmic axes, 1 where it is linear.
fn slopes(summary: &mut Json<String, Value>) -> anyhow::Result<()> {
    let scheme = entry("fms")?.build(&json!({}))?;
    let best = |(hops, packets)| -> anyhow::Result<f64> {
        let times: Vec<f64> =
            (0..ROUNDS).map(|_| walk(&*scheme, hops, packets)).collect::<Result<_, _>>()?;
        Ok(times.into_iter().fold(f64::INFINITY, f64::min).ln())
    };
    let packets = [10_000_u32, 30_000, 100_000, 300_000].map(|n| (f64::from(n), (HOPS, n)));
    let routers = [5_u16, 10, 20, 40].map(|n| (f64::from(n), (n, 20_000)));
    for (name, sizes, goal) in [("packets", packets, 1.02), ("routers", routers, 1.1)] {
        let point = |(n, size): (f64, _)| anyhow::Ok((n.ln(), best(size)?));
        let points: Vec<_> = sizes.into_iter().map(point).collect::<Result<_, _>>()?;
        let slope = slope(&points);
        let value = json!({
            "median": rounded(slope, 3), "unit": "log-log slope of time, frames past routers, FMS",
            "peer": "linear", "ratio": rounded(slope, 3),
            "goal": format!("<= {goal}"), "met": slope <= goal,
        });
        summary.insert(format!("slope.{name}"), value);
    }
    Ok(())
}
