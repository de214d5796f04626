//! A TCP transfer in both directions, watched at both ends.
//!
//! For tc, offloads of the hosts are as Linux has them: what leaves a host is merged (TSO) and its
//! checksum unfinished, and both stay so through a veth. Such frames must pass unmarked. For XDP the
//! hosts send finished packets of the link's size, as [`Net::of`] sets them up.

use crate::always;
use crate::support::{Net, Running, datagrams, privileged};
use ashiato_agent::config::Datapath;
use ashiato_agent::datapath::ethtool;
use ashiato_agent::datapath::socket::{Opening, PacketSocket};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

const BYTES: usize = 4 << 20;

pub(crate) fn transfers_arrive_whole(datapath: Datapath) {
    if !privileged() {
        return;
    }
    let net = Net::of("bulk", datapath);
    net.within("rtr", || ethtool::merging_on("p1").unwrap());
    let mut router = Running::start(&always(&net, datapath)).unwrap();
    net.within("rtr", || assert!(!ethtool::merges("p1").unwrap(), "frames come as they were sent"));
    assert_eq!(datagrams(&net, "198.18.1.2:0", "198.18.2.2:5000", 1), 1);
    router.cut();
    let ears = ["src", "dst"].map(|ns| listen_both_ways(&net, ns));
    let listener = net.within("dst", || TcpListener::bind("198.18.2.2:5001").unwrap());
    let client = net.within("src", || TcpStream::connect("198.18.2.2:5001").unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| both_ways(listener.accept().unwrap().0));
        both_ways(client);
    });
    std::thread::sleep(Duration::from_millis(50));
    let [at_src, at_dst] = ears.map(|socket| drain(&socket));
    let counters = router.cut().counters;
    let merged = check(&at_src, &at_dst) + check(&at_dst, &at_src);
    if datapath == Datapath::Tc {
        // The packet sockets hear all that the hosts send and get; some may have been heard twice.
        assert!(merged > 0 && counters.harms.merged >= merged / 2, "{merged}: {counters:?}");
    } else {
        assert_eq!((merged, counters.harms.merged), (0, 0), "{counters:?}");
    }
    assert!(counters.harms.marked > 10, "{counters:?}");
    assert_eq!(counters.dropped(), 0, "{counters:?}");
    drop(router);
    net.within("rtr", || assert!(ethtool::merges("p1").unwrap(), "settings come back"));
}

/// Sends and receives a pattern at once.
fn both_ways(stream: TcpStream) {
    let pattern: Vec<u8> = (0..BYTES).map(|n| ((n * 31) >> 7).to_le_bytes()[0]).collect();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (mut writer, mut reader) = (stream.try_clone().unwrap(), stream);
    std::thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&pattern).unwrap());
        let mut got = vec![0; BYTES];
        reader.read_exact(&mut got).unwrap();
        assert!(got == pattern, "the bytes arrive as they were sent");
    });
}

fn listen_both_ways(net: &Net, ns: &str) -> PacketSocket {
    let opening = Opening {
        interface: Some("eth0"),
        ignore_outgoing: false,
        receive_buffer: Some(256 << 20),
        ..Opening::default()
    };
    net.within(ns, || PacketSocket::open(&opening)).unwrap()
}

/// All TCP packets that a socket heard.
fn drain(socket: &PacketSocket) -> Vec<Vec<u8>> {
    let (mut packets, mut buffer) = (vec![], vec![0; 1 << 17]);
    while let Some(len) = socket.recv(&mut buffer, Duration::from_millis(10)).unwrap() {
        if buffer[12..14] == [8, 0] && buffer[23] == 6 {
            let total = usize::from(u16::from_be_bytes([buffer[16], buffer[17]]));
            assert!(14 + total <= len, "a whole packet");
            packets.push(buffer[14..14 + total].to_vec());
        }
    }
    assert_eq!(socket.statistics().unwrap().drops, 0, "the test must hear everything");
    packets
}

/// Checks every packet at one end, and those that are merged against the other end: their
/// identification must be the one that they were sent with. How many of these there were.
fn check(here: &[Vec<u8>], there: &[Vec<u8>]) -> u64 {
    // Source, ports, sequence, length: what tells one packet from another.
    let name = |p: &[u8]| (p[12..16].to_vec(), p[20..28].to_vec(), p.len());
    // One that was sent again has two identifications.
    let mut known: HashMap<_, Vec<[u8; 2]>> = HashMap::new();
    for packet in there {
        known.entry(name(packet)).or_default().push([packet[4], packet[5]]);
    }
    let mut merged = 0;
    for packet in here {
        assert_eq!(traceback::checksum::of(&packet[..20]), 0, "IP checksum");
        check_tcp(packet);
        if packet.len() > 1500
            && let Some(ids) = known.get(&name(packet))
        {
            assert!(ids.contains(&[packet[4], packet[5]]), "a merged frame is not marked");
            merged += 1;
        }
    }
    merged
}

fn check_tcp(packet: &[u8]) {
    let mut pseudo = packet[12..20].to_vec();
    pseudo.extend([0, 6]);
    pseudo.extend(u16::try_from(packet.len() - 20).unwrap().to_be_bytes());
    let unfinished = !traceback::checksum::of(&pseudo);
    pseudo.extend(&packet[20..]);
    let field = u16::from_be_bytes([packet[36], packet[37]]);
    let right = traceback::checksum::of(&pseudo) == 0 || field == unfinished;
    assert!(right, "TCP checksum {field:04x} of a packet of {} bytes", packet.len());
}
