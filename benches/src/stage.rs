//! The lab's link stage at work: a run whose links delay, and what the thread that holds frames back takes for it.

use crate::host::{threads_named, time_of};
use anyhow::{anyhow, ensure};
use ashiato::netns::{NetnsWorld, RunPaths};
use ashiato::scenario::spec::Datapath;
use ashiato::scenario::{self, Overrides};
use ashiato::world::World;
use ashiato::{resolve, run};
use std::time::Duration;

const LINKS: &str = include_str!("../../scenarios/x-link-conditions.toml");
/// A flood at the rate that leaves room for the other flow under the most that a run may send, over links none of which
/// has a queue that fills.
const SET: [&str; 5] = [
    "topology.links.2.rate=1 Gbit/s",
    "topology.links.2.queue=1024 KiB",
    "traffic.flood.rate=30 kpkt/s",
    "traffic.flood.packets=60000",
    "traffic.web.packets=400",
];

/// Frames that the stage sent in one turn, and its thread's processor time.
///
/// # Errors
/// When the run fails, or the stage loses a frame.
pub fn round(seed: u64) -> anyhow::Result<(u64, Duration)> {
    let set = SET.map(String::from).to_vec();
    let over = Overrides { set, seed: Some(seed), schemes: vec!["none".into()] };
    let scenario = scenario::parse("links.toml", LINKS, &over);
    let plan = scenario.and_then(|s| resolve::plan(&s)).map_err(|r| anyhow!("{r}"))?;
    let id = ulid::Ulid::new().to_string();
    let dir = std::env::temp_dir().join(&id);
    run::folder(Some(&dir), &id)?;
    let paths = RunPaths { id, dir: dir.clone(), datapath: Datapath::Afpacket };
    let mut world = NetnsWorld::up(plan, paths, &|_| {})?;
    let traffic = world.traffic(0)?;
    let mut spent = Duration::ZERO;
    for thread in threads_named("link stage")? {
        spent += time_of(thread)?;
    }
    ensure!(world.remove()? == 0, "objects are left");
    std::fs::remove_dir_all(dir)?;
    let (sent, arrived): (u64, u64) = (traffic.sent.values().sum(), traffic.arrived.values().sum());
    ensure!(
        arrived + traffic.lost == sent,
        "of {sent} packets {arrived} arrived, {} were lost",
        traffic.lost
    );
    let timed = traffic.carried.iter().filter(|c| c.sampled_1_in > 0);
    Ok((timed.map(|c| c.packets - c.lost).sum(), spent))
}
