//! Frames of every kind that a router may meet, lawful and hostile, from a seed.

#![allow(clippy::cast_possible_truncation, reason = "random bits are cut to what is needed")]

use traceback::invariant::mix;
use traceback::{checksum, ioam, room};

/// A generator that gives the same numbers everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn bytes(&mut self, n: u64) -> Vec<u8> {
        (0..n).map(|_| self.next() as u8).collect()
    }
}

/// A frame to this Ethernet address; one in a few is damaged on purpose.
pub(crate) fn frame(random: &mut Random, mac: [u8; 6]) -> Vec<u8> {
    let v6 = random.below(2) == 1;
    let mut packet = if v6 { ipv6(random) } else { ipv4(random) };
    if random.below(4) == 0 {
        let repaired = random.below(2) == 1;
        damage(random, &mut packet, !v6 && repaired);
    }
    let mut frame = mac.to_vec();
    frame.extend([2, 0, 0, 0, 0, 2]);
    frame.extend(match (random.below(50), v6) {
        (0, _) => [0x81, 0x00],
        (1, _) => [0x08, 0x06],
        (2, v6) | (_, v6) if v6 => [0x86, 0xdd],
        _ => [0x08, 0x00],
    });
    if random.below(50) == 0 {
        frame[5] ^= 1;
    }
    frame.extend(packet);
    // Ethernet pads short frames, and lets strange bytes follow.
    let padding = if frame.len() < 60 { 60 - frame.len() } else { random.below(4) as usize };
    frame.extend(random.bytes(padding as u64));
    frame
}

/// What a frame looks like that the kernel has routed, which checks the sum over IPv4's header.
#[allow(dead_code, reason = "of the tests that share this file, one needs it")]
pub(crate) fn checked(frame: &mut [u8]) {
    if frame[12..15] != [0x08, 0x00, 0x40 | (frame[14] & 15)] {
        return;
    }
    let header = usize::from(frame[14] & 15) * 4;
    if let Some(ip) = frame.get_mut(14..14 + header).filter(|ip| ip.len() >= 20) {
        ip[10..12].fill(0);
        let check = checksum::of(ip);
        ip[10..12].copy_from_slice(&check.to_be_bytes());
    }
}

/// A transport header and payload, its protocol, and where its checksum lies.
fn transport(random: &mut Random) -> (u8, Vec<u8>) {
    let proto = [17, 17, 17, 6, 1, 58, 47][random.below(7) as usize];
    let mut bytes = random.bytes(8);
    match proto {
        17 => {
            let mut payload = match random.below(3) {
                0 => random.bytes(0),
                _ => room::MAGIC.to_vec(),
            };
            let more = random.below(60);
            payload.extend(random.bytes(more));
            if payload.len() > 30 && random.below(2) == 0 {
                let left = payload.len() - 24;
                payload[24] = room::OPTION4;
                payload[25] = (random.below(left as u64 + 2)) as u8;
                payload[26] = random.below(5) as u8;
            }
            bytes[4..6].copy_from_slice(&(payload.len() as u16 + 8).to_be_bytes());
            if random.below(3) == 0 {
                bytes[6..8].fill(0);
            }
            bytes.extend(payload);
        }
        6 => {
            bytes.extend(random.bytes(12));
            bytes[12] = ((5 + random.below(11)) << 4) as u8;
            let more = random.below(80);
            bytes.extend(random.bytes(more));
        }
        _ => {
            let more = random.below(40);
            bytes.extend(random.bytes(more));
        }
    }
    if random.below(20) == 0 {
        let keep = random.below(bytes.len() as u64 + 1) as usize;
        bytes.truncate(keep);
    }
    (proto, bytes)
}

fn ttl(random: &mut Random) -> u8 {
    match random.below(6) {
        0 => random.next() as u8,
        n => [64, 63, 128, 255, 2][n as usize - 1],
    }
}

fn ipv4(random: &mut Random) -> Vec<u8> {
    let (proto, bytes) = transport(random);
    let options = options(random);
    let header = 20 + options.len();
    let mut packet = vec![0x40 | (header / 4) as u8, random.next() as u8];
    packet.extend((header as u16 + bytes.len() as u16).to_be_bytes());
    packet.extend(random.bytes(2));
    packet.extend(match random.below(8) {
        0 => [random.next() as u8, random.next() as u8],
        1 => [0x20, 0],
        n => [if n < 5 { 0 } else { 0x40 }, 0],
    });
    packet.extend([ttl(random), proto, 0, 0, 198, 18]);
    packet.extend(random.bytes(2));
    packet.extend([198, 19]);
    packet.extend(random.bytes(2));
    if random.below(12) == 0 {
        packet[16..20].copy_from_slice(
            &[[224, 0, 0, 1], [255; 4], [127, 0, 0, 1], [169, 254, 1, 1], [240, 0, 0, 1]]
                [random.below(5) as usize],
        );
    }
    packet.extend(options);
    let check = checksum::of(&packet);
    packet[10..12].copy_from_slice(&check.to_be_bytes());
    packet.extend(bytes);
    packet
}

