//! Sealed tunnels between hosts: what the network between them sees, what becomes of what others send there, and
//! that whole packets pass.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod lab;
mod support;

use ashiato::netns::within;
use ashiato::plan::{Node, Plan};
use ashiato_agent::datapath::socket::{Opening, PacketSocket};
use lab::{FIRST, INTERNAL, Lab, TWO};
use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use support::{over, root, shipped};

/// UDP ports of sealed and bare tunnels.
const SEALED: u16 = 51_820;
const BARE: u16 = 4789;
/// Bytes before a UDP payload, in a frame between two hosts.
const UDP: usize = 14 + 20 + 8;

/// One frame on the cable of a host.
type Frame = Vec<u8>;

/// The cable of lab-a, seen from the switch: what it sends and what it gets.
struct Cable {
    socket: PacketSocket,
}

impl Cable {
    fn of(lab: &Lab) -> Self {
        let switch = Path::new("/run/netns").join(&lab.spaces[0]);
        let opening = Opening {
            interface: Some("c1"),
            ignore_outgoing: false,
            receive_buffer: Some(64 << 20),
            ..Opening::default()
        };
        Self { socket: within(&switch, || Ok(PacketSocket::open(&opening)?)).unwrap() }
    }

    /// Everything that comes past until the run has ended.
    fn watch(&self, run: &mut std::process::Child) -> Vec<Frame> {
        let (mut frames, mut buffer) = (vec![], vec![0; 1 << 16]);
        while run.try_wait().unwrap().is_none() {
            while let Ok(Some(length)) = self.socket.recv(&mut buffer, Duration::from_millis(50)) {
                frames.push(buffer[..length].to_vec());
            }
        }
        frames
    }
}

/// Whether it is UDP over IPv4 to this port.
fn goes_to(frame: &[u8], port: u16) -> bool {
    frame.len() >= UDP
        && frame[12..14] == [8, 0]
        && frame[23] == 17
        && u16::from_be_bytes([frame[36], frame[37]]) == port
}

/// Frames in which the victim's address can be read.
fn readable(frames: &[Frame], plan: &Plan) -> usize {
    let IpAddr::V4(victim) = plan.hosts[plan.case.victim].address else { panic!("IPv6") };
    let shows = |frame: &&Frame| frame.windows(4).any(|bytes| bytes == victim.octets());
    frames.iter().filter(shows).count()
}

fn evidence(lab: &Lab) -> String {
    fs::read_to_string(lab.out().join("evidence.ndjson")).unwrap()
}

#[test]
fn the_network_between_hosts_sees_nothing_and_changes_nothing() {
    if !root() {
        return;
    }
    let plan = shipped("first", &over(&[], &[], 1));
    let lab = Lab::open(&TWO, INTERNAL);
    bare_links_can_be_read(&lab, &plan);
    fs::rename(lab.out(), lab.dir.join("bare")).unwrap();
    sealed_ones_cannot_and_take_nothing_from_others(&lab, &plan);
    fs::rename(lab.out(), lab.dir.join("sealed")).unwrap();
    a_port_that_is_taken_is_a_host_that_is_not_ready(&lab);
}

fn a_port_that_is_taken_is_a_host_that_is_not_ready(lab: &Lab) {
    let host = Path::new("/run/netns").join(&lab.spaces[2]);
    let taken = within(&host, || Ok(UdpSocket::bind(("10.254.0.2", SEALED))?)).unwrap();
    let code = lab.run(FIRST, &[]).wait().unwrap().code();
    drop(taken);
    assert_eq!(code, Some(3), "{}", lab.logs());
    assert!(lab.logs().contains("cannot listen on UDP 10.254.0.2:51820"), "{}", lab.logs());
    lab.until("hosts remove everything", 20, |l| TWO.iter().all(|(h, _)| l.record(h).is_none()));
}

/// What the second step looks for is there to be found.
fn bare_links_can_be_read(lab: &Lab, plan: &Plan) {
    let placement = lab.dir.join("placement.toml");
    let text = fs::read_to_string(&placement).unwrap();
    fs::write(&placement, format!("tunnels = \"bare\"\n{text}")).unwrap();
    let cable = Cable::of(lab);
    let mut run = lab.run(FIRST, &["--set", "traffic.flood.packets=1000"]);
    let frames = cable.watch(&mut run);
    let vxlan = frames.iter().filter(|frame| goes_to(frame, BARE)).count();
    assert!(vxlan > 1000 && readable(&frames, plan) >= 1000, "{vxlan}: {}", lab.logs());
    fs::write(&placement, text).unwrap();
}

