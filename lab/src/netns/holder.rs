//! The link stage: holds frames back that links make wait, and sends each when its time has come.
//!
//! The wires' program decides everything: what is lost, what finds a queue full, and when each frame comes
//! out. It hands frames over through a ring, and one thread in the wires' namespace waits and sends. Frames
//! of one way come out in the order in which they went in.

use super::layout::Layout;
use super::space;
use super::wires::Wires;
use crate::exit::Exit;
use crate::plan::Plan;
use anyhow::{Context, Result, anyhow};
use ashiato_agent::datapath::kernel::log::monotonic;
use ashiato_agent::datapath::socket::{Opening, PacketSocket};
use aya::maps::{MapData, RingBuf};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Bytes of frames on their way to the stage, at most.
pub(super) const RING: u32 = 32 << 20;
/// What the program writes before each frame: due, interface, length.
const HEADER: usize = 16;
/// Frames taken in before those that are due get their turn.
const BATCH: usize = 256;
/// How long the stage sleeps at most before it looks whether it is to end.
const NAP: Duration = Duration::from_millis(20);
/// How long it waits for an interface whose queue is full.
const BREATH: Duration = Duration::from_micros(50);

/// The stage. It ends when this is dropped, and what it holds is gone then.
#[derive(Debug)]
pub(crate) struct Holder {
    end: Arc<AtomicBool>,
    refused: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Holder {
    /// Starts the stage of a plan's wires.
    ///
    /// # Errors
    /// [`Exit::HostNotReady`] where the host cannot honour the plan's links.
    pub(crate) fn start(plan: &Plan, layout: &Layout, wires: &Wires) -> Result<Self> {
        let ring = wires.take_stage()?;
        let middle = layout.middle().context("the layout has no wires")?.path();
        let ends = layout.middle_ends();
        let ends = ends.into_iter().filter(|(link, _)| plan.is_timed_link(*link));
        let outs: Vec<(String, u32)> = ends.map(Layout::middle_end).collect();
        let (end, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (ended, refuses) = (end.clone(), refused.clone());
        let (opened, opens) = std::sync::mpsc::channel();
        let work = move || match Stage::open(ring, &middle, &outs, refuses) {
            Ok(mut stage) => {
                let _ = opened.send(Ok(()));
                stage.serve(&ended);
            }
            Err(e) => drop(opened.send(Err(e))),
        };
        let thread = thread::Builder::new().name("link stage".into()).spawn(work);
        let thread = Some(thread.context("no thread for the link stage")?);
        let holder = Self { end, refused, thread };
        let said = opens.recv().unwrap_or_else(|_| Err(anyhow!("it broke off")));
        said.map_err(|e| {
            Exit::HostNotReady.refuse(format!("this host cannot delay what links carry: {e:#}"))
        })?;
        Ok(holder)
    }

    /// Frames that interfaces did not take.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been printed already.
            let _ = thread.join();
        }
    }
}

/// A frame that waits, and the interface that it leaves by.
struct Held {
    out: u32,
    frame: Vec<u8>,
}

struct Stage {
    ring: RingBuf<MapData>,
    outs: HashMap<u32, PacketSocket>,
    /// By when they are due; frames that are due at once go in the order in which they came.
    waits: BTreeMap<(u64, u64), Held>,
    /// Room of frames that left, for those that come.
    spare: Vec<Vec<u8>>,
    frames: u64,
    refused: Arc<AtomicU64>,
}

impl Stage {
    fn open(
        ring: RingBuf<MapData>,
        middle: &Path,
        outs: &[(String, u32)],
        refused: Arc<AtomicU64>,
    ) -> Result<Self> {
        space::enter(middle)?;
        // The kernel lets threads oversleep by 50 us unless they ask for less.
        nix::sys::prctl::set_timerslack(1).context("cannot ask for exact timers")?;
        let open = |(name, index): &(String, u32)| {
            // Through the queue: the program that times what leaves sits there.
            let opening = Opening { interface: Some(name), ethertype: 0, ..Opening::default() };
            let socket = PacketSocket::open(&opening).with_context(|| format!("open {name}"))?;
            Ok((*index, socket))
        };
        let outs = outs.iter().map(open).collect::<Result<_>>()?;
        Ok(Self { ring, outs, waits: BTreeMap::new(), spare: vec![], frames: 0, refused })
    }

    fn serve(&mut self, end: &AtomicBool) {
        while !end.load(Ordering::Relaxed) {
            self.take();
            let pause = match self.send() {
                Sent::Nothing => NAP,
                Sent::Until(due) => Duration::from_nanos(due.saturating_sub(monotonic())).min(NAP),
                Sent::Clogged => BREATH,
            };
            if !pause.is_zero() {
                self.sleep(pause);
            }
        }
    }

    /// Takes in what the program handed over.
    fn take(&mut self) {
        for _ in 0..BATCH {
            let Some(item) = self.ring.next() else { return };
            let Some((header, frame)) = item.split_at_checked(HEADER) else { continue };
            let word = |at: usize| {
                u32::from_ne_bytes(header[at..at + 4].try_into().expect("invariant: four bytes"))
            };
            let due = u64::from_ne_bytes(header[..8].try_into().expect("invariant: eight bytes"));
            let mut room = self.spare.pop().unwrap_or_default();
            room.clear();
            // The kernel rounds entries up.
            room.extend_from_slice(&frame[..frame.len().min(word(12) as usize)]);
            self.frames += 1;
            self.waits.insert((due, self.frames), Held { out: word(8), frame: room });
        }
    }

    /// Sends what is due.
    fn send(&mut self) -> Sent {
        let mut time = monotonic();
        while let Some(first) = self.waits.first_entry() {
            let due = first.key().0;
            if due > time {
                time = monotonic();
                if due > time {
                    return Sent::Until(due);
                }
            }
            let Held { out, frame } = first.get();
            let sent = self.outs.get(out).map(|socket| socket.send(frame));
            match sent {
                Some(Ok(())) => {}
                Some(Err(e)) if e.kind() == ErrorKind::WouldBlock => return Sent::Clogged,
                Some(Err(_)) | None => {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                }
            }
            self.spare.push(first.remove().frame);
        }
        Sent::Nothing
    }

    fn sleep(&self, pause: Duration) {
        let mut ring = [PollFd::new(self.ring.as_fd(), PollFlags::POLLIN)];
        // An interrupted sleep is a short one.
        let _ = ppoll(&mut ring, Some(TimeSpec::from(pause)), None);
    }
}

enum Sent {
    /// Nothing waits.
    Nothing,
    /// The next is due then.
    Until(u64),
    /// An interface takes no more at the moment.
    Clogged,
}
