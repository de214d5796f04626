//! Which plans worlds over several hosts can run.

use super::HostsWorld;
use super::placement::{Placement, Tunnels};
use crate::exit::Exit;
use crate::netns::NetnsWorld;
use crate::plan::{Failure, Plan};
use crate::scenario::spec::Datapath;
use anyhow::Result;

impl HostsWorld {
    /// Refuses a plan, placement or datapath that this world cannot run.
    ///
    /// # Errors
    /// [`Exit::Usage`] says why.
    pub fn suits(plan: &Plan, placement: &Placement, datapath: Datapath) -> Result<()> {
        Self::takes(plan, datapath, placement.tunnels)?;
        let shares = placement.shares(plan, "")?;
        placement.grounds(plan, &shares).map(drop)
    }

    /// Refuses a plan or datapath that hosts with such tunnels between them cannot run.
    ///
    /// # Errors
    /// As [`Self::suits`].
    pub fn takes(plan: &Plan, datapath: Datapath, tunnels: Tunnels) -> Result<()> {
        NetnsWorld::suits(plan, datapath)?;
        let refuse =
            |why: &str| Err(Exit::Usage.refuse(format!("{why}: use --world netns or sim")));
        if tunnels == Tunnels::Sealed {
            return Ok(());
        }
        // Containers of one machine may neither make namespaces nor mount.
        if plan.meddles() {
            let what = plan.troubles().join("; ");
            return refuse(&format!("bare tunnels carry what comes, and cannot make this: {what}"));
        }
        if plan.faults.iter().any(|fault| fault.what == Failure::DiskFull) {
            return refuse("a collector in a container has no file system of its own to fill");
        }
        if datapath.is_xdp() {
            let word = datapath.word();
            return refuse(&format!(
                "datapath {word} needs virtual links that take XDP, and bare tunnels are none: take afpacket or tc"
            ));
        }
        Ok(())
    }
}
