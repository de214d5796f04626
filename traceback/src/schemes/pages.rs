//! Logs of hashes: Bloom filters, one page after the other, as SPIE and HIT keep them.
//!
//! ```text
//! page: m bits; a digest sets k bits at  h1 + i * h2  (i = 0..k), scaled to m;  h1, h2 by page salt
//! ```
//! A page closes when it holds its packets or its epoch ends. One page is in `pages/page.rs`, what waits to be
//! written into it in `pages/late.rs`; `pages.h` is the same for kernel twins, where nothing waits.
//!
//! Source: snoeren2001 section 4.2.

mod late;
mod page;

pub use page::Page;

use crate::case::{Answer, Query, Window};
use crate::invariant::mix2;
use crate::ledger::{BadBytes, Ledger, Reader, put_varint};
use crate::scheme::{BadParams, Hop, LogPage, LogShape, Nanos};
use late::Late;
use page::cells;
use serde::{Deserialize, Serialize};

/// Bits of a page at most.
const MAX_BITS: u64 = 1 << 32;
/// Cells of one packet at most.
const MAX_HASHES: u64 = 64;

/// What a scenario may set; `ashiato plan` sizes `bits` and `hashes` where it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Bits of a page, m.
    pub bits: u64,
    /// Bits set for each packet, k.
    pub hashes: u32,
    /// Packets after which a page closes, n.
    pub packets: u64,
    /// Longest life of an open page, in milliseconds.
    pub epoch_ms: u64,
    /// Pages kept; the oldest goes first.
    pub pages: usize,
}

impl Default for Params {
    /// 12 bits a packet, 8 hashes, one minute. Source: snoeren2001 section 5.1.
    fn default() -> Self {
        Self { bits: 12 << 17, hashes: 8, packets: 1 << 17, epoch_ms: 60_000, pages: 8 }
    }
}

impl Params {
    /// Checks ranges.
    ///
    /// # Errors
    /// [`BadParams`] names the key.
    pub fn checked(self) -> Result<Self, BadParams> {
        let (cells, any) = ("must be at least 1 and at most 64", "must be at least 1");
        let bounds = [
            ("bits", self.bits, MAX_BITS, "must be at least 1 and at most 2^32"),
            ("hashes", self.hashes.into(), MAX_HASHES, cells),
            ("packets", self.packets, u64::MAX, any),
            ("epoch_ms", self.epoch_ms, u64::MAX, any),
            ("pages", self.pages as u64, u64::MAX, any),
        ];
        for (key, value, most, must) in bounds {
            if value == 0 || value > most {
                return Err(BadParams { key, must, got: value.to_string() });
            }
        }
        Ok(self)
    }

    /// What a kernel twin's log looks like.
    pub(super) fn shape(&self) -> LogShape {
        let Self { bits, packets, epoch_ms, .. } = *self;
        LogShape { bits, packets, epoch_ms }
    }

    /// Cells that a digest takes in a page with this salt.
    pub(super) fn cells(&self, salt: u64, digest: u64) -> Vec<u64> {
        cells(self.bits, self.hashes, salt, digest).map(u64::from).collect()
    }
}

/// The pages of one router, oldest first.
#[derive(Debug, Clone)]
pub struct Pages {
    pages: Vec<Page>,
    /// What is yet to be written into the youngest page.
    late: Late,
}

impl Default for Pages {
    fn default() -> Self {
        Self { pages: vec![], late: Late::NONE }
    }
}

impl PartialEq for Pages {
    fn eq(&self, other: &Self) -> bool {
        self.clone().settled() == other.clone().settled()
    }
}

impl Pages {
    /// All pages, with nothing left to be written.
    fn settled(mut self) -> Vec<Page> {
        self.settle();
        self.pages
    }

    /// Writes what is yet to be written.
    #[cold]
    fn settle(&mut self) {
        if let Some(page) = self.pages.last_mut() {
            self.late.write(page);
        }
    }

    /// The same, and whatever page was open is closed.
    fn close(&mut self) {
        self.settle();
        self.late = Late::NONE;
    }

    /// Keeps a page, the youngest; the oldest goes where there are too many.
    fn add(&mut self, page: Page, most: usize) {
        if self.pages.len() >= most {
            self.pages.remove(0);
        }
        self.pages.push(page);
    }

    /// Takes over a page that a kernel twin filled, in place of what was known of the same page.
    pub(super) fn absorb(&mut self, page: LogPage<'_>, params: &Params) {
        let LogPage { window, salt, inserted, words } = page;
        let Params { bits, hashes, pages, .. } = *params;
        let page = Page { window, salt, hashes, inserted, bits, words: words.to_vec() };
        self.close();
        match self.pages.iter_mut().find(|p| p.salt == salt) {
            Some(known) => *known = page,
            None => self.add(page, pages),
        }
    }

