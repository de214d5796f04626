//! Nanoseconds that a scheme's program takes for one packet, by the kernel's own test runs.
//!
//! A test run repeats a program on one frame. As a marked packet is not marked again in the same way,
//! a program before it writes the next packet of a flow into the frame each time and then goes on
//! with the one that is measured. An empty program and one that parses, counts and decides but marks
//! nothing (the twin of `none`) are measured the same way, so the writing cancels out.

use crate::host::own_time;
use crate::report::median;
use crate::traffic::{Flow, Kind, ROUTER_MAC, Tools};
use anyhow::{Context, ensure};
use ashiato_agent::datapath::kernel::layout::{PortEntry, Setting};
use ashiato_agent::datapath::kernel::log::Log;
use ashiato_agent::datapath::kernel::program::{Hook, Program};
use aya::{TestRun, TestRunOptions};
use serde_json::json;
use std::fmt::Write as _;
use traceback::invariant::Key;
use traceback::schemes::{AnyScheme, SCHEMES, entry};
use traceback::{Nanos, Place, RouterId};

/// Repeats of one round.
pub const REPEATS: u32 = 1_000_000;
/// So many at a time, that a log of eight pages has room for them.
const CHUNK: u32 = 250_000;
/// The interface at which packets of a test run come in: the loopback.
const INTERFACE: u32 = 1;
const PLACE: Place = Place { id: RouterId(0xc613_0007), index: 7, degree: 3, asn: 0 };

/// Whether a scheme's program is measured: those that have one, but direct export, each of whose packets is
/// an entry of a table that would soon be full.
pub fn is_measured(scheme: &dyn AnyScheme) -> bool {
    scheme.userspace_only().is_none() && scheme.card().id != "dex"
}

/// One program under test.
struct Candidate {
    /// `empty`, or a scheme's id, with `.keyed` where draws are.
    name: String,
    hook: Hook,
    /// None for the empty program.
    program: Option<Program>,
    log: Option<Log>,
    tools: Tools,
}

/// What was measured, one row for each program and round.
#[derive(Debug, Default)]
pub struct Steps {
    rows: Vec<(String, Hook, f64)>,
}

impl Steps {
    /// Measures schemes so many rounds, in turns: all, or only those named.
    ///
    /// # Errors
    /// A program does not load or does not do what it should.
    pub fn measure(rounds: usize, only: &[&str]) -> anyhow::Result<Self> {
        let wanted = |id: &str| only.is_empty() || only.contains(&id);
        let mut candidates = vec![];
        for hook in [Hook::Tc, Hook::Xdp] {
            candidates.push(Candidate::empty(hook)?);
            // Other frames take longer to write and to parse.
            let none = entry("none")?.build(&json!({}))?;
            for kind in Kind::ALL {
                let mut peer = Candidate::load(&*none, hook, false, kind)?;
                peer.name = format!("none{}", kind.suffix());
                candidates.push(peer);
            }
            for scheme in SCHEMES.iter().filter(|scheme| wanted(scheme.card().id)) {
                let scheme = scheme.build(&json!({}))?;
                if scheme.card().id == "none" || !is_measured(&*scheme) {
                    continue;
                }
                let kind = Kind::of(&scheme.card());
                candidates.push(Candidate::load(&*scheme, hook, false, kind)?);
                if scheme.card().draws {
                    candidates.push(Candidate::load(&*scheme, hook, true, kind)?);
                }
            }
        }
        let mut steps = Self::default();
        for _ in 0..rounds {
            for candidate in &mut candidates {
                let ns = candidate.round()?;
                steps.rows.push((candidate.name.clone(), candidate.hook, ns));
            }
        }
        candidates.iter().try_for_each(Candidate::check)?;
        Ok(steps)
    }

    /// Two programs compared round by round, so that what slows a whole round down falls out: the
    /// median over rounds.
    pub fn compare(&self, name: &str, peer: &str, hook: Hook, by: fn(f64, f64) -> f64) -> f64 {
        let of = |name: &str| {
            let rows = self.rows.iter().filter(|row| row.0 == name && row.1 == hook);
            rows.map(|row| row.2).collect::<Vec<_>>()
        };
        median(of(name).into_iter().zip(of(peer)).map(|(ns, peer)| by(ns, peer)).collect())
    }

