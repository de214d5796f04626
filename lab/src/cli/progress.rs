//! Progress on standard error: a spinner on a terminal; off it one line for each phase, and of long
//! phases one every ten seconds.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Tells a person what is going on.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    start: Instant,
    /// When steps were last spoken of.
    said: Mutex<Instant>,
}

/// Off a terminal, time between two lines about steps.
const QUIET: Duration = Duration::from_secs(10);

impl Progress {
    /// Starts.
    pub(super) fn start() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} [{elapsed}] {msg}");
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(120));
            if let Ok(style) = style { bar.with_style(style) } else { bar }
        });
        let start = Instant::now();
        Self { bar, start, said: Mutex::new(start) }
    }

    /// A new phase.
    pub(super) fn say(&self, phase: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(phase.to_owned()),
            None => eprintln!("  {phase}"),
        }
    }

    /// Steps done of all, `before` of them before this program started, and when the last may end.
    pub(super) fn steps(&self, done: usize, before: usize, all: usize) {
        let passed = self.start.elapsed();
        let each = passed.as_secs_f64() / done.saturating_sub(before).max(1) as f64;
        let left = each * all.saturating_sub(done) as f64;
        let text = format!("{done} of {all} runs, about {left:.0} s left");
        if self.bar.is_some() {
            return self.say(&text);
        }
        // A poisoned lock held nothing but a time.
        let mut said = self.said.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if said.elapsed() >= QUIET {
            *said = Instant::now();
            self.say(&text);
        }
    }

    /// Ends; the spinner goes away.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
