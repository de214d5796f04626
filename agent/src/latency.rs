//! How long the marking step takes, as an HDR histogram of sampled packets.
//!
//! Reading the clock twice costs more than most marking steps, so one packet in N is timed, and the
//! cost of the two reads is measured at the start and stated beside the numbers, not subtracted.

use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer, V2Serializer};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};
use traceback::router::Stopwatch;

/// Durations in nanoseconds.
pub type Nanoseconds = Histogram<u64>;

/// Longest duration told apart: a second. Longer ones count as this.
const LONGEST: u64 = 1_000_000_000;

/// An empty histogram: 1 ns to 1 s with three digits.
pub fn empty() -> Nanoseconds {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("invariant: the bounds are lawful")
}

/// Times one marking step in so many.
#[derive(Debug)]
pub struct Watch {
    every: u32,
    left: u32,
    started: Option<Instant>,
    /// What was measured.
    pub times: Nanoseconds,
}

impl Watch {
    /// Times the first of every `every` steps; 0 times none.
    pub fn new(every: u32) -> Self {
        Self { every, left: 0, started: None, times: empty() }
    }
}

impl Stopwatch for Watch {
    fn start(&mut self) {
        if self.left == 0 && self.every > 0 {
            self.left = self.every;
            self.started = Some(Instant::now());
        }
        self.left = self.left.saturating_sub(1);
    }

    fn stop(&mut self) {
        if let Some(started) = self.started.take() {
            let nanos = u64::try_from(started.elapsed().as_nanos()).unwrap_or(LONGEST);
            self.times.saturating_record(nanos);
        }
    }
}

/// What a watch reads when nothing happens between its two looks at the clock, in nanoseconds: the
/// median of many, measured once for all vantages of this process.
pub fn clock_cost() -> u64 {
    static COST: OnceLock<u64> = OnceLock::new();
    *COST.get_or_init(measure_clock)
}

fn measure_clock() -> u64 {
    let mut times = empty();
    for _ in 0..10_001 {
        let start = Instant::now();
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(LONGEST);
        times.saturating_record(nanos);
    }
    times.value_at_quantile(0.5)
}

/// A histogram in the V2 encoding; nothing for an empty one.
pub fn encode(times: &Nanoseconds) -> Vec<u8> {
    let mut out = vec![];
    if !times.is_empty() {
        V2Serializer::new()
            .serialize(times, &mut out)
            .expect("invariant: writing to memory does not fail, and the bounds fit the format");
    }
    out
}

/// A HdrHistogram log (`.hlog`): one line for each interval, readable by the usual plotters.
#[derive(Debug)]
pub struct Log {
    file: File,
    tag: String,
    zero: SystemTime,
}

impl Log {
    /// Starts a log, replacing what was there.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(path: &Path, tag: &str, comments: &[String]) -> io::Result<Self> {
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(path)?;
        let zero = SystemTime::now();
        let mut head = vec![];
        let mut builder = IntervalLogWriterBuilder::new();
        builder.with_start_time(zero).with_base_time(zero);
        for comment in comments {
            builder.add_comment(comment);
        }
        builder.begin_log_with(&mut head, &mut V2DeflateSerializer::new())?;
        file.write_all(&head)?;
        Ok(Self { file, tag: tag.to_owned(), zero })
    }

    /// Adds the times of an interval that ends now.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add(&mut self, times: &Nanoseconds, length: Duration) -> io::Result<()> {
        let mut lines = vec![];
        let mut serializer = V2DeflateSerializer::new();
        let end = self.zero.elapsed().unwrap_or_default();
        let mut log =
            IntervalLogWriterBuilder::new().begin_log_with(&mut lines, &mut serializer)?;
        log.write_histogram(times, end.saturating_sub(length), length, Tag::new(&self.tag))
            .map_err(|e| io::Error::other(e.to_string()))?;
        // The builder repeats the log's head; only the last line is new.
        let text = lines.strip_suffix(b"\n").unwrap_or(&lines);
        let start = text.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        self.file.write_all(&lines[start..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    #[test]
    fn one_step_in_so_many_is_timed() {
        let mut watch = Watch::new(4);
        for _ in 0..10 {
            watch.start();
            watch.stop();
        }
        assert_eq!(watch.times.len(), 3); // steps 1, 5 and 9
        let bytes = encode(&watch.times);
        let back: Nanoseconds = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
        assert_eq!(back, watch.times);
        assert!(encode(&empty()).is_empty());
    }

    #[test]
    fn the_clock_costs_something() {
        assert!((1..100_000).contains(&clock_cost()));
    }

    #[test]
    fn logs_read_back() {
        let path = std::env::temp_dir().join(format!("ashiato-{}.hlog", std::process::id()));
        let mut log = Log::create(&path, "none", &["sampled 1 in 64".into()]).unwrap();
        let mut times = empty();
        times.record(42).unwrap();
        log.add(&times, Duration::from_millis(500)).unwrap();
        log.add(&times, Duration::from_millis(500)).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let entries: Vec<_> = IntervalLogIterator::new(&bytes).map(Result::unwrap).collect();
        let intervals = entries.iter().filter(|e| matches!(e, LogEntry::Interval(_))).count();
        assert_eq!(intervals, 2, "{}", String::from_utf8_lossy(&bytes));
    }
}
