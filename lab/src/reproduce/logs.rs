//! SPIE's logs at one router: what they remember, what they forget, and the memory that they take.
//!
//! Source: snoeren2001 sections 4.2 and 5.2: no packet is denied while its page is kept, every one is forgotten with
//! it, and a page takes its bits whatever packets are large. Kept apart from [`super::spie`], whose rows are of chance.

use super::Job;
use super::chance::{Chance, Sampling};
use super::packets::{repair, udp4};
use super::row::{Gate, Measured, Row, Said};
use serde_json::json;
use traceback::case::Query;
use traceback::invariant::{Invariant, Key};
use traceback::packet::Packet;
use traceback::scheme::Hop;
use traceback::schemes::find;
use traceback::vantage::{Draws, Setting, Vantage};
use traceback::{Nanos, Place, RouterId};

const KEPT: &str = "spie-false-negatives";
const FORGOTTEN: &str = "spie-forgotten";
const MEMORY: &str = "spie-memory";
/// Packets of a page where logs are filled, and pages kept and pushed out.
const EACH: u32 = 4_096;
const PAGES_KEPT: u32 = 4;

/// Oracles of logs.
pub fn jobs() -> impl Iterator<Item = Job> {
    let negatives = [KEPT, FORGOTTEN].map(str::to_owned).to_vec();
    [Job::new(negatives, false_negatives), Job::new(vec![MEMORY.into()], |s| vec![memory(s)])]
        .into_iter()
}

/// Whose log it is.
const ME: RouterId = RouterId(0x0aff_0001);

/// A router with a small log, and the digests of packets that it has forwarded, one each nanosecond.
struct Logger {
    vantage: Box<dyn Vantage>,
    key: Key,
    digests: Vec<u64>,
}

impl Logger {
    fn new(chance: &mut Chance) -> Self {
        let place = Place { id: ME, index: 0, degree: 2, asn: 0 };
        let key = Key(chance.word(), chance.word());
        let setting = Setting { place, key, draws: Draws::Keyed, filter: None };
        let params = json!({
            "bits": EACH * 12, "hashes": 8, "packets": EACH, "pages": PAGES_KEPT,
        });
        let entry = find("spie").expect("invariant: the registry lists SPIE");
        let scheme = entry.build(&params).expect("invariant: sizes above are in range");
        Self { vantage: scheme.vantage(setting), key, digests: vec![] }
    }

    fn forward(&mut self, mut bytes: Vec<u8>) {
        let Ok(mut packet) = Packet::parse(&mut bytes[..]) else { return };
        let at = Nanos(self.digests.len() as u64);
        self.digests.push(Invariant::of(&packet, self.key).digest);
        self.vantage.forward(Hop { me: ME, ttl: packet.ttl(), at, ..Hop::default() }, &mut packet);
    }

    /// Of packets numbered so, how many the router denies when asked about their time.
    fn denied(&self, packets: std::ops::Range<u32>) -> u64 {
        let [from, to] = [packets.start, packets.end - 1].map(|n| Nanos(n.into()));
        let keys = self.digests[packets.start as usize..packets.end as usize].to_vec();
        let answer = self.vantage.answer(&Query { keys, from, to });
        answer.values.iter().filter(|v| v.is_none()).count() as u64
    }
}

/// Packets that a router forwarded and denies: of pages that it keeps none, of pages pushed out all.
fn false_negatives(sampling: &Sampling) -> Vec<Row> {
    let routers = sampling.runs(64, 16);
    let half = PAGES_KEPT * EACH;
    let denied = sampling.sample(KEPT, routers, |chance| {
        let mut logger = Logger::new(chance);
        (0..2 * half).for_each(|_| logger.forward(udp4(chance)));
        [logger.denied(half..2 * half), logger.denied(0..half)]
    });
    let cases = routers * u64::from(half);
    let row = |at: usize, id, law: u64| {
        let said = Said { paper: None, law: Some(law as f64) };
        let count = denied.iter().map(|both| both[at]).sum();
        Measured::count(count, cases).row(id, said, Gate::Exact, sampling)
    };
    vec![row(0, KEPT, 0), row(1, FORGOTTEN, cases)]
}

/// Most bytes that pages of so many bits take, with packets of 52 to 1,452 bytes: their bits, and nothing by packet.
fn memory(sampling: &Sampling) -> Row {
    let routers = sampling.runs(64, 16);
    let bytes = sampling.sample(MEMORY, routers, |chance| {
        let mut logger = Logger::new(chance);
        let longer = 1_400 * chance.below(2);
        for _ in 0..PAGES_KEPT * EACH {
            let mut packet = udp4(chance);
            packet.resize(packet.len() + longer, 0);
            let length = u16::try_from(packet.len()).unwrap_or(u16::MAX);
            packet[2..4].copy_from_slice(&length.to_be_bytes());
            repair(&mut packet);
            logger.forward(packet);
        }
        logger.vantage.footprint() as u64
    });
    let law = f64::from(PAGES_KEPT * EACH * 12 / 8);
    let same = bytes.iter().all(|taken| *taken == bytes[0]);
    let taken = if same { bytes[0] } else { u64::MAX };
    Measured::count(taken, routers).row(
        MEMORY,
        Said { paper: None, law: Some(law) },
        Gate::Exact,
        sampling,
    )
}