fn sealed_ones_cannot_and_take_nothing_from_others(lab: &Lab, plan: &Plan) {
    let cable = Cable::of(lab);
    let mut run = lab.run(FIRST, &[]);
    lab.flows();
    let first = next_sealed(&cable);
    let forged = forge(&cable, &first);
    whole_packets_pass(lab, plan);
    let frames = cable.watch(&mut run);
    assert_eq!(run.wait().unwrap().code(), Some(0), "{}", lab.logs());
    let sealed = frames.iter().filter(|frame| goes_to(frame, SEALED)).count();
    assert!(sealed > 1000, "only {sealed} of {} frames", frames.len());
    assert!(!frames.iter().any(|frame| goes_to(frame, BARE)));
    assert_eq!(readable(&frames, plan), 0);
    let refused = format!("{{\"dropped\":0,\"host\":\"lab-a\",\"refused\":{forged}}}");
    assert!(evidence(lab).contains(&refused), "{refused} is not in {}", evidence(lab));
}

/// A sealed packet on its way to lab-a.
fn next_sealed(cable: &Cable) -> Frame {
    let end = Instant::now() + Duration::from_secs(10);
    let mut buffer = vec![0; 1 << 16];
    while Instant::now() < end {
        let got = cable.socket.recv(&mut buffer, Duration::from_millis(50)).unwrap();
        let frame = &buffer[..got.unwrap_or(0)];
        // 4 begins a packet with a frame inside.
        if goes_to(frame, SEALED) && frame[29] == 3 && frame[UDP] == 4 && frame.len() > UDP + 100 {
            return frame.to_vec();
        }
    }
    panic!("nothing went to lab-a");
}

/// Sends to lab-a, as if from lab-b: the same packet again, packets with one bit changed, and noise; how many.
fn forge(cable: &Cable, genuine: &Frame) -> usize {
    let mut forged = vec![genuine.clone(); 3];
    for at in [UDP, UDP + 4, UDP + 8, UDP + 16, UDP + 40, genuine.len() - 1] {
        let mut frame = genuine.clone();
        frame[at] ^= 1;
        forged.push(frame);
    }
    let mut noise = genuine.clone();
    noise[UDP..].fill(0xa5);
    forged.push(noise);
    for frame in &mut forged {
        // No checksum: the receiver's kernel lets it through, and the seal must decide.
        frame[40..42].fill(0);
        cable.socket.send(frame).unwrap();
    }
    forged.len()
}

/// A packet as long as the link lets through, from node to node, over an underlay whose own packets are no longer.
fn whole_packets_pass(lab: &Lab, plan: &Plan) {
    let hosts = TWO.map(|(host, nodes)| (host, nodes.split(' ').collect::<Vec<_>>()));
    let of = |node: Node| hosts.iter().find(|(_, nodes)| nodes.contains(&plan.node_name(node)));
    let crosses =
        |link: &&ashiato::plan::LinkPlan| of(link.a.node).unwrap().0 != of(link.b.node).unwrap().0;
    let link = plan.links.iter().find(crosses).unwrap();
    let space = |node: Node| -> PathBuf {
        let names = lab.record(of(node).unwrap().0).unwrap().namespaces;
        let wanted = format!("-{}", plan.node_name(node));
        Path::new("/run/netns").join(names.keys().find(|name| name.ends_with(&wanted)).unwrap())
    };
    let to = SocketAddr::new(link.b.address, 7777);
    let receiver = within(&space(link.b.node), || Ok(UdpSocket::bind(to)?)).unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let whole = vec![0x5a; usize::from(link.mtu) - 28];
    within(&space(link.a.node), || {
        let sender = UdpSocket::bind((link.a.address, 0))?;
        Ok(sender.send_to(&whole, to)?)
    })
    .unwrap();
    let mut got = vec![0; 1 << 16];
    let length = receiver.recv(&mut got).unwrap();
    assert_eq!(got[..length], whole[..]);
}
