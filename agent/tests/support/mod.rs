//! Three namespaces in a row, a host, a router and a host, made for one test and removed after it.
#![allow(dead_code, reason = "every test file uses a part of this")]
#![allow(clippy::unwrap_used, reason = "a test may fail")]

pub(crate) mod packets;

use ashiato_agent::config::{
    Datapath, DrawKind, Interval, KEEP_ROUTES_MS, Port, RING_MIB, RunKey, Vantage,
};
use ashiato_agent::datapath::desk::{Event, Request, Share};
use ashiato_agent::datapath::socket::{Opening, PacketSocket};
use ashiato_agent::datapath::{ethtool, netns};
use ashiato_agent::{latency, station::Station};
use serde_json::Value;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use traceback::RouterId;
use traceback::case::Query;
use traceback::checksum;
use traceback::invariant::Key;
use traceback::report::Role;
use traceback::router::Far;

/// Whether the test may make namespaces; says so where it may not.
pub(crate) fn privileged() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        println!("skipped: needs root");
    }
    root
}

/// `src` 198.18.1.2 - p0 `rtr` p1 - `dst` 198.18.2.2, and p2 to `alt` 198.18.3.2; likewise in IPv6.
pub(crate) struct Net {
    tag: String,
}

pub(crate) const LEAVES: [&str; 3] = ["src", "dst", "alt"];

impl Net {
    pub(crate) fn new(test: &str) -> Self {
        let net = Self { tag: format!("ashi-{test}-{}", std::process::id()) };
        for ns in ["rtr", "src", "dst", "alt"] {
            net.run(&format!("netns add {}", net.name(ns)));
            net.ip(ns, "link set lo up");
            // Nobody else can have these addresses, and looking for doubles takes two seconds.
            let dad = || std::fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0").unwrap();
            net.within(ns, dad);
        }
        let router = net.name("rtr");
        for (i, ns) in LEAVES.iter().enumerate() {
            let (n, leaf) = (i + 1, net.name(ns));
            net.run(&format!("link add p{i} netns {router} type veth peer name eth0 netns {leaf}"));
            for (ns, dev, last) in [("rtr", format!("p{i}"), 1), (ns, "eth0".to_owned(), 2)] {
                net.ip(ns, &format!("addr add 198.18.{n}.{last}/24 dev {dev}"));
                net.ip(ns, &format!("addr add 2001:2:0:{n}::{last}/64 dev {dev} nodad"));
                net.ip(ns, &format!("link set {dev} up"));
            }
            net.ip(ns, &format!("route add default via 198.18.{n}.1"));
            net.ip(ns, &format!("-6 route add default via 2001:2:0:{n}::1"));
        }
        net.ip("rtr", "addr add 198.19.0.1/32 dev lo");
        for (i, ns) in LEAVES.iter().enumerate() {
            net.await_up("rtr", &format!("p{i}"));
            net.await_up(ns, "eth0");
        }
        net
    }

