//! Frames, made and counted in the kernel: `bpf/bench.bpf.c`.
//!
//! The source is an XDP program that the kernel runs on frames of its own and that sends them on; the
//! sink is one that counts and drops. Every packet of the flow has its own Identification and number.

use crate::lanes::Empty;
use anyhow::Context;
use aya::maps::{Array, MapData, PerCpuArray, ProgramArray};
use aya::programs::tc::{self, NlOptions, TcAttachOptions};
use aya::programs::{ProgramFd, SchedClassifier, TcAttachType, Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader, TestRun, TestRunAttrs, TestRunOptions};
use traceback::room;
use traceback::scheme::Card;
use traceback::slot::Slot;

/// Ethernet address of every router's port towards the source.
pub const ROUTER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Frames that the kernel makes and sends on at a time; as many as a device takes in one turn.
const BATCH: u32 = 64;
const IP: usize = 14;
const SHORT: usize = 60;
const LONG: usize = 96;
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/bench.o"));

/// What frames look like, for the slots that schemes need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// IPv4, 64-byte frames.
    Short,
    /// IPv4, 100 bytes with room for 12 records.
    Room,
    /// IPv6, 100 bytes.
    V6,
    /// The same with IOAM's trace option, which has room for one node.
    Ioam,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Short, Self::Room, Self::V6, Self::Ioam];

    /// What a scheme needs.
    pub fn of(card: &Card) -> Self {
        match card.v4 {
            Slot::IoamTrace => Self::Ioam,
            slot if !slot.exists(false) => Self::V6,
            Slot::Room => Self::Room,
            _ if card.records => Self::Room,
            _ => Self::Short,
        }
    }

    /// What the name of a program or lane gains that is measured on such frames without a mark.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Short => "",
            Self::Room => ".long",
            Self::V6 => ".v6",
            Self::Ioam => ".ioam",
        }
    }

    /// Whether packets are IPv6.
    pub fn is_v6(self) -> bool {
        matches!(self, Self::V6 | Self::Ioam)
    }
}

/// A flow of UDP from 198.18.0.2 to 198.18.1.2, or 2001:2::2 to 2001:2:0:1::2, all of the ranges for
/// benchmarks.
#[derive(Debug, Clone)]
pub struct Flow {
    /// One frame, without its check sequence: 60 bytes, or 96.
    pub frame: Vec<u8>,
    /// Where IPv6 packets have their number, else 0.
    number: usize,
}

impl Flow {
    /// Frames of a kind.
    pub fn new(kind: Kind) -> Self {
        let mut frame = ROUTER_MAC.to_vec();
        frame.extend([2, 0, 0, 0, 0, 4]);
        frame.extend(if kind.is_v6() { [0x86, 0xdd] } else { [8, 0] });
        if kind.is_v6() {
            let (next, length) = if kind == Kind::Ioam { (0, 24) } else { (17, 0) };
            frame.extend([0x60, 0, 0, 0, 0, 42, next, 64]);
            frame.extend(b"\x20\x01\0\x02\0\0\0\0\0\0\0\0\0\0\0\x02");
            frame.extend(b"\x20\x01\0\x02\0\0\0\x01\0\0\0\0\0\0\0\x02");
            let options = [vec![17, 2, 1, 0], traceback::ioam::trace(1), vec![1, 2, 0, 0]].concat();
            frame.extend(&options[..length]);
        } else {
            frame.extend(*b"\x45\0\0\0\0\0\x40\0\x40\x11\0\0\xc6\x12\0\x02\xc6\x12\x01\x02");
        }
        // Source port 12345, destination 9; the program numbers packets, so the sum is only a stand-in.
        let udp = frame.len();
        frame.extend([0x30, 0x39, 0, 9, 0, 0, 0x12, 0x34]);
        frame.extend(room::MAGIC);
        let number = if kind.is_v6() { frame.len() } else { 0 };
        frame.resize(udp + 32, 7);
        frame.extend([room::OPTION4, 30, 0, 0]);
        frame.resize(LONG, 0);
        frame.truncate(if kind == Kind::Short { SHORT } else { LONG });
        let length = |from: usize| u16::try_from(frame.len() - from).unwrap_or(0).to_be_bytes();
        let (total, datagram) = (length(IP), length(udp));
        frame[udp + 4..udp + 6].copy_from_slice(&datagram);
        if !kind.is_v6() {
            frame[16..18].copy_from_slice(&total);
        }
        Self { frame, number }
    }

    /// `struct traffic`.
    fn settings(&self) -> [u64; 3 + LONG / 8] {
        let header = self.frame[IP..IP + 20].chunks_exact(2);
        let mut sum: u64 = header.map(|w| u64::from(u16::from_le_bytes([w[0], w[1]]))).sum();
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        let mut settings = [0; 3 + LONG / 8];
        settings[..3].copy_from_slice(&[self.frame.len() as u64, sum, self.number as u64]);
        for (word, bytes) in settings[3..].iter_mut().zip(self.frame.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(whole);
        }
        settings
    }
}

