//! Packets a second that one core makes, forwards and counts, in turns of a fraction of a second.
//!
//! The rate is over processor time of the core, not over time on the wall, so that a busy machine
//! does not falsify it: that of the thread whose system calls do all the work, that of an agent which
//! forwards by itself, and that of the kernel's own thread for network work.

use crate::host::{self, own_time};
use crate::lanes::{CORE, Lane, Way};
use crate::report::median;
use crate::traffic::{Ends, Tools};
use ashiato_agent::config::Datapath;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long to wait for the last packets of a chunk, where a thread passes them on.
const PATIENCE: Duration = Duration::from_millis(200);

/// One turn of one lane.
#[derive(Debug, Clone)]
pub struct Row {
    /// The lane.
    pub lane: String,
    /// Which turn, from 0.
    pub round: usize,
    /// Packets at both ends.
    pub ends: Ends,
    /// Processor time of the core.
    pub busy: Duration,
}

impl Row {
    /// Packets that came through in a second of the core's time.
    pub fn rate(&self) -> f64 {
        self.ends.arrived as f64 / self.busy.as_secs_f64()
    }
}

/// All turns.
#[derive(Debug, Default)]
pub struct Rates {
    /// One for each lane and round.
    pub rows: Vec<Row>,
}

impl Rates {
    /// Lets all lanes forward in turns.
    ///
    /// # Errors
    /// When the kernel refuses to send.
    pub fn measure(&mut self, lanes: &mut [Lane], rounds: usize) -> anyhow::Result<()> {
        for round in 0..rounds {
            for lane in &mut *lanes {
                let (ends, busy) = lane.forward(lane.turn(), None)?;
                self.rows.push(Row { lane: lane.spec.name.clone(), round, ends, busy });
            }
        }
        Ok(())
    }

    /// Packets a second: the median of the turns.
    pub fn median(&self, lane: &str) -> f64 {
        median(self.rows.iter().filter(|r| r.lane == lane).map(Row::rate).collect())
    }

    /// How many times as fast as another lane: the median over rounds, so that what slows a whole round
    /// down falls out.
    pub fn ratio(&self, lane: &str, peer: &str) -> f64 {
        let of = |lane: &str| self.rows.iter().filter(move |r| r.lane == lane).collect::<Vec<_>>();
        let pairs = of(lane).into_iter().zip(of(peer));
        median(pairs.map(|(row, peer)| row.rate() / peer.rate()).collect())
    }

    /// Packets at both ends, all turns of a lane together.
    pub fn ends(&self, lane: &str) -> Ends {
        let mut sum = Ends::default();
        for row in self.rows.iter().filter(|r| r.lane == lane) {
            sum.sent += row.ends.sent;
            sum.arrived += row.ends.arrived;
            sum.changed += row.ends.changed;
        }
        sum
    }

    /// Every turn.
    pub fn csv(&self) -> String {
        let mut csv = String::from("lane,round,sent,arrived,lost,changed,busy_s,packets_per_s\n");
        for row in &self.rows {
            let Row { lane, round, ends: Ends { sent, arrived, changed }, busy } = row;
            let (lost, rate) = (sent - arrived, row.rate());
            let busy = busy.as_secs_f64();
            // Writing to a string cannot fail.
            let _ = writeln!(
                csv,
                "{lane},{round},{sent},{arrived},{lost},{changed},{busy:.6},{rate:.0}"
            );
        }
        csv
    }
}

impl Lane {
    /// Packets of one turn: some fifty milliseconds.
    fn turn(&self) -> u32 {
        match self.spec.way {
            Way::Plain | Way::Asking | Way::Agent(Datapath::Xdp) => 200_000,
            Way::Kernel | Way::Hook(_) => 100_000,
            // What a host chooses for itself is tc where it can.
            Way::Agent(Datapath::Auto | Datapath::Tc | Datapath::XdpPass) => 100_000,
            Way::Queue | Way::Agent(Datapath::Afpacket | Datapath::Pnet) => 10_000,
        }
    }

    /// Packets sent at a time: as many as the queue on the way takes, where there is one.
    fn chunk(&self, paced: bool) -> u32 {
        match self.spec.way {
            Way::Queue => 192,
            Way::Agent(Datapath::Afpacket | Datapath::Pnet) => 512,
            _ if paced => 8192,
            _ => self.turn(),
        }
    }

    /// Sends packets, at most so many a second where there is a pace; returns what came of them and the
    /// processor time that they took.
    ///
    /// # Errors
    /// When the kernel refuses to send.
    pub fn forward(&mut self, packets: u32, pace: Option<f64>) -> anyhow::Result<(Ends, Duration)> {
        let tools = Rc::clone(&self.tools);
        let mut tools = tools.borrow_mut();
        tools.aim(self.to)?;
        let (before, started) = (tools.ends()?, Instant::now());
        let others = self.others()?;
        let (mut busy, mut sent) = (Duration::ZERO, 0);
        while sent < packets {
            if let Some(pace) = pace {
                let due = Duration::from_secs_f64(f64::from(sent) / pace);
                std::thread::sleep(due.saturating_sub(started.elapsed()));
            }
            let chunk = self.chunk(pace.is_some()).min(packets - sent);
            let there = tools.ends()?.arrived;
            let start = own_time();
            tools.send(chunk)?;
            if let Some(queue) = &mut self.queue {
                queue.work_off()?;
            }
            busy += own_time() - start;
            sent += chunk;
            if self.worker.is_some() {
                wait(&tools, there + u64::from(chunk))?;
            }
        }
        let after = tools.ends()?;
        let ends = Ends {
            sent: after.sent - before.sent,
            arrived: after.arrived - before.arrived,
            changed: after.changed - before.changed,
        };
        Ok((ends, busy + self.others()?.saturating_sub(others)))
    }

    /// Processor time of the others that work for this lane on the core.
    fn others(&self) -> anyhow::Result<Duration> {
        let worker = self.worker.map(host::time_of).transpose()?.unwrap_or_default();
        Ok(worker + host::time_of(host::ksoftirqd(CORE)?)?)
    }
}

/// Gives way until so many packets have arrived.
fn wait(tools: &Tools, arrived: u64) -> anyhow::Result<()> {
    let start = Instant::now();
    while tools.ends()?.arrived < arrived && start.elapsed() < PATIENCE {
        std::thread::yield_now();
    }
    Ok(())
}
