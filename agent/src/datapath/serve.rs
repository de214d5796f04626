//! The loop of a datapath's thread: sleep until frames or requests come, work them off in batches.

use super::desk::{Counter, Event, Request, Share};
use super::poll::{Poll, Ready};
use crate::latency::Nanoseconds;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use traceback::Nanos;
use traceback::case::{Answer, Query};

/// Frames taken from one socket before the others get their turn.
pub const BATCH: usize = 64;
/// Batches worked off before a cut at most, so that a flood cannot put it off for ever.
const LAST_BATCHES: usize = 20_000;
/// How long to wait before a cut for frames that cannot be read yet, and how often to look.
const LAST_WAIT: Duration = Duration::from_secs(1);
const GLANCE: Duration = Duration::from_micros(200);
/// How often housekeeping is due while something waits.
const TICK: Duration = Duration::from_millis(100);

/// What a datapath does with its sockets.
pub trait Work {
    /// Sockets to watch. Their number does not change.
    fn sockets(&self) -> Vec<BorrowedFd<'_>>;
    /// Takes up to [`BATCH`] frames from a socket and returns how many there were.
    fn batch(&mut self, socket: usize, at: Nanos, counter: &Counter) -> usize;
    /// Notes which frames have come in by now.
    fn note(&mut self) {}
    /// Whether frames came in before the last note that no batch has taken: they are in the kernel's
    /// hands, for a few milliseconds.
    fn owes(&self) -> bool {
        false
    }
    /// Takes the error of a socket.
    fn error(&mut self, socket: usize);
    /// Takes over new tables.
    fn tables(&mut self, tables: super::tables::Tables);
    /// Looks after what waits; true where something still does.
    fn tick(&mut self, at: Nanos) -> bool;
    /// Everything since the last cut.
    fn cut(&mut self, fresh: Nanoseconds) -> Share;
    /// Answers a question.
    fn answer(&mut self, query: &Query) -> Answer;
}

/// By how many nanoseconds this process's clock was put forward or back.
static STEPPED: AtomicI64 = AtomicI64::new(0);

/// Puts the clock of all this process's work forward, or back: for experiments about clocks that are wrong.
/// The host's own clock is left alone.
pub fn step_clock(by_ns: i64) {
    STEPPED.fetch_add(by_ns, Ordering::Relaxed);
}

/// A clock that starts at the run's zero and never goes back unless it is put back ([`step_clock`]).
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
    offset: u64,
}

impl Clock {
    /// A clock whose zero lies so many nanoseconds after the Unix epoch.
    pub fn since(zero_unix_ns: u64) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), offset: nanos(now).saturating_sub(zero_unix_ns) }
    }

    /// The time now.
    pub fn now(&self) -> Nanos {
        let now = self.offset + nanos(self.started.elapsed());
        Nanos(now.saturating_add_signed(STEPPED.load(Ordering::Relaxed)))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Works until told to stop.
///
/// # Errors
/// When the process has no file descriptor left, or the kernel refuses to poll.
pub fn serve(work: &mut impl Work, counter: &mut Counter, clock: Clock) -> io::Result<()> {
    // The desk comes first, then the sockets.
    let mut poll = Poll::default();
    poll.add(counter.as_fd())?;
    for socket in work.sockets() {
        poll.add(socket)?;
    }
    let mut waits = work.tick(clock.now());
    loop {
        poll.wait(waits.then_some(TICK))?;
        // Requests first: tables that were handed over before a packet came must count for it.
        if poll.ready(0) != Ready::No && !request(work, counter, clock) {
            return Ok(());
        }
        let at = clock.now();
        for socket in 0..poll.len() - 1 {
            match poll.ready(socket + 1) {
                Ready::Readable => {
                    work.batch(socket, at, counter);
                }
                Ready::Error => work.error(socket),
                Ready::No => {}
            }
        }
        waits = work.tick(at);
    }
}

fn request(work: &mut impl Work, counter: &mut Counter, clock: Clock) -> bool {
    match counter.receive() {
        Request::Tables(tables) => {
            work.tables(*tables);
            true
        }
        Request::Cut { id, fresh } => {
            work_off(work, counter, clock);
            let share = Box::new(work.cut(fresh));
            counter.say(Event::Cut { id, at: clock.now(), share })
        }
        Request::Ask { id, query } => {
            work_off(work, counter, clock);
            counter.say(Event::Answer { id, answer: work.answer(&query) })
        }
        Request::Stop => false,
    }
}

/// Works off frames that came in before the request, those that cannot be read yet included.
fn work_off(work: &mut impl Work, counter: &Counter, clock: Clock) {
    let sockets = work.sockets().len();
    work.note();
    let noted = Instant::now();
    for _ in 0..LAST_BATCHES {
        let at = clock.now();
        if (0..sockets).map(|s| work.batch(s, at, counter)).sum::<usize>() > 0 {
            continue;
        }
        if !work.owes() {
            return;
        }
        if noted.elapsed() > LAST_WAIT {
            tracing::warn!("frames that the kernel counted do not come: counts may differ by them");
            return;
        }
        std::thread::sleep(GLANCE);
    }
}