/// How many packets of a flow there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ends {
    /// That the source sent.
    pub sent: u64,
    /// That the sink got.
    pub arrived: u64,
    /// Of these, those that carry something of a router's.
    pub changed: u64,
}

/// The programs of `bpf/bench.bpf.c`, loaded for one flow.
#[derive(Debug)]
pub struct Tools {
    ebpf: Ebpf,
    /// The flow's frame.
    pub frame: Vec<u8>,
}

impl Tools {
    /// Loads what is asked for later.
    ///
    /// # Errors
    /// When the kernel does not take them.
    pub fn new(flow: &Flow) -> anyhow::Result<Self> {
        let settings = flow.settings();
        let ebpf =
            EbpfLoader::new().override_global("traffic", &settings[..], true).load(OBJECT)?;
        Ok(Self { ebpf, frame: flow.frame.clone() })
    }

    /// An XDP program, loaded at its first use.
    ///
    /// # Errors
    /// No such program, or the kernel does not take it.
    pub fn xdp(&mut self, name: &str) -> anyhow::Result<&mut Xdp> {
        let program: &mut Xdp =
            self.ebpf.program_mut(name).context("no such program")?.try_into()?;
        if program.fd().is_err() {
            program.load()?;
        }
        Ok(program)
    }

    /// A tc program, loaded at its first use.
    ///
    /// # Errors
    /// As [`Tools::xdp`].
    pub fn tc(&mut self, name: &str) -> anyhow::Result<&mut SchedClassifier> {
        let program = self.ebpf.program_mut(name).context("no such program")?;
        let program: &mut SchedClassifier = program.try_into()?;
        if program.fd().is_err() {
            program.load()?;
        }
        Ok(program)
    }

    /// Attaches an XDP program to an interface of the calling thread's namespace, for as long as this
    /// lives.
    ///
    /// # Errors
    /// The kernel does not take it, or another program is there.
    pub fn attach(&mut self, name: &str, interface: &str) -> anyhow::Result<()> {
        self.xdp(name)?.attach(interface, XdpMode::Driver)?;
        Ok(())
    }

    /// Attaches an empty tc program to a router's port, for as long as this lives.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn attach_tc(&mut self, empty: Empty) -> anyhow::Result<()> {
        let name = if empty == Empty::Last { "last_tc" } else { "empty_tc" };
        let (port, side) = match empty {
            Empty::Ingress => ("p0", TcAttachType::Ingress),
            _ => ("p1", TcAttachType::Egress),
        };
        if empty == Empty::Filter {
            tc::qdisc_add_clsact(port)?;
            let filter = TcAttachOptions::Netlink(NlOptions::default());
            self.tc(name)?.attach_with_options(port, side, filter)?;
        } else {
            self.tc(name)?.attach(port, side)?;
        }
        Ok(())
    }

    /// Says what `renew_then_xdp` or `renew_then_tc` goes on with; `which` is the map's name.
    ///
    /// # Errors
    /// The kernel does not let the one go on with the other.
    pub fn go_on_with(&mut self, which: &str, program: &ProgramFd) -> anyhow::Result<()> {
        let map = self.ebpf.map_mut(which).context("no such map")?;
        let mut programs: ProgramArray<&mut MapData> = map.try_into()?;
        Ok(programs.set(0, program, 0)?)
    }

    /// Says by which interface of the calling thread's namespace frames go out.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn aim(&mut self, interface: u32) -> anyhow::Result<()> {
        let map = self.ebpf.map_mut("to").context("no map to")?;
        let mut to: Array<&mut MapData, u32> = map.try_into()?;
        Ok(to.set(0, interface, 0)?)
    }

    /// Sends so many packets. They have gone all their way when this returns, unless a thread of its
    /// own passes them on.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn send(&mut self, packets: u32) -> anyhow::Result<()> {
        let frame = self.frame.clone();
        let options = TestRunOptions {
            data_in: Some(&frame),
            repeat: packets,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::new()
        };
        self.xdp("send")?.test_run(options).context("send frames")?;
        Ok(())
    }

    /// Packets since loading.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn ends(&self) -> anyhow::Result<Ends> {
        let map = self.ebpf.map("ends").context("no map of ends")?;
        let ends: PerCpuArray<&MapData, u64> = map.try_into()?;
        let sum = |which| anyhow::Ok(ends.get(&which, 0)?.iter().sum());
        Ok(Ends { sent: sum(0)?, arrived: sum(1)?, changed: sum(2)? })
    }
}
