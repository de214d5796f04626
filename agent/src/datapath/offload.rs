//! Keeps the kernel from merging received frames (GRO, LRO) while a router works, and gives the
//! interfaces their settings back afterwards: a merged frame is larger than any link, and its mark would
//! stand for many packets.

use super::ethtool::{self, GET_FLAGS, GET_GRO, SET_FLAGS, SET_GRO};
use super::kernel::program;
use super::socket::interface_index;
use crate::journal::{self, Change, Journal, Record};
use std::os::fd::OwnedFd;
use std::path::Path;

const FLAG_LRO: u32 = 1 << 15;

/// Interfaces whose frames come as they were sent, until this is dropped.
#[derive(Debug)]
pub struct Unmerged {
    socket: OwnedFd,
    changes: Vec<Change>,
    /// Goes last: after the settings were given back.
    _journal: Option<Journal>,
}

impl Unmerged {
    /// Switches merging off on interfaces of the calling thread's network namespace, which `netns`
    /// names where the configuration does. Where `filters` is set, writes down that filters of clsact
    /// are about to be added, too.
    ///
    /// Interfaces that cannot merge are left as they are.
    ///
    /// # Errors
    /// When the change cannot be written down, or there is no socket to ask with.
    pub fn keep(names: &[&str], netns: Option<&Path>, filters: bool) -> anyhow::Result<Self> {
        let socket = ethtool::socket()?;
        let mut changes = vec![];
        for name in names {
            let ask = |command| ethtool::exchange(&socket, name, command, 0).ok();
            let change = Change {
                interface: (*name).to_owned(),
                index: interface_index(name)?.cast_unsigned(),
                gro: ask(GET_GRO).filter(|gro| *gro != 0),
                flags: ask(GET_FLAGS).filter(|flags| flags & FLAG_LRO != 0),
                filter: filters,
            };
            if change.gro.is_some() || change.flags.is_some() || change.filter {
                changes.push(change);
            }
        }
        let namespace = journal::inode(Path::new("/proc/thread-self/ns/net")).unwrap_or_default();
        let record = Record { namespace, netns: netns.map(Path::to_owned), changes };
        let journal = (!record.changes.is_empty()).then(|| Journal::write(&record)).transpose()?;
        let kept = Self { socket, changes: record.changes, _journal: journal };
        for Change { interface, gro, flags, .. } in &kept.changes {
            // What the interface refuses to change stays.
            let set = |command, value| ethtool::exchange(&kept.socket, interface, command, value);
            let _ = gro.map(|_| set(SET_GRO, 0));
            let _ = flags.map(|flags| set(SET_FLAGS, flags & !FLAG_LRO));
        }
        Ok(kept)
    }
}

impl Drop for Unmerged {
    fn drop(&mut self) {
        self.changes.iter().for_each(|change| give_back(&self.socket, change));
    }
}

/// Gives an interface of the calling thread's namespace back what a dead agent took from it; false
/// where it is gone.
pub(crate) fn undo(change: &Change) -> bool {
    let index = interface_index(&change.interface).ok().map(i32::cast_unsigned);
    let Ok(socket) = ethtool::socket() else { return false };
    if index != Some(change.index) {
        return false;
    }
    if change.filter {
        program::remove_filter(&change.interface);
    }
    give_back(&socket, change);
    true
}

fn give_back(socket: &OwnedFd, change: &Change) {
    let Change { interface, gro, flags, .. } = change;
    // An interface that is gone needs nothing back.
    let set = |command, value| ethtool::exchange(socket, interface, command, value);
    let _ = gro.map(|gro| set(SET_GRO, gro));
    let _ = flags.map(|flags| set(SET_FLAGS, flags));
}
