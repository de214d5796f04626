//! Documents that are made from the code are current, and links in documents lead somewhere.
//!
//! `make golden` (`LAB_BLESS=1`) writes the generated parts anew.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use ashiato::resolve::expect;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use traceback::schemes::{Entry, SCHEMES};
use traceback::slot::Slot;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A unit variant's name as JSON spells it.
fn word(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
}

fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn slot(slot: Slot, v6: bool) -> String {
    match slot {
        Slot::None => "-".into(),
        slot if slot.exists(v6) => format!("{} ({})", word(slot), slot.bits()),
        _ => "none there".into(),
    }
}

/// Packets that a path of ten routers takes on average, with the parameters that a silent scenario gets.
fn packets(scheme: &dyn Entry) -> String {
    let mean = expect::packets(scheme.card().id, &scheme.defaults(), 10);
    mean.map_or_else(
        || "-".to_owned(),
        |mean| if mean < 100.0 { format!("{mean:.1}") } else { format!("{mean:.0}") },
    )
}

/// The table of a README: the same facts in every language.
fn table() -> String {
    let mut out = String::from(
        "| scheme | paper | mark in IPv4 (bits) | in IPv6 | ledger kept by | names | map | packets for 10 routers |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for scheme in SCHEMES {
        let c = scheme.card();
        let room = |s, v6| if c.records { "reserved room".to_owned() } else { slot(s, v6) };
        writeln!(
            out,
            "| `{}` | {} | {} | {} | {} | {} | {} | {} |",
            c.id,
            c.paper,
            room(c.v4, false),
            room(c.v6, true),
            word(c.keeper),
            word(c.names),
            yes(c.needs_map),
            packets(*scheme)
        )
        .unwrap();
    }
    out
}

fn sheet(out: &mut String, scheme: &dyn Entry) {
    let c = scheme.card();
    let rows = [
        ("Paper", c.paper.to_owned()),
        ("Mark in IPv4", slot(c.v4, false)),
        ("Mark in IPv6", slot(c.v6, true)),
        ("Writes records into reserved room", yes(c.records).into()),
        ("Ledger kept by", word(c.keeper)),
        ("Names", word(c.names)),
        ("Needs a map", yes(c.needs_map).into()),
        ("Packets grouped by flow", yes(c.groups_by_flow).into()),
        ("Router draws from chance", yes(c.draws).into()),
        ("Router hashes the packet", yes(c.hashes).into()),
        ("Packets for 10 routers", packets(scheme)),
        ("Harms", c.harms.into()),
        ("State at a router", c.state.into()),
    ];
    writeln!(out, "\n## {}: {}\n\n| | |\n|---|---|", c.id, c.title).unwrap();
    rows.iter().for_each(|(key, value)| writeln!(out, "| {key} | {value} |").unwrap());
    if let Value::Object(params) = scheme.defaults()
        && !params.is_empty()
    {
        out.push_str("\nParameters, with the values that a scenario gets when it is silent:\n\n");
        params.iter().for_each(|(key, value)| writeln!(out, "- `{key} = {value}`").unwrap());
    }
    writeln!(out, "\nSource: [`{0}.rs`](../traceback/src/schemes/{0}.rs)", c.id).unwrap();
}

fn schemes() -> String {
    let mut out = String::from(
        "# Schemes\n\nMade from the schemes' fact sheets by `make golden`; do not edit. The same facts: \
         `ashiato scheme list`,\n`ashiato scheme show ID`. Ideas, bit layouts and departures from the \
         papers stand at the head of each source file.\n\nPackets for 10 routers are the mean until a lossless path of ten \
         routers stands (of ten systems, where a scheme names\nthose; until the one ingress or class is known, where it names \
         that), by the exact law for the parameters below; - where no\nlaw is known: `ashiato reproduce` measures those.\n\n",
    );
    out.push_str(&table());
    SCHEMES.iter().for_each(|s| sheet(&mut out, *s));
    out
}

/// Puts `part` between the markers of a document.
fn between(text: &str, part: &str) -> String {
    const MARKS: [&str; 2] = ["<!-- schemes: begin -->\n", "<!-- schemes: end -->"];
    let [begin, end] = MARKS.map(|m| text.find(m).unwrap_or_else(|| panic!("lacks {m}")));
    format!("{}{part}{}", &text[..begin + MARKS[0].len()], &text[end..])
}

#[test]
fn generated_parts_are_current() {
    let bless = std::env::var_os("LAB_BLESS").is_some();
    for name in ["docs/schemes.md", "README.md", "README.ja.md", "docker-compose.yml"] {
        let path = root().join(name);
        let is = std::fs::read_to_string(&path).unwrap_or_default();
        let want = match name {
            "docs/schemes.md" => schemes(),
            "docker-compose.yml" => compose_file(),
            _ => between(&is, &table()),
        };
        if bless && is != want {
            std::fs::write(&path, &want).unwrap();
        }
        assert!(bless || is == want, "{name} is not current: run make golden and review the diff");
    }
}

