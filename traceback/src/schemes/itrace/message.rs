//! The bytes of an ICMP traceback message: elements of type (8), length (16) and value, without padding.
//!
//! ```text
//! IP, TTL 255 | ICMP: TRACEBACK, 0, checksum | 01 Back Link | 02 Forward Link | 03 Timestamp
//!   | 05 Probability | 06 RouterId | 08 Key Disclosure List | 04 Traced Packet | 07 HMAC
//! link:  81 Interface Name | 82 IPv4 Address Pair (upstream, downstream) | 85 Operator-Defined Link Identifier
//! list:  86 Key Disclosure (key id 8, start 8, end 8, length 1, key 32) ... | 87 Disclosure Signature (length 2,
//!        signature 32, URL)
//! HMAC:  algorithm (2) | key id (8) | HMAC-SHA-256 (32) over the datagram, mutable fields and checksum zero
//! ```
//! Source: draft-ietf-itrace-04 section 2. The type was never assigned: 253 in IPv4 and 200 in IPv6 are for
//! experiments (RFC 4727 section 4, RFC 4443 section 2.1). Algorithm 4 is SHA2-256 of the registry that the draft
//! names. The draft does not say what the ICMP checksum is under the HMAC that it covers; here it is zero.

use super::keys::{self, KEY, Keys};
use crate::checksum;
use crate::ledger::{BadBytes, Reader};
use crate::packet::{Packet, proto};
use crate::scheme::{About, Nanos, RouterId};
use std::net::IpAddr;
use std::ops::Range;

/// ICMP types.
const TRACEBACK4: u8 = 253;
const TRACEBACK6: u8 = 200;
/// Longest message: the smallest MTU that every path must have.
const LONGEST4: usize = 576;
const LONGEST6: usize = 1280;
/// SHA2-256 among the hash algorithms of IPsec's registry.
const SHA2_256: u16 = 4;
/// Where certificates would be; there are none, since operators of one testbed share the run's key.
const URL: &[u8] = b"urn:ashiato:run-key";
/// Keys that one message can disclose and still quote headers.
pub const MOST_DISCLOSED: u8 = 3;

/// One link, in the order in which the traced packet passed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The end nearer the sender; 0 for a host.
    pub upstream: RouterId,
    /// The end nearer the receiver; 0 for a host.
    pub downstream: RouterId,
}

/// What a message says, without what proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// The link by which the packet came.
    pub back: Link,
    /// The link by which it went on.
    pub forward: Link,
    /// When, in NTP's format from the run's zero.
    pub timestamp: u64,
    /// One packet in so many is traced.
    pub inverse: u32,
    /// Who says so.
    pub router: RouterId,
    /// As much of the packet as fits.
    pub traced: &'a [u8],
    /// The epoch whose key proves the message.
    pub epoch: u64,
}

/// Whether a packet is a traceback message, lawful or not.
pub fn is_message<T: AsRef<[u8]>>(packet: &Packet<T>) -> bool {
    let (protocol, kind) = kind(packet.is_v6());
    packet.protocol() == protocol
        && !packet.is_fragment()
        && packet.ports().0 == u16::from_be_bytes([kind, 0])
}

/// Protocol and type in a version of IP.
fn kind(v6: bool) -> (u8, u8) {
    if v6 { (proto::ICMP6, TRACEBACK6) } else { (proto::ICMP, TRACEBACK4) }
}

/// Writes the message of a router about a packet; says whether the router has an address for it.
pub fn write(
    about: &About<'_>,
    inverse: u32,
    keys: Keys,
    disclosed: u8,
    out: &mut Vec<u8>,
) -> bool {
    out.clear();
    let (v6, hop) = (about.to.is_ipv6(), about.hop);
    let Some(from) = source(about) else { return false };
    header(out, v6, about.packet, [from, about.to]);
    let body = out.len();
    out.extend([kind(v6).1, 0, 0, 0]);
    let back = Link { upstream: hop.from, downstream: hop.me };
    let forward = Link { upstream: hop.me, downstream: hop.to };
    link(out, 0x01, hop.port, back);
    link(out, 0x02, about.out, forward);
    element(out, 0x03, &[&ntp(hop.at).to_be_bytes()]);
    element(out, 0x05, &[&inverse.to_be_bytes()]);
    element(out, 0x06, &[&hop.me.0.to_be_bytes()]);
    let epoch = keys.epoch(hop.at);
    disclose(out, keys, hop.me, epoch, disclosed);
    // What is left for the packet, behind its own element's head and before the proof.
    let longest = if v6 { LONGEST6 } else { LONGEST4 };
    let room = longest - out.len() - 3 - (3 + 10 + KEY);
    element(out, 0x04, &[&about.packet[..about.packet.len().min(room)]]);
    let zeros = [0; KEY];
    element(out, 0x07, &[&SHA2_256.to_be_bytes(), &epoch.to_be_bytes(), &zeros]);
    let total = u16::try_from(out.len()).unwrap_or(u16::MAX);
    let (at, length) = if v6 { (4, total - 40) } else { (2, total) };
    out[at..at + 2].copy_from_slice(&length.to_be_bytes());
    let mac = keys.mac(hop.me, epoch, &immutable(out, body));
    let proof = out.len() - KEY..;
    out[proof].copy_from_slice(&mac);
    finish(out, v6, body);
    true
}

