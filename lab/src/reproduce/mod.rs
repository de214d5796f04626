//! Papers' figures and exact laws against this build.
//!
//! An oracle is a number that some paper or law states about a scheme. [`run`] measures it with the
//! schemes' own marking, logging and decoding code and says whether it is met. Oracles come in
//! [`Job`]s, which share their runs; one file for each family. To add one, write a file with a `jobs`
//! function and name it in [`all`].
//!
//! Runs are spread over threads, and every run draws from a stream of its own that seed, job and
//! run's number name, so results depend on nothing else. Numbers of papers that cannot be had (see
//! the seven traps in each file) are shown beside ours, never tuned to.

pub mod ams;
pub mod as_graph;
pub mod ases;
pub mod authms;
pub mod chance;
pub mod coding;
pub mod deployment;
pub mod dpm;
pub mod figures;
pub mod fit;
pub mod fms;
pub mod fms6;
pub mod forged;
pub mod hybrid;
pub mod ioam;
pub mod itrace;
pub mod layers;
pub mod line;
pub mod load;
pub mod logs;
pub mod loops;
pub mod packets;
pub mod pi;
pub mod pint;
pub mod ppm;
pub mod print;
pub mod row;
pub mod sampling;
pub mod spie;
pub mod words;

use crate::exit::Exit;
use as_graph::AsGraph;
use chance::Sampling;
pub use row::Row;
use std::sync::Arc;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// Schemes, rows, or beginnings of rows' ids; all where empty.
    pub only: Vec<String>,
    /// Fewer runs, judged by their intervals.
    pub quick: bool,
    /// Path lengths instead of the papers', where an oracle has lengths.
    pub hops: Vec<u8>,
    /// Seed of all chance.
    pub seed: u64,
    /// Relationships of autonomous systems, in place of grown graphs.
    pub as_graph: Option<Arc<AsGraph>>,
}

impl Request {
    /// How much is measured, and from which seed.
    pub fn sampling(&self) -> Sampling {
        Sampling { seed: self.seed, quick: self.quick }
    }
}

type Work = dyn Fn(&Sampling) -> Vec<Row>;

/// Rows that are measured together.
pub struct Job {
    /// Ids of the rows, in order.
    pub ids: Vec<String>,
    work: Box<Work>,
}

impl Job {
    fn new(ids: Vec<String>, work: impl Fn(&Sampling) -> Vec<Row> + 'static) -> Self {
        Self { ids, work: Box::new(work) }
    }

    fn wanted(&self, only: &[String]) -> bool {
        only.is_empty() || self.ids.iter().any(|id| chosen(id, only))
    }
}

/// Measures what is asked for. `progress` hears which job of how many starts, and its first row.
///
/// # Errors
/// [`Exit::Usage`] where a name or a path length is unknown.
pub fn run(
    request: &Request,
    progress: &mut dyn FnMut(usize, usize, &str),
) -> anyhow::Result<Vec<Row>> {
    let jobs = all(request)?;
    for name in &request.only {
        if !jobs.iter().any(|job| job.wanted(std::slice::from_ref(name))) {
            let ids: Vec<&str> = jobs.iter().flat_map(|j| &j.ids).map(String::as_str).collect();
            let known = ids.join(", ");
            return Err(Exit::Usage.refuse(format!(
                "no oracle is called \"{name}\"; there are: {known}, and any beginning of these"
            )));
        }
    }
    let sampling = request.sampling();
    let wanted: Vec<&Job> = jobs.iter().filter(|job| job.wanted(&request.only)).collect();
    let mut rows = vec![];
    for (i, job) in wanted.iter().enumerate() {
        progress(i, wanted.len(), &job.ids[0]);
        rows.extend((job.work)(&sampling));
    }
    rows.retain(|row| request.only.is_empty() || chosen(&row.id, &request.only));
    Ok(rows)
}

