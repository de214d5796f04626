//! Structures that the kernel programs and the agent share: `agent/bpf/state.h` and `log.h`.
//!
//! All are plain numbers without padding, in the machine's own byte order.

use aya::Pod;
use std::net::Ipv4Addr;
use traceback::invariant::{Key, Schedule};
use traceback::vantage::Harms;

/// What is fixed before a program is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Setting {
    /// The run's key, as packets are hashed.
    pub keys: [u64; 9],
    /// Its word for draws.
    pub draws: u64,
    /// The run's zero on the monotonic clock: before it, time stands at 0.
    pub zero: i64,
    /// The router's address as a number.
    pub me: u32,
    /// Its links to other routers.
    pub degree: u32,
    /// 1 for keyed draws, 0 for a generator that the kernel seeds.
    pub keyed: u32,
    /// One marking step in so many is timed; 0 times none.
    pub every: u32,
    /// XDP: 1 forwards by itself, 0 passes to the kernel.
    pub forwards: u32,
    /// Logs: 1 where each processor has its own copy of the cells. [`super::program`] decides.
    pub own_cells: u32,
    /// Entries that a table of the scheme holds at most. [`super::program`] decides.
    pub entries: u32,
    /// 1 where some neighbour takes no part in the scheme, so that a packet's next router matters.
    pub ahead: u32,
    /// XDP: 1 where the kernel looks at ports to choose between equal routes.
    pub by_ports: u32,
    /// [`QUIET_PORTS`] and [`QUIET_ERRORS`], where they apply.
    pub quiet: u32,
    /// tc: number of the kernel's `struct tcx_entry`; 0 where nothing is looked up. [`super::behind`] finds it.
    pub tcx: u64,
    /// XDP: ticks of the kernel's clock for which its word about a packet's way is good; 0: never.
    pub kept: u64,
}

/// Some ports are silent: packets that come in there are forwarded and nothing else.
pub const QUIET_PORTS: u32 = 1;
/// The router keeps its errors to itself.
pub const QUIET_ERRORS: u32 = 2;

impl Setting {
    /// A setting for a router whose run has not begun.
    pub fn new(key: Key, me: Ipv4Addr, degree: u16, keyed: bool, every: u32) -> Self {
        let Schedule { words: keys, draws } = key.schedule();
        Self {
            keys,
            draws,
            zero: i64::MAX,
            me: me.into(),
            degree: degree.into(),
            keyed: keyed.into(),
            every,
            forwards: 0,
            own_cells: 0,
            entries: 0,
            ahead: 0,
            by_ports: 0,
            quiet: 0,
            tcx: 0,
            kept: 0,
        }
    }
}

/// Packets since a program was loaded, on one processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Counts {
    /// Frames that the program saw.
    pub received: u64,
    /// Packets that went through the marking step and on.
    pub forwarded: u64,
    /// Frames left to the kernel.
    pub local: u64,
    /// Headers that make no sense: dropped by XDP, left alone by tc.
    pub malformed: u64,
    /// TTL spent: left to the kernel, which drops them.
    pub expired: u64,
    /// The kernel's tables refuse them: left to the kernel, which drops them.
    pub unroutable: u64,
    /// Packets whose mark changed.
    pub marked: u64,
    /// Fragments left unmarked.
    pub fragments_skipped: u64,
    /// Packets that got "don't fragment".
    pub df_set: u64,
    /// Packets whose TTL a mark changed.
    pub ttl_changed: u64,
    /// Packets without the scheme's slot.
    pub no_slot: u64,
    /// Packets whose reserved room was full or missing.
    pub no_room: u64,
    /// Frames of several packets, left unmarked.
    pub merged: u64,
    /// Packets logged into a page that was full, or not into a table that was.
    pub overfull: u64,
    /// Steps until the next timed one.
    pub timer: u64,
    /// State of the generator behind draws that are not keyed.
    pub chance: u64,
    /// XDP: packets whose way the kernel was asked for.
    pub asked: u64,
}

impl Counts {
    /// Adds the count of another processor.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        self.each(other, u64::wrapping_add);
        self
    }

    /// What was counted since `before`.
    #[must_use]
    pub fn since(mut self, before: &Self) -> Self {
        self.each(before, u64::saturating_sub);
        self
    }

    /// What marking did.
    pub fn harms(&self) -> Harms {
        let Self { marked, fragments_skipped, df_set, .. } = *self;
        let Self { ttl_changed, no_slot, no_room, merged, .. } = *self;
        Harms { marked, fragments_skipped, df_set, ttl_changed, no_slot, no_room, merged }
    }

    fn each(&mut self, other: &Self, change: fn(u64, u64) -> u64) {
        let (mine, theirs): (&mut [u64], &[u64]) = (
            bytemuck::cast_slice_mut(std::slice::from_mut(self)),
            bytemuck::cast_slice(std::slice::from_ref(other)),
        );
        for (mine, theirs) in mine.iter_mut().zip(theirs) {
            *mine = change(*mine, *theirs);
        }
    }
}

/// What the XDP program keeps on one processor: `struct own` of `state.h`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct CountsAndWays {
    /// Its packets.
    pub counts: Counts,
    /// Ways that packets take, which nobody but the program reads.
    ways: [[u64; 6]; 256],
}

/// An interface of the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct PortEntry {
    /// The router at the other end, 0 where hosts are.
    pub from: u32,
    /// Position in the configuration.
    pub index: u16,
    /// 1 where hosts are at the other end.
    pub edge: u8,
    /// 1 for an interface of this router.
    pub known: u8,
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Rank of that router among the neighbours.
    pub link: u16,
    /// 1 where it belongs to another autonomous system.
    pub border: u8,
    /// 1 where that router takes no part.
    pub legacy: u8,
    /// 1 where packets that come in are forwarded and nothing else.
    pub silent: u8,
    /// 1 where destination and port of arrival alone decide a packet's way.
    pub by_destination: u8,
}

/// Pages that a log has; a power of two. `PAGES` of `log.h`.
pub const PAGES: usize = 8;
/// Cells of one histogram. `CELLS` of `state.h`.
pub const CELLS: usize = (30 - 8 + 2) * HALF;
/// Half of the sub-buckets of a histogram. `HALF` of `state.h`.
pub const HALF: usize = 128;

// SAFETY: `repr(C)`, integers only, no padding: the size is checked below.
unsafe impl Pod for Setting {}
// SAFETY: as above.
unsafe impl Pod for Counts {}
// SAFETY: as above.
unsafe impl Pod for CountsAndWays {}
// SAFETY: as above.
unsafe impl Pod for PortEntry {}
// SAFETY: as above.
unsafe impl bytemuck::Zeroable for Counts {}
// SAFETY: as above.
unsafe impl bytemuck::Pod for Counts {}

const _: () = assert!(size_of::<Setting>() == 144 && size_of::<Counts>() == 17 * 8);
const _: () = assert!(size_of::<CountsAndWays>() == 17 * 8 + 256 * 48);
const _: () = assert!(size_of::<PortEntry>() == 20);
