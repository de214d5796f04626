//! Effects: whether a run reached what its partners agreed beforehand to call success.
//!
//! A measure is a dotted path into a scheme's row of the summary, with `levels.` left out:
//! `router.f1`, `source.wrong`, `paths.exact`, `packets_to_path.p50`, `gap.kind`. A stage before a level, as
//! in `marks-only.router.recall`, takes that stage's levels. The word `ceiling` stands for the best recall
//! that the plan gives a stage at a level.

use crate::plan::{Effect, Plan, SchemePlan};
use crate::summary::{EffectRow, MARKS_ONLY, SchemeRow, WITH_ANSWERS};
use serde_json::Value;

/// Levels of a score, as measures name them.
pub const LEVELS: [&str; 5] = ["router", "edge", "as", "nation", "source"];

/// What stands for the best recall that is possible.
pub const CEILING: &str = "ceiling";
/// Stages of a turn, as measures name them.
pub const STAGES: [&str; 2] = [MARKS_ONLY, WITH_ANSWERS];

/// A comparison and what to compare with.
#[derive(Debug, Clone, PartialEq)]
pub struct Want<'a> {
    test: Test,
    to: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    AtLeast,
    AtMost,
    Above,
    Below,
    Is,
    IsNot,
}

/// Reads a comparison such as `>= 0.99` or `== mixed`; `None` where it is none.
pub fn parse(want: &str) -> Option<Want<'_>> {
    let tests = [
        (">=", Test::AtLeast),
        ("<=", Test::AtMost),
        ("==", Test::Is),
        ("!=", Test::IsNot),
        (">", Test::Above),
        ("<", Test::Below),
    ];
    let (to, test) =
        tests.iter().find_map(|(sign, t)| Some((want.strip_prefix(sign)?.trim(), *t)))?;
    let numeric = !matches!(test, Test::Is | Test::IsNot);
    let number = to == CEILING || to.parse::<f64>().is_ok_and(f64::is_finite);
    let sound = !to.is_empty() && (!numeric || number);
    sound.then_some(Want { test, to })
}

impl Want<'_> {
    /// Whether a measured value passes, `ceiling` being the best that it could be; text only knows `==` and
    /// `!=`.
    pub fn passes(&self, got: &Value, ceiling: Option<f64>) -> bool {
        let to = if self.to == CEILING { ceiling } else { self.to.parse::<f64>().ok() };
        let (Some(got), Some(to)) = (got.as_f64(), to) else {
            let same = got.as_str().is_some_and(|g| g == self.to);
            return match self.test {
                Test::Is => same,
                Test::IsNot => !same,
                Test::AtLeast | Test::AtMost | Test::Above | Test::Below => false,
            };
        };
        match self.test {
            Test::AtLeast => got >= to,
            Test::AtMost => got <= to,
            Test::Above => got > to,
            Test::Below => got < to,
            Test::Is => got.total_cmp(&to).is_eq(),
            Test::IsNot => got.total_cmp(&to).is_ne(),
        }
    }
}

/// The value of a measure in a scheme's row.
pub fn measure(row: &SchemeRow, measure: &str) -> Value {
    let at = |stage: &str| row.stages.iter().position(|s| s.stage == stage);
    let (stage, measure) = staged(measure);
    let row = serde_json::to_value(row).expect("invariant: plain data");
    let first = measure.split('.').next().unwrap_or_default();
    let start = match stage {
        Some(stage) => at(stage).map_or(&Value::Null, |at| &row["stages"][at]["levels"]),
        None if LEVELS.contains(&first) => &row["levels"],
        None => &row,
    };
    measure.split('.').try_fold(start, |v, key| v.get(key)).cloned().unwrap_or(Value::Null)
}

/// The stage that a measure names, and the rest of it.
fn staged(measure: &str) -> (Option<&str>, &str) {
    match measure.split_once('.') {
        Some((stage, rest)) if STAGES.contains(&stage) => (Some(stage), rest),
        _ => (None, measure),
    }
}

/// The best that a measure could be, where that is known: a recall of routers, systems or nations.
fn ceiling(row: &SchemeRow, measure: &str) -> Option<f64> {
    let (stage, measure) = staged(measure);
    let stage = row.stages.iter().find(|s| s.stage == stage.unwrap_or(WITH_ANSWERS))?;
    match measure {
        "router.recall" => Some(stage.ceiling.router),
        "as.recall" => Some(stage.ceiling.r#as),
        "nation.recall" => Some(stage.ceiling.nation),
        _ => None,
    }
}

/// Judges every effect of a plan that counts in this world; `*` stands for every scheme that names
/// paths. What a scheme without a row should have reached is missed, and says why.
pub fn judge(plan: &Plan, rows: &[SchemeRow], world: &str) -> Vec<EffectRow> {
    let counts = |e: &&Effect| e.worlds.is_empty() || e.worlds.iter().any(|w| w == world);
    let mut judged = vec![];
    for effect in plan.effects.iter().filter(counts) {
        let schemes = plan.schemes.iter().enumerate();
        for (turn, SchemePlan { id, .. }) in schemes.filter(|(_, s)| concerns(effect, &s.id)) {
            // Turns are taken in order, so only the last ones can be missing.
            let row = rows.get(turn);
            let got = row.map_or(Value::Null, |row| measure(row, &effect.measure));
            let best = row.and_then(|row| ceiling(row, &effect.measure));
            let met = row.is_some() && parse(&effect.want).is_some_and(|w| w.passes(&got, best));
            let why = match row {
                None => Some(format!("{id} had no complete turn")),
                Some(_) => got.is_null().then(|| "this run has no such number".into()),
            };
            let effect = Effect { scheme: id.clone(), ..effect.clone() };
            judged.push(EffectRow { effect, got, met, why });
        }
    }
    judged
}

fn concerns(effect: &Effect, scheme: &str) -> bool {
    let names_paths = || {
        let card = traceback::schemes::find(scheme).map(|e| e.card());
        card.is_some_and(|c| c.names == traceback::scheme::Names::Paths)
    };
    effect.scheme == scheme || effect.scheme == "*" && names_paths()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn comparisons_read_numbers_and_words() {
        assert!(parse(">= 0.99").unwrap().passes(&json!(0.99), None));
        assert!(!parse("< 5").unwrap().passes(&json!(5), None));
        assert!(parse("== mixed").unwrap().passes(&json!("mixed"), None));
        assert!(parse("!= mixed").unwrap().passes(&Value::Null, None));
        assert!(!parse("== 0").unwrap().passes(&Value::Null, None));
        let best = parse("== ceiling").unwrap();
        assert!(best.passes(&json!(0.5), Some(0.5)) && !best.passes(&json!(0.5), None));
        for bad in ["0.99", ">= many", ">=", "=> 3", ">= NaN"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
