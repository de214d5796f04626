//! Sentinels on a host's own interfaces: packets of the testbed outside of tunnels are dropped there, and one
//! is enough to end the run and make it void.
//!
//! The programs hang on links of tcx (Linux 6.6), which end with this process: nothing has to be removed.

use crate::exit::Exit;
use crate::netns::links_here;
use anyhow::{Context, Result};
use aya::maps::{Array, MapData};
use aya::programs::tc::TcAttachOptions;
use aya::programs::{LinkOrder, SchedClassifier, TcAttachType};
use aya::{Ebpf, EbpfLoader};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Programs at every interface that is up.
#[derive(Debug)]
pub struct Sentinels {
    ebpf: Ebpf,
    posted: BTreeSet<String>,
    /// The run's own interfaces, where a host stands for a node in place.
    except: BTreeSet<String>,
}

impl Sentinels {
    /// Posts them in the calling thread's namespace.
    ///
    /// # Errors
    /// [`Exit::HostNotReady`] where the kernel cannot have them.
    pub fn post(except: BTreeSet<String>) -> Result<Self> {
        let load = || -> Result<Ebpf> {
            let mut ebpf = EbpfLoader::new()
                .load(aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sentinel.o")))?;
            program(&mut ebpf)?.load()?;
            Ok(ebpf)
        };
        let mend =
            "runs between hosts need sentinels against leaks: Linux 6.6, CAP_BPF and CAP_NET_ADMIN";
        let why = |e: anyhow::Error| Exit::HostNotReady.refuse(format!("{mend}: {e:#}"));
        let ebpf = load().map_err(why)?;
        let mut sentinels = Self { ebpf, posted: BTreeSet::new(), except };
        sentinels.post_new().map_err(why)?;
        Ok(sentinels)
    }

    /// Fails where one saw a packet. Interfaces that came up meanwhile get theirs.
    ///
    /// # Errors
    /// [`Exit::Void`] says what was seen and where.
    pub fn check(&mut self) -> Result<()> {
        self.post_new()?;
        let map = self.ebpf.map("seen").context("no map seen")?;
        let seen: Array<&MapData, [u64; 6]> = map.try_into()?;
        let seen = seen.get(&0, 0)?;
        if seen[0] == 0 {
            return Ok(());
        }
        Err(Exit::Void.refuse(described(&seen)))
    }

    fn post_new(&mut self) -> Result<()> {
        let up: BTreeSet<String> = links_here()?.into_iter().map(|(name, _)| name).collect();
        // One that is gone may come back under the same name, without its sentinel.
        self.posted.retain(|name| up.contains(name));
        let new = |name: &&String| *name != "lo" && !self.except.contains(*name);
        let new: Vec<String> = up.iter().filter(new).cloned().collect();
        let program = program(&mut self.ebpf)?;
        for name in new.into_iter().filter(|name| !self.posted.contains(name)).collect::<Vec<_>>() {
            for side in [TcAttachType::Ingress, TcAttachType::Egress] {
                let order = TcAttachOptions::TcxOrder(LinkOrder::first());
                program
                    .attach_with_options(&name, side, order)
                    .with_context(|| format!("no sentinel at {name}"))?;
            }
            self.posted.insert(name);
        }
        Ok(())
    }
}

fn program(ebpf: &mut Ebpf) -> Result<&mut SchedClassifier> {
    Ok(ebpf.program_mut("sentinel").context("no program sentinel")?.try_into()?)
}

/// What the program keeps of the first packet, for people: its `struct seen`.
fn described(seen: &[u64; 6]) -> String {
    let bytes: Vec<u8> = seen.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let word = |at: usize| {
        u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("invariant: four bytes"))
    };
    let address = |at: usize| {
        let long: [u8; 16] = bytes[at..at + 16].try_into().expect("invariant: sixteen bytes");
        match word(12) {
            4 => Ipv4Addr::new(long[0], long[1], long[2], long[3]).to_string(),
            _ => Ipv6Addr::from(long).to_string(),
        }
    };
    let mut out = format!("leak: {} packets of the testbed outside of tunnels, ", seen[0]);
    let _ = write!(
        out,
        "dropped; the first at interface {} from {} to {}",
        word(8),
        address(16),
        address(32)
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_is_described() {
        let mut bytes = [0_u8; 48];
        bytes[..8].copy_from_slice(&2_u64.to_ne_bytes());
        bytes[8..12].copy_from_slice(&3_u32.to_ne_bytes());
        bytes[12..16].copy_from_slice(&4_u32.to_ne_bytes());
        bytes[16..20].copy_from_slice(&[198, 18, 0, 1]);
        bytes[32..36].copy_from_slice(&[192, 0, 2, 1]);
        let words: Vec<u64> =
            bytes.chunks(8).map(|c| u64::from_ne_bytes(c.try_into().unwrap())).collect();
        let said = described(&words.try_into().unwrap());
        assert!(said.contains("2 packets") && said.contains("interface 3"), "{said}");
        assert!(said.ends_with("from 198.18.0.1 to 192.0.2.1"), "{said}");
    }
}
