//! Kernel twins equal the Rust steps: compiled for the host, and in the kernel over whole packets.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]
#![allow(clippy::cast_possible_truncation, reason = "random bits are cut to what is needed")]

#[path = "support/spoken.rs"]
mod spoken;
mod support;

use ashiato_agent::datapath::kernel::layout::{Counts, PortEntry, Setting};
use ashiato_agent::datapath::kernel::objects::OBJECTS;
use ashiato_agent::datapath::kernel::program::{Hook, Program};
use aya::{TestRun, TestRunOptions};
use serde_json::json;
use spoken::Spoken;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use support::packets::{Random, checked, frame};
use traceback::case::Query;
use traceback::invariant::{Invariant, Key, mix2};
use traceback::packet::Packet;
use traceback::scheme::{End, Hop, Marked};
use traceback::schemes::{AnyScheme, SCHEMES};
use traceback::vantage::{Draws, Setting as Place, Vantage};
use traceback::{Nanos, RouterId};

const KEY: Key = Key(0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210);
const PLACE: traceback::Place =
    traceback::Place { id: RouterId(0xc613_0007), index: 0x0102, degree: 3, asn: 0 };
/// The interface at which packets of a trial come in: the loopback.
const INTERFACE: u32 = 1;
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

fn schemes() -> Vec<Arc<dyn AnyScheme>> {
    SCHEMES.iter().map(|e| e.build(&json!({})).unwrap()).collect()
}

/// Schemes that programs in the kernel can carry out.
fn in_kernel() -> impl Iterator<Item = Arc<dyn AnyScheme>> {
    schemes().into_iter().filter(|s| s.userspace_only().is_none())
}

fn headers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../traceback/src/schemes")
}

/// No header without a scheme, no scheme without a header: the tests below cover every scheme.
#[test]
fn every_scheme_has_a_twin_and_every_twin_a_scheme() {
    let files = std::fs::read_dir(headers()).unwrap().map(|e| e.unwrap().path());
    let headers: Vec<PathBuf> = files.filter(|p| p.extension().is_some_and(|e| e == "h")).collect();
    let names: BTreeSet<&str> =
        headers.iter().map(|p| p.file_stem().unwrap().to_str().unwrap()).collect();
    let schemes: BTreeSet<&str> = SCHEMES.iter().map(|e| e.card().id).collect();
    assert_eq!(names, schemes);
    assert_eq!(OBJECTS.iter().map(|o| o.id).collect::<BTreeSet<_>>(), schemes);
    for header in &headers {
        let lines = std::fs::read_to_string(header).unwrap().lines().count();
        assert!(lines <= 60, "{} has {lines} lines", header.display());
    }
}

/// What no twin can do is refused in words, before anything is asked of the kernel.
#[test]
fn what_needs_userspace_is_refused_by_the_kernel_datapaths() {
    let scheme = traceback::schemes::entry("fdpm").unwrap();
    let scheme = scheme.build(&json!({ "most": 1000 })).unwrap();
    let setting = Setting::new(KEY, PLACE.id.into(), PLACE.degree, true, 0);
    let refused = Program::load(Hook::Tc, &*scheme, &PLACE, &setting, &[INTERFACE]);
    let why = refused.unwrap_err().to_string();
    assert!(why.contains("load controller") && why.contains("datapath afpacket"), "{why}");
}

/// What a twin says in its header is what the scheme's card says.
#[test]
fn headers_agree_with_cards() {
    for entry in SCHEMES {
        let card = entry.card();
        let text = std::fs::read_to_string(headers().join(format!("{}.h", card.id))).unwrap();
        let has = |word: &str| text.lines().any(|l| l.split_whitespace().nth(1) == Some(word));
        assert_eq!(has("DRAWS"), card.draws, "{}", card.id);
        assert_eq!(has("HASHES"), card.hashes, "{}", card.id);
        assert_eq!(has("RECORDS"), card.records, "{}", card.id);
        for (name, slot) in [("SLOT4", card.v4), ("SLOT6", card.v6)] {
            let word = serde_json::to_value(slot).unwrap();
            let word = word.as_str().unwrap().replace('-', "_").to_uppercase();
            let line = format!("#define {name} SLOT_{word}");
            assert!(text.contains(&line), "{} lacks {line:?}", card.id);
        }
    }
}

