//! Network namespaces of threads: a thread enters one, then opens its sockets there for good.

use anyhow::{Context, ensure};
use std::fs::{self, File};
use std::path::Path;

/// Moves the calling thread, and only it, into the namespace that this file names.
///
/// # Errors
/// No such file, not a network namespace, or no privilege.
pub fn enter(path: &Path) -> anyhow::Result<()> {
    let file =
        File::open(path).with_context(|| format!("open network namespace {}", path.display()))?;
    nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET)
        .with_context(|| format!("enter network namespace {} (needs root)", path.display()))
}

/// Makes sure that the kernel does not forward what comes in by these interfaces: every packet would
/// go on twice, once unmarked.
///
/// # Errors
/// Names the sysctl to change.
pub fn kernel_forwards_nothing(interfaces: &[&str]) -> anyhow::Result<()> {
    for name in interfaces {
        check_name(name)?;
        refuse_forwarding(&format!("net/ipv4/conf/{name}/forwarding"), "net.ipv4.ip_forward")?;
    }
    refuse_forwarding(FORWARDING6, "net.ipv6.conf.all.forwarding")
}

/// Makes sure that the kernel forwards what comes in by these interfaces, for datapaths that leave
/// routing to it.
///
/// # Errors
/// Names the sysctl to change.
pub fn kernel_forwards<'a>(interfaces: impl Iterator<Item = &'a str>) -> anyhow::Result<()> {
    for name in interfaces {
        check_name(name)?;
        ensure!(
            is_on(&format!("net/ipv4/conf/{name}/forwarding")) || is_on(FORWARDING6),
            "the kernel forwards nothing that comes in by {name}: run `sysctl -w \
             net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1` in this namespace, or use \
             datapath afpacket"
        );
    }
    Ok(())
}

/// Whether the kernel looks at ports to choose between equal routes, in the calling thread's namespace.
pub fn routes_by_ports() -> bool {
    let policy = |v: u8| format!("/proc/sys/net/ipv{v}/fib_multipath_hash_policy");
    let set = |v| fs::read_to_string(policy(v)).is_ok_and(|value| value.trim() != "0");
    set(4) || set(6)
}

fn check_name(name: &str) -> anyhow::Result<()> {
    ensure!(
        !name.is_empty() && name.len() < 16 && !name.contains('/') && !name.starts_with('.'),
        "{name:?} is no interface name: give the name that `ip link` shows"
    );
    Ok(())
}

fn refuse_forwarding(file: &str, sysctl: &str) -> anyhow::Result<()> {
    ensure!(
        !is_on(file),
        "the kernel forwards here ({file} = 1), so every packet would be sent twice: \
         run `sysctl -w {sysctl}=0` in this namespace, or use datapath tc or xdp, where the kernel routes"
    );
    Ok(())
}

const FORWARDING6: &str = "net/ipv6/conf/all/forwarding";

/// Whether a switch under /proc/sys is on. It is missing where the kernel lacks that version of IP, or
/// the interface: then nothing is forwarded.
fn is_on(file: &str) -> bool {
    fs::read_to_string(Path::new("/proc/sys").join(file)).is_ok_and(|value| value.trim() == "1")
}
