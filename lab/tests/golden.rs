//! Every shipped scenario in the simulator against its golden table, and twice against itself.
//!
//! A changed number is a reviewed difference: `LAB_BLESS=1 cargo test -p ashiato --test golden` (or
//! `make golden`) writes the tables anew.
#![allow(
    clippy::too_many_lines,
    clippy::unwrap_used,
    reason = "a test that cannot go on may panic"
)]

mod support;

use ashiato::plan::Plan;
use ashiato::run::{self, Options};
use ashiato::scenario::{self, Overrides};
use ashiato::sim::Sim;
use ashiato::summary::Summary;
use ashiato::{resolve, summary};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn scenarios() -> Vec<PathBuf> {
    let files = std::fs::read_dir(root().join("scenarios")).expect("the scenarios");
    let mut files: Vec<_> = files.map(|f| f.expect("an entry").path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "toml"));
    files.sort();
    files
}

fn plan(file: &Path) -> Plan {
    let scenario = scenario::load(file, &Overrides::default()).map_err(|r| r.to_string());
    resolve::plan(&scenario.expect("a sound scenario")).map_err(|r| r.to_string()).expect("a plan")
}

fn simulate(file: &Path, folder: &Path) -> Summary {
    let plan = Arc::new(plan(file));
    let options = Options {
        id: "01JD0000000000000000000000".into(),
        scenario: std::fs::read_to_string(file).expect("the scenario"),
        world: "sim",
        datapath: "sim".into(),
        tolerance: 0.0,
        keep: false,
        progress: &|_| {},
    };
    let folder = run::folder(Some(folder), &options.id).expect("a folder");
    run::run(&plan, &mut Sim::new(plan.clone()), folder, &options).expect("a run").summary
}

/// What must not change unseen: everything but times and salts.
fn golden(summary: &Summary) -> String {
    let mut out = format!("{}: {:?}\n", summary.scenario, summary.outcome);
    let _ = writeln!(out, "plan {}\n", summary.plan_sha256);
    for row in &summary.schemes {
        let l = &row.levels;
        let _ = writeln!(out, "{} {}", row.scheme, row.params);
        for (name, level) in [
            ("router", l.router),
            ("edge", l.edge),
            ("as", l.r#as),
            ("nation", l.nation),
            ("source", l.source),
        ] {
            let (truth, found, wrong) = (level.truth, level.found, level.wrong);
            let _ =
                writeln!(out, "  {name:<7} truth {truth:>3}  found {found:>3}  wrong {wrong:>3}");
        }
        let (paths, needed) = (row.paths, &row.packets_to_path);
        let _ = writeln!(
            out,
            "  paths   truth {:>3}  exact {:>3}  wrong {:>3}",
            paths.truth, paths.exact, paths.wrong
        );
        let _ = writeln!(out, "  packets to path {:?}, censored {}", needed.p50, needed.censored);
        let _ = writeln!(out, "  packets {:?}", row.packets);
        let _ = writeln!(out, "  harms {:?}", row.harms);
        let _ = writeln!(
            out,
            "  reports {} bytes, gap {:?}",
            row.report_bytes,
            row.gap.as_ref().map(|g| &g.kind)
        );
    }
    for e in &summary.effects {
        let (effect, met) = (&e.effect, if e.met { "met" } else { "MISSED" });
        let _ = writeln!(
            out,
            "{met}: {} {} {}, got {}",
            effect.scheme, effect.measure, effect.want, e.got
        );
    }
    out
}

#[test]
fn scenarios_score_as_their_golden_tables_say() {
    let bless = std::env::var_os("LAB_BLESS").is_some();
    let scratch = std::env::temp_dir().join(format!("ashiato-golden-{}", std::process::id()));
    let files = scenarios();
    assert!(files.len() >= 4, "only {} scenarios", files.len());
    for file in files {
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let (one, two) = (scratch.join(&name), scratch.join(format!("{name}-again")));
        let summary = simulate(&file, &one);
        let table = golden(&summary);
        assert_eq!(table, golden(&simulate(&file, &two)), "{name} twice");
        let same = |file: &str| {
            let read = |folder: &Path| std::fs::read(folder.join(file)).expect(file);
            assert_eq!(read(&one), read(&two), "{name}: {file} differs between two runs");
        };
        same("plan.json");
        summary.schemes.iter().for_each(|s| same(&format!("graph/{}.json", s.scheme)));
        let want = root().join("scenarios/golden").join(format!("{name}.txt"));
        if bless {
            std::fs::create_dir_all(want.parent().expect("a folder")).expect("golden folder");
            std::fs::write(&want, &table).expect("writing the golden table");
        }
        let want = std::fs::read_to_string(&want).unwrap_or_default();
        assert_eq!(table, want, "{name}: review the numbers, then LAB_BLESS=1 if they are right");
        folder_is_whole(&one, &summary);
    }
    let _ = std::fs::remove_dir_all(scratch);
}

/// The contract's files and checksums, the summary as it was, and its schema.
fn folder_is_whole(folder: &Path, summary: &Summary) {
    assert_eq!(&support::whole_folder(folder), summary);
    let text = std::fs::read_to_string(folder.join("summary.json")).expect("summary.json");
    let schema: serde_json::Value =
        serde_json::from_str(&published()).expect("the published schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("a sound schema");
    let value = serde_json::from_str(&text).expect("JSON");
    let errors: Vec<String> = validator.iter_errors(&value).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

fn published() -> String {
    std::fs::read_to_string(root().join("docs/schema/summary.schema.json")).unwrap_or_default()
}

#[test]
fn the_published_schema_is_current() {
    let mut schema = serde_json::to_string_pretty(&summary::json_schema()).expect("JSON");
    schema.push('\n');
    if std::env::var_os("LAB_BLESS").is_some() {
        let file = root().join("docs/schema/summary.schema.json");
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("schema folder");
        std::fs::write(file, &schema).expect("writing the schema");
    }
    assert_eq!(published(), schema, "LAB_BLESS=1 writes the schema anew");
}