/// One case for the twin on the host: `struct one` of host.c.
struct One {
    hop: Hop,
    digest: u64,
    salt: u64,
    before: u32,
}

impl One {
    /// Every value of a slot of 16 bits, each at 16 random hops; TTLs and draws at their edges too.
    fn all(scheme: &dyn AnyScheme) -> impl Iterator<Item = Self> + use<> {
        let bits = scheme.card().v4.bits().max(16);
        let mask = u32::try_from((1_u64 << bits) - 1).unwrap();
        let mut random = Random(7);
        (0..1_u32 << 20).map(move |n| {
            let word = random.next();
            let draw = match n >> 16 {
                0 => [0, 1, u32::MAX, (0.04 * 4_294_967_296.0) as u32][n as usize & 3],
                _ => (word >> 32) as u32,
            };
            let ttl = if n & 0xf == 0 { (n >> 4 & 0xff) as u8 } else { word as u8 };
            let from = RouterId(random.next() as u32);
            let other = random.next();
            // Up to half an hour, now and then at the end of time.
            let at = if n & 0xff == 0 { u64::MAX } else { (other & 0x1ff) << 32 | word >> 32 };
            let hop = Hop {
                at: Nanos(at),
                me: PLACE.id,
                from,
                draw,
                ttl,
                to: RouterId(other as u32),
                cell: if other >> 32 & 1 == 0 { 0 } else { (other >> 33) as u32 & 0xff },
                port: (word >> 8 & 7) as u16,
                degree: 3,
                link: (word >> 12 & 3) as u16,
                edge: (word >> 16 & 1) as u8,
                border: (word >> 17 & 1) as u8,
                fragment: (word >> 18 & 1) as u8,
                legacy: (word >> 19 & 1) as u8,
                wanted: (word >> 20 & 1) as u8,
            };
            // What a slot has beyond 16 bits is chance, or all ones.
            let high = if other >> 60 == 0 { u32::MAX } else { (other >> 41) as u32 };
            let before = (n & 0xffff | high << 16) & mask;
            Self { hop, digest: random.next(), salt: random.next(), before }
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        let Self { hop, digest, salt, before } = self;
        out.extend(digest.to_le_bytes());
        out.extend(salt.to_le_bytes());
        out.extend(hop.at.0.to_le_bytes());
        for word in [hop.me.0, hop.from.0, hop.draw, hop.to.0, hop.cell, *before] {
            out.extend(word.to_le_bytes());
        }
        for half in [hop.port, hop.degree, hop.link] {
            out.extend(half.to_le_bytes());
        }
        out.extend([hop.ttl, hop.edge, hop.border, hop.fragment, hop.legacy, hop.wanted]);
        out.extend([0; 4]);
    }
}

/// Compiles a twin for the host.
fn compile(id: &str) -> PathBuf {
    let bpf = Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf/host.c");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("twin-{id}"));
    let scheme = format!("-DSCHEME=\"{}\"", headers().join(format!("{id}.h")).display());
    let mut command = Command::new("cc");
    command.args(["-O2", "-Wall", "-Werror", "-Wno-unknown-pragmas"]).arg(scheme);
    assert!(command.arg(bpf).arg("-o").arg(&program).status().unwrap().success(), "{id}");
    program
}

#[test]
fn twins_on_the_host_equal_rust_for_every_mark() {
    for scheme in schemes().into_iter().chain(spoken::schemes()) {
        let id = scheme.card().id;
        let mut input = scheme.twin(&PLACE);
        assert!(input.len() <= 512);
        input.resize(512, 0);
        let mut input: Vec<u8> = input.iter().flat_map(|w| w.to_le_bytes()).collect();
        One::all(&*scheme).for_each(|one| one.write(&mut input));
        let mut child =
            Command::new(compile(id)).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut stdin, mut output) = (child.stdin.take().unwrap(), vec![]);
        let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
        child.stdout.take().unwrap().read_to_end(&mut output).unwrap();
        writer.join().unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(output.len(), 24 << 20);
        for (one, made) in One::all(&*scheme).zip(output.chunks_exact(24)) {
            let inv = Invariant { digest: one.digest, flow: 0 };
            let bits = scheme.card().v4.bits();
            let Marked { mark, record, ttl, need, tell } =
                scheme.mark(&PLACE, &one.hop, &inv, one.before);
            let mark = if bits == 0 { one.before } else { mark };
            let key = scheme.log_key(&one.hop, &inv, mark);
            let cells = key.map_or(vec![], |key| scheme.cells(one.salt, key));
            let cells = cells.into_iter().fold(0, mix2);
            let mut want = mark.to_le_bytes().to_vec();
            want.extend(record.unwrap_or(0).to_le_bytes());
            want.push(ttl.filter(|t| *t != one.hop.ttl).unwrap_or(0));
            want.push(match tell {
                None => 0,
                Some(End::Source) => 1,
                Some(End::Destination) => 2,
            });
            // Keys of messages owed; elsewhere they are a table's, which the kernel's arm compares.
            want.push(need.filter(|_| scheme.speaks()).map_or(0, |key| key as u8 + 1));
            want.extend([0; 7]);
            want.extend(cells.to_le_bytes());
            assert_eq!(made, want, "{id}: {:?} before {:#x}", one.hop, one.before);
        }
    }
}

/// A program in the kernel and its equal in Rust.
struct Pair<'a> {
    scheme: &'a dyn AnyScheme,
    program: Program,
    hook: Hook,
    vantage: Box<dyn Vantage>,
    want: Counts,
    port: PortEntry,
    /// What packets were logged under.
    keys: Vec<u64>,
    spoken: Spoken,
}

