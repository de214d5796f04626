//! The packets of a plan: a pure function of flow and sequence number, the same in every world.
//!
//! ```text
//! IPv4 20 (+ option room) or IPv6 40 (+ hop-by-hop room) | UDP 8 | payload
//! payload: "ASHI" | flow (4) | sequence (8) | tag (8) = 24 bytes, then payload room, then zeros
//! ```
//! The tag is a keyed hash of flow and sequence, so that a stray packet can be told from ours.

use crate::plan::{Flow, Forged, Plan, Room, RoomKind, Source, StartMark};
use std::net::IpAddr;
use traceback::invariant::{mix, mix2};
use traceback::packet::{Packet, proto};
use traceback::room::{HEAD, MAGIC, OPTION4, OPTION6};
use traceback::{Nanos, checksum, ioam, stats};

/// The Identification of clean runs. Distance 31 in FMS's layout, which nothing uses.
pub const CLEAN_ID: u16 = 0x1f00;

/// PadN of two bytes.
const PAD2: [u8; 2] = [1, 0];

/// Bytes of a UDP header.
const UDP: usize = 8;

/// What one of our packets says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    /// [`Flow::id`].
    pub flow: u32,
    /// Position in the flow, from 0.
    pub seq: u64,
}

/// When packet `seq` of a flow leaves, or the one that it answers.
pub fn departure(flow: &Flow, seq: u64) -> Nanos {
    Nanos(flow.start.0 + flow.gap.0 * (seq / flow.at_once()))
}

/// When the last packet of a flow leaves, or the one that it answers.
pub fn last_departure(flow: &Flow) -> Nanos {
    departure(flow, flow.packets.saturating_sub(1))
}

/// Builds the IP packet `seq` of a flow into `out`, with every checksum in place.
pub fn build(out: &mut Vec<u8>, plan: &Plan, flow: &Flow, seq: u64) {
    out.clear();
    let source = source(plan, flow, seq);
    let to = plan.hosts[flow.to].address;
    let id = identification(plan, flow, seq);
    let ttl = ttl(plan, flow, seq);
    match (source, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            header4(out, plan, flow, (id, ttl));
            out[12..16].copy_from_slice(&from.octets());
            out[16..20].copy_from_slice(&to.octets());
            let check = checksum::of(out);
            out[10..12].copy_from_slice(&check.to_be_bytes());
        }
        (from, to) => {
            let octets = |a: IpAddr| match a {
                IpAddr::V4(a) => a.to_ipv6_mapped().octets(),
                IpAddr::V6(a) => a.octets(),
            };
            header6(out, plan, flow, (id, ttl), [octets(from), octets(to)]);
            if let Some(room) = plan.room.filter(|r| options6(*r) > 0) {
                hop_by_hop(out, room, flow.id, seq);
            }
        }
    }
    udp(out, plan, flow, seq);
}

/// What the sender puts where marks go. What imitators write is put over it later.
fn identification(plan: &Plan, flow: &Flow, seq: u64) -> u16 {
    let drawn = |key| (mix2(key, u64::from(flow.id) << 40 | seq) >> 48) as u16;
    match (&flow.forged, flow.mark) {
        (Some(Forged::Value(value)), _) => *value,
        (_, StartMark::Clean) => CLEAN_ID,
        (_, StartMark::Stock) => drawn(plan.key.0),
        (_, StartMark::Random) => drawn(mix(plan.key.1)),
        (_, StartMark::Every) => (seq & 0xffff) as u16,
    }
}

fn ttl(plan: &Plan, flow: &Flow, seq: u64) -> u8 {
    if flow.ttl_spread == 0 {
        return flow.ttl;
    }
    let draw = mix2(mix(plan.key.0), u64::from(flow.id) << 40 | seq);
    let below = stats::below(draw, usize::from(flow.ttl_spread) + 1);
    flow.ttl.saturating_sub(u8::try_from(below).unwrap_or(0))
}

