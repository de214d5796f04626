//! One trial: a sender, a router and a receiver in three namespaces without names, and packets whose
//! marks must be those of the library.

use super::Kind;
use crate::capture;
use crate::config::{
    Datapath, DrawKind, Interval, KEEP_ROUTES_MS, Port, RING_MIB, RunKey, Vantage,
};
use crate::datapath::desk::{Event, Request};
use crate::datapath::kernel::layout::{Counts, PortEntry, Setting as Fixed};
use crate::datapath::kernel::program::{Hook, Program};
use crate::datapath::kernel::router::{indices, ticks};
use crate::datapath::socket::{Opening, PacketSocket, interface_index};
use crate::datapath::{ethtool, netns};
use crate::{latency, station};
use anyhow::{Context, bail, ensure};
use nix::sched::{CloneFlags, unshare};
use rtnetlink::packet_route::link::{InfoData, InfoVeth};
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVeth};
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use traceback::fib::{Fib, NextHop};
use traceback::invariant::Key;
use traceback::report::Role;
use traceback::router::{self, Far, Router, Spread};
use traceback::slot::Slot;
use traceback::vantage::{Draws, Setting};
use traceback::{Nanos, RouterId, checksum, schemes};

/// Packets of a trial.
const PACKETS: u32 = 256;
const KEY: Key = Key(1, 2);
const SRC: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 2);
const DST: Ipv4Addr = Ipv4Addr::new(198, 18, 2, 2);
/// How long a packet may take, the look for a neighbour and a link that comes up included.
const PATIENCE: Duration = Duration::from_secs(3);

/// Tries one datapath; says what was proved.
///
/// # Errors
/// What could not be made, or which packet did not come as it should.
pub fn run(kind: Kind) -> anyhow::Result<String> {
    let datapath = match kind {
        Kind::Pcap => return pcap(),
        Kind::XdpGeneric => return generic(),
        Kind::Afpacket => Datapath::Afpacket,
        Kind::Pnet => Datapath::Pnet,
        Kind::Tc => Datapath::Tc,
        Kind::Xdp => Datapath::Xdp,
        Kind::XdpPass => Datapath::XdpPass,
    };
    let spaces = Spaces::make(!matches!(kind, Kind::Afpacket | Kind::Pnet))?;
    let config = config(datapath, &spaces)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut station = runtime.block_on(station::Station::start(&config))?;
    let marked = spaces.send(&config)?;
    station.bell.ask(Request::Cut { id: 1, fresh: latency::empty() });
    let Some(Event::Cut { share, .. }) = runtime.block_on(station.events.recv()) else {
        bail!("the datapath ended by itself");
    };
    let proof = proof(share.counters.harms.marked, marked)?;
    drop(station);
    Ok(if kind == Kind::Xdp { format!("{proof}\n{}", keeping()?) } else { proof })
}

/// XDP in the network stack, which drivers without XDP are given; every driver can be asked for it.
fn generic() -> anyhow::Result<String> {
    let spaces = Spaces::make(true)?;
    let config = config(Datapath::Xdp, &spaces)?;
    let program = inside(&spaces.router, || alone(&config, Program::attach_generic))??;
    let marked = spaces.send(&config)?;
    proof(program.counts()?.marked, marked)
}

/// Whether the program keeps the kernel's word about a destination, as `keep_routes_ms` asks for: then it asks for
/// far fewer ways than there are packets.
fn keeping() -> anyhow::Result<String> {
    let spaces = Spaces::make(true)?;
    let config = config(Datapath::Xdp, &spaces)?;
    let program = inside(&spaces.router, || alone(&config, Program::attach))??;
    spaces.send(&config)?;
    let Counts { forwarded, asked, .. } = program.counts()?;
    ensure!(forwarded >= PACKETS.into(), "{forwarded} of {PACKETS} packets were forwarded");
    let ways = format!("the kernel was asked for {asked} of {forwarded} ways");
    Ok(if asked < forwarded / 2 {
        format!("keep_routes_ms works: {ways}")
    } else {
        format!("keep_routes_ms saves little: {ways}")
    })
}

