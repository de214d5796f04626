//! The pages of a hash log that a kernel program fills: `agent/bpf/log.h`.
//!
//! Pages form a ring; one is open. The program opens the next one when a page is full, the agent when
//! its epoch ends, whoever is first. The agent takes closed pages away and frees them. It reads a page
//! only after every program that may have begun while the page was open has ended, so no packet is
//! missed: `membarrier` returns when all processors have left what they were doing.

use super::layout::PAGES;
use anyhow::{Context, bail};
use aya::maps::MapData;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::time::{ClockId, clock_gettime};
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use traceback::Nanos;
use traceback::invariant::mix2;
use traceback::scheme::{LogPage, LogShape};

/// Words of all pages at most: 1 GiB.
const MOST_WORDS: u64 = 1 << 27;
/// The same where each processor has its own copy: 128 MiB.
const MOST_OWN_WORDS: u64 = 1 << 24;
/// The program reads a clock that ticks some milliseconds apart.
const TICK: u64 = 10_000_000;
const FREE: u64 = 0;
const USED: u64 = 1;

/// Words of a page's head: `struct page`.
const HEAD: usize = 5;
const SALT: usize = 0;
const TOLD: usize = 1;
const LIMIT: usize = 2;
const OPENED: usize = 3;
const STATE: usize = 4;

/// An array map in this process's memory, shared with the kernel.
#[derive(Debug)]
struct Words {
    at: NonNull<AtomicU64>,
    len: usize,
}

// SAFETY: the memory belongs to the map, is reached only through atomics, and is unmapped once.
unsafe impl Send for Words {}

impl Words {
    fn of(map: &MapData, len: usize) -> anyhow::Result<Self> {
        let bytes = NonZeroUsize::new(len * 8).context("an empty map")?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let at =
            unsafe { mmap(None, bytes, protection, MapFlags::MAP_SHARED, map.fd().as_fd(), 0) };
        Ok(Self { at: at.context("map a log into memory")?.cast(), len })
    }

    fn all(&self) -> &[AtomicU64] {
        // SAFETY: `len` words are mapped while `self` lives, aligned to a page; the kernel writes
        // them at any time, for which atomics are made.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: mapped by `of`, with this length, and never handed out beyond `self`.
        let _ = unsafe { munmap(self.at.cast(), self.len * 8) };
    }
}

/// The log of one program.
#[derive(Debug)]
pub struct Log {
    /// `struct pages`.
    heads: Words,
    cells: Words,
    shape: LogShape,
    /// Words of one page in one copy: cells, and behind them the number of packets.
    stride: usize,
    /// Copies of all pages; a packet's cells are in one of them.
    copies: usize,
    /// Pages taken into use so far: no two get the same salt.
    serial: u64,
    seed: u64,
    /// The run's time less that of CLOCK_MONOTONIC.
    offset: i128,
}

impl Log {
    /// Copies of the cells: one for each processor where they are not too large, so that no program
    /// needs atomic operations.
    pub fn copies(shape: &LogShape) -> usize {
        let processors = aya::util::nr_cpus().unwrap_or(1);
        let words = stride(shape).saturating_mul((PAGES * processors) as u64);
        if words <= MOST_OWN_WORDS { processors } else { 1 }
    }

    /// Entries that the map of cells needs.
    ///
    /// # Errors
    /// When pages are too large for a kernel map.
    pub fn entries(shape: &LogShape) -> anyhow::Result<u32> {
        let words = stride(shape).saturating_mul(PAGES as u64);
        if words > MOST_WORDS {
            bail!(
                "pages of {} bits are too large for a log in the kernel ({PAGES} pages take 1 GiB at \
                 most): lower `packets`, or use datapath afpacket",
                shape.bits
            );
        }
        Ok(u32::try_from(words * Self::copies(shape) as u64)?)
    }

    /// Takes over the maps of a program that does not run yet, and opens the first page. The run's
    /// time is `now`; `seed` differs between routers and starts.
    ///
    /// # Errors
    /// When the maps cannot be had in memory.
    pub fn start(
        maps: [&MapData; 2],
        shape: LogShape,
        seed: u64,
        now: Nanos,
    ) -> anyhow::Result<Self> {
        let stride = usize::try_from(stride(&shape))?;
        let copies = Self::copies(&shape);
        let [heads, cells] = maps;
        let mut log = Self {
            heads: Words::of(heads, 1 + HEAD * PAGES)?,
            cells: Words::of(cells, stride * PAGES * copies)?,
            shape,
            stride,
            copies,
            serial: 0,
            seed,
            offset: i128::from(now.0) - i128::from(monotonic()),
        };
        (0..PAGES).for_each(|page| log.free(page));
        log.head(0)[OPENED].store(monotonic(), Ordering::Relaxed);
        log.head(0)[STATE].store(USED, Ordering::Release);
        Ok(log)
    }

    fn head(&self, page: usize) -> &[AtomicU64] {
        &self.heads.all()[1 + page * HEAD..][..HEAD]
    }