/// IPv4 options, often room for records, padded to words.
fn options(random: &mut Random) -> Vec<u8> {
    let mut options = vec![];
    match random.below(6) {
        0 | 1 => {
            options.extend(vec![1; random.below(4) as usize]);
            let records = random.below(17) as u8;
            options.extend([158, 4 + 2 * records, random.below(20) as u8, 0]);
            options.extend(random.bytes(2 * u64::from(records)));
        }
        2 => options.extend({
            let n = random.below(40);
            random.bytes(n)
        }),
        _ => {}
    }
    options.truncate(40);
    while options.len() % 4 != 0 {
        options.push(if random.below(2) == 0 { 0 } else { 1 });
    }
    options
}

fn ipv6(random: &mut Random) -> Vec<u8> {
    let (proto, bytes) = transport(random);
    let mut next = proto;
    let mut body = bytes;
    let chain = [0, 0, 0, 1, 2, 3, 7, 8, 9][random.below(9) as usize];
    for at in 0..chain {
        let kind = [0, 0, 43, 44, 60][random.below(5) as usize];
        // The hop-by-hop header comes first where it is lawful.
        let kind = if kind == 0 && at + 1 < chain && random.below(2) == 0 { 60 } else { kind };
        let mut header = extension(random, kind);
        header[0] = next;
        next = kind;
        header.extend(body);
        body = header;
    }
    let mut packet = vec![0x60 | (random.next() as u8 & 15)];
    packet.extend(random.bytes(3));
    packet.extend((body.len() as u16).to_be_bytes());
    packet.extend([next, ttl(random)]);
    for last in [1, 2] {
        packet.extend([0x20, 1, 0, 2, 0, 0, 0, last]);
        packet.extend(random.bytes(8));
    }
    if random.below(12) == 0 {
        let bad: [&[u8]; 4] = [
            &[0xff, 2],
            &[0xfe, 0x80],
            &[0; 16],
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        ];
        let bad = bad[random.below(4) as usize];
        packet[24..24 + bad.len()].copy_from_slice(bad);
    }
    packet.extend(body);
    packet
}

fn extension(random: &mut Random, kind: u8) -> Vec<u8> {
    if kind == 44 {
        let mut header = random.bytes(8);
        if random.below(2) == 0 {
            header[2..4].copy_from_slice(&[0, random.below(2) as u8]);
        }
        return header;
    }
    let units = random.below(5);
    let mut header = random.bytes(8 + 8 * units);
    header[1] = units as u8;
    if kind == 0 && random.below(2) > 0 {
        return telemetry(random);
    }
    if kind == 0 && random.below(3) > 0 {
        let len = header.len() - 4;
        header[2..4].copy_from_slice(&[room::OPTION6, len as u8]);
        header[4] = random.below(10) as u8;
        header[5] = 0;
        if random.below(3) == 0 && header.len() > 8 {
            // A byte of padding first.
            let last = header.len() - 1;
            header.copy_within(2..last, 3);
            header[2] = 0;
            header[4] = header[4].saturating_sub(1);
        }
    }
    header
}

/// A hop-by-hop header with IOAM options, lawful or nearly so, in places right and wrong.
fn telemetry(random: &mut Random) -> Vec<u8> {
    let mut header = vec![0, 0];
    header.extend(match random.below(6) {
        0 => vec![],
        1 => vec![0; random.below(7) as usize],
        _ => vec![1, 0],
    });
    for _ in 0..random.below(3) {
        let mut option = match random.below(2) {
            0 => ioam::export(random.next() as u32, random.next() as u32),
            _ => {
                let nodes = random.below(5);
                let mut option = ioam::trace(nodes as usize);
                option[7] -= random.below(nodes + 1) as u8;
                option[6] |= if random.below(6) == 0 { 4 } else { 0 };
                option
            }
        };
        if random.below(4) == 0 {
            let at = random.below(12) as usize;
            option[at] = random.next() as u8;
        }
        header.extend(option);
    }
    header.resize(header.len().next_multiple_of(8), 0);
    header[1] = (header.len() / 8 - 1) as u8;
    header
}

/// Changes, cuts or lengthens a packet; with `repair` its header checksum is right all the same.
fn damage(random: &mut Random, packet: &mut Vec<u8>, repair: bool) {
    match random.below(3) {
        0 => {
            for _ in 0..1 + random.below(3) {
                let at = random.below(packet.len().min(60) as u64) as usize;
                packet[at] = random.next() as u8;
            }
        }
        1 => {
            let keep = random.below(packet.len() as u64) as usize;
            packet.truncate(keep);
        }
        _ => packet.extend({
            let n = random.below(20);
            random.bytes(n)
        }),
    }
    let header = packet.first().map_or(0, |b| usize::from(b & 15) * 4);
    if repair && header >= 20 && packet.len() >= header {
        packet[10..12].fill(0);
        let check = checksum::of(&packet[..header]);
        packet[10..12].copy_from_slice(&check.to_be_bytes());
    }
}
