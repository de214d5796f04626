//! Sentinels on a host's own interfaces: packets of the testbed outside of tunnels are dropped there, and one
//! is enough to end the run and make it void.
//!
//! From Linux 6.6 on the programs hang on links of tcx, which end with this process. Before, they are filters of
//! clsact, which do not: each is in a journal before it is made, and known by its program's number, so that what
//! was killed is removed by the reaper and what others put there stays.

use crate::exit::Exit;
use crate::journal::{Entry, Journal, Record, state_dir};
use crate::netns::filter::{self, Side};
use crate::netns::own::Thing;
use crate::netns::{inode_of_process, links_here};
use crate::reap::{self, Object};
use anyhow::{Context, Result};
use ashiato_agent::datapath::kernel::program::has_links;
use ashiato_agent::datapath::socket::interface_index;
use aya::maps::{Array, MapData};
use aya::programs::tc::{TcAttachOptions, qdisc_add_clsact};
use aya::programs::{LinkOrder, SchedClassifier, TcAttachType};
use aya::{Ebpf, EbpfLoader};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

/// Programs at every interface that is up. Dropped, they are gone.
#[derive(Debug)]
pub struct Sentinels {
    hold: Hold,
    ebpf: Ebpf,
    /// Names and numbers of their interfaces.
    posted: BTreeMap<String, u32>,
    /// The run's own interfaces, where a host stands for a node in place.
    except: BTreeSet<String>,
}

/// What holds programs at interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Links of tcx.
    Links,
    /// Filters of clsact.
    Filters,
}

impl Kind {
    /// What this kernel has.
    pub fn of_kernel() -> Self {
        if has_links() { Self::Links } else { Self::Filters }
    }
}

#[derive(Debug)]
enum Hold {
    Links,
    Filters { journal: Journal, state: PathBuf, namespace: u64, program: u32 },
}

impl Sentinels {
    /// Posts them in the calling thread's namespace, for a run whose logs are in this folder.
    ///
    /// # Errors
    /// [`Exit::HostNotReady`] where the kernel cannot have them.
    pub fn post(kind: Kind, run: &str, folder: &Path, except: BTreeSet<String>) -> Result<Self> {
        let load = || -> Result<(Ebpf, u32)> {
            let mut ebpf = EbpfLoader::new()
                .load(aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sentinel.o")))?;
            let program = program(&mut ebpf)?;
            program.load()?;
            let number = program.info()?.id();
            Ok((ebpf, number))
        };
        let mend = "runs between hosts need sentinels against leaks: CAP_BPF and CAP_NET_ADMIN";
        let why = |e: anyhow::Error| Exit::HostNotReady.refuse(format!("{mend}: {e:#}"));
        let (ebpf, program) = load().map_err(why)?;
        let hold = match kind {
            Kind::Links => Hold::Links,
            Kind::Filters => {
                let state = state_dir()?;
                let journal = Journal::start(&state, &format!("{run}-watch"), folder)?;
                let namespace = inode_of_process("thread-self").context("no own namespace")?;
                Hold::Filters { journal, state, namespace, program }
            }
        };
        let mut sentinels = Self { hold, ebpf, posted: BTreeMap::new(), except };
        sentinels.post_new().map_err(why)?;
        Ok(sentinels)
    }

    /// Fails where one saw a packet, or was taken away. Interfaces that came up meanwhile get theirs.
    ///
    /// # Errors
    /// [`Exit::Void`] says what was seen and where, [`Exit::Safety`] which sentinel is gone.
    pub fn check(&mut self) -> Result<()> {
        self.post_new()?;
        self.look()?;
        let map = self.ebpf.map("seen").context("no map seen")?;
        let seen: Array<&MapData, [u64; 6]> = map.try_into()?;
        let seen = seen.get(&0, 0)?;
        if seen[0] == 0 {
            return Ok(());
        }
        Err(Exit::Void.refuse(described(&seen)))
    }

    /// Takes them away; what could not be.
    ///
    /// # Errors
    /// When the kernel refuses; the journal stays for the reaper.
    pub fn withdraw(&mut self) -> Result<Vec<Object>> {
        let Hold::Filters { journal, state, .. } = &self.hold else { return Ok(vec![]) };
        if !journal.dir().exists() {
            return Ok(vec![]);
        }
        reap::remove(state, &Record::read(journal.dir())?).map(|(_, left)| left)
    }

    /// Filters can be removed by whoever has the interface.
    fn look(&self) -> Result<()> {
        let Hold::Filters { program, .. } = &self.hold else { return Ok(()) };
        for (name, index) in &self.posted {
            for side in [Side::Ingress, Side::Egress] {
                if !filter::is_at(*index, side, *program)? && interface_index(name).is_ok() {
                    let why =
                        format!("the sentinel at {name} is gone: somebody removed its filter");
                    return Err(Exit::Safety.refuse(why));
                }
            }
        }
        Ok(())
    }

    fn post_new(&mut self) -> Result<()> {
        let up: BTreeSet<String> = links_here()?.into_iter().map(|(name, _)| name).collect();
        // One that is gone may come back under the same name, without its sentinel.
        self.posted.retain(|name, _| up.contains(name));
        let new = |name: &&String| {
            *name != "lo" && !self.except.contains(*name) && !self.posted.contains_key(*name)
        };
        for name in up.iter().filter(new).cloned().collect::<Vec<_>>() {
            let what = || format!("no sentinel at {name}");
            let index = interface_index(&name).with_context(what)?.cast_unsigned();
            self.attach(&name, index).with_context(what)?;
            self.posted.insert(name, index);
        }
        Ok(())
    }

    fn attach(&mut self, name: &str, index: u32) -> Result<()> {
        let posted = program(&mut self.ebpf)?;
        match &mut self.hold {
            Hold::Links => {
                for side in [TcAttachType::Ingress, TcAttachType::Egress] {
                    let order = TcAttachOptions::TcxOrder(LinkOrder::first());
                    posted.attach_with_options(name, side, order)?;
                }
            }
            Hold::Filters { journal, namespace, program, .. } => {
                // Somebody else's clsact will do, and stays.
                let clsact = !filter::has_clsact(index)?;
                let (interface, program) = (name.to_owned(), *program);
                let thing = Thing::Sentinel { interface, index, program, clsact };
                journal.write(&[Entry::Own { inode: *namespace, thing }])?;
                if clsact {
                    qdisc_add_clsact(name)?;
                }
                for side in [Side::Ingress, Side::Egress] {
                    filter::attach(posted, name, side)?;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Sentinels {
    fn drop(&mut self) {
        match self.withdraw() {
            Ok(left) => left.iter().for_each(|object| tracing::error!("left: {object}")),
            Err(e) => tracing::error!("cannot remove sentinels: {e:#}; try: ashiato gc"),
        }
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
