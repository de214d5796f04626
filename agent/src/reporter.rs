//! Reports for one vantage: at intervals, when the collector asks for a cut, and once at the end.
//!
//! The datapath's thread never waits for the network: it hands over what it has, and an uplink that is
//! down only means that reports wait there.

use crate::config::Vantage;
use crate::datapath::desk::{Bell, Event, Request, Share};
use crate::latency::{self, Log};
use crate::station::Station;
use crate::uplink::{Command, UplinkHandle};
use anyhow::Context;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout};
use traceback::Nanos;
use traceback::case::{Answer, Window};
use traceback::report::Report;

/// How long the end may take: the last cut, then its way to the collector.
const LAST_CUT: Duration = Duration::from_secs(3);
const LAST_REPORT: Duration = Duration::from_secs(5);

/// Where reports and answers go: the uplink, or a test.
pub trait Outlet {
    /// Takes a report.
    fn report(&self, report: &Report);
    /// Takes the answer to the collector's question of this number.
    fn reply(&self, id: u64, answer: Answer);
    /// Says that the cut of this number has been reported.
    fn cut_done(&self, id: u64);
    /// Returns when nothing is on its way any more.
    fn drained(&self) -> impl Future<Output = ()>;
}

impl Outlet for UplinkHandle {
    fn report(&self, report: &Report) {
        // What is given up leaves a hole in the numbers, which the collector counts.
        Self::report(self, report);
    }

    fn reply(&self, id: u64, answer: Answer) {
        Self::reply(self, id, answer);
    }

    fn cut_done(&self, id: u64) {
        Self::cut_done(self, id);
    }

    async fn drained(&self) {
        Self::drained(self).await;
    }
}

/// Why a cut was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Interval,
    Command(u64),
    End,
}

/// Reports for a station until told to stop.
///
/// # Errors
/// When the datapath ended by itself, or the latency log cannot be written.
pub async fn report(
    config: &Vantage,
    mut station: Station,
    outlet: impl Outlet,
    mut commands: mpsc::Receiver<Command>,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut reporter = Reporter::new(config, &station, outlet)?;
    let mut due = ticks(config.report_every.0);
    let mut listens = true;
    loop {
        let alive = tokio::select! {
            // A sender that is gone means that the process ends.
            _ = stop.wait_for(|stop| *stop) => break,
            _ = due.tick() => reporter.cut(Why::Interval),
            command = commands.recv(), if listens => match command {
                Some(Command::Ask { id, query }) => reporter.bell.ask(Request::Ask { id, query }),
                Some(Command::Cut { id }) => reporter.cut(Why::Command(id)),
                Some(Command::Closed) | None => {
                    // Packets go on; the uplink has said why.
                    listens = false;
                    true
                }
            },
            () = sleep_until(reporter.due()), if !reporter.late.is_empty() => reporter.reply_late(),
            event = station.events.recv() => match event {
                Some(event) => reporter.take(event)?,
                None => false,
            },
        };
        anyhow::ensure!(alive, "the datapath ended by itself");
    }
    let last = async {
        reporter.cut(Why::End);
        while let Some(event) = station.events.recv().await {
            if !reporter.take(event)? {
                break;
            }
        }
        anyhow::Ok(())
    };
    timeout(LAST_CUT, last).await.context("the datapath makes no last cut")??;
    if timeout(LAST_REPORT, reporter.outlet.drained()).await.is_err() {
        tracing::warn!("{}: the collector took no last report", config.name());
    }
    Ok(())
}

/// Ticks at an interval, the first after one; late ones do not come in a heap.
fn ticks(every: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

struct Reporter<'a, O> {
    config: &'a Vantage,
    bell: Bell,
    outlet: O,
    cuts: BTreeMap<u64, Why>,
    next: u64,
    from: Nanos,
    log: Option<Log>,
    /// Answers that wait for their time, the first one first.
    late: VecDeque<(Instant, u64, Answer)>,
}

impl<'a, O: Outlet> Reporter<'a, O> {
    fn new(config: &'a Vantage, station: &Station, outlet: O) -> anyhow::Result<Self> {
        let bell = station.bell.try_clone()?;
        let log = config.hlog.as_deref().map(|path| {
            let comments = [
                format!("{} at {}: nanoseconds of the marking step", config.scheme, config.name()),
                format!(
                    "one in {} timed; two clock reads cost {} ns, not subtracted",
                    config.sample_1_in, station.costs.clock
                ),
            ];
            Log::create(path, &config.scheme, &comments)
                .with_context(|| format!("write {}", path.display()))
        });
        let from = crate::datapath::serve::Clock::since(config.zero_unix_ns).now();
        let (cuts, log) = (BTreeMap::new(), log.transpose()?);
        Ok(Self { config, bell, outlet, cuts, next: 0, from, log, late: VecDeque::new() })
    }

    /// When the next late answer is due.
    fn due(&self) -> Instant {
        self.late.front().map_or_else(Instant::now, |(due, ..)| *due)
    }

    /// Gives the late answer that is due; true, as nothing has ended.
    fn reply_late(&mut self) -> bool {
        if let Some((_, id, answer)) = self.late.pop_front() {
            self.outlet.reply(id, answer);
        }
        true
    }

    fn cut(&mut self, why: Why) -> bool {
        self.next += 1;
        self.cuts.insert(self.next, why);
        self.bell.ask(Request::Cut { id: self.next, fresh: latency::empty() })
    }

    /// Passes on what the datapath says; false after the last cut.
    fn take(&mut self, event: Event) -> anyhow::Result<bool> {
        match event {
            Event::Answer { id, answer } => match self.config.answer_after {
                Some(wait) => self.late.push_back((Instant::now() + wait.0, id, answer)),
                None => self.outlet.reply(id, answer),
            },
            Event::Cut { id, at, share } => {
                let why = self.cuts.remove(&id).unwrap_or(Why::Interval);
                if why != Why::Interval || !is_idle(&share) {
                    self.pass(at, *share)?;
                }
                match why {
                    Why::Interval => {}
                    Why::Command(id) => self.outlet.cut_done(id),
                    Why::End => return Ok(false),
                }
            }
        }
        Ok(true)
    }

    fn pass(&mut self, at: Nanos, share: Share) -> anyhow::Result<()> {
        let Vantage { scheme, router, role, .. } = self.config;
        // A clock that was put back must not turn the window round.
        let window = Window { from: self.from.min(at), to: at };
        if let Some(log) = &mut self.log {
            let length = Duration::from_nanos(at.0.saturating_sub(self.from.0));
            log.add(&share.latency, length).context("write the latency log")?;
        }
        self.from = at;
        let Share { counters, lost, footprint, ledger, latency } = share;
        self.outlet.report(&Report {
            scheme: scheme.clone(),
            router: *router,
            role: *role,
            window,
            counters,
            lost,
            footprint,
            ledger,
            latency: latency::encode(&latency),
        });
        Ok(())
    }
}

/// Whether there is nothing to report: every packet that a ledger holds was received, too.
fn is_idle(share: &Share) -> bool {
    share.counters.received == 0 && share.counters.dropped() == 0 && share.lost == 0
}
