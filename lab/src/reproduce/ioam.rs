//! IOAM's pre-allocated trace: how many nodes fit, and what the one too many does.
//!
//! Source: RFC 9197 section 4.4.1. `size 12` with trace type 0x800000, as Linux's route attribute has it, is room
//! for three nodes; the fourth sets the overflow flag and leaves the data alone.

use super::Job;
use super::row::{Gate, Measured, Said};
use traceback::ioam::{MAX_NODES, Trace, trace};
use traceback::packet::Packet;

/// All oracles.
pub fn jobs() -> impl Iterator<Item = Job> {
    let job = |id: &'static str, measure: fn() -> (u64, u64), law: f64| {
        Job::new(vec![id.to_owned()], move |sampling| {
            let (count, cases) = measure();
            let said = Said { paper: Some(law), law: Some(law) };
            vec![Measured::count(count, cases).row(id, said, Gate::Exact, sampling)]
        })
    };
    [job("ioam-size12-nodes", size12, 3.0), job("ioam-overflow", wrong, 0.0)].into_iter()
}

/// Nodes that write into twelve bytes, of four.
fn size12() -> (u64, u64) {
    let mut bytes = packet(3);
    ((0..4).filter(|node| push(&mut bytes, *node)).count() as u64, 4)
}

/// Over every size: nodes that write or fail when they should not, and traces that do not read back.
fn wrong() -> (u64, u64) {
    let (mut wrong, mut cases) = (0, 0);
    for nodes in 1..=u32::from(MAX_NODES) {
        let mut bytes = packet(nodes as usize);
        for node in 0..nodes + 2 {
            wrong += u64::from(push(&mut bytes, node) != (node < nodes));
            let said = Packet::parse(&bytes[..]).ok().and_then(|p| {
                let trace = Trace::of(p.trace_option())?;
                Some((trace.in_order().collect::<Vec<_>>(), trace.overflowed))
            });
            let want = ((0..=node.min(nodes - 1)).collect(), node >= nodes);
            wrong += u64::from(said != Some(want));
            cases += 2;
        }
    }
    (wrong, cases)
}

fn push(bytes: &mut [u8], node: u32) -> bool {
    Packet::parse(bytes).is_ok_and(|mut packet| packet.push_node(node))
}

/// An IPv6 packet of a hop-by-hop header and nothing else.
fn packet(nodes: usize) -> Vec<u8> {
    let option = trace(nodes);
    let header = (4 + option.len()).next_multiple_of(8);
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend(u16::try_from(header).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend([0, 64]);
    bytes.extend([0x20; 32]);
    bytes.extend([59, u8::try_from(header / 8 - 1).unwrap_or(u8::MAX), 1, 0]);
    bytes.extend(option);
    bytes.resize(40 + header, 0);
    bytes
}