    /// Logs a digest at a router.
    #[inline]
    pub(super) fn log(&mut self, params: &Params, hop: &Hop, digest: u64) {
        if !self.late.has_room(params, hop.at) {
            self.make_room(params, hop);
        }
        self.late.add(params, hop.at, digest);
    }

    /// Makes room for a packet: in a new page where the youngest is not open any more.
    #[cold]
    fn make_room(&mut self, params: &Params, hop: &Hop) {
        self.settle();
        if self.late.is_open(hop.at) {
            return;
        }
        // A hash family of its own for each page and router (snoeren2001 section 4.2).
        let salt = mix2(hop.at.0, u64::from(hop.me.0) << 32 | self.pages.len() as u64);
        let page = Page::new(params.bits, params.hashes, salt, hop.at);
        self.late = Late::opened(&page, params);
        self.add(page, params.pages);
    }
}

impl Ledger for Pages {
    fn merge(&mut self, other: &Self) {
        self.close();
        self.pages.extend(other.clone().settled());
        self.pages.sort();
        self.pages.dedup();
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let pages = self.clone().settled();
        put_varint(out, pages.len() as u64);
        for page in &pages {
            for n in [page.window.0.0, page.window.1.0, page.salt, page.inserted, page.bits] {
                put_varint(out, n);
            }
            put_varint(out, page.hashes.into());
            page.words.iter().for_each(|w| out.extend(w.to_le_bytes()));
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, BadBytes> {
        let mut read = Reader(bytes);
        let mut pages = vec![];
        for _ in 0..read.varint()? {
            let window = (Nanos(read.varint()?), Nanos(read.varint()?));
            let (salt, inserted, bits) = (read.varint()?, read.varint()?, read.varint()?);
            let hashes = u32::try_from(read.varint()?).map_err(|_| BadBytes)?;
            if bits == 0 || bits > MAX_BITS {
                return Err(BadBytes);
            }
            let len = usize::try_from(bits.div_ceil(64)).map_err(|_| BadBytes)?;
            let words = read.take(len.checked_mul(8).ok_or(BadBytes)?)?;
            let word = |c: &[u8]| u64::from_le_bytes(c.try_into().expect("invariant: 8 bytes"));
            let words = words.chunks_exact(8).map(word).collect();
            pages.push(Page { window, salt, hashes, inserted, bits, words });
        }
        read.end()?;
        if pages.is_sorted() { Ok(Self { pages, ..Self::default() }) } else { Err(BadBytes) }
    }

    fn footprint(&self) -> usize {
        self.pages.iter().map(|p| p.words.len() * 8).sum()
    }

    fn answer(&self, query: &Query) -> Answer {
        let asked = Window { from: query.from, to: query.to };
        let has = |p: &Page, last, late: &[u32], key| {
            asked.meets(&Window { from: p.window.0, to: p.window.1.max(last) })
                && p.contains_with(key, late)
        };
        let (youngest, older) = self.pages.split_last().unzip();
        let young =
            |key| youngest.is_some_and(|p| has(p, self.late.last(), self.late.cells(), key));
        let old = |key| older.unwrap_or_default().iter().any(|p| has(p, Nanos(0), &[], key));
        let seen = |key: &u64| young(*key) || old(*key);
        Answer { values: query.keys.iter().map(|k| seen(k).then_some(1)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::mix;
    use crate::scheme::RouterId;

    fn encoded(pages: &Pages) -> Vec<u8> {
        let mut bytes = vec![];
        pages.encode(&mut bytes);
        bytes
    }

    #[test]
    fn pages_never_forget_what_they_keep() {
        let params = Params { packets: 100, bits: 1200, pages: 3, ..Params::default() };
        let mut pages = Pages::default();
        for digest in 0..300_u64 {
            let hop = Hop { at: Nanos(digest), me: RouterId(1), ..Hop::default() };
            pages.log(&params, &hop, mix(digest));
        }
        let ask = |from, to, n: u64| {
            let query = Query { keys: vec![mix(n)], from: Nanos(from), to: Nanos(to) };
            pages.answer(&query).values[0].is_some()
        };
        assert!((0..300).all(|n| ask(0, 1000, n)));
        // Of the last packets the cells are yet to be set, which nobody can tell.
        assert!(!pages.late.cells().is_empty());
        let mut settled = pages.clone();
        settled.settle();
        assert!(settled.late.cells().is_empty() && settled.pages != pages.pages);
        assert_eq!((&settled, encoded(&settled)), (&pages, encoded(&pages)));
        // The window leaves out other pages.
        assert!(!ask(250, 1000, 50));
        // The fourth page pushes the first out.
        let mut more = pages.clone();
        more.log(&params, &Hop { at: Nanos(301), ..Hop::default() }, 7);
        assert_eq!(more.pages.len(), 3);
        assert_eq!(more.pages[0].window.0, Nanos(100));
    }
}
