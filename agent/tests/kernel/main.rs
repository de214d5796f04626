//! The kernel's own datapaths between real kernels: namespaces, veth pairs, real ARP and ND. Every
//! test runs at tc egress, at XDP, and at XDP with the kernel's routing.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod agent;
mod bulk;
mod life;
mod privilege;
mod said;
#[path = "../support/mod.rs"]
mod support;
mod traffic;
mod ways;

use ashiato_agent::config::{Datapath, Vantage};
use serde_json::json;
use support::Net;

/// The same tests over each datapath.
macro_rules! over_all {
    ($($module:ident :: $test:ident),* $(,)?) => {
        mod tc {
            $(#[test] fn $test() { super::$module::$test(super::Datapath::Tc); })*
        }
        mod xdp {
            $(#[test] fn $test() { super::$module::$test(super::Datapath::Xdp); })*
        }
        mod xdp_pass {
            $(#[test] fn $test() { super::$module::$test(super::Datapath::XdpPass); })*
        }
    };
}

over_all!(
    traffic::kernels_talk_through_it_in_both_versions,
    traffic::spent_packets_are_answered_by_the_kernel,
    traffic::marks_are_those_of_the_library,
    traffic::fragments_pass_unmarked_and_are_counted,
    traffic::hostile_frames_are_accounted_for,
    traffic::every_packet_of_many_pages_is_seen,
    traffic::an_epoch_ends_by_itself,
    bulk::transfers_arrive_whole,
    life::a_second_agent_is_refused_and_harms_nothing,
    life::dropping_a_station_leaves_nothing,
    life::killing_an_agent_leaves_nothing_attached,
    life::a_port_that_vanishes_is_said_and_survived,
);

fn config(net: &Net, scheme: &str, datapath: Datapath) -> Vantage {
    Vantage { datapath, ..net.config(scheme) }
}

/// FMS that marks at every router: each packet changes.
fn always(net: &Net, datapath: Datapath) -> Vantage {
    Vantage { params: json!({ "p": 1.0 }), ..config(net, "fms", datapath) }
}
