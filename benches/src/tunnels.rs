//! Two nodes on two hosts that a cable joins, and one link between the nodes: sealed, or plain VXLAN.
//!
//! ```text
//! node na: p0 == host a: u0 -- u0 :host b == p0 :node nb     each a network namespace
//! ```

use crate::host::{self, ip, netns_file, own_time, pin, threads_named, time_of};
use anyhow::{Context, ensure};
use ashiato::tunnel::{Carrier, Half, Peer, Tap, carrier};
use ashiato_agent::datapath::ring::send::SendRing;
use ashiato_agent::datapath::socket::BATCH;
use ashiato_agent::datapath::tap;
use nix::errno::Errno;
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

const SPACES: [&str; 4] = ["a", "b", "na", "nb"];
const LINK: u32 = 7;
const PORT: u16 = 51_820;
/// Between two batches, so that neither queue nor processor is full.
const PAUSE: Duration = Duration::from_micros(400);

/// What one round took.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// Frames that came out at the other node.
    pub arrived: u64,
    /// Frames that went in.
    pub sent: u64,
    /// Processor time of who made them; of VXLAN, with everything up to their arrival.
    pub maker: Duration,
    /// Processor time of the busier and of the other end's thread; none for VXLAN.
    pub ends: [Duration; 2],
}

/// The namespaces; removed at the end.
pub struct Pair {
    tag: String,
    carriers: Vec<Carrier>,
    threads: BTreeSet<Pid>,
}

impl Pair {
    /// Makes hosts and nodes, and the link between the nodes.
    ///
    /// # Errors
    /// Needs root, TUN and VXLAN.
    pub fn make(sealed: bool) -> anyhow::Result<Self> {
        let tag = format!("ashi-bench-{}-{}", std::process::id(), if sealed { "s" } else { "v" });
        let mut pair = Self { tag, carriers: vec![], threads: BTreeSet::new() };
        for space in SPACES {
            ip(&format!("netns add {}", pair.name(space)))?;
        }
        let (a, b) = (pair.name("a"), pair.name("b"));
        ip(&format!("link add u0 netns {a} type veth peer name u0 netns {b}"))?;
        for (at, space) in [(1, &a), (2, &b)] {
            ip(&format!("-n {space} addr add 192.0.2.{at}/24 dev u0"))?;
            ip(&format!("-n {space} link set u0 up"))?;
        }
        match sealed {
            true => pair.seal()?,
            false => pair.wrap()?,
        }
        Ok(pair)
    }

    fn name(&self, space: &str) -> String {
        format!("{}-{space}", self.tag)
    }

    fn wrap(&self) -> anyhow::Result<()> {
        for (host, near, far) in [("a", 1, 2), ("b", 2, 1)] {
            let (outer, inner) = (self.name(host), self.name(&format!("n{host}")));
            let ends = format!("local 192.0.2.{near} remote 192.0.2.{far} dstport 4789");
            ip(&format!("-n {outer} link add p0 netns {inner} type vxlan id {LINK} {ends}"))?;
            ip(&format!("-n {inner} link set p0 up"))?;
        }
        Ok(())
    }

    fn seal(&mut self) -> anyhow::Result<()> {
        let halves = [Half::make()?, Half::make()?];
        let at = |n: u8| SocketAddr::new(IpAddr::from([192, 0, 2, n]), PORT);
        for (end, host) in ["a", "b"].into_iter().enumerate() {
            let (near, far) = if end == 0 { (1, 2) } else { (2, 1) };
            let socket = host::within(&netns_file(&self.name(host)), || carrier::listen(at(near)))?;
            let inner = self.name(&format!("n{host}"));
            let file = host::within(&netns_file(&inner), || Ok(tap::open("p0", 100)?))?;
            ip(&format!("-n {inner} link set p0 txqueuelen 4096"))?;
            ip(&format!("-n {inner} link set p0 up"))?;
            let peer = Peer { address: at(far), key: halves[1 - end].public() };
            let tap = Tap { link: LINK, far: at(far).ip(), file };
            self.carriers.push(Carrier::start(socket, &halves[end], &[peer], vec![tap])?);
        }
        let stands = self.carriers.iter().all(|c| c.await_peers(1, Duration::from_secs(20)));
        ensure!(stands, "the tunnel does not stand");
        self.threads = threads_named("tunnels")?;
        for thread in &self.threads {
            pin(*thread, 1)?;
        }
        Ok(())
    }

    /// Sends 60-byte frames for a while.
    ///
    /// # Errors
    /// When an interface does not take them.
    pub fn round(&self, time: Duration) -> anyhow::Result<Round> {
        let (before, came) = (self.busy()?, self.arrived()?);
        let inner = netns_file(&self.name("na"));
        let (sent, maker) = host::within(&inner, || {
            pin(Pid::from_raw(0), 0)?;
            let mut frame = vec![0x5a; 60];
            frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
            let frames = [frame.as_slice(); BATCH];
            let mut ring = SendRing::open("p0")?;
            let (start, busy) = (Instant::now(), own_time());
            let mut sent = 0;
            while start.elapsed() < time {
                match ring.send_batch(&frames) {
                    Ok(count) => sent += count as u64,
                    // The tunnel has no room at the moment: its thread does not keep up on this core.
                    Err(e) if e.raw_os_error() == Some(Errno::ENOBUFS as i32) => {}
                    Err(e) => return Err(e).context("send into the link"),
                }
                thread::sleep(PAUSE);
            }
            Ok((sent, own_time() - busy))
        })?;
        thread::sleep(Duration::from_millis(100));
        let mut ends: Vec<Duration> =
            self.busy()?.into_iter().zip(before).map(|(now, before)| now - before).collect();
        ends.sort_unstable();
        ends.resize(2, Duration::ZERO);
        let arrived = self.arrived()? - came;
        Ok(Round { arrived, sent, maker, ends: [ends[1], ends[0]] })
    }

    fn busy(&self) -> anyhow::Result<Vec<Duration>> {
        self.threads.iter().map(|thread| time_of(*thread)).collect()
    }

    fn arrived(&self) -> anyhow::Result<u64> {
        host::within(&netns_file(&self.name("nb")), || host::received("p0"))
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.carriers.clear();
        for space in SPACES {
            // What is left is named after this process, and the error has been printed.
            let _ = ip(&format!("netns del {}", self.name(space)));
        }
    }
}