/// Reads back who we are from a packet, if it is one of this plan's: behind a UDP header, whatever a mark
/// in the flags makes of the packet.
pub fn tag<T: AsRef<[u8]>>(plan_key: u64, packet: &Packet<T>) -> Option<Tag> {
    let payload = packet.transport().get(UDP..)?;
    let (Some(fields), Some(MAGIC)) = (payload.get(4..24), payload.first_chunk().copied()) else {
        return None;
    };
    let flow = u32::from_be_bytes(fields[..4].try_into().ok()?);
    let seq = u64::from_be_bytes(fields[4..12].try_into().ok()?);
    let check = u64::from_be_bytes(fields[12..].try_into().ok()?);
    (check == keyed(plan_key, flow, seq)).then_some(Tag { flow, seq })
}

fn keyed(key: u64, flow: u32, seq: u64) -> u64 {
    mix(mix2(key, u64::from(flow)) ^ seq)
}

fn source(plan: &Plan, flow: &Flow, seq: u64) -> IpAddr {
    match flow.source {
        Source::Fixed(address) => address,
        Source::PerPacket { net, len } => {
            let id = u64::from(flow.id);
            match net {
                IpAddr::V4(net) => {
                    let host = u32::MAX.checked_shr(u32::from(len)).unwrap_or(0);
                    // An odd stride visits every address of the pool before one comes again, so that
                    // the source groups no packets; neither the first address nor the last is used.
                    let (start, stride) = (mix2(plan.key.1, id), mix2(plan.key.0, id) | 1);
                    let low = start.wrapping_add(seq.wrapping_mul(stride)) & u64::from(host);
                    let low = u32::try_from(low).unwrap_or(0).clamp(1, host.max(2) - 1);
                    (u32::from(net) & !host | low).to_be_bytes().into()
                }
                IpAddr::V6(net) => {
                    let host = u128::MAX.checked_shr(u32::from(len)).unwrap_or(0);
                    let draw = u128::from(keyed(plan.key.1, flow.id, seq));
                    (u128::from(net) & !host | (draw & host).max(1)).to_be_bytes().into()
                }
            }
        }
    }
}

fn room(plan: &Plan, kind: RoomKind) -> Option<usize> {
    plan.room.and_then(|r| r.records_as(kind))
}

