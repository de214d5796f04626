//! A scheme at work at one place, behind an interface that does not name the scheme.
//!
//! [`Vantage`] is what datapaths, the simulator and `observe` hold: it marks and logs packets, cuts
//! ledgers into reports, and answers questions. [`At`] makes one from any [`Scheme`].

use crate::case::{Answer, Filter, Query};
use crate::invariant::{Invariant, Key, Schedule, mix, mix2};
use crate::ledger::Ledger;
use crate::packet::Packet;
use crate::scheme::{About, End, Field, Hop, Keeper, LogPage, Marked, Nanos, Place, Scheme};
use crate::slot::Slot;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;

/// Where a router's chance comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draws {
    /// A hash of key, router and packet: every world marks every packet alike.
    Keyed,
    /// A generator seeded by the caller.
    Seeded(u64),
}

/// What marking did to packets that somebody may miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Harms {
    /// Packets whose mark changed.
    pub marked: u64,
    /// Fragments left unmarked, because a mark would break their reassembly.
    pub fragments_skipped: u64,
    /// Packets that got "don't fragment", so that nobody fragments them behind the mark.
    pub df_set: u64,
    /// Packets whose TTL a mark changed beyond the router's own step.
    #[serde(default)]
    pub ttl_changed: u64,
    /// Packets without the slot that the scheme needs.
    pub no_slot: u64,
    /// Packets whose reserved room was full or missing.
    pub no_room: u64,
    /// Frames that the kernel had merged from several packets, left unmarked.
    #[serde(default)]
    pub merged: u64,
}

impl Harms {
    /// Adds another count.
    pub fn add(&mut self, other: &Self) {
        self.marked += other.marked;
        self.fragments_skipped += other.fragments_skipped;
        self.df_set += other.df_set;
        self.ttl_changed += other.ttl_changed;
        self.no_slot += other.no_slot;
        self.no_room += other.no_room;
        self.merged += other.merged;
    }
}

/// One scheme at one place.
pub trait Vantage: Send {
    /// The router's step: marks and, where routers keep the ledger, logs. Says whether the router has a message
    /// to send about the packet.
    fn forward(&mut self, mut hop: Hop, packet: &mut Packet<&mut [u8]>) -> bool {
        self.forward_known(&mut hop, packet, &mut None)
    }

    /// The same for a packet whose hashes a router before it may have left in `known`, or that leaves them
    /// there: no router on the way changes what they are made of. All share a scheme and the run's key. What the
    /// step itself draws and finds is filled in, whatever stood there.
    fn forward_known(
        &mut self,
        hop: &mut Hop,
        packet: &mut Packet<&mut [u8]>,
        known: &mut Option<Invariant>,
    ) -> bool;
    /// The step on a packet that a kernel twin chose for a message: `hop` holds the draw and what was owed.
    /// Says whether there is a message to write.
    fn retell(&mut self, _hop: Hop, _packet: &Packet<&mut [u8]>) -> bool {
        false
    }
    /// Writes that message, a whole IP packet, about the packet just forwarded; says whether there is
    /// one. `out` is the egress port, `from` the router's addresses where the packet came in.
    fn speak(
        &mut self,
        _packet: &Packet<&mut [u8]>,
        _out: u16,
        _from: &[IpAddr],
        _message: &mut Vec<u8>,
    ) -> bool {
        false
    }
    /// Whether its marks stand in IPv4's flags and fragment offset, which then say nothing of fragments.
    fn owns_fragment_bits(&self) -> bool {
        false
    }
    /// The victim's step on a packet that arrived; packets that the filter leaves out do not count.
    fn see(&mut self, at: Nanos, packet: &Packet<&[u8]>);
    /// Takes the ledger's encoding and starts an empty one. `None` where the ledger stays at home.
    fn cut(&mut self) -> Option<Vec<u8>>;
    /// Takes over a page that a kernel twin filled here.
    fn absorb(&mut self, page: LogPage<'_>);
    /// Takes over the table that a kernel twin keeps here, as it stands.
    fn adopt(&mut self, entries: &mut dyn Iterator<Item = (u64, u32)>);
    /// Answers a question about what was logged.
    fn answer(&self, query: &Query) -> Answer;
    /// What marking did so far.
    fn harms(&self) -> Harms;
    /// Bytes of memory that the ledger takes.
    fn footprint(&self) -> usize;
    /// Observations that found no room in the ledger.
    fn lost(&self) -> u64;
}

/// How a vantage is set up.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The router; for an observer at the victim, the victim's gateway.
    pub place: Place,
    /// The run's key.
    pub key: Key,
    /// Chance.
    pub draws: Draws,
    /// What an observer counts; `None` for routers, which treat all packets alike.
    pub filter: Option<Filter>,
}

