//! The driver of a reconstruction: ask the scheme, ask the routers it names, ask the scheme again.
//!
//! Holds no network and no store, so the simulator and the collector run the same loop. Whoever
//! calls [`trace`] brings the ledgers and a way to put questions to routers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;
use traceback::RouterId;
use traceback::case::{Answer, Case, Gap, Query, Step};
use traceback::graph::Finding;
use traceback::handed::Handed;
use traceback::report::{Report, Role};
use traceback::scheme::Keeper;
use traceback::schemes::{Answers, AnyScheme};

/// A question and the router it goes to.
pub type Question = (RouterId, Query);

/// Most questions that one reconstruction may ask, so that no scheme can ask without end.
const MAX_QUESTIONS: usize = 1 << 20;

/// What came of a reconstruction, and what it took.
#[derive(Debug, Clone, PartialEq)]
pub struct Traced {
    /// The answer, or what is missing for one.
    pub finding: Result<Finding, Gap>,
    /// Wall time, questions included, in seconds.
    pub seconds: f64,
    /// Rounds of questions.
    pub rounds: u16,
    /// Bytes of the ledgers, encoded.
    pub ledger_bytes: u64,
    /// Questions asked, by router.
    pub asked: BTreeMap<RouterId, u64>,
    /// Usable answers that came, by router.
    pub answered: BTreeMap<RouterId, u64>,
    /// Answers that do not fit their question; they count as silence.
    pub malformed: u64,
}

/// What came of a part of a way, and who handed packets over at its beginning.
pub type Followed = (Traced, Vec<Handed>);

impl Traced {
    /// Whether a router that was asked did not answer.
    pub fn is_incomplete(&self) -> bool {
        self.asked != self.answered
    }
}

/// Rebuilds the paths of a case.
///
/// `ask` gets the questions of one round and returns one entry for each, in order: `None` where the
/// router was silent or refused. No question is put twice.
pub fn trace(
    scheme: &dyn AnyScheme,
    case: &Case,
    ledgers: &[(RouterId, Vec<u8>)],
    ask: &mut dyn FnMut(&[Question]) -> Vec<Option<Answer>>,
) -> Traced {
    follow(scheme, case, ledgers, ask).0
}

/// The same, and who beyond the case's part of the network may have handed its samples over.
pub fn follow(
    scheme: &dyn AnyScheme,
    case: &Case,
    ledgers: &[(RouterId, Vec<u8>)],
    ask: &mut dyn FnMut(&[Question]) -> Vec<Option<Answer>>,
) -> Followed {
    let started = Instant::now();
    let ledgers: Vec<(RouterId, &[u8])> = ledgers.iter().map(|(r, l)| (*r, &l[..])).collect();
    let mut inquiry = Inquiry::default();
    let finding = inquiry.run(scheme, case, &ledgers, ask);
    let traced = Traced {
        finding,
        seconds: started.elapsed().as_secs_f64(),
        rounds: inquiry.rounds,
        ledger_bytes: ledgers.iter().map(|(_, l)| l.len() as u64).sum(),
        asked: inquiry.asked,
        answered: inquiry.answered,
        malformed: inquiry.malformed,
    };
    (traced, scheme.handed(case, &inquiry.answers))
}

/// Ledgers out of reports, one for each router, and what the reports cost.
#[derive(Debug, Clone, Default)]
pub struct Gathered {
    /// Merged ledgers, ready for [`trace`].
    pub ledgers: Vec<(RouterId, Vec<u8>)>,
    /// Bytes of all reports as sent.
    pub report_bytes: u64,
    /// Ledgers that do not decode; they are left out, so that one hostile router spoils nothing.
    pub malformed: u64,
    footprints: BTreeMap<String, u64>,
}

impl Gathered {
    /// Takes one report of the scheme into account; `bytes` is its size as sent.
    ///
    /// A ledger counts where the scheme's keeper wrote it within the case's window: for schemes whose
    /// marks travel to the victim, that is the observer behind the case's gateway and nobody else.
    pub fn add(
        &mut self,
        scheme: &dyn AnyScheme,
        case: &Case,
        agent: &str,
        report: Report,
        bytes: usize,
    ) {
        self.report_bytes += bytes as u64;
        let footprint = self.footprints.entry(agent.to_owned()).or_default();
        *footprint = report.footprint.max(*footprint);
        let keeps = match scheme.card().keeper {
            Keeper::Victim => report.role == Role::Observer && report.router == case.gateway,
            Keeper::Routers => report.role == Role::Router,
            Keeper::None => false,
        };
        let Some(ledger) = report.ledger else { return };
        if keeps && report.window.meets(&case.window) {
            self.merge(scheme, report.router, ledger);
        }
    }

    /// Memory of the ledgers at their keepers: of each agent, the most that it reported.
    pub fn footprint_bytes(&self) -> u64 {
        self.footprints.values().fold(0, |sum, n| sum.saturating_add(*n))
    }

    fn merge(&mut self, scheme: &dyn AnyScheme, router: RouterId, ledger: Vec<u8>) {
        match self.ledgers.iter_mut().find(|(r, _)| *r == router) {
            Some((_, merged)) => match scheme.merge(merged, &ledger) {
                Ok(both) => *merged = both,
                Err(_) => self.malformed += 1,
            },
            // Merged with itself only to see whether it decodes.
            None if scheme.merge(&ledger, &ledger).is_ok() => self.ledgers.push((router, ledger)),
            None => self.malformed += 1,
        }
    }
}

#[derive(Default)]
struct Inquiry {
    answers: Answers,
    rounds: u16,
    asked: BTreeMap<RouterId, u64>,
    answered: BTreeMap<RouterId, u64>,
    malformed: u64,
}

impl Inquiry {
    fn run(
        &mut self,
        scheme: &dyn AnyScheme,
        case: &Case,
        ledgers: &[(RouterId, &[u8])],
        ask: &mut dyn FnMut(&[Question]) -> Vec<Option<Answer>>,
    ) -> Result<Finding, Gap> {
        loop {
            let wanted = match scheme.reconstruct(case, ledgers, &self.answers)? {
                Step::Done(finding) => return Ok(finding),
                Step::Ask(wanted) => wanted,
            };
            let fresh: BTreeSet<Question> =
                wanted.into_iter().filter(|q| !self.answers.contains_key(q)).collect();
            let full = self.answers.len() + fresh.len() > MAX_QUESTIONS;
            // A scheme that only repeats itself would never end.
            if fresh.is_empty() || full || self.rounds >= case.budget.rounds {
                return Err(Gap::Budget {
                    budget: u64::from(case.budget.rounds),
                    distance: self.rounds,
                    census: fresh.len() as u64,
                });
            }
            self.rounds += 1;
            let fresh: Vec<Question> = fresh.into_iter().collect();
            let came = ask(&fresh);
            self.take(fresh, came);
        }
    }

    fn take(&mut self, questions: Vec<Question>, came: Vec<Option<Answer>>) {
        let mut came = came.into_iter();
        for (router, query) in questions {
            *self.asked.entry(router).or_default() += 1;
            let mut answer = came.next().flatten();
            if answer.as_ref().is_some_and(|a| a.values.len() != query.keys.len()) {
                self.malformed += 1;
                answer = None;
            }
            *self.answered.entry(router).or_default() += u64::from(answer.is_some());
            self.answers.insert((router, query), answer);
        }
    }
}