    /// The same for a datapath: the kernel forwards where it is the router, and ends of links are as
    /// the datapath needs them. XDP sends into a veth only where the other end receives in batches
    /// (NAPI, which merging switches on), and what it takes from a sender must have its checksums.
    pub(crate) fn of(test: &str, datapath: Datapath) -> Self {
        let net = Self::new(&format!("{test}-{datapath:?}").to_lowercase());
        if matches!(datapath, Datapath::Afpacket | Datapath::Pnet) {
            return net;
        }
        net.within("rtr", || {
            for key in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                std::fs::write(format!("/proc/sys/net/{key}"), "1").unwrap();
            }
        });
        if datapath != Datapath::Tc {
            for leaf in LEAVES {
                net.within(leaf, || {
                    ethtool::offloads_off("eth0").unwrap();
                    ethtool::merging_on("eth0").unwrap();
                });
            }
        }
        net
    }

    fn name(&self, ns: &str) -> String {
        format!("{}-{ns}", self.tag)
    }

    pub(crate) fn path(&self, ns: &str) -> PathBuf {
        PathBuf::from("/run/netns").join(self.name(ns))
    }

    fn run(&self, args: &str) {
        let done = Command::new("ip").args(args.split_whitespace()).status().unwrap();
        assert!(done.success(), "ip {args}");
    }

    /// Runs `ip` in a namespace.
    pub(crate) fn ip(&self, ns: &str, args: &str) {
        self.run(&format!("-n {} {args}", self.name(ns)));
    }

    /// Runs something on a thread of its own in a namespace.
    pub(crate) fn within<T: Send>(&self, ns: &str, what: impl FnOnce() -> T + Send) -> T {
        let path = self.path(ns);
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                netns::enter(&path).unwrap();
                what()
            });
            inside.join().unwrap()
        })
    }

    /// A socket that hears what comes to a leaf, and sends from there; `rtr-p1` names a router's port.
    pub(crate) fn socket(&self, place: &str) -> PacketSocket {
        let (ns, interface) = place.split_once('-').unwrap_or((place, "eth0"));
        let open =
            || PacketSocket::open(&Opening { interface: Some(interface), ..Opening::default() });
        self.within(ns, open).unwrap()
    }

    /// What `ip` says in a namespace.
    pub(crate) fn say(&self, ns: &str, args: &str) -> String {
        let all = format!("-n {} {args}", self.name(ns));
        let out = Command::new("ip").args(all.split_whitespace()).output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    }

    /// Columns that `ip` shows of an interface: name, state, Ethernet address.
    fn show(&self, ns: &str, dev: &str, column: usize) -> String {
        let text = self.say(ns, &format!("-br link show dev {dev}"));
        text.split_whitespace().nth(column).unwrap_or_default().to_owned()
    }

    /// Waits until the kernel sends by an interface: it may take a second from being set up, and
    /// what is sent before, ARP for one, is lost.
    fn await_up(&self, ns: &str, dev: &str) {
        for _ in 0..300 {
            if self.show(ns, dev, 1) == "UP" {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{dev} in {ns} does not come up");
    }

    /// Ethernet address of an interface.
    pub(crate) fn mac(&self, ns: &str, dev: &str) -> [u8; 6] {
        let mac = self.show(ns, dev, 2);
        let bytes: Vec<u8> = mac.split(':').map(|b| u8::from_str_radix(b, 16).unwrap()).collect();
        bytes.try_into().unwrap()
    }

    /// A router over all three ports.
    pub(crate) fn config(&self, scheme: &str) -> Vantage {
        let port = |n| Port::new(&format!("p{n}"), Far::default());
        Vantage {
            role: Role::Router,
            router: RouterId::from(std::net::Ipv4Addr::new(198, 19, 0, 1)),
            index: 0,
            degree: 3,
            asn: 0,
            netns: Some(self.path("rtr")),
            cert: PathBuf::new(),
            key_file: PathBuf::new(),
            scheme: scheme.into(),
            params: Value::Object(serde_json::Map::new()),
            key: RunKey(KEY),
            draws: DrawKind::Keyed,
            report_every: Interval(Duration::from_millis(100)),
            sample_1_in: 4,
            datapath: Datapath::Afpacket,
            keep_routes_ms: KEEP_ROUTES_MS,
            ring_mib: RING_MIB,
            spread: traceback::router::Spread::Flow,
            filter: None,
            ports: (0..3).map(port).collect(),
            hlog: None,
            zero_unix_ns: 0,
            answer_after: None,
            acts_as: None,
            mute: false,
        }
    }
}

pub(crate) const KEY: Key = Key(0x0123_4567_89ab_cdef, 42);

impl Drop for Net {
    fn drop(&mut self) {
        for ns in ["rtr", "src", "dst", "alt"] {
            let _ = Command::new("ip").args(["netns", "del", &self.name(ns)]).status();
        }
    }
}

/// A station on a runtime of its own thread, for tests that are not async.
pub(crate) struct Running {
    pub(crate) station: Station,
    pub(crate) runtime: tokio::runtime::Runtime,
}

impl Running {
    pub(crate) fn start(config: &Vantage) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let station = runtime.block_on(Station::start(config))?;
        Ok(Self { station, runtime })
    }

    /// Asks for digests, at any time.
    pub(crate) fn ask(&mut self, query: Query) -> Vec<Option<u64>> {
        assert!(self.station.bell.ask(Request::Ask { id: 8, query }));
        match self.runtime.block_on(self.station.events.recv()) {
            Some(Event::Answer { id: 8, answer }) => answer.values,
            other => panic!("no answer but {other:?}"),
        }
    }

    pub(crate) fn cut(&mut self) -> Share {
        assert!(self.station.bell.ask(Request::Cut { id: 7, fresh: latency::empty() }));
        match self.runtime.block_on(self.station.events.recv()) {
            Some(Event::Cut { id: 7, share, .. }) => *share,
            other => panic!("no cut but {other:?}"),
        }
    }
}

