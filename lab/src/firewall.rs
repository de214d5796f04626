//! Which back ends of the host's firewall hold rules: old iptables and nftables are both asked about every packet, so
//! what one lets through the other may still drop, and each one's tools show half of the truth.

use anyhow::{Context, Result};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use std::ffi::CStr;
use std::fs;
use std::os::fd::AsRawFd;

/// Files in which the kernel lists tables of old iptables, with the word of their tool.
const OLD: [(&str, &str); 2] =
    [("ip_tables_names", "iptables-legacy"), ("ip6_tables_names", "ip6tables-legacy")];
/// Netlink's request for all tables of nftables: length, type, flags (request, dump), number, sender, family and
/// version of none. Source: linux/netlink.h, linux/netfilter/nf_tables.h.
const REQUEST: [u8; 20] = {
    let mut request = [0; 20];
    [request[0], request[1], request[2], request[3]] = 20_u32.to_ne_bytes();
    [request[4], request[5]] = GET_TABLE.to_ne_bytes();
    [request[6], request[7]] = 0x301_u16.to_ne_bytes();
    request
};
const NEW_TABLE: u16 = 10 << 8;
const GET_TABLE: u16 = NEW_TABLE + 1;
/// Below this number are netlink's own messages: the end of a list, or an error.
const FIRST_KIND: u16 = 16;
/// Lengths of headers: of a message, and of netfilter's part of it.
const MESSAGE: usize = 16;
const FAMILY: usize = 4;
/// The attribute that holds a table's name.
const NAME: u16 = 1;

/// Says what is mixed in the namespace of the calling thread, if two back ends hold tables there.
pub(crate) fn mixed() -> Option<String> {
    let old: Vec<String> = OLD
        .iter()
        .filter_map(|(file, tool)| {
            let names = fs::read_to_string(format!("/proc/thread-self/net/{file}")).ok()?;
            let names: Vec<&str> = names.split_whitespace().collect();
            (!names.is_empty()).then(|| format!("{tool} has {}", names.join(", ")))
        })
        .collect();
    // A kernel without nftables has nothing to mix.
    let new = tables().unwrap_or_default();
    if old.is_empty() || new.is_empty() {
        return None;
    }
    Some(format!("two firewalls hold tables: {}; nftables has {}", old.join("; "), new.join(", ")))
}

/// Tables of nftables, by family and name.
fn tables() -> Result<Vec<String>> {
    let (netlink, raw) = (AddressFamily::Netlink, SockType::Raw);
    let of = SockProtocol::NetlinkNetFilter;
    let socket = socket(netlink, raw, SockFlag::SOCK_CLOEXEC, of).context("cannot open netlink")?;
    send(socket.as_raw_fd(), &REQUEST, MsgFlags::empty()).context("cannot ask netlink")?;
    let (mut found, mut room) = (vec![], vec![0; 64 << 10]);
    loop {
        let len = recv(socket.as_raw_fd(), &mut room, MsgFlags::empty())?;
        let mut rest = &room[..len];
        if rest.is_empty() {
            return Ok(found);
        }
        while let Some((kind, body, behind)) = message(rest) {
            match kind {
                NEW_TABLE => found.extend(table(body)),
                ..FIRST_KIND => return Ok(found),
                _ => {}
            }
            rest = behind;
        }
    }
}

/// The type of a message, its body, and what comes after it.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let len = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let body = bytes.get(MESSAGE..len)?;
    let kind = u16::from_ne_bytes([bytes[4], bytes[5]]);
    Some((kind, body, bytes.get(len.next_multiple_of(4)..).unwrap_or_default()))
}

/// Family and name of the table that a message is about.
fn table(body: &[u8]) -> Option<String> {
    let family = match body.first()? {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => "?",
    };
    let mut rest = body.get(FAMILY..)?;
    loop {
        let head: [u8; 4] = *rest.first_chunk()?;
        let [len, kind] = [[head[0], head[1]], [head[2], head[3]]].map(u16::from_ne_bytes);
        let value = rest.get(4..usize::from(len))?;
        if kind == NAME {
            let name = CStr::from_bytes_until_nul(value).ok()?;
            return Some(format!("{family} {}", name.to_string_lossy()));
        }
        rest = rest.get(usize::from(len).next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_tables_is_read_and_a_broken_one_ends() {
        let mut bytes = [36_u32.to_ne_bytes(), [0; 4], [0; 4], [0; 4], [2, 0, 0, 0]].concat();
        bytes[4..6].copy_from_slice(&NEW_TABLE.to_ne_bytes());
        for (kind, value) in [(2_u16, [0; 4]), (NAME, *b"nat\0")] {
            bytes.extend(8_u16.to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(value);
        }
        let (kind, body, behind) = message(&bytes).unwrap();
        assert_eq!((kind, behind.len()), (NEW_TABLE, 0));
        assert_eq!(table(body).unwrap(), "ip nat");
        for cut in 0..bytes.len() {
            assert!(message(&bytes[..cut]).is_none());
            assert!(cut < MESSAGE || table(&bytes[MESSAGE..cut]).is_none(), "{cut}");
        }
    }
}
