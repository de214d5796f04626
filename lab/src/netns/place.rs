//! Where an actor may send: a namespace that nothing leads out of.

use super::actor::Config;
use super::{neighbour, space};
use crate::exit::Exit;
use anyhow::{Context, Result};
use std::fs;
use std::io::ErrorKind;

/// Refuses every namespace but the one that was made for this actor's host, or that stands for it.
///
/// # Errors
/// With [`Exit::Safety`].
pub(super) fn check(config: &Config) -> Result<()> {
    if config.in_place {
        only_virtual_links(config)?;
    } else {
        apart_from_others(config)?;
    }
    let mine = space::inode_of_process("thread-self").context("cannot read own namespace")?;
    if mine != config.namespace {
        return Err(Exit::Safety.refuse("this is not the namespace made for this actor"));
    }
    leads_nowhere_else()
}

/// A container that stands for a host has links of its own, which lead to the other hosts: they must
/// be virtual, so that nothing is ever sent to a wire by this namespace.
fn only_virtual_links(config: &Config) -> Result<()> {
    for (name, kind) in neighbour::links().context("cannot list interfaces")? {
        if !is_virtual(&name, &kind) {
            let kind = if kind.is_empty() { "a real one" } else { &kind };
            return Err(Exit::Safety.refuse(format!(
                "this host is to stand for a node of the plan itself (in_place), and its interface \
                 {name} is {kind}, not one of {}: set in_place = false, so that the node gets a \
                 namespace of its own (actor of {})",
                VIRTUAL.join(", "),
                config.interface
            )));
        }
    }
    Ok(())
}

/// Whether an interface of this name and kind leads to no wire by itself.
pub(crate) fn is_virtual(name: &str, kind: &str) -> bool {
    name == "lo" || VIRTUAL.contains(&kind)
}

/// Kinds of interfaces that a container may have.
const VIRTUAL: [&str; 3] = ["veth", "vxlan", "bridge"];

fn apart_from_others(config: &Config) -> Result<()> {
    let mine = space::inode_of_process("thread-self").context("cannot read own namespace")?;
    for (who, whose) in [("1", "the host's own"), (&*config.parent.pid.to_string(), "the lab's")] {
        let theirs = match space::inode_of_process(who) {
            Ok(theirs) => theirs,
            // A container may hide the first process; the lab's namespace is checked in any case.
            Err(e) if who == "1" && e.kind() == ErrorKind::PermissionDenied => continue,
            Err(e) => {
                return Err(e)
                    .with_context(|| format!("cannot read the namespace of process {who}"));
            }
        };
        if theirs == mine {
            return Err(Exit::Safety.refuse(format!(
                "traffic actors run in namespaces made for them, and this is {whose}: start runs \
                 with `ashiato run`"
            )));
        }
    }
    Ok(())
}

/// A default route could lead packets out of the testbed.
fn leads_nowhere_else() -> Result<()> {
    let Some(path) = leads_out() else { return Ok(()) };
    Err(Exit::Safety.refuse(format!(
        "this namespace has a default route ({path}), so packets could leave the testbed: remove it"
    )))
}

/// The table in which the calling thread's namespace has a default route, if it has one.
pub(crate) fn leads_out() -> Option<String> {
    ["route", "ipv6_route"].into_iter().find_map(|table| {
        let path = format!("/proc/thread-self/net/{table}");
        // Missing where the kernel lacks that version of IP.
        let routes = fs::read_to_string(&path).unwrap_or_default();
        routes.lines().any(|l| is_default(table, l)).then_some(path)
    })
}

/// Whether a line of `/proc/net/route` or `/proc/net/ipv6_route` leads anywhere.
fn is_default(table: &str, line: &str) -> bool {
    /// RTF_REJECT of linux/route.h.
    const REJECT: u32 = 0x0200;
    let fields: Vec<&str> = line.split_whitespace().collect();
    let flags = |at: usize| fields.get(at).and_then(|f| u32::from_str_radix(f, 16).ok());
    match (table, &fields[..]) {
        ("route", [_, net, _, _, _, _, _, mask, ..]) => {
            *net == "00000000" && *mask == "00000000" && flags(3).is_some_and(|f| f & REJECT == 0)
        }
        ("ipv6_route", [net, len, ..]) => {
            let all = net.bytes().all(|b| b == b'0') && *len == "00";
            all && flags(8).is_some_and(|f| f & REJECT == 0)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_routes_are_known_by_sight() {
        let v4 = "p0\t00000000\t010012C6\t0003\t0\t0\t0\t00000000\t0\t0\t0";
        assert!(is_default("route", v4));
        assert!(!is_default("route", "p0\t000012C6\t010012C6\t0003\t0\t0\t0\t0000FEFF\t0\t0\t0"));
        let zeros = "0".repeat(32);
        let line =
            |flags| format!("{zeros} 00 {zeros} 00 {zeros} 00000400 00000001 00000000 {flags} p0");
        assert!(is_default("ipv6_route", &line("00000003")));
        // What every namespace has: the unreachable null entry.
        assert!(!is_default("ipv6_route", &line("00200200")));
    }
}
