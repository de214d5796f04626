//! Flows: one for each sender of a stream, with its path, its source address and its numbers.

use super::Nodes;
use super::addresses::Addresses;
use super::routes::Routes;
use crate::plan::{Flow, Forged, Node, Reflects, Room, Source, StartMark};
use crate::scenario::spec::{Ip, Per, Spec, Traffic};
use crate::scenario::{Problems, Ranges};
use crate::traffic::smallest;
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::IpAddr;
use traceback::invariant::mix2;

/// Packets are at least this large: Ethernet would pad smaller ones.
const SMALLEST: u16 = 64;
/// First of the ports that systems use for senders. Source: RFC 6335 section 6.
const FIRST_PORT: u16 = 49_152;

/// One sender's way.
pub(super) struct Path {
    traffic: usize,
    from: usize,
    to: usize,
    leg: Leg,
    /// The host that the stream is meant for.
    target: usize,
    /// By position, the sender's own router first.
    pub(super) routers: Vec<usize>,
}

/// What a way is to a packet that is meant for the victim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leg {
    /// All of its way.
    Whole,
    /// To a reflector.
    Trigger,
    /// From there: the leg before leads there.
    Answer,
}

/// The ways of all flows; `None` where a receiver cannot be reached.
pub(super) fn paths(
    spec: &Spec,
    nodes: &Nodes,
    routes: &Routes,
    problems: &mut Problems<'_>,
) -> Option<Vec<Path>> {
    let host = |name: &str| {
        let found = spec.topology.hosts.iter().position(|h| h.id == name);
        found.expect("invariant: the scenario's check knows every host")
    };
    let mut paths = vec![];
    let mut sound = true;
    for (i, traffic) in spec.traffic.iter().enumerate() {
        for (step, leg, [name, receiver]) in legs(traffic) {
            let (from, to, target) = (host(name), host(receiver), host(&traffic.to));
            let (near, far) = (nodes.host_routers[from], nodes.host_routers[to]);
            if let Some(routers) = routes.path(near, far) {
                paths.push(Path { traffic: i, from, to, leg, target, routers });
                continue;
            }
            sound = false;
            let names = &spec.topology.routers;
            let what = format!("\"{receiver}\" cannot be reached from \"{name}\"");
            let mend =
                format!("no links lead from \"{}\" to \"{}\"", names[near].id, names[far].id);
            problems.add(format!("traffic.{i}.{step}"), what, mend);
        }
    }
    sound.then_some(paths)
}

/// The legs of a stream with the key that names their sender, and both of their hosts.
fn legs(traffic: &Traffic) -> Vec<(String, Leg, [&str; 2])> {
    let (to, reflectors) = (traffic.to.as_str(), traffic.reflectors());
    let mut legs = vec![];
    for (step, from) in traffic.senders() {
        if reflectors.is_empty() {
            legs.push((format!("from{step}"), Leg::Whole, [from, to]));
        }
        for (other, reflector) in &reflectors {
            legs.push((format!("from{step}"), Leg::Trigger, [from, reflector]));
            legs.push((format!("through{other}"), Leg::Answer, [reflector, to]));
        }
    }
    legs
}

/// What flows are made of.
pub(super) struct Flows<'a> {
    pub(super) spec: &'a Spec,
    pub(super) addresses: &'a Addresses,
    pub(super) ranges: &'a Ranges,
    pub(super) room: Option<Room>,
}