/// The program without an agent, on the router's ports.
fn alone(
    config: &Vantage,
    attach: fn(&mut Program, &str) -> anyhow::Result<()>,
) -> anyhow::Result<Program> {
    let names: Vec<String> = config.ports.iter().map(|p| p.ifname.clone()).collect();
    let indices = indices(&names)?;
    let scheme = schemes::entry(&config.scheme)?.build(&config.params)?;
    let fixed = Fixed::new(KEY, config.router.into(), config.degree, true, 0);
    let fixed = Fixed { forwards: 1, kept: ticks(config.keep_routes_ms), ..fixed };
    let mut program = Program::load(Hook::Xdp, &*scheme, &config.place(), &fixed, &indices)?;
    for (port, index) in config.ports.iter().zip(indices) {
        let mac = ethtool::address(&port.ifname).context("no Ethernet address")?;
        let entry = PortEntry { known: 1, by_destination: 1, mac, ..PortEntry::default() };
        program.set_port(index, entry)?;
        attach(&mut program, &port.ifname)?;
    }
    Ok(program)
}

fn proof(counted: u64, marked: u64) -> anyhow::Result<String> {
    ensure!(marked > 0, "no packet was marked");
    ensure!(counted == marked, "{marked} packets were marked, {counted} counted");
    Ok(format!("{PACKETS} packets through namespaces, {marked} marked as the library does"))
}

fn config(datapath: Datapath, spaces: &Spaces) -> anyhow::Result<Vantage> {
    Ok(Vantage {
        role: Role::Router,
        router: RouterId::from(Ipv4Addr::new(198, 19, 0, 1)),
        index: 0,
        degree: 2,
        asn: 0,
        netns: Some(path(&spaces.router)),
        cert: PathBuf::new(),
        key_file: PathBuf::new(),
        scheme: marking()?.card().id.into(),
        params: serde_json::json!({}),
        key: RunKey(KEY),
        draws: DrawKind::Keyed,
        report_every: Interval(Duration::from_secs(1)),
        sample_1_in: 0,
        datapath,
        keep_routes_ms: KEEP_ROUTES_MS,
        ring_mib: RING_MIB,
        spread: Spread::Flow,
        filter: None,
        ports: ["p0", "p1"].map(|name| Port::new(name, Far::default())).into(),
        hlog: None,
        zero_unix_ns: 0,
        answer_after: None,
        acts_as: None,
        mute: false,
    })
}

/// A scheme that marks some packets and leaves others, in every IPv4 header: both must come through as
/// they should.
fn marking() -> anyhow::Result<&'static dyn schemes::Entry> {
    let mut all = schemes::SCHEMES.iter().copied();
    all.find(|s| s.card().draws && s.card().v4 == Slot::Id).context("no scheme draws")
}

/// The library's own router at the same place.
fn library(config: &Vantage) -> anyhow::Result<Router> {
    let port = router::Port { far: Default::default(), addresses: vec![], mtu: 1500 };
    let mut fib = Fib::default();
    let net = IpAddr::V4(Ipv4Addr::new(198, 18, 2, 0));
    fib.insert(net, 24, NextHop { port: 1, via: None });
    let mut pure = Router::new(config.place(), vec![port.clone(), port], &[], fib);
    pure.vantage = Some(station::post(config)?.vantage);
    Ok(pure)
}

/// The three namespaces, which go when this is dropped: nothing else names them.
struct Spaces {
    sender: File,
    router: File,
    receiver: File,
}

impl Spaces {
    fn make(forwards: bool) -> anyhow::Result<Self> {
        let spaces = Self { sender: space()?, router: space()?, receiver: space()? };
        let forwarding =
            || fs::write("/proc/sys/net/ipv4/ip_forward", u8::from(forwards).to_string());
        inside(&spaces.router, forwarding)?.context("set forwarding")?;
        let ends = [("p0", &spaces.sender, SRC), ("p1", &spaces.receiver, DST)];
        for (name, far, address) in ends {
            let [a, b, c, _] = address.octets();
            inside(&spaces.router, || pair(name, far))??;
            inside(&spaces.router, || furnish(name, Ipv4Addr::new(a, b, c, 1)))??;
            inside(far, || furnish("eth0", address))??;
            // XDP's veths need ends that send finished packets and receive in batches.
            inside(far, || {
                ethtool::offloads_off("eth0").and_then(|()| ethtool::merging_on("eth0"))
            })??;
        }
        Ok(spaces)
    }

    /// Sends packets through the router; how many it changed, each as the library does.
    fn send(&self, config: &Vantage) -> anyhow::Result<u64> {
        let open =
            || PacketSocket::open(&Opening { interface: Some("eth0"), ..Opening::default() });
        let (out, ear) = (inside(&self.sender, open)??, inside(&self.receiver, open)??);
        let mac = inside(&self.router, || ethtool::address("p0"))?.context("p0 has no address")?;
        let mut pure = library(config)?;
        let mut marked = 0;
        for n in 0..PACKETS {
            let mut frame = frame(mac, n);
            let before = frame.clone();
            out.send(&frame)?;
            pure.forward(0, &mut frame, Nanos(0), &mut ());
            let got = hear(&ear, &frame[42..])?.with_context(|| {
                format!("packet {n} does not come through: is there a firewall for all namespaces?")
            })?;
            ensure!(got[14..] == frame[14..], "packet {n} is not marked as the library does");
            marked += u64::from(before[18..20] != frame[18..20]);
        }
        Ok(marked)
    }
}