    /// Number of the open page.
    fn open(&self) -> &AtomicU64 {
        &self.heads.all()[0]
    }

    /// The cells of a page and the number of its packets, copy by copy.
    fn copies_of(&self, page: usize) -> impl Iterator<Item = &[AtomicU64]> {
        let first = (0..self.copies).map(move |copy| (copy * PAGES + page) * self.stride);
        first.map(|at| &self.cells.all()[at..][..self.stride])
    }

    /// Packets in a page.
    fn inserted(&self, page: usize) -> u64 {
        self.copies_of(page).filter_map(|copy| copy.last()).map(|n| n.load(Ordering::Acquire)).sum()
    }

    fn get(&self, page: usize, field: usize) -> u64 {
        self.head(page)[field].load(Ordering::Acquire)
    }

    fn open_page(&self) -> usize {
        usize::try_from(self.open().load(Ordering::Acquire)).unwrap_or(0) % PAGES
    }

    /// Makes a page ready for use.
    fn free(&mut self, page: usize) {
        self.serial += 1;
        let salt = mix2(self.seed, self.serial);
        self.copies_of(page).flatten().for_each(|word| word.store(0, Ordering::Relaxed));
        let head = self.head(page);
        for (field, value) in [(SALT, salt), (TOLD, 0), (LIMIT, self.shape.packets), (OPENED, 0)] {
            head[field].store(value, Ordering::Relaxed);
        }
        head[STATE].store(FREE, Ordering::Release);
    }

    /// Closes the open page if its epoch has ended, and hands every closed page to `take`.
    pub fn harvest(&mut self, take: &mut dyn FnMut(LogPage<'_>)) {
        self.end_epoch();
        let closed = self.closed();
        if closed.is_empty() {
            return;
        }
        wait_for_programs();
        for page in closed {
            let next = self.get((page + 1) % PAGES, OPENED);
            self.hand_over(page, next, take);
            self.free(page);
        }
    }

    /// Pages that took packets and are open no more, oldest first.
    fn closed(&self) -> Vec<usize> {
        // States first: a program that opens the next page meanwhile must not make it look closed. A
        // page in use that is not the open one afterwards was closed before.
        let used: Vec<bool> = (0..PAGES).map(|page| self.get(page, STATE) == USED).collect();
        let open = self.open_page();
        (1..PAGES).map(|ahead| (open + ahead) % PAGES).filter(|page| used[*page]).collect()
    }

    /// Hands what the open page holds so far to `take`; it stays open. A caller who wants every packet
    /// up to now harvests after this, not before: the open page may close between the two.
    pub fn peek(&self, take: &mut dyn FnMut(LogPage<'_>)) {
        let page = self.open_page();
        wait_for_programs();
        if self.get(page, STATE) == USED && self.inserted(page) > 0 {
            self.hand_over(page, monotonic(), take);
        }
    }

    fn hand_over(&self, page: usize, closed: u64, take: &mut dyn FnMut(LogPage<'_>)) {
        let mut words = vec![0; self.stride - 1];
        for copy in self.copies_of(page) {
            for (word, part) in words.iter_mut().zip(copy) {
                *word |= part.load(Ordering::Relaxed);
            }
        }
        let opened = self.get(page, OPENED);
        let at = |monotonic: u64| {
            Nanos(u64::try_from(i128::from(monotonic) + self.offset).unwrap_or_default())
        };
        // A page may be taken away before its clock was read: then it is as old as the run.
        take(LogPage {
            window: (at(opened.saturating_sub(TICK)), at(closed.max(opened) + TICK)),
            salt: self.get(page, SALT),
            inserted: self.inserted(page),
            words: &words,
        });
    }

    fn end_epoch(&mut self) {
        let page = self.open_page();
        let (opened, now) = (self.get(page, OPENED), monotonic());
        let next = (page + 1) % PAGES;
        let over = opened > 0 && now.saturating_sub(opened) >= self.shape.epoch_ms * 1_000_000;
        if !over || self.inserted(page) == 0 || self.get(next, STATE) != FREE {
            return;
        }
        let (from, to) = (page as u64, next as u64);
        if self.open().compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            self.head(next)[OPENED].store(now, Ordering::Relaxed);
            self.head(next)[STATE].store(USED, Ordering::Release);
        }
    }

    /// Bytes of memory that the pages take.
    pub fn footprint(&self) -> usize {
        self.cells.len * 8
    }
}

/// Words of one page in one copy.
fn stride(shape: &LogShape) -> u64 {
    shape.bits.div_ceil(64).saturating_add(1)
}

/// The monotonic clock, which programs read too, in nanoseconds.
pub fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(std::time::Duration::from);
    u64::try_from(now.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

/// Returns when every program that runs now has ended.
fn wait_for_programs() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_long = 1;
    // SAFETY: the call takes two numbers and no pointer.
    let done = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0) };
    if done != 0 {
        // Kernels with processors free of ticks refuse. A program takes microseconds.
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