/// What the program prints for the scenario that is shipped as a compose file.
fn compose_file() -> String {
    let mut compose = std::process::Command::new(env!("CARGO_BIN_EXE_ashiato"));
    compose.args(["compose", "scenarios/three-nations.toml"]).current_dir(root());
    String::from_utf8(compose.output().unwrap().stdout).unwrap()
}

#[test]
fn links_lead_somewhere() {
    let mut folders = vec![root(), root().join("docs")];
    folders.retain(|f| f.is_dir());
    let mut links = 0;
    for folder in folders {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|e| e != "md") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for target in text.split("](").skip(1).filter_map(|t| t.split([')', '#']).next()) {
                if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                links += 1;
                assert!(folder.join(target).exists(), "{} links to {target}", path.display());
            }
        }
    }
    assert!(links > 10, "only {links} links were found");
}

#[test]
fn exit_codes_in_the_readme_are_those_of_the_program() {
    use ashiato::exit::Exit;
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let all = [
        Exit::Met,
        Exit::Internal,
        Exit::Usage,
        Exit::HostNotReady,
        Exit::Safety,
        Exit::Policy,
        Exit::Stopped,
        Exit::Missed,
        Exit::Void,
        Exit::Partial,
        Exit::Interrupted,
    ];
    for exit in all {
        assert!(readme.contains(&format!("| {} | ", exit.code())), "{exit:?} is not in README.md");
    }
}

#[test]
fn verbs_in_the_readmes_exist() {
    let mut verbs = 0;
    for name in ["README.md", "README.ja.md"] {
        let readme = std::fs::read_to_string(root().join(name)).unwrap();
        for row in readme.lines().filter(|l| l.starts_with("| `ashiato ")) {
            let cell = row.split(" | ").next().unwrap();
            for usage in cell.split('`').filter_map(|part| part.strip_prefix("ashiato ")) {
                // Up to the first argument or flag.
                let verb =
                    usage.split(' ').take_while(|w| w.chars().all(|c| c.is_ascii_lowercase()));
                let program = env!("CARGO_BIN_EXE_ashiato");
                let help = std::process::Command::new(program).args(verb).arg("--help").output();
                assert!(help.unwrap().status.success(), "{name}: ashiato {usage}");
                verbs += 1;
            }
        }
    }
    assert!(verbs > 20, "only {verbs} verbs were found");
}

/// A row of the coverage: class, state, and what shows it.
fn coverage() -> Vec<(String, String, Vec<String>)> {
    let text = std::fs::read_to_string(root().join("docs/coverage.md")).unwrap();
    let mut rows = vec![];
    for line in text.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [number, class, what, state, shown] = cells[..] else { continue };
        let Ok(number) = number.parse::<usize>() else { continue };
        assert_eq!(number, rows.len() + 1, "rows come in order: {line}");
        assert!(!what.is_empty());
        let shown = shown.split(',').filter(|s| !s.trim().is_empty());
        let shown = shown.map(|s| s.trim().trim_matches('`').to_owned()).collect();
        rows.push((class.to_owned(), state.to_owned(), shown));
    }
    rows
}

#[test]
fn what_the_coverage_names_is_there() {
    let rows = coverage();
    let count = |class: &str| rows.iter().filter(|(c, ..)| c == class).count();
    assert_eq!(["C", "S", "F", "N"].map(count), [29, 31, 15, 6]);
    for (number, (class, state, shown)) in (1..).zip(&rows) {
        let mut tests = 0;
        for place in shown {
            let (file, test) =
                place.split_once("::").map_or((place.as_str(), None), |(f, t)| (f, Some(t)));
            let text = std::fs::read_to_string(root().join(file));
            let text = text.unwrap_or_else(|e| panic!("row {number}: {file}: {e}"));
            if let Some(test) = test {
                assert!(
                    text.contains(&format!("fn {test}(")),
                    "row {number}: {file} has no test {test}"
                );
                tests += 1;
            }
        }
        match (state.as_str(), class.as_str()) {
            ("not ours", "N") => assert!(shown.is_empty(), "row {number}"),
            ("open", "C" | "S" | "F") => {
                assert!(shown.is_empty(), "row {number} is open and names something")
            }
            // A document alone shows a property, not a behaviour.
            ("shown" | "in part", "C" | "S") => assert!(tests > 0, "row {number} names no test"),
            ("shown" | "in part", "F") => assert!(!shown.is_empty(), "row {number} names nothing"),
            (state, class) => panic!("row {number}: {class} and {state}"),
        }
    }
}
