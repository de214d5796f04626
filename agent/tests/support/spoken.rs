//! Messages of routers about packets: of a kernel program's choice and of Rust's.

use super::support::packets::{Random, frame};
use super::{INTERFACE, MAC, PLACE, place, routable};
use ashiato_agent::datapath::kernel::layout::PortEntry;
use ashiato_agent::datapath::kernel::program::Program;
use ashiato_agent::datapath::kernel::teller::Told;
use aya::maps::{MapData, RingBuf};
use serde_json::json;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use traceback::fib::{Fib, NextHop};
use traceback::packet::Packet;
use traceback::router::{self, Chosen, Far, Router};
use traceback::schemes::{AnyScheme, SCHEMES};
use traceback::vantage::Vantage;
use traceback::{Nanos, RouterId};

/// What a program and its equal in Rust say.
pub(crate) struct Spoken {
    /// Where the program hands over packets that messages are about, and who writes these.
    ring: Option<RingBuf<MapData>>,
    teller: Router,
    /// Messages by the program's choice, and by Rust's.
    said: [Vec<Vec<u8>>; 2],
}

impl Spoken {
    pub(crate) fn of(scheme: &dyn AnyScheme, program: &mut Program, port: PortEntry) -> Self {
        let (ring, teller) = (program.take_ring().unwrap(), teller(scheme, port));
        Self { ring, teller, said: [vec![], vec![]] }
    }

    /// From now on packets come in by another port.
    pub(crate) fn turn(&mut self, scheme: &dyn AnyScheme, port: PortEntry) {
        self.teller = teller(scheme, port);
    }

    /// Takes over what the program chose, and writes messages about it.
    pub(crate) fn listen(&mut self, port: PortEntry) {
        let Some(ring) = &mut self.ring else { return };
        while let Some(item) = ring.next() {
            let Told { chosen, mut packet } = Told::read(&item, &[INTERFACE]).unwrap();
            drop(item);
            let mut packet = Packet::parse(&mut packet[..]).unwrap();
            // A trial's clock stands still.
            let chosen = Chosen { at: Nanos(5), port: port.index, out: Some(0), ..chosen };
            self.teller.retell(chosen, &mut packet);
            self.said[0].extend(self.teller.take_message().map(|(_, _, message)| message));
        }
    }

    /// Writes the message that Rust's step asked for.
    pub(crate) fn note(&mut self, vantage: &mut dyn Vantage, packet: &Packet<&mut [u8]>) {
        let mut message = vec![];
        if vantage.speak(packet, 0, &[OWN.into(), OWN6.into()], &mut message) {
            self.said[1].push(message);
        }
    }

    /// Both chose the same packets, and what is said about them is the same.
    pub(crate) fn check(&mut self, scheme: &dyn AnyScheme, port: PortEntry, what: &str) {
        self.listen(port);
        let [ours, theirs] = &self.said;
        let inside = |m: &&Vec<u8>| {
            let to = Packet::parse(&m[..]).unwrap().destination();
            traceback::scope::contains(to) && to != OWN && to != OWN6
        };
        // The vantage writes to whoever is to be told; the router sends none beyond the testbed.
        let theirs: Vec<_> = theirs.iter().filter(inside).collect();
        assert!(ours.iter().eq(theirs), "{what}");
        let often = scheme.params()["p"].as_f64().is_some_and(|p| p > 9e-4);
        assert!(!scheme.speaks() || !often || ours.len() > 2, "{what}: {}", ours.len());
    }
}

/// Schemes whose routers speak, with parameters that make them speak often, and wait for packets that
/// are wanted: some that come late, when messages are owed.
pub(crate) fn schemes() -> Vec<Arc<dyn AnyScheme>> {
    let mut random = Random(11);
    let frames: Vec<_> = (0..20_000).map(|_| frame(&mut random, MAC)).collect();
    let wanted = frames[15_000..].iter().filter(|f| f[12] == 8).filter_map(|f| {
        let packet = Packet::parse(&f[14..]).ok().filter(|p| !p.is_fragment())?;
        routable(&packet).then(|| packet.destination())
    });
    let wanted: Vec<_> = wanted.take(8).collect();
    let params =
        [json!({ "p": 0.001 }), json!({ "p": 0.001, "intention": true, "wanted": wanted })];
    let spoken = SCHEMES.iter().filter(|e| e.build(&json!({})).is_ok_and(|s| s.speaks()));
    spoken.flat_map(|e| params.iter().map(|p| e.build(p).unwrap())).collect()
}

/// The router's addresses where packets come in.
const OWN: Ipv4Addr = Ipv4Addr::new(198, 18, 255, 254);
const OWN6: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0xfffe);

/// A router that writes messages, at this port.
fn teller(scheme: &dyn AnyScheme, port: PortEntry) -> Router {
    let neighbour = Some(RouterId(port.from)).filter(|r| r.0 != 0);
    let near =
        Far { neighbour, border: port.border == 1, legacy: false, silent: false, link: None };
    let port = |far| router::Port { far, addresses: vec![OWN.into(), OWN6.into()], mtu: 1500 };
    // Packets of a trial leave to nobody who is known.
    let ports = [Far::default(), Far::default(), Far::default(), near].map(port);
    let mut fib = Fib::default();
    let next = NextHop { port: 0, via: None };
    ["0.0.0.0", "::"].iter().for_each(|net| fib.insert(net.parse().unwrap(), 0, next));
    let mut router = Router::new(PLACE, ports.into(), &[], fib);
    router.vantage = Some(scheme.vantage(place()));
    router
}