/// What became of one packet.
type Made = (u32, Vec<u8>);

impl<'a> Pair<'a> {
    fn load(scheme: &'a dyn AnyScheme, hook: Hook) -> Self {
        let setting = Setting::new(KEY, PLACE.id.into(), PLACE.degree, true, 3);
        let setting = Setting { ahead: 1, ..setting };
        let mut program = Program::load(hook, scheme, &PLACE, &setting, &[INTERFACE]).unwrap();
        let port = PortEntry { known: 1, mac: MAC, edge: 1, ..PortEntry::default() };
        program.set_port(INTERFACE, port).unwrap();
        let vantage = scheme.vantage(place());
        let (want, keys) = (Counts::default(), vec![]);
        let spoken = Spoken::of(scheme, &mut program, port);
        Self { scheme, program, hook, vantage, want, port, keys, spoken }
    }

    /// From now on packets come from a router.
    fn turn(&mut self) {
        self.spoken.listen(self.port);
        let (from, index, link) = (0xc613_0005, 3, 2);
        self.port = PortEntry { from, index, link, edge: 0, border: 1, ..self.port };
        self.program.set_port(INTERFACE, self.port).unwrap();
        self.spoken.turn(self.scheme, self.port);
    }

    /// Runs the program in the kernel on one frame.
    fn kernel(&mut self, frame: &[u8]) -> Made {
        let mut out = vec![0; frame.len() + 256];
        let mut skb = [0; 192];
        // __sk_buff.ingress_ifindex: a packet that came in from somewhere.
        skb[36..40].copy_from_slice(&INTERFACE.to_le_bytes());
        let tc = self.hook == Hook::Tc;
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: tc.then_some(&skb),
            ..TestRunOptions::new()
        };
        let done = match self.hook {
            Hook::Tc => self.program.tc().unwrap().test_run(options).unwrap(),
            Hook::Xdp => self.program.xdp().unwrap().test_run(options).unwrap(),
        };
        out.truncate(done.data_size_out as usize);
        (done.return_value, out)
    }

    /// What the program must do.
    fn rust(&mut self, frame: &[u8]) -> Made {
        let mut frame = frame.to_vec();
        let next = if self.hook == Hook::Tc { u32::MAX } else { 2 };
        self.want.received += 1;
        let ip = matches!(frame[12..14], [0x08, 0x00] | [0x86, 0xdd]);
        if !ip || (self.hook == Hook::Xdp && frame[..6] != MAC) {
            self.want.local += 1;
            return (next, frame);
        }
        let v6 = frame[12] == 0x86;
        let Some(mut packet) = Packet::parse(&mut frame[14..]).ok().filter(|p| p.is_v6() == v6)
        else {
            self.want.malformed += 1;
            return (if self.hook == Hook::Tc { next } else { 1 }, frame);
        };
        let mut ttl = packet.ttl();
        if self.hook == Hook::Xdp {
            if !routable(&packet) {
                self.want.local += 1;
                return (next, frame);
            }
            if ttl <= 1 {
                self.want.expired += 1;
                return (next, frame);
            }
        } else {
            ttl = ttl.wrapping_add(1);
        }
        let hop = self.hop(ttl);
        // As on arrival: under tc the kernel has lowered the TTL by now.
        packet.set_ttl(ttl);
        if self.vantage.forward(hop, &mut packet) {
            self.spoken.note(&mut *self.vantage, &packet);
        }
        let lowered = u8::from(self.hook == Hook::Tc);
        packet.set_ttl(packet.ttl().wrapping_sub(lowered));
        self.want.forwarded += 1;
        self.note_log(&hop, &packet);
        (next, frame)
    }

    /// A packet's visit.
    fn hop(&self, ttl: u8) -> Hop {
        let (at, me, degree) = (Nanos(5), PLACE.id, PLACE.degree);
        let PortEntry { from, index: port, link, edge, border, .. } = self.port;
        let from = RouterId(from);
        Hop { at, me, degree, ttl, from, port, link, edge, border, ..Hop::default() }
    }

    fn note_log(&mut self, hop: &Hop, packet: &Packet<&mut [u8]>) {
        let card = self.scheme.card();
        let slot = if packet.is_v6() { card.v6 } else { card.v4 };
        let hop = Hop { fragment: packet.is_fragment().into(), ..*hop };
        let inv = Invariant::of(packet, KEY);
        self.keys.extend(self.scheme.log_key(&hop, &inv, slot.read(packet).unwrap_or(0)));
    }
}