/// An Ethernet frame with an IPv4 UDP packet.
pub(crate) fn udp4(
    to_mac: [u8; 6],
    from: [u8; 4],
    to: [u8; 4],
    ttl: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut ip = vec![0x45, 0, 0, 0, 0x1f, 0, 0, 0, ttl, 17, 0, 0];
    ip.extend(from);
    ip.extend(to);
    let total = u16::try_from(28 + payload.len()).unwrap();
    ip[2..4].copy_from_slice(&total.to_be_bytes());
    let check = checksum::of(&ip);
    ip[10..12].copy_from_slice(&check.to_be_bytes());
    ip.extend([0x30, 0x39, 0, 9]);
    ip.extend((total - 20).to_be_bytes());
    ip.extend([0, 0]);
    ip.extend(payload);
    frame(to_mac, 0x0800, &ip)
}

/// An Ethernet frame with an IPv6 UDP packet between the hosts `src` and `dst`.
pub(crate) fn udp6(to_mac: [u8; 6], hops: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
    let mut ip = vec![0x60, 0, 0, 0, len[0], len[1], 17, hops];
    for link in [1, 2] {
        ip.extend([0x20, 1, 0, 2, 0, 0, 0, link, 0, 0, 0, 0, 0, 0, 0, 2]);
    }
    ip.extend([0x30, 0x39, 0, 9, len[0], len[1], 0, 0]);
    ip.extend(payload);
    frame(to_mac, 0x86dd, &ip)
}

/// Sends numbered datagrams from one kernel's socket to another's and counts those that come.
pub(crate) fn datagrams(net: &Net, from: &str, to: &str, count: u32) -> u32 {
    let receiver = net.within("dst", || UdpSocket::bind(to).unwrap());
    receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let sender = net.within("src", || UdpSocket::bind(from).unwrap());
    let mut came = 0;
    let mut buffer = [0; 64];
    for n in 0..count {
        sender.send_to(&n.to_be_bytes(), to).unwrap();
        // A window of one keeps this a modest rate.
        if receiver.recv_from(&mut buffer).is_ok() {
            assert_eq!(buffer[..4], n.to_be_bytes());
            came += 1;
        }
    }
    came
}

pub(crate) fn frame(to: [u8; 6], kind: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = to.to_vec();
    frame.extend([2, 0, 0, 0, 0, 1]);
    frame.extend(kind.to_be_bytes());
    frame.extend(body);
    frame
}

/// The next frame that passes, within a second or so.
pub(crate) fn hear(socket: &PacketSocket, pass: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 65_600];
    for _ in 0..200 {
        if let Some(len) = socket.recv(&mut buffer, Duration::from_millis(10)).unwrap()
            && pass(&buffer[..len])
        {
            return Some(buffer[..len].to_vec());
        }
    }
    None
}

/// Sends a probe whose TTL ends at the router, in each version of IP, and hears what traceroute
/// expects.
pub(crate) fn spent_probes_are_answered(net: &Net) {
    let hears = net.socket("src");
    let sender = net.within("src", || UdpSocket::bind("198.18.1.2:0").unwrap());
    sender.set_ttl(1).unwrap();
    sender.send_to(b"probe", "198.18.2.2:33434").unwrap();
    let is_expired = |f: &[u8]| f[12..14] == [8, 0] && f[23] == 1 && f[34..36] == [11, 0];
    let answer = hear(&hears, is_expired).expect("time exceeded");
    assert_eq!(answer[26..30], [198, 18, 1, 1], "from the port that the probe came in by");
    assert_eq!(answer[58..62], [198, 18, 2, 2], "quotes the probe");
    let sender6 = net.within("src", || UdpSocket::bind("[2001:2:0:1::2]:0").unwrap());
    nix::sys::socket::setsockopt(&sender6, nix::sys::socket::sockopt::Ipv6Ttl, &1).unwrap();
    sender6.send_to(b"probe", "[2001:2:0:2::2]:33434").unwrap();
    let is_expired = |f: &[u8]| f[12..14] == [0x86, 0xdd] && f[20] == 58 && f[54..56] == [3, 0];
    hear(&hears, is_expired).expect("time exceeded in IPv6");
}
