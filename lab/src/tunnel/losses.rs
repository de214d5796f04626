//! Frames and datagrams that found no room on their way through a tunnel, as the kernel counts them.

use crate::netns::layout::Layout;
use crate::netns::within;
use anyhow::{Context, Result};
use std::fs;

/// Those that interfaces and the socket at this port have dropped since they are there.
///
/// # Errors
/// When the kernel does not say.
pub fn dropped(layout: &Layout, port: u16) -> Result<u64> {
    let mut sum = 0;
    for (end, _) in layout.tunnels.iter().filter(|(_, tunnel)| tunnel.sealed) {
        let (space, name, _) = layout.mouth(*end);
        let devices = within(&layout.spaces[space].path(), || read("dev"))?;
        sum += of_interface(&devices, &name).unwrap_or(0);
    }
    for table in ["udp", "udp6"] {
        // A kernel without IPv6 has one table.
        sum += read(table).map_or(0, |sockets| of_port(&sockets, port));
    }
    Ok(sum)
}

fn read(table: &str) -> Result<String> {
    let path = format!("/proc/thread-self/net/{table}");
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}

/// The twelfth number of its line: what was to be sent and was dropped.
fn of_interface(devices: &str, name: &str) -> Option<u64> {
    let line =
        devices.lines().find_map(|l| l.trim_start().strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().nth(11)?.parse().ok()
}

/// The last number of each socket's line.
fn of_port(sockets: &str, port: u16) -> u64 {
    let port = format!(":{port:04X}");
    let ours = sockets
        .lines()
        .filter(|l| l.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&port)));
    ours.filter_map(|l| l.split_whitespace().last()?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_the_kernel_are_read() {
        let devices = "Inter-|   Receive    |  Transmit\n face |bytes    packets errs drop fifo frame \
             compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    lo: 1 2 3 4 5 6 7 8 9 \
             10 11 12 13 14 15 16\n    p1: 1 2 3 4 5 6 7 8 9 10 11 77 13 14 15 16\n";
        assert_eq!(of_interface(devices, "p1"), Some(77));
        assert_eq!(of_interface(devices, "p"), None);
        let sockets = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  \
             timeout inode ref pointer drops\n  137: 0100007F:CA6C 00000000:0000 07 00000000:00000000 00:00000000 \
             00000000     0        0 5 2 0 9\n";
        assert_eq!((of_port(sockets, 0xca6c), of_port(sockets, 53)), (9, 0));
    }
}