fn place() -> Place {
    Place { place: PLACE, key: KEY, draws: Draws::Keyed, filter: None }
}

fn routable<T: AsRef<[u8]>>(packet: &Packet<T>) -> bool {
    [packet.source(), packet.destination()].iter().all(|a| traceback::router::routable(*a))
}

/// Whole packets of every kind, hostile ones among them, through the verified program.
#[test]
fn programs_in_the_kernel_equal_rust_on_whole_packets() {
    if !support::privileged() {
        return;
    }
    // Every processor times the first step that it sees.
    let mut one = nix::sched::CpuSet::new();
    one.set(0).unwrap();
    nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &one).unwrap();
    for scheme in in_kernel().chain(spoken::schemes()) {
        for hook in [Hook::Tc, Hook::Xdp] {
            let id = scheme.card().id;
            let mut pair = Pair::load(&*scheme, hook);
            let now = Nanos(1 << 40);
            let log = scheme.log().map(|shape| pair.program.log(shape, 1, now).unwrap());
            let mut random = Random(11);
            for n in 0..20_000 {
                if n == 10_000 {
                    pair.turn();
                }
                let mut frame = frame(&mut random, MAC);
                if hook == Hook::Tc {
                    checked(&mut frame);
                }
                let (got, want) = (pair.kernel(&frame), pair.rust(&frame));
                assert!(
                    got == want,
                    "{id} {hook:?} packet {n}:\nin   {}\ngot  {} {}\nwant {} {}",
                    hex(&frame),
                    got.0,
                    hex(&got.1),
                    want.0,
                    hex(&want.1)
                );
            }
            pair.spoken.check(&*scheme, pair.port, &format!("{id} {hook:?}"));
            check_counts(&pair, id);
            check_table(&pair);
            if let Some(log) = log {
                check_log(&pair, &log);
            }
        }
    }
}

