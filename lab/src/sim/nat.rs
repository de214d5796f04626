//! Address and port translation of a router: its own address for every source, and a port for each.

use crate::traffic::seal_udp;
use traceback::invariant::mix2;
use traceback::packet::{Packet, proto};
use traceback::{RouterId, checksum};

/// First port that a translator gives out. Source: RFC 6335 section 6.
const FIRST_PORT: u16 = 49_152;

/// Translates the source of an IPv4 packet; others pass as they are.
///
/// Departs: ports are a hash of the old source, not a table, so two flows may share one; nothing here
/// answers, so nobody is misled by that.
pub(super) fn translate(router: RouterId, ip: &mut [u8]) {
    let Ok(packet) = Packet::parse(&*ip) else { return };
    let udp = packet.protocol() == proto::UDP && !packet.lacks_transport();
    let (start, (port, _)) = (packet.transport_offset(), packet.ports());
    let len = packet.as_bytes().len();
    if packet.is_v6() || ip[12..16] == router.0.to_be_bytes() {
        return;
    }
    let old = u32::from_be_bytes([ip[12], ip[13], ip[14], ip[15]]);
    ip[12..16].copy_from_slice(&router.0.to_be_bytes());
    ip[10..12].fill(0);
    let check = checksum::of(&ip[..usize::from(ip[0] & 0xf) * 4]);
    ip[10..12].copy_from_slice(&check.to_be_bytes());
    if udp {
        let draw = mix2(old.into(), port.into()) % 16_384;
        let port = FIRST_PORT + u16::try_from(draw).unwrap_or(0);
        ip[start..start + 2].copy_from_slice(&port.to_be_bytes());
        seal_udp(&mut ip[..len], start);
    }
}