/// A new namespace without a name.
fn space() -> anyhow::Result<File> {
    let make = || -> anyhow::Result<File> {
        unshare(CloneFlags::CLONE_NEWNET)
            .context("make a network namespace (needs CAP_SYS_ADMIN)")?;
        Ok(File::open("/proc/thread-self/ns/net")?)
    };
    std::thread::spawn(make).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn path(space: &File) -> PathBuf {
    format!("/proc/{}/fd/{}", std::process::id(), space.as_raw_fd()).into()
}

/// Runs something on a thread in a namespace.
fn inside<T: Send>(space: &File, what: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| netns::enter(&path(space)).map(|()| what()));
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Asks the kernel for something, from the calling thread's namespace.
fn netlink<T>(what: impl AsyncFnOnce(rtnetlink::Handle) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        what(handle).await
    })
}

/// A link from here to `eth0` of another namespace.
fn pair(name: &str, far: &File) -> anyhow::Result<()> {
    netlink(async |handle| {
        let peer = LinkMessageBuilder::<LinkUnspec>::default().name("eth0".to_owned());
        let peer = InfoVeth::Peer(peer.setns_by_fd(far.as_raw_fd()).build());
        let pair = LinkVeth::new(name, "eth0").set_info_data(InfoData::Veth(peer)).build();
        handle.link().add(pair).execute().await.context("make a pair of veth links")
    })
}

fn furnish(name: &str, address: Ipv4Addr) -> anyhow::Result<()> {
    let index = interface_index(name)?.cast_unsigned();
    netlink(async |handle| {
        handle
            .address()
            .add(index, address.into(), 24)
            .execute()
            .await
            .context("give an address")?;
        let up = LinkUnspec::new_with_index(index).up().build();
        handle.link().set(up).execute().await.context("start a link")
    })
}

fn hear(ear: &PacketSocket, payload: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
    let mut buffer = vec![0; 2048];
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(len) = ear.recv(&mut buffer, Duration::from_millis(50))?
            && buffer[..len].ends_with(payload)
        {
            buffer.truncate(len);
            return Ok(Some(buffer));
        }
    }
    Ok(None)
}

/// An Ethernet frame with a numbered datagram to port 9, which discards.
fn frame(mac: [u8; 6], n: u32) -> Vec<u8> {
    let mut ip = vec![0x45, 0, 0, 52, 0x1f, 0, 0, 0, 64, 17, 0, 0];
    ip.extend(SRC.octets());
    ip.extend(DST.octets());
    let check = checksum::of(&ip);
    ip[10..12].copy_from_slice(&check.to_be_bytes());
    ip.extend([0x30, 0x39, 0, 9, 0, 32, 0, 0]);
    ip.extend([n.to_be_bytes(); 6].concat());
    [&mac[..], &[2, 0, 0, 0, 0, 1, 8, 0], &ip].concat()
}

/// Capture files need nothing of the host.
fn pcap() -> anyhow::Result<String> {
    let mut capture = vec![];
    // The head of a pcap file: microseconds, Ethernet.
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        capture.extend(word.to_le_bytes());
    }
    for n in 0..PACKETS {
        let frame = frame([2, 0, 0, 0, 0, 2], n);
        let len = u32::try_from(frame.len())?.to_le_bytes();
        capture.extend([[0; 4], [0; 4], len, len].concat());
        capture.extend(frame);
    }
    let place =
        traceback::Place { id: RouterId::from(Ipv4Addr::LOCALHOST), index: 0, degree: 0, asn: 0 };
    let scheme = marking()?.build(&serde_json::json!({}))?;
    let setting = Setting { place, key: KEY, draws: Draws::Keyed, filter: None };
    let mut output = vec![];
    let mut vantage = scheme.vantage(setting);
    let (counts, done) = capture::mark(&capture[..], &mut output, place, &mut *vantage);
    done?;
    ensure!(counts.harms.marked > 0 && output.len() == capture.len(), "{counts:?}");
    Ok(format!("{PACKETS} packets of a capture, {} marked", counts.harms.marked))
}