impl Flows<'_> {
    /// Makes one for each path.
    pub(super) fn make(&self, paths: Vec<Path>, problems: &mut Problems<'_>) -> Vec<Flow> {
        let mut forged = BTreeSet::new();
        let mut flows = vec![];
        for (id, path) in (0..).zip(paths) {
            let traffic = &self.spec.traffic[path.traffic];
            let at = format!("traffic.{}", path.traffic);
            self.survives(traffic, &path, &at, problems);
            let size = self.size(traffic, &path, &at, problems);
            let source = self.source(id, traffic, &path, &mut forged, &at, problems);
            let draw = mix2(self.spec.seed, 0x706f_7274 + u64::from(id));
            let flow = Flow {
                id,
                traffic: traffic.id.clone(),
                class: traffic.class,
                from: path.from,
                to: path.to,
                source,
                source_port: FIRST_PORT + u16::try_from(draw % 16_384).unwrap_or(0),
                port: traffic.port,
                packets: traffic.packets,
                start: traffic.start.nanos(),
                gap: traffic.rate.gap(),
                size,
                ttl: traffic.ttl,
                mark: traffic.mark,
                forged: self.forged(traffic),
                ttl_spread: traffic.ttl_spread,
                fragment: traffic.fragment,
                reflects: None,
                path: path.routers,
                ways: vec![],
            };
            flows.push(if path.leg == Leg::Answer { answer(flow, traffic) } else { flow });
        }
        flows
    }

    fn forged(&self, traffic: &Traffic) -> Option<Forged> {
        let routers = &self.spec.topology.routers;
        let position = |name: &String| {
            let found = routers.iter().position(|r| r.id == *name);
            found.expect("invariant: the scenario's check knows every router")
        };
        if !traffic.imitates.is_empty() {
            return Some(Forged::Imitated(traffic.imitates.iter().map(position).collect()));
        }
        traffic.mark_value.map(Forged::Value)
    }

    /// Every router takes one from the TTL, and none sends on what it took to zero.
    fn survives(&self, traffic: &Traffic, path: &Path, at: &str, problems: &mut Problems<'_>) {
        let hops = path.routers.len();
        // Imitated routers lower it, too.
        let lowered = traffic.imitates.len() + usize::from(traffic.ttl_spread);
        let least = usize::from(traffic.ttl).saturating_sub(lowered);
        if least <= hops {
            let what = format!("a TTL of {least} ends on the way of {hops} routers");
            problems.add(format!("{at}.ttl"), what, format!("use at least {}", hops + lowered + 1));
        }
    }

    fn size(&self, traffic: &Traffic, path: &Path, at: &str, problems: &mut Problems<'_>) -> u16 {
        let least = smallest(self.spec.ip == Ip::V6, self.room);
        let Some(size) = traffic.size else { return least.max(SMALLEST) };
        let at = format!("{at}.size");
        if size.bytes() < u64::from(least) {
            let what = format!("{size} are too few for headers, tag and room for records");
            problems.add(&at, what, format!("use at least {least} B, or leave size out"));
        }
        let most = self.narrowest(path);
        if size.bytes() > u64::from(most) {
            let what = format!("{size} do not fit the narrowest link on the way");
            problems.add(&at, what, format!("use at most {most} B"));
        }
        u16::try_from(size.bytes()).unwrap_or(u16::MAX)
    }

    /// The smallest MTU on the way.
    fn narrowest(&self, path: &Path) -> u16 {
        let links = &self.addresses.links;
        let joins = |pair: &[usize]| {
            let (a, b) = (Node::Router(pair[0]), Node::Router(pair[1]));
            let mut found = links
                .iter()
                .filter(|l| (l.a.node, l.b.node) == (a, b) || (l.a.node, l.b.node) == (b, a));
            found.next().map(|l| l.mtu)
        };
        let ends = [path.from, path.to].map(|h| links[self.addresses.hosts[h].link].mtu);
        path.routers.windows(2).filter_map(joins).chain(ends).min().unwrap_or(u16::MAX)
    }

    fn source(
        &self,
        id: u32,
        traffic: &Traffic,
        path: &Path,
        forged: &mut BTreeSet<IpAddr>,
        at: &str,
        problems: &mut Problems<'_>,
    ) -> Source {
        let of = |host: usize| Source::Fixed(self.addresses.hosts[host].address);
        let own = of(path.from);
        if path.leg == Leg::Trigger {
            return of(path.target);
        }
        let Some(spoof) = &traffic.spoof else { return own };
        let pool = spoof.pool.as_ref().and_then(|p| p.parse().ok()).unwrap_or(self.ranges.spoofed);
        match spoof.per {
            Per::Packet => Source::PerPacket { net: pool.network(), len: pool.prefix_len() },
            Per::Flow => {
                match draw(&pool, mix2(self.spec.seed, 0x7370_6f6f + u64::from(id)), forged) {
                    Some(address) => Source::Fixed(address),
                    None => {
                        let what = format!("{pool} has no address left for this flow");
                        problems.add(format!("{at}.spoof.pool"), what, "use a larger pool");
                        own
                    }
                }
            }
        }
    }
}

/// A flow from a reflector, made from what the attacker has for it: of what attackers forge, nothing gets past.
fn answer(flow: Flow, traffic: &Traffic) -> Flow {
    let mark = if flow.mark == StartMark::Stock { StartMark::Stock } else { StartMark::Clean };
    let reflects = Some(Reflects { flow: flow.id - 1, times: traffic.amplify });
    let packets = flow.packets.saturating_mul(traffic.amplify.into());
    Flow { packets, mark, forged: None, ttl_spread: 0, fragment: false, reflects, ..flow }
}

/// An address of the pool that no other flow forges: the drawn one, or the next free one.
fn draw(pool: &IpNet, draw: u64, forged: &mut BTreeSet<IpAddr>) -> Option<IpAddr> {
    let bits = u32::from(pool.max_prefix_len() - pool.prefix_len()).min(62);
    // Neither the network's own address nor the last one.
    let usable = (1_u64 << bits) - 2;
    let nth = |i: u64| match pool.network() {
        IpAddr::V4(first) => IpAddr::V4((u32::from(first) + u32::try_from(i).unwrap_or(1)).into()),
        IpAddr::V6(first) => IpAddr::V6((u128::from(first) + u128::from(i)).into()),
    };
    let tries = usable.min(forged.len() as u64 + 1);
    let free = (0..tries).map(|i| nth(1 + (draw % usable + i) % usable));
    let address = free.into_iter().find(|a| !forged.contains(a))?;
    forged.insert(address);
    Some(address)
}