    /// Names in the order in which they were measured.
    pub fn names(&self) -> Vec<&str> {
        let first = self.rows.iter().take_while(|row| row.1 == Hook::Tc);
        first.map(|row| row.0.as_str()).collect()
    }

    /// All rounds.
    pub fn csv(&self) -> String {
        let mut csv = String::from("program,hook,ns_per_packet\n");
        for (name, hook, ns) in &self.rows {
            // Writing to a string cannot fail.
            let _ = writeln!(csv, "{name},{hook:?},{ns:.3}");
        }
        csv
    }
}

impl Candidate {
    fn empty(hook: Hook) -> anyhow::Result<Self> {
        let mut tools = Tools::new(&Flow::new(Kind::Short))?;
        let (map, fd) = match hook {
            Hook::Tc => ("next_tc", tools.tc("empty_tc")?.fd()?.try_clone()?),
            Hook::Xdp => ("next_xdp", tools.xdp("empty_xdp")?.fd()?.try_clone()?),
        };
        tools.go_on_with(map, &fd)?;
        Ok(Self { name: "empty".into(), hook, program: None, log: None, tools })
    }

    fn load(scheme: &dyn AnyScheme, hook: Hook, keyed: bool, kind: Kind) -> anyhow::Result<Self> {
        let card = scheme.card();
        let setting = Setting::new(Key(1, 2), PLACE.id.into(), PLACE.degree, keyed, 0);
        let mut program = Program::load(hook, scheme, &PLACE, &setting, &[INTERFACE])?;
        let port = PortEntry { known: 1, edge: 1, mac: ROUTER_MAC, ..PortEntry::default() };
        program.set_port(INTERFACE, port)?;
        let log = scheme.log().map(|shape| program.log(shape, 1, Nanos(0))).transpose()?;
        let mut tools = Tools::new(&Flow::new(kind))?;
        match hook {
            Hook::Tc => tools.go_on_with("next_tc", program.tc()?.fd()?)?,
            Hook::Xdp => tools.go_on_with("next_xdp", program.xdp()?.fd()?)?,
        }
        let name = format!("{}{}", card.id, if keyed { ".keyed" } else { "" });
        Ok(Self { name, hook, program: Some(program), log, tools })
    }

    /// Nanoseconds for one packet.
    fn round(&mut self) -> anyhow::Result<f64> {
        let mut busy = 0.0;
        for _ in 0..REPEATS / CHUNK {
            if let Some(log) = &mut self.log {
                log.harvest(&mut |_| ());
            }
            let start = own_time();
            self.run(CHUNK)?;
            busy += (own_time() - start).as_secs_f64();
        }
        Ok(busy * 1e9 / f64::from(REPEATS))
    }

    fn run(&mut self, repeat: u32) -> anyhow::Result<()> {
        let frame = self.tools.frame.clone();
        let mut skb = [0; 192];
        // __sk_buff.ingress_ifindex: a packet that came in from somewhere.
        skb[36..40].copy_from_slice(&INTERFACE.to_le_bytes());
        let tc = self.hook == Hook::Tc;
        let options = TestRunOptions {
            data_in: Some(&frame),
            ctx_in: tc.then_some(&skb),
            repeat,
            ..TestRunOptions::new()
        };
        let (done, want) = match self.hook {
            Hook::Tc => (self.tools.tc("renew_then_tc")?.test_run(options)?, u32::MAX),
            Hook::Xdp => (self.tools.xdp("renew_then_xdp")?.test_run(options)?, 2),
        };
        ensure!(done.return_value == want, "{} returned {}", self.name, done.return_value);
        Ok(())
    }

    /// The program did its work on every packet, and nothing stood in its way.
    fn check(&self) -> anyhow::Result<()> {
        let Some(program) = &self.program else { return Ok(()) };
        let counts = program.counts().context("read counters")?;
        let sent = self.tools.ends()?.sent;
        let right =
            counts.forwarded == sent && counts.no_room + counts.no_slot + counts.overfull == 0;
        ensure!(right, "{} {:?}: {counts:?} for {sent} packets", self.name, self.hook);
        Ok(())
    }
}