/// A [`Scheme`] at one place.
#[derive(Debug)]
pub struct At<S: Scheme> {
    scheme: Arc<S>,
    local: S::Local,
    setting: Setting,
    schedule: Schedule,
    ledger: S::Ledger,
    harms: Harms,
    lost: u64,
    chance: u64,
    /// Whom the packet just forwarded is to be told about, and its visit.
    telling: Option<(End, Hop)>,
}

impl<S: Scheme> At<S> {
    /// Puts a scheme to work.
    pub fn new(scheme: Arc<S>, setting: Setting) -> Self {
        let local = scheme.local(&setting.place);
        let chance = match setting.draws {
            Draws::Keyed => 0,
            Draws::Seeded(seed) => mix2(seed, u64::from(setting.place.id.0)),
        };
        let ledger = S::Ledger::default();
        let schedule = setting.key.schedule();
        let harms = Harms::default();
        Self { scheme, local, setting, schedule, ledger, harms, lost: 0, chance, telling: None }
    }

    fn draw(&mut self, digest: u64) -> u32 {
        let word = match self.setting.draws {
            Draws::Keyed => keyed_draw(&self.schedule, self.setting.place, digest),
            Draws::Seeded(_) => {
                // SplitMix64: one addition and one mix for each draw.
                self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
                mix(self.chance)
            }
        };
        (word >> 32) as u32
    }

    /// Writes the mark; the one that the packet goes on with, if it has a slot.
    #[inline(always)]
    fn write(
        &mut self,
        hop: &Hop,
        inv: &Invariant,
        packet: &mut Packet<&mut [u8]>,
    ) -> Option<S::Mark> {
        // Each with a constant slot, so that little is left of reading and writing it.
        if packet.is_v6() {
            self.write_to(S::CARD.v6, hop, inv, packet)
        } else {
            self.write_to(S::CARD.v4, hop, inv, packet)
        }
    }

    #[inline(always)]
    fn write_to(
        &mut self,
        slot: Slot,
        hop: &Hop,
        inv: &Invariant,
        packet: &mut Packet<&mut [u8]>,
    ) -> Option<S::Mark> {
        let Some(bits) = slot.read(packet) else {
            self.harms.no_slot += 1;
            return None;
        };
        let before = S::Mark::unpack(bits);
        if slot.breaks_fragments() && hop.fragment != 0 {
            self.harms.fragments_skipped += 1;
            return Some(before);
        }
        let after = self.step(hop, inv, before);
        let changed = after.mark != before;
        let mut mark = before;
        if S::CHANGES_BY_CHANCE || changed {
            if slot.write(packet, bits & !field_mask::<S::Mark>() | after.mark.pack()) {
                self.harms.marked += u64::from(changed);
                mark = after.mark;
            } else {
                self.harms.no_room += 1;
            }
        }
        if changed & !packet.df() && slot != Slot::IdFlagsOffset {
            packet.set_df();
            self.harms.df_set += 1;
        }
        if let Some(ttl) = after.other_ttl(packet.ttl()) {
            packet.set_ttl(ttl);
            self.harms.ttl_changed += 1;
        }
        if S::SPEAKS {
            self.telling = after.tell.map(|end| (end, *hop));
        }
        if let Some(record) = after.record {
            let room = packet.records().len();
            packet.push_record(record);
            self.harms.no_room += u64::from(packet.records().len() == room);
        }
        Some(mark)
    }

    /// Takes a message of the scheme's to the victim, and says whether it was one.
    fn hear(&mut self, at: Nanos, packet: &Packet<&[u8]>) -> bool {
        let ours = self.setting.filter.is_none_or(|f| f.victim == packet.destination());
        let hop = Hop { at, me: self.setting.place.id, ttl: packet.ttl(), ..Hop::default() };
        ours && self.scheme.hear(&hop, packet, &mut self.ledger)
    }

    /// The scheme's step, once more where it needs something from the ledger. Inlined, so that nothing is left
    /// of what a scheme never asks for.
    #[inline(always)]
    fn step(&mut self, hop: &Hop, inv: &Invariant, before: S::Mark) -> Marked<S::Mark> {
        let first = self.scheme.mark(&self.local, hop, inv, before);
        let Some(key) = first.need else { return first };
        let hop = Hop { cell: self.ledger.cell(key, hop.at), ..*hop };
        self.scheme.mark(&self.local, &hop, inv, before)
    }
}

/// The 64 bits whose upper half is the draw of one router for one packet.
pub const fn keyed_draw(schedule: &Schedule, place: Place, digest: u64) -> u64 {
    mix2(digest ^ schedule.draws, place.id.0 as u64)
}

/// The bits of a slot that are a mark's.
pub(crate) fn field_mask<M: Field>() -> u32 {
    u32::try_from((1_u64 << M::BITS) - 1).unwrap_or(u32::MAX)
}

impl<S: Scheme> Vantage for At<S> {
    fn owns_fragment_bits(&self) -> bool {
        S::CARD.v4 == Slot::IdFlagsOffset
    }