/// Every job, in the order of the documents.
fn all(request: &Request) -> anyhow::Result<Vec<Job>> {
    let mut jobs = fms::jobs(&lengths(request, "fms-d", fms::LENGTHS, fms::MOST_HOPS)?);
    jobs.extend(fms6::jobs(&lengths(request, "fms6-d", fms6::LENGTHS, fms6::MOST_HOPS)?));
    jobs.extend(sampling::jobs());
    jobs.extend(ams::first_jobs(&lengths(request, "ams1-d", ams::LENGTHS, ams::MOST_HOPS)?));
    jobs.extend(ams::second_jobs(&lengths(request, "ams2-d", ams::LENGTHS, ams::MOST_HOPS)?));
    let authenticated = lengths(request, "authms-d", authms::LENGTHS, authms::MOST_HOPS)?;
    jobs.extend(authms::jobs(&authenticated));
    for scheme in ppm::CONVERGING {
        let family = format!("{scheme}-d");
        let lengths = lengths(request, &family, ppm::LENGTHS, ppm::MOST_HOPS)?;
        jobs.extend(ppm::converging(scheme, &lengths));
    }
    jobs.extend(ppm::jobs());
    let words = |family| lengths(request, family, words::LENGTHS, words::MOST_HOPS);
    jobs.extend(words::algebraic_jobs(&words("algebraic-d")?));
    jobs.extend(words::rnl_jobs(&words("rnl-d")?));
    jobs.extend(coding::jobs());
    let averaged = request.hops.is_empty();
    jobs.extend(pint::jobs(&lengths(request, "pint-k", pint::LENGTHS, pint::MOST_HOPS)?, averaged));
    jobs.extend(loops::jobs());
    jobs.extend(itrace::jobs(&lengths(request, "itrace-d", itrace::LENGTHS, itrace::MOST_HOPS)?));
    jobs.extend(spie::jobs());
    jobs.extend(logs::jobs());
    jobs.extend(dpm::jobs());
    jobs.extend(load::jobs());
    jobs.extend(pi::jobs());
    jobs.extend(fit::jobs(&lengths(request, "fit-d", fit::LENGTHS, fit::MOST_HOPS)?));
    jobs.extend(hybrid::jobs());
    let systems = |family, most| lengths(request, family, ases::LENGTHS, most);
    jobs.extend(ases::fast_jobs(&systems("fast-d", ases::MOST_OF_FAST)?));
    jobs.extend(ases::asem_jobs(&systems("asem-d", ases::MOST_OF_ASEM)?));
    jobs.extend(forged::jobs());
    jobs.extend(deployment::jobs(request.as_graph.as_ref()));
    jobs.extend(ioam::jobs());
    Ok(jobs)
}

/// Path lengths for one family of rows: those asked for, else the paper's; and those that a row's
/// id names.
fn lengths(request: &Request, family: &str, papers: &[u8], most: u8) -> anyhow::Result<Vec<u8>> {
    let mut lengths = if request.hops.is_empty() { papers.to_vec() } else { request.hops.clone() };
    let named = |name: &String| name.strip_prefix(family)?.split('-').next()?.parse::<u8>().ok();
    lengths.extend(request.only.iter().filter_map(named));
    lengths.sort_unstable();
    lengths.dedup();
    // A length that one scheme cannot have is an error only where that scheme is asked for.
    let scheme = family.split('-').next().unwrap_or(family);
    let meant = |name: &String| name.starts_with(scheme);
    let asked = request.only.is_empty() || request.only.iter().any(meant);
    if let Some(bad) = lengths.iter().find(|n| asked && !(1..=most).contains(*n)) {
        let why = format!("{scheme}: paths have 1 to {most} hops, not {bad}");
        return Err(Exit::Usage.refuse(why));
    }
    lengths.retain(|n| (1..=most).contains(n));
    Ok(lengths)
}

/// Whether a row is one of those named: by its id, or by whole words that its id begins with.
fn chosen(id: &str, only: &[String]) -> bool {
    let begins = |name: &String| {
        id.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    only.iter().any(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn names_choose_by_whole_words() {
        assert!(chosen("fms-d10-mean", &only(&["spie", "fms"])));
        assert!(chosen("fms-d10-mean", &only(&["fms-d10"])));
        assert!(!chosen("fms-d10-mean", &only(&["fms-d1", "fms-d10-m"])));
    }

    #[test]
    fn unknown_names_and_lengths_are_refused_with_help() {
        let ask = |names, hops: &[u8]| {
            let request = Request { only: only(names), hops: hops.to_vec(), ..Request::default() };
            let error = run(&request, &mut |_, _, _| {}).unwrap_err();
            (Exit::of(&error), error.to_string())
        };
        let (exit, text) = ask(&["fmz"], &[]);
        assert!(exit == Exit::Usage && text.contains("fms-d10-mean"), "{text}");
        let (exit, text) = ask(&["fms"], &[4, 32]);
        assert!(exit == Exit::Usage && text.contains("1 to 31 hops, not 32"), "{text}");
        assert_eq!(ask(&["fms-d0-mean"], &[]).0, Exit::Usage);
    }

    #[test]
    fn a_row_of_any_length_can_be_named() {
        let request = Request { only: only(&["fms-d17-p95"]), ..Request::default() };
        let jobs = all(&request).unwrap();
        assert!(jobs.iter().any(|j| j.ids.contains(&"fms-d17-p95".to_owned())));
    }

    #[test]
    fn ids_are_unique() {
        let jobs = all(&Request::default()).unwrap();
        let mut ids: Vec<&String> = jobs.iter().flat_map(|j| &j.ids).collect();
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}
