//! What others attach behind the tc program: while there is nothing, the program says so, and the kernel does not
//! look for it with every packet.
//!
//! A filter of clsact is seen as soon as it is there, with the kernel's other tables; a link of tcx, of which the
//! kernel says nothing by itself, when the agent next cuts a report.

use super::program::{Hook, Program};
use anyhow::Context;
use aya::maps::{Array, MapData};
use aya::programs::{SchedClassifier, TcAttachType};

impl Program {
    /// Tells the tc program whether it is the last on interfaces of the calling thread's namespace; `filters` is
    /// whether one of them has a clsact. An XDP program has nothing behind it.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn look_behind(&mut self, interfaces: &[String], filters: bool) -> anyhow::Result<()> {
        if self.hook() != Hook::Tc {
            return Ok(());
        }
        let id = self.tc()?.info()?.id();
        let last = !filters && interfaces.iter().all(|name| is_last(name, id));
        let map = self.maps().map_mut(".bss").context("no map of what is behind")?;
        let mut is_last: Array<&mut MapData, u32> = map.try_into()?;
        Ok(is_last.set(0, u32::from(last), 0)?)
    }
}

/// Whether the program with this number is the last link of tcx; not where the kernel does not say.
fn is_last(interface: &str, id: u32) -> bool {
    SchedClassifier::query_tcx(interface, TcAttachType::Egress)
        .is_ok_and(|(_, all)| all.last().is_some_and(|program| program.id() == id))
}