    fn forward_known(
        &mut self,
        hop: &mut Hop,
        packet: &mut Packet<&mut [u8]>,
        known: &mut Option<Invariant>,
    ) -> bool {
        packet.has_header();
        if self.owns_fragment_bits() {
            packet.own_fragment_bits();
        }
        hop.fragment = packet.is_fragment().into();
        // The same in every router that does its work: one that poses as another says so here, too.
        hop.me = self.setting.place.id;
        let keyed = self.setting.draws == Draws::Keyed && S::CARD.draws;
        let inv = if keyed || self.scheme.hashes() {
            *known.get_or_insert_with(|| Invariant::under(packet, &self.schedule))
        } else {
            Invariant::NONE
        };
        if S::CARD.draws {
            hop.draw = self.draw(inv.digest);
        }
        if S::SPEAKS {
            hop.wanted = self.scheme.wants(packet.destination()).into();
            self.telling = None;
        }
        let writes = S::Mark::BITS > 0 || S::CARD.records || S::SPEAKS;
        let mark = if writes { self.write(hop, &inv, packet) } else { None };
        if S::CARD.keeper == Keeper::Routers {
            let slot = S::CARD.slot(packet.is_v6());
            // A mark that found no slot was counted when it was to be written.
            self.harms.no_slot += u64::from(!writes && !slot.fits(packet));
            let option = if slot == Slot::IoamExport { slot.records(packet) } else { &[] };
            let mark = mark.unwrap_or_else(|| S::Mark::unpack(0));
            self.scheme.observe(hop, &inv, mark, option, &mut self.ledger);
        }
        S::SPEAKS && self.telling.is_some()
    }

    fn retell(&mut self, mut hop: Hop, packet: &Packet<&mut [u8]>) -> bool {
        hop.wanted = self.scheme.wants(packet.destination()).into();
        hop.me = self.setting.place.id;
        hop.fragment = packet.is_fragment().into();
        let after = self.scheme.mark(&self.local, &hop, &Invariant::NONE, S::Mark::unpack(0));
        self.telling = after.tell.map(|end| (end, hop));
        self.telling.is_some()
    }

    fn speak(
        &mut self,
        packet: &Packet<&mut [u8]>,
        out: u16,
        from: &[IpAddr],
        message: &mut Vec<u8>,
    ) -> bool {
        let Some((end, hop)) = self.telling.take() else { return false };
        let to = match end {
            End::Source => packet.source(),
            End::Destination => packet.destination(),
        };
        let (key, packet) = (self.setting.key, packet.as_bytes());
        self.scheme.message(&About { key, hop: &hop, out, from, packet, to }, message)
    }

    fn see(&mut self, at: Nanos, packet: &Packet<&[u8]>) {
        let slot = S::CARD.slot(packet.is_v6());
        let mut packet = *packet;
        if self.owns_fragment_bits() {
            packet.own_fragment_bits();
        }
        if S::SPEAKS && self.hear(at, &packet) {
            return;
        }
        let counts = self.setting.filter.is_none_or(|f| f.matches(&packet));
        if !counts || S::CARD.keeper != Keeper::Victim {
            return;
        }
        let Some(mark) = slot.read(&packet) else {
            self.harms.no_slot += 1;
            return;
        };
        // A fragment's Identification is its own, never a mark.
        if S::Mark::BITS > 0 && slot.breaks_fragments() && packet.is_fragment() {
            self.harms.fragments_skipped += 1;
            return;
        }
        // A list that was full hides who came later: no evidence of a whole path.
        if S::CARD.records && packet.records_overflowed() {
            self.harms.no_room += 1;
            return;
        }
        let inv = Invariant::under(&packet, &self.schedule);
        let hop = Hop { at, me: self.setting.place.id, ttl: packet.ttl(), ..Hop::default() };
        let mark = S::Mark::unpack(mark);
        self.scheme.observe(&hop, &inv, mark, slot.records(&packet), &mut self.ledger);
    }

    fn cut(&mut self) -> Option<Vec<u8>> {
        if S::CARD.keeper != Keeper::Victim {
            return None;
        }
        let ledger = std::mem::take(&mut self.ledger);
        self.lost += ledger.lost();
        let mut out = vec![];
        ledger.encode(&mut out);
        Some(out)
    }

    fn absorb(&mut self, page: LogPage<'_>) {
        self.scheme.absorb(page, &mut self.ledger);
    }

    fn adopt(&mut self, entries: &mut dyn Iterator<Item = (u64, u32)>) {
        self.ledger.adopt(entries);
    }

    fn answer(&self, query: &Query) -> Answer {
        self.ledger.answer(query)
    }

    fn harms(&self) -> Harms {
        self.harms
    }

    fn footprint(&self) -> usize {
        self.ledger.footprint()
    }

    fn lost(&self) -> u64 {
        self.lost + self.ledger.lost()
    }
}
