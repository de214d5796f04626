//! Routers that do not do what their scheme says: a matter of the lab's alone, in every world.

use crate::plan::Conduct;
use crate::traffic::CLEAN_ID;
use std::net::IpAddr;
use traceback::Nanos;
use traceback::case::{Answer, Query};
use traceback::invariant::Invariant;
use traceback::packet::Packet;
use traceback::scheme::{Hop, LogPage};
use traceback::schemes::AnyScheme;
use traceback::slot::Slot;
use traceback::vantage::{Harms, Vantage};

/// A vantage as its owner lets it work.
pub(crate) fn of(
    conduct: Conduct,
    scheme: &dyn AnyScheme,
    vantage: Box<dyn Vantage>,
) -> Box<dyn Vantage> {
    let card = scheme.card();
    match conduct {
        // A silent router has no vantage at all.
        Conduct::Honest | Conduct::Silent => vantage,
        Conduct::Erases => Box::new(Erases { inner: vantage, v4: card.v4, v6: card.v6 }),
        Conduct::Denies => Box::new(Denies(vantage)),
    }
}

/// Wipes what routers before it wrote.
struct Erases {
    inner: Box<dyn Vantage>,
    v4: Slot,
    v6: Slot,
}

impl Vantage for Erases {
    fn forward_known(
        &mut self,
        _: &mut Hop,
        packet: &mut Packet<&mut [u8]>,
        _: &mut Option<Invariant>,
    ) -> bool {
        let slot = if packet.is_v6() { self.v6 } else { self.v4 };
        // Where the mark lies over flags and offset, anything but 0 would make a fragment of the packet.
        let clean = if slot == Slot::IdFlagsOffset { 0 } else { CLEAN_ID.into() };
        slot.write(packet, clean);
        false
    }
    fn see(&mut self, _: Nanos, _: &Packet<&[u8]>) {}
    fn cut(&mut self) -> Option<Vec<u8>> {
        self.inner.cut()
    }
    fn absorb(&mut self, _: LogPage<'_>) {}
    fn adopt(&mut self, _: &mut dyn Iterator<Item = (u64, u32)>) {}
    fn answer(&self, query: &Query) -> Answer {
        self.inner.answer(query)
    }
    fn harms(&self) -> Harms {
        self.inner.harms()
    }
    fn footprint(&self) -> usize {
        self.inner.footprint()
    }
    fn lost(&self) -> u64 {
        self.inner.lost()
    }
}

/// Works as it should, and says "never seen" to every question.
struct Denies(Box<dyn Vantage>);

impl Vantage for Denies {
    fn forward_known(
        &mut self,
        hop: &mut Hop,
        packet: &mut Packet<&mut [u8]>,
        known: &mut Option<Invariant>,
    ) -> bool {
        self.0.forward_known(hop, packet, known)
    }
    fn retell(&mut self, hop: Hop, packet: &Packet<&mut [u8]>) -> bool {
        self.0.retell(hop, packet)
    }
    fn speak(
        &mut self,
        packet: &Packet<&mut [u8]>,
        out: u16,
        from: &[IpAddr],
        message: &mut Vec<u8>,
    ) -> bool {
        self.0.speak(packet, out, from, message)
    }
    fn see(&mut self, at: Nanos, packet: &Packet<&[u8]>) {
        self.0.see(at, packet);
    }
    fn cut(&mut self) -> Option<Vec<u8>> {
        self.0.cut()
    }
    fn absorb(&mut self, page: LogPage<'_>) {
        self.0.absorb(page);
    }
    fn adopt(&mut self, entries: &mut dyn Iterator<Item = (u64, u32)>) {
        self.0.adopt(entries);
    }
    fn answer(&self, query: &Query) -> Answer {
        Answer { values: vec![None; query.keys.len()] }
    }
    fn harms(&self) -> Harms {
        self.0.harms()
    }
    fn footprint(&self) -> usize {
        self.0.footprint()
    }
    fn lost(&self) -> u64 {
        self.0.lost()
    }
}
