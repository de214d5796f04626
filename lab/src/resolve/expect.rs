//! What a plan's schemes should need, by their exact laws, before anything is sent.

use crate::plan::{Flow, Plan, SchemePlan};
use serde_json::Value;
use traceback::law::{Coupon, Hops, distinct_values, linked_messages};
use traceback::schemes;
use traceback::schemes::fragments::{CELLS, Code};
use traceback::schemes::{algebraic, ams2, fdpm, fit, fms6, rnl};

/// What one scheme should need on the path of one attack.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// Scheme id.
    pub scheme: String,
    /// [`Flow::id`].
    pub flow: u32,
    /// Routers of the path that take part.
    pub hops: u32,
    /// Packets that it has.
    pub packets: u64,
    /// Packets that it needs on average.
    pub mean: f64,
    /// Packets that are enough in 999 of 1000 runs; the mean where chance plays no part.
    pub p99_9: f64,
    /// Probability that its packets are enough.
    pub enough: f64,
}

/// One for each scheme with a law and each attack, in that order.
pub fn expectations(plan: &Plan) -> Vec<Expectation> {
    let attacks = |s| plan.attacks().filter_map(move |f| expect(plan, s, f));
    plan.schemes.iter().flat_map(attacks).collect()
}

fn expect(plan: &Plan, scheme: &SchemePlan, flow: &Flow) -> Option<Expectation> {
    // Laws are about one way and honest marks.
    if !plan.unlawful().is_empty() {
        return None;
    }
    let hops = u32::try_from(telling(plan, scheme, flow)?).ok()?;
    let (mean, p99_9, enough) = match scheme.id.as_str() {
        // One packet that arrives is enough for a whole path.
        "recorder" | "spie" => (1.0, 1.0, 1.0),
        _ => {
            let law = law(&scheme.id, &scheme.params, hops)?;
            let packets = u32::try_from(flow.packets).unwrap_or(u32::MAX);
            (law.mean(), f64::from(law.quantile(0.999)), law.within(packets))
        }
    };
    let (scheme, packets) = (scheme.id.clone(), flow.packets);
    Some(Expectation { scheme, flow: flow.id, hops, packets, mean, p99_9, enough })
}

/// Packets that a scheme needs on average until it names what it names of one path of so many routers (of systems,
/// where it names those), by an exact law; `None` where none is known.
pub fn packets(id: &str, params: &Value, hops: u32) -> Option<f64> {
    let number = |key: &str| params[key].as_f64();
    let count = |key: &str| u32::try_from(params[key].as_u64()?).ok();
    let all = |marks, hops, cells, need| Some(Coupon::new(marks, hops, cells, need).ok()?.mean());
    // Marks of one ingress router, all equally likely.
    let ingress = |marks| all(Hops::Uniform, 1, marks, marks);
    match id {
        "recorder" | "ioam" | "dex" | "spie" | "hit" | "riht" | "mrt" | "huffman" | "pi"
        | "stackpi" => Some(1.0),
        "dpm" => ingress(2),
        "hdpm" => ingress(count("f")? * 32 / count("a")?),
        "fdpm" => ingress(32 / fdpm::SEGMENT),
        "fit" => {
            let fragments = u32::try_from(fit::FRAGMENTS).ok()?;
            all(Hops::Overwriting(number("p")?), hops, fragments, count("need")?)
        }
        "asem" => all(Hops::Resetting(number("p")?), hops, 1, 1),
        "itrace" => Some(linked_messages(number("p")? / 2.0, hops)),
        "algebraic" if number("restart")? <= 0.0 => {
            Some(distinct_values(algebraic::POINTS, hops * u32::from(algebraic::CHUNKS)))
        }
        _ => Some(law(id, params, hops)?.mean()),
    }
}

/// Routers of a path that take part and are shown.
fn telling(plan: &Plan, scheme: &SchemePlan, flow: &Flow) -> Option<usize> {
    let deployed = |r: &&usize| plan.routers[**r].deployed;
    if plan.shows_all() {
        return Some(flow.path.iter().filter(deployed).count());
    }
    let scheme = schemes::find(&scheme.id)?.build(&scheme.params).ok()?;
    let path: Vec<_> = flow.path.iter().map(|r| plan.routers[*r].id).collect();
    let shown = plan.disclosed(&*scheme).ok()?.project(&path);
    Some(shown.iter().filter(|(at, _)| deployed(&&flow.path[*at])).count())
}

/// The convergence law of one path, for schemes of which every router's marks are collected.
fn law(id: &str, params: &Value, hops: u32) -> Option<Coupon> {
    let number = |key: &str| params[key].as_f64();
    let need = || u32::try_from(params["threshold"].as_u64()?).ok();
    let (marks, cells, need) = match id {
        "fms" | "tabu" => (Hops::Overwriting(number("p")?), CELLS, CELLS),
        "fms6" => {
            let layout: fms6::Layout = serde_json::from_value(params["layout"].clone()).ok()?;
            (Hops::Overwriting(number("p")?), layout.fragments(), layout.fragments())
        }
        "ams1" | "amswide" | "edge" => (Hops::Overwriting(number("p")?), 1, 1),
        "ams2" | "authms" => (Hops::Overwriting(number("p")?), ams2::FUNCTIONS.into(), need()?),
        "rnl" => (Hops::Overwriting(number("p")?), rnl::WORDS, rnl::WORDS),
        "dppm" | "tpm" => (Hops::Uniform, CELLS, CELLS),
        "npc" => (Hops::Constant(number("p")?), CELLS, CELLS),
        _ => return None,
    };
    Coupon::new(marks, hops, cells, need).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use traceback::schemes::SCHEMES;

    #[test]
    fn ten_hops_take_what_the_papers_laws_say() {
        let at = |id: &str| packets(id, &schemes::find(id).unwrap().defaults(), 10);
        for (id, want) in [
            ("edge", 89.6),
            ("fms", 1_228.5),
            ("ams1", 89.6),
            ("dppm", 397.2),
            ("dpm", 3.0),
            ("hdpm", 21.7),
            ("fdpm", 21.7),
            ("fit", 527.0),
            ("spie", 1.0),
        ] {
            let got = at(id).unwrap();
            assert!((got / want - 1.0).abs() < 0.002, "{id}: {got}");
        }
        assert!(at("none").is_none() && at("pint").is_none());
        // Whoever names something has a number, but for these.
        let without: Vec<&str> =
            SCHEMES.iter().map(|s| s.card().id).filter(|id| at(id).is_none()).collect();
        assert_eq!(without, ["none", "node", "rppm", "pint", "fast"]);
    }
}