/// The router's address on the link by which the packet came; its loopback where that has none.
fn source(about: &About<'_>) -> Option<IpAddr> {
    let same = |a: &&IpAddr| a.is_ipv6() == about.to.is_ipv6() && crate::router::routable(**a);
    let loopback = || Some(IpAddr::V4(about.hop.me.into())).filter(|_| about.to.is_ipv4());
    about.from.iter().find(same).copied().or_else(loopback)
}

fn header(out: &mut Vec<u8>, v6: bool, traced: &[u8], [from, to]: [IpAddr; 2]) {
    if v6 {
        // The traffic class is copied, the flow label is nobody's.
        out.extend([traced[0], traced[1] & 0xf0, 0, 0, 0, 0, proto::ICMP6, 255]);
    } else {
        out.extend([0x45, traced[1], 0, 0, 0, 0, 0, 0, 255, proto::ICMP, 0, 0]);
    }
    for address in [from, to] {
        match address {
            IpAddr::V4(a) => out.extend(a.octets()),
            IpAddr::V6(a) => out.extend(a.octets()),
        }
    }
}

fn element(out: &mut Vec<u8>, kind: u8, value: &[&[u8]]) {
    let len: usize = value.iter().map(|part| part.len()).sum();
    out.push(kind);
    out.extend(u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes());
    value.iter().for_each(|part| out.extend(*part));
}

fn link(out: &mut Vec<u8>, kind: u8, port: u16, link: Link) {
    let [up, down] = [link.upstream, link.downstream].map(|id| id.0.to_be_bytes());
    let mut value = vec![];
    element(&mut value, 0x81, &[format!("p{port}").as_bytes()]);
    element(&mut value, 0x82, &[&up, &down]);
    // The association string: both ends of a link know it, since both know who they are.
    element(&mut value, 0x85, &[&up, &down]);
    element(out, kind, &[&value]);
}

/// Discloses the keys of the latest epochs whose messages nobody accepts any more.
fn disclose(out: &mut Vec<u8>, keys: Keys, router: RouterId, now: u64, most: u8) {
    let Some(last) = now.checked_sub(keys::ACCEPTED).filter(|_| most > 0) else { return };
    let mut list = vec![];
    for epoch in (last + 1).saturating_sub(most.into())..=last {
        let [start, end] = keys.validity(epoch).map(|at| ntp(at).to_be_bytes());
        let length = u8::try_from(KEY).unwrap_or(u8::MAX);
        let key = keys.key(router, epoch);
        element(&mut list, 0x86, &[&epoch.to_be_bytes(), &start, &end, &[length], &key]);
    }
    let signature = keys.sign(router, &list);
    let length = u16::try_from(KEY).unwrap_or(u16::MAX).to_be_bytes();
    element(&mut list, 0x87, &[&length, &signature, URL]);
    element(out, 0x08, &[&list]);
}

/// The datagram as its HMAC covers it: what changes on the way, the checksum and the HMAC itself are zero.
///
/// Source: RFC 2402 section 3.3.3.1 lists what changes.
fn immutable(datagram: &[u8], body: usize) -> Vec<u8> {
    let mut bytes = datagram.to_vec();
    if bytes[0] >> 4 == 4 {
        bytes[1] = 0;
        bytes[6..9].fill(0);
        bytes[10..12].fill(0);
    } else {
        bytes[0] &= 0xf0;
        bytes[1..4].fill(0);
        bytes[7] = 0;
    }
    bytes[body + 2..body + 4].fill(0);
    let proof = bytes.len() - KEY..;
    bytes[proof].fill(0);
    bytes
}

fn finish(out: &mut [u8], v6: bool, body: usize) {
    let pseudo = if v6 {
        let len = u32::try_from(out.len() - body).unwrap_or(u32::MAX);
        checksum::sum(&out[8..40]) + len + u32::from(proto::ICMP6)
    } else {
        let check = checksum::of(&out[..20]);
        out[10..12].copy_from_slice(&check.to_be_bytes());
        0
    };
    let check = !checksum::fold(pseudo + checksum::sum(&out[body..]));
    out[body + 2..body + 4].copy_from_slice(&check.to_be_bytes());
}

