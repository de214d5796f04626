//! Who keeps a run alive on this host: the lab in this process, or a director elsewhere, whose beats
//! are passed on to the actors and whose silence ends them.

use super::lease::BEAT;
use crate::exit::Exit;
use anyhow::Result;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a run's life on this host hangs on.
#[derive(Debug, Clone, Default)]
pub struct Heart(Option<Arc<Lent>>);

#[derive(Default)]
struct Lent {
    beats: AtomicU64,
    end: Mutex<Option<(Exit, String)>>,
    /// What must hold, and when it was last looked at.
    ward: Mutex<Option<(Option<Instant>, Ward)>>,
}

/// What must hold as long as traffic flows.
pub(crate) type Ward = Box<dyn FnMut() -> Result<()> + Send>;

/// How often a ward looks: always before the lease is renewed.
const LOOK: Duration = Duration::from_millis(250);

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent").field("beats", &self.beats).finish_non_exhaustive()
    }
}

impl Heart {
    /// One that beats when [`Self::beat`] is called, and never by itself.
    pub fn lent() -> Self {
        Self(Some(Arc::default()))
    }

    /// The director lives.
    pub fn beat(&self) {
        if let Some(lent) = &self.0 {
            lent.beats.fetch_add(1, Ordering::Release);
        }
    }

    /// The run is to end here, for this reason; the first one counts.
    pub fn end(&self, exit: Exit, why: impl Into<String>) {
        if let Some(lent) = &self.0 {
            let mut end = lent.end.lock().unwrap_or_else(PoisonError::into_inner);
            end.get_or_insert((exit, why.into()));
        }
    }

    /// From now on the run ends when the ward fails. Who sends asks before each renewal of the lease.
    pub(crate) fn guard_by(&self, ward: Ward) {
        if let Some(lent) = &self.0 {
            *lent.ward.lock().unwrap_or_else(PoisonError::into_inner) = Some((None, ward));
        }
    }

    /// Fails once the run is to end.
    ///
    /// # Errors
    /// With the code and the reason given to [`Self::end`], or those of the ward.
    pub fn check(&self) -> Result<()> {
        let Some(lent) = &self.0 else { return Ok(()) };
        if let Err(error) = lent.look() {
            self.end(Exit::of(&error), format!("{error:#}"));
        }
        let end = lent.end.lock().unwrap_or_else(PoisonError::into_inner);
        end.as_ref().map_or(Ok(()), |(exit, why)| Err(exit.refuse(why)))
    }
}

impl Lent {
    fn look(&self) -> Result<()> {
        let mut ward = self.ward.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((last, ward)) = &mut *ward else { return Ok(()) };
        if last.is_some_and(|last| last.elapsed() < LOOK) {
            return Ok(());
        }
        *last = Some(Instant::now());
        ward()
    }
}

/// When the lease of actors is to be renewed.
#[derive(Debug)]
pub(super) struct Rhythm {
    heart: Heart,
    beats: u64,
    last: Instant,
}

impl Rhythm {
    pub(super) fn of(heart: &Heart) -> Self {
        let beats = heart.0.as_ref().map_or(0, |lent| lent.beats.load(Ordering::Acquire));
        Self { heart: heart.clone(), beats, last: Instant::now() }
    }

    /// Whether a beat is due now: one came from the director, or it is time where there is none.
    pub(super) fn is_due(&mut self) -> bool {
        match &self.heart.0 {
            Some(lent) => {
                let beats = lent.beats.load(Ordering::Acquire);
                std::mem::replace(&mut self.beats, beats) != beats
            }
            None if self.last.elapsed() >= BEAT => {
                self.last = Instant::now();
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lent_heart_beats_only_when_it_is_told() {
        let heart = Heart::lent();
        let mut rhythm = Rhythm::of(&heart);
        assert!(!rhythm.is_due());
        heart.beat();
        heart.beat();
        assert!(rhythm.is_due());
        assert!(!rhythm.is_due());
        assert!(heart.check().is_ok());
        heart.end(Exit::Stopped, "the director is gone");
        heart.end(Exit::Internal, "later");
        assert_eq!(Exit::of(&heart.check().unwrap_err()), Exit::Stopped);
    }

    #[test]
    fn a_ward_that_fails_ends_the_run_for_good() {
        let heart = Heart::lent();
        heart.guard_by(Box::new(|| Err(Exit::Policy.refuse("revoked"))));
        assert_eq!(Exit::of(&heart.check().unwrap_err()), Exit::Policy);
        heart.guard_by(Box::new(|| Ok(())));
        assert_eq!(Exit::of(&heart.check().unwrap_err()), Exit::Policy);
    }
}