/// The program counted and timed what it did.
fn check_counts(pair: &Pair<'_>, id: &str) {
    let hook = pair.hook;
    let got = pair.program.counts().unwrap();
    let harms = pair.vantage.harms();
    assert_eq!(got.harms(), harms, "{id} {hook:?}");
    let want = Counts { timer: got.timer, asked: got.asked, ..pair.want };
    let plain = Counts { marked: 0, fragments_skipped: 0, df_set: 0, ttl_changed: 0, ..got };
    let plain = Counts { no_slot: 0, no_room: 0, ..plain };
    assert_eq!(plain, want, "{id} {hook:?}");
    assert!(got.forwarded > 5_000 && got.malformed > 1_000, "{id} {hook:?}: {got:?}");
    let timed: u64 = pair.program.times().unwrap().iter().sum();
    // Every processor counts to three for itself, and the test may change processors.
    let least = got.forwarded / 3;
    assert!((least..least + 64).contains(&timed), "{id} {hook:?}: {timed} not {least}");
}

/// The program's table answers as the library's does.
fn check_table(pair: &Pair<'_>) {
    let mut entries = vec![];
    pair.program.table(|all| entries.extend(all)).unwrap();
    assert_eq!(entries.len() as u64, pair.program.made().unwrap());
    assert_eq!(entries.len() > 100, pair.scheme.entries().is_some());
    let mut adopting = pair.scheme.vantage(place());
    adopting.adopt(&mut entries.iter().copied());
    let keys = (0..=entries.len() as u64)
        .chain(entries.iter().flat_map(|(key, _)| [*key, key >> 32 << 32]));
    let query = Query { keys: keys.collect(), from: Nanos(0), to: Nanos(0) };
    assert_eq!(adopting.answer(&query), pair.vantage.answer(&query), "{}", pair.scheme.card().id);
}

/// The open page holds exactly the cells that Rust would have set.
fn check_log(pair: &Pair<'_>, log: &ashiato_agent::datapath::kernel::log::Log) {
    let mut pages = 0;
    log.peek(&mut |page| {
        pages += 1;
        assert_eq!(page.inserted, pair.keys.len() as u64);
        let mut words = vec![0_u64; page.words.len()];
        for cell in pair.keys.iter().flat_map(|key| pair.scheme.cells(page.salt, *key)) {
            words[(cell >> 6) as usize] |= 1 << (cell & 63);
        }
        assert!(words == page.words, "{}", pair.scheme.card().id);
    });
    assert_eq!(pages, 1);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The verifier gives up at a million steps.
#[test]
fn the_verifier_is_done_soon() {
    if !support::privileged() {
        return;
    }
    // A log that is too large for a copy on each processor.
    let large = ("spie", json!({ "bits": 1 << 27 }));
    // Constants that rule a branch out change what the verifier meets.
    let always = ("fms", json!({ "p": 1.0 }));
    let more = [large, always]
        .map(|(id, params)| traceback::schemes::entry(id).unwrap().build(&params).unwrap());
    for scheme in in_kernel().chain(more) {
        for (hook, forwards) in [(Hook::Tc, 0), (Hook::Xdp, 0), (Hook::Xdp, 1)] {
            for keyed in [true, false] {
                let mut setting = Setting::new(KEY, PLACE.id.into(), PLACE.degree, keyed, 64);
                (setting.forwards, setting.ahead, setting.by_ports) = (forwards, 1, forwards);
                let mut program =
                    Program::load(hook, &*scheme, &PLACE, &setting, &[INTERFACE]).unwrap();
                let info = match hook {
                    Hook::Tc => program.tc().unwrap().info(),
                    Hook::Xdp => program.xdp().unwrap().info(),
                };
                let steps = info.unwrap().verified_instruction_count().unwrap_or(0);
                let id = scheme.card().id;
                println!("{id} {hook:?} forwards {forwards} keyed {keyed}: {steps} steps");
                assert!(steps < 500_000, "{id} {hook:?} {forwards}: {steps}");
            }
        }
    }
}