/// A time since the run's zero in NTP's format: seconds (32) and fraction (32).
pub fn ntp(at: Nanos) -> u64 {
    let (seconds, rest) = (at.0 / 1_000_000_000, at.0 % 1_000_000_000);
    let fraction = (rest << 32) / 1_000_000_000;
    (seconds & 0xffff_ffff) << 32 | fraction
}

impl<'a> Message<'a> {
    /// Reads a message's elements, in whatever order they come.
    ///
    /// # Errors
    /// [`BadBytes`] where an element that must be there is missing, comes twice or makes no sense.
    pub fn read(datagram: &'a [u8], body: usize) -> Result<Self, BadBytes> {
        let elements = Elements::read(datagram.get(body + 4..).ok_or(BadBytes)?, 0x01..0x09)?;
        let link = |kind| read_link(elements.one(kind)?);
        let (back, forward) = (link(0x01)?, link(0x02)?);
        let number = |bytes: &[u8]| match bytes.len() {
            1 | 2 | 4 => Ok(bytes.iter().fold(0, |n, b| n << 8 | u32::from(*b))),
            _ => Err(BadBytes),
        };
        let mut proof = Reader(elements.one(0x07)?);
        let algorithm = u16::from_be_bytes(proof.array()?);
        let epoch = u64::from_be_bytes(proof.array()?);
        proof.array::<KEY>()?;
        proof.end()?;
        if algorithm != SHA2_256 || !datagram.ends_with(elements.one(0x07)?) {
            return Err(BadBytes);
        }
        Ok(Self {
            back,
            forward,
            timestamp: u64::from_be_bytes(exactly(elements.one(0x03)?)?),
            inverse: number(elements.one(0x05)?)?,
            router: RouterId(u32::from_be_bytes(exactly(elements.one(0x06)?)?)),
            traced: elements.one(0x04)?,
            epoch,
        })
    }

    /// Whether the message is its router's: its HMAC is right, its time lies in its key's, and every key that it
    /// discloses is one of the router's.
    pub fn is_true(&self, datagram: &[u8], body: usize, keys: Keys) -> bool {
        let [start, end] = keys.validity(self.epoch).map(ntp);
        let mac = keys.mac(self.router, self.epoch, &immutable(datagram, body));
        datagram.ends_with(&mac)
            && (start..end).contains(&self.timestamp)
            && self.discloses(datagram, body, keys).is_ok()
    }

    fn discloses(&self, datagram: &[u8], body: usize, keys: Keys) -> Result<(), BadBytes> {
        let all = Elements::read(&datagram[body + 4..], 0x01..0x09)?;
        let Ok(list) = all.one(0x08) else { return Ok(()) };
        let parts = Elements::read(list, 0x86..0x88)?;
        let signature = parts.one(0x87)?;
        let signed = list.len() - 3 - signature.len();
        let lawful =
            signature.get(2..2 + KEY) == Some(&keys.sign(self.router, &list[..signed])[..]);
        for (_, disclosure) in parts.0.iter().filter(|(kind, _)| *kind == 0x86) {
            let epoch = u64::from_be_bytes(exactly(disclosure.get(..8).ok_or(BadBytes)?)?);
            if disclosure.get(25..) != Some(&keys.key(self.router, epoch)[..]) {
                return Err(BadBytes);
            }
        }
        if lawful { Ok(()) } else { Err(BadBytes) }
    }
}

fn read_link(value: &[u8]) -> Result<Link, BadBytes> {
    let parts = Elements::read(value, 0x81..0x86)?;
    let pair: [u8; 8] = exactly(parts.one(0x85)?)?;
    let half = |at: usize| {
        RouterId(u32::from_be_bytes([pair[at], pair[at + 1], pair[at + 2], pair[at + 3]]))
    };
    // The address pair says the same to people.
    if parts.one(0x82)? != pair {
        return Err(BadBytes);
    }
    Ok(Link { upstream: half(0), downstream: half(4) })
}

fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N], BadBytes> {
    bytes.try_into().map_err(|_| BadBytes)
}

/// Elements of one level, by type.
struct Elements<'a>(Vec<(u8, &'a [u8])>);

impl<'a> Elements<'a> {
    fn read(bytes: &'a [u8], kinds: Range<u8>) -> Result<Self, BadBytes> {
        let mut read = Reader(bytes);
        let mut all = vec![];
        while !read.0.is_empty() {
            let kind = read.u8()?;
            let len = u16::from_be_bytes(read.array()?);
            if !kinds.contains(&kind) {
                return Err(BadBytes);
            }
            all.push((kind, read.take(len.into())?));
        }
        Ok(Self(all))
    }

    /// The only element of a type.
    fn one(&self, kind: u8) -> Result<&'a [u8], BadBytes> {
        let mut ours = self.0.iter().filter(|(k, _)| *k == kind);
        match (ours.next(), ours.next()) {
            (Some((_, value)), None) => Ok(value),
            _ => Err(BadBytes),
        }
    }
}
