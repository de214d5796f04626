//! Routers that their domain does not show: silent where packets come in that it does not show them on, and
//! mute about errors. Real packets through the kernel, in namespaces that each test makes.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use ashiato_agent::config::{Datapath, Vantage};
use serde_json::json;
use std::net::UdpSocket;
use support::{Net, Running, hear, privileged, spent_probes_are_answered, udp4};
use traceback::RouterId;

const SRC: [u8; 4] = [198, 18, 1, 2];
const DST: [u8; 4] = [198, 18, 2, 2];

fn config(net: &Net, datapath: Datapath) -> Vantage {
    // Marks every packet.
    Vantage { datapath, params: json!({ "p": 1.0 }), ..net.config("fms") }
}

/// The Identification that a packet from `src` has when it comes out.
fn identification(net: &Net) -> [u8; 2] {
    let (out, into) = (net.socket("src"), net.socket("dst"));
    let packet = udp4(net.mac("rtr", "p0"), SRC, DST, 64, &[7; 22]);
    let ours = |f: &[u8]| f[12..14] == [8, 0] && f[23] == 17 && f[26..30] == SRC;
    for _ in 0..20 {
        out.send(&packet).unwrap();
        if let Some(frame) = hear(&into, ours) {
            return [frame[18], frame[19]];
        }
    }
    panic!("nothing comes out");
}

#[test]
fn packets_pass_a_silent_port_unmarked() {
    if !privileged() {
        return;
    }
    for datapath in [Datapath::Afpacket, Datapath::Tc, Datapath::Xdp, Datapath::XdpPass] {
        let net = Net::of("silent", datapath);
        let sent = udp4([0; 6], SRC, DST, 64, &[7; 22])[18..20].to_vec();
        let mut silent = config(&net, datapath);
        silent.ports[0].silent = true;
        let router = Running::start(&silent).unwrap();
        assert_eq!(identification(&net).to_vec(), sent, "{datapath:?}");
        drop(router);
        // The same where it acts, and under another name.
        let own = Running::start(&config(&net, datapath)).unwrap();
        let marked = identification(&net);
        assert_ne!(marked.to_vec(), sent, "{datapath:?}: the control marks nothing");
        drop(own);
        let alias = Some(RouterId(0xf000_fbf5));
        let other = Running::start(&Vantage { acts_as: alias, ..config(&net, datapath) }).unwrap();
        assert_ne!(identification(&net), marked, "{datapath:?}: the name is another");
        drop(other);
    }
}

#[test]
fn a_mute_router_keeps_its_errors_to_itself() {
    if !privileged() {
        return;
    }
    for datapath in [Datapath::Afpacket, Datapath::Tc] {
        let net = Net::of("mute", datapath);
        let mute = Vantage { mute: true, ..config(&net, datapath) };
        let router = Running::start(&mute).unwrap();
        let hears = net.socket("src");
        let sender = net.within("src", || UdpSocket::bind("198.18.1.2:0").unwrap());
        sender.set_ttl(1).unwrap();
        sender.send_to(b"probe", "198.18.2.2:33434").unwrap();
        let is_error = |f: &[u8]| f[12..14] == [8, 0] && f[23] == 1;
        assert!(hear(&hears, is_error).is_none(), "{datapath:?}");
        drop(router);
        let _router = Running::start(&config(&net, datapath)).unwrap();
        spent_probes_are_answered(&net);
    }
}

#[test]
fn what_xdp_cannot_keep_to_itself_is_refused() {
    if !privileged() {
        return;
    }
    let net = Net::of("mutex", Datapath::Xdp);
    let mute = Vantage { mute: true, ..config(&net, Datapath::Xdp) };
    let error = Running::start(&mute).map(drop).unwrap_err();
    assert!(format!("{error:#}").contains("mute needs datapath tc or afpacket"), "{error:#}");
}
