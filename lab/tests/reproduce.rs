//! `reproduce` through the library: a small subset, its shape, and that threads change nothing.

use ashiato::reproduce::{Request, Row, print, run};

fn ask(only: &[&str], hops: &[u8], threads: usize) -> Vec<Row> {
    let only = only.iter().map(|n| (*n).to_owned()).collect();
    let request = Request { only, quick: true, hops: hops.to_vec(), seed: 7, ..Request::default() };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    pool.install(|| run(&request, &mut |_, _, _| {})).expect("known names")
}

#[test]
fn fms_meets_its_law_at_lengths_that_no_paper_has() {
    let rows = ask(&["fms"], &[4], 2);
    let ids: Vec<&str> = rows.iter().map(|r| r.id.as_str()).collect();
    let length = ["fms-d4-mean", "fms-d4-median", "fms-d4-p95", "fms-d4-unmarked"];
    let rest = [
        "fms-checksum-unchanged",
        "fms-checksum-valid",
        "fms-false-edge",
        "fms-false-edge-nonlinear",
        "fms-false-edge-m12",
    ];
    assert_eq!(ids, length.into_iter().chain(rest).collect::<Vec<_>>());
    for row in &rows {
        assert!(row.met, "{row:?}");
        assert!(row.runs >= 1_000, "{row:?}");
    }
    // The mean alone is not enough: a law of another length is far off.
    let mean = rows[0].ours.unwrap();
    assert!((800.0..920.0).contains(&mean), "{mean}");
    assert!(rows[0].low.unwrap() < mean && mean < rows[0].high.unwrap());
    assert!(rows[0].paper.is_none() && rows[0].why.is_some());
}

#[test]
fn results_do_not_depend_on_threads() {
    let some = ["fms-d3", "pint-k5", "spie-digest", "pint-code"];
    assert_eq!(ask(&some, &[], 1), ask(&some, &[], 3));
}

#[test]
fn json_has_the_published_fields_and_csv_as_many_lines() {
    let rows = ask(&["pint-k8-mean"], &[], 2);
    let json: serde_json::Value = serde_json::from_str(&print::json(&rows)).unwrap();
    let row = &json.as_array().unwrap()[0];
    for field in ["ours", "low", "high", "runs"] {
        assert!(row[field].is_number(), "{row}");
    }
    // The paper has no figure there and nobody knows the law: null, and why.
    assert!(row["paper"].is_null() && row["law"].is_null() && row["why"].is_string(), "{row}");
    assert_eq!((&row["id"], &row["met"]), (&"pint-k8-mean".into(), &true.into()));
    assert_eq!(print::csv(&rows).lines().count(), 2);
    assert!(print::table(&rows).contains("pint-k8-mean"));
}
