//! One scheme's work at one place: how packets are read, marked, logged and counted, whatever the scheme.

use super::{Draws, Harms, Setting, Vantage};
use crate::case::{Answer, Query};
use crate::invariant::{Invariant, Schedule, mix, mix2};
use crate::ledger::Ledger;
use crate::packet::Packet;
use crate::scheme::{About, End, Field, Hop, Keeper, LogPage, Marked, Nanos, Place, Scheme};
use crate::slot::Slot;
use std::net::IpAddr;
use std::sync::Arc;

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
        let mark = self.put(slot, bits, after.mark, packet);
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

    /// Puts a mark in place of what stands in a slot; what stands there then.
    #[inline(always)]
    fn put(
        &mut self,
        slot: Slot,
        bits: u32,
        next: S::Mark,
        packet: &mut Packet<&mut [u8]>,
    ) -> S::Mark {
        let mut mark = S::Mark::unpack(bits);
        let changed = next != mark;
        if S::CHANGES_BY_CHANCE || changed {
            if slot.write(packet, bits & !field_mask::<S::Mark>() | next.pack()) {
                self.harms.marked += u64::from(changed);
                mark = next;
            } else {
                self.harms.no_room += 1;
            }
        }
        if changed & !packet.df() && slot != Slot::IdFlagsOffset {
            packet.set_df();
            self.harms.df_set += 1;
        }
        mark
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