fn header4(out: &mut Vec<u8>, plan: &Plan, flow: &Flow, (id, ttl): (u16, u8)) {
    let option = room(plan, RoomKind::Option).map_or(0, |n| (HEAD + 2 * n).next_multiple_of(4));
    let words = u8::try_from((20 + option) / 4).unwrap_or(15);
    out.extend([0x40 | words, 0]);
    out.extend(flow.size.to_be_bytes());
    out.extend(id.to_be_bytes());
    // "Don't fragment", or "more fragments follow".
    let flags = if flow.fragment { 0x20 } else { 0x40 };
    out.extend([flags, 0, ttl, proto::UDP, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    if option > 0 {
        // An odd number of records leaves two bytes, which end-of-options zeros fill.
        let len = HEAD + 2 * room(plan, RoomKind::Option).unwrap_or(0);
        out.extend([OPTION4, u8::try_from(len).unwrap_or(u8::MAX)]);
        out.resize(20 + option, 0);
    }
}

fn header6(
    out: &mut Vec<u8>,
    plan: &Plan,
    flow: &Flow,
    (id, ttl): (u16, u8),
    [from, to]: [[u8; 16]; 2],
) {
    let next = if plan.room.is_some_and(|r| options6(r) > 0) { 0 } else { proto::UDP };
    let [high, low] = id.to_be_bytes();
    out.extend([0x60, 0, high, low]);
    out.extend((flow.size - 40).to_be_bytes());
    out.extend([next, ttl]);
    out.extend(from);
    out.extend(to);
}

/// The hop-by-hop header with everything that a packet of this number reserves or asks for.
fn hop_by_hop(out: &mut Vec<u8>, room: Room, flow: u32, seq: u64) {
    let (start, total) = (out.len(), options6(room));
    out.extend([proto::UDP, u8::try_from(total / 8 - 1).unwrap_or(u8::MAX)]);
    if room.trace_nodes > 0 || room.export {
        out.extend(PAD2);
    }
    if room.trace_nodes > 0 {
        out.extend(ioam::trace(room.trace_nodes));
    }
    if room.export {
        // A run is far shorter than 2^32 packets of one flow.
        out.extend(ioam::export(flow, u32::try_from(seq).unwrap_or(u32::MAX)));
    }
    if let Some(records) = room.records_as(RoomKind::Option) {
        let len = HEAD + 2 * records;
        out.extend([OPTION6, u8::try_from(len - 2).unwrap_or(u8::MAX)]);
        out.resize(out.len() + len - 2, 0);
    }
    // PadN of RFC 8200 section 4.2 for the rest; Pad1 is a single zero.
    let pad = start + total - out.len();
    if pad >= 2 {
        out.extend([1, u8::try_from(pad - 2).unwrap_or(0)]);
    }
    out.resize(start + total, 0);
}

/// Bytes of the hop-by-hop header; 0 where there is none. IOAM's options begin at a multiple of four.
fn options6(room: Room) -> usize {
    let trace = if room.trace_nodes > 0 { ioam::trace_len(room.trace_nodes) } else { 0 };
    let ioam = trace + if room.export { ioam::EXPORT } else { 0 };
    let padded = if ioam > 0 { PAD2.len() + ioam } else { 0 };
    match padded + room.records_as(RoomKind::Option).map_or(0, |n| HEAD + 2 * n) {
        0 => 0,
        options => (2 + options).next_multiple_of(8),
    }
}

fn udp(out: &mut Vec<u8>, plan: &Plan, flow: &Flow, seq: u64) {
    let start = out.len();
    let len = flow.size - u16::try_from(start).unwrap_or(flow.size);
    out.extend(flow.source_port.to_be_bytes());
    out.extend(flow.port.to_be_bytes());
    out.extend(len.to_be_bytes());
    out.extend([0, 0]);
    out.extend(MAGIC);
    out.extend(flow.id.to_be_bytes());
    out.extend(seq.to_be_bytes());
    out.extend(keyed(plan.key.0, flow.id, seq).to_be_bytes());
    if let Some(records) = room(plan, RoomKind::Payload) {
        out.extend([OPTION4, u8::try_from(HEAD + 2 * records).unwrap_or(u8::MAX)]);
    }
    out.resize(usize::from(flow.size), 0);
    seal_udp(out, start);
}

/// Computes the UDP checksum anew; the UDP header begins at `start`.
pub(crate) fn seal_udp(out: &mut [u8], start: usize) {
    let len = u16::try_from(out.len() - start).unwrap_or(u16::MAX);
    out[start + 6..start + 8].fill(0);
    let addresses = if out[0] >> 4 == 4 { 12..20 } else { 8..40 };
    let pseudo = checksum::sum(&out[addresses]) + u32::from(proto::UDP) + u32::from(len);
    let check = match !checksum::fold(pseudo + checksum::sum(&out[start..])) {
        0 => 0xffff,
        check => check,
    };
    out[start + 6..start + 8].copy_from_slice(&check.to_be_bytes());
}

/// Bytes of the smallest packet that a plan's flows may use.
pub fn smallest(v6: bool, room: Option<Room>) -> u16 {
    let ip = if v6 { 40 } else { 20 };
    let extra = room.map_or(0, |r| {
        let option = r.records_as(RoomKind::Option);
        let option4 = option.map_or(0, |n| (HEAD + 2 * n).next_multiple_of(4));
        let payload = r.records_as(RoomKind::Payload).map_or(0, |n| HEAD + 2 * n);
        payload + if v6 { options6(r) } else { option4 }
    });
    u16::try_from(ip + 8 + 24 + extra).unwrap_or(u16::MAX)
}
