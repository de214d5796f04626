//! Bad scenario files, and exactly what is said about each.

use ashiato::resolve;
use ashiato::scenario::{self, Overrides};

const FIRST: &str = include_str!("../../scenarios/first.toml");

/// What is said where `from` stands as `to` in the first scenario.
fn said(changes: &[(&str, &str)]) -> String {
    let mut text = FIRST.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    let planned =
        scenario::parse("x.toml", &text, &Overrides::default()).and_then(|s| resolve::plan(&s));
    planned.map(|p| p.sha256()).expect_err("a bad scenario").to_string()
}

/// What to change in the first scenario, into what, and what is said about it.
type Row = (&'static str, &'static str, &'static str);

#[test]
fn every_mistake_has_its_message() {
    for row in [KEYS_AND_TYPES, REFERENCES_AND_RANGES, TRAFFIC_AND_CASE, AIMS, SCHEMES_AND_EFFECTS]
    {
        for (from, to, want) in row {
            assert_eq!(said(&[(from, to)]), want.trim_matches('\n'));
        }
    }
}

const KEYS_AND_TYPES: &[Row] = &[
    (
        "packets = 4000",
        "packets = 4000\npackts = 1",
        r#"
x.toml:33:1: unknown key "packts" in "traffic"
   |
33 | packts = 1
   | ^^^^^^
   = did you mean "packets"?
"#,
    ),
    (
        "rate = \"2 kpkt/s\"",
        "rate = 900",
        r#"
x.toml:31:8: "rate": the unit is missing
   |
31 | rate = 900
   |        ^^^
   = write "900 pkt/s"
"#,
    ),
    (
        "\"2 kpkt/s\"",
        "\"2 Mbit/s\"",
        r#"
x.toml:31:8: "rate": unit "Mbit/s" is unknown here
   |
31 | rate = "2 Mbit/s"
   |        ^^^^^^^^^^
   = known here: pkt/s, kpkt/s
"#,
    ),
    (
        "packets = 4000",
        "packets = \"4000\"",
        r#"
x.toml:32:11: "packets" must be a whole number, not a text
   |
32 | packets = "4000"
   |           ^^^^^^
   = Packets in all from each sender.
"#,
    ),
    (
        "class = \"attack\"",
        "class = \"atack\"",
        r#"
x.toml:28:9: "class" cannot be "atack"
   |
28 | class = "atack"
   |         ^^^^^^^
   = did you mean "attack"?
"#,
    ),
    (
        "to = \"victim\"\n",
        "",
        r#"
x.toml:26:1: the key "to" is missing in "traffic"
   |
26 | [[traffic]]
   | ^^^^^^^^^^^
   = to: The receiving host.
"#,
    ),
];

const REFERENCES_AND_RANGES: &[Row] = &[
    (
        "to = \"victim\"",
        "to = \"victm\"",
        r#"
x.toml:30:6: there is no host "victm"
   |
30 | to = "victm"
   |      ^^^^^^^
   = did you mean "victim"?
"#,
    ),
    (
        "{ per = \"flow\" }",
        "{ per = \"flow\", pool = \"203.0.113.0/24\" }",
        r#"
x.toml:33:32: 203.0.113.0/24 lies outside 198.18.0.0/15
   |
33 | spoof = { per = "flow", pool = "203.0.113.0/24" }
   |                                ^^^^^^^^^^^^^^^^
   = choose a part of 198.18.0.0/15: no packet of a testbed may carry an address that somebody else may own
"#,
    ),
    (
        "asns = [64512]",
        "asns = [64512]\nprefix = \"198.19.0.0/16\"",
        r#"
x.toml:11:10: 198.19.0.0/16 overlaps 198.19.0.0/17, the routers' own addresses
   |
11 | prefix = "198.19.0.0/16"
   |          ^^^^^^^^^^^^^^^
   = networks of a testbed are apart: choose another part

x.toml:34:9: 198.19.192.0/18 overlaps 198.19.0.0/16, the prefix of domain "xa"
   |
34 | spoof = { per = "flow" }
   |         ^^^^^^^^^^^^^^^^
   = networks of a testbed are apart: choose another part
"#,
    ),
    (
        "[64512]",
        "[3]",
        r#"
x.toml:10:9: AS 3 may belong to somebody
   |
10 | asns = [3]
   |         ^
   = use 64496-64511 (documentation) or 64512-65534 (private)
"#,
    ),
    (
        "{ id = \"b\" }",
        "{ id = \"b\", as = 64513 }",
        r#"
x.toml:13:43: AS 64513 is not in domain "xa"
   |
13 | routers = [{ id = "a" }, { id = "b", as = 64513 }, { id = "c" }, { id = "d" }, { id = "e" }]
   |                                           ^^^^^
   = its are 64512
"#,
    ),
    (
        "\"XA\"",
        "\"Japan\"",
        r#"
x.toml:9:10: "Japan" is no nation
  |
9 | nation = "Japan"
  |          ^^^^^^^
  = write two capital letters; XA to XZ accuse no country
"#,
    ),
];

const TRAFFIC_AND_CASE: &[Row] = &[
    (
        "to = \"victim\"\nrate = \"2 kpkt/s\"\npackets = 4000\nspoof = { per = \"flow\" }",
        "to = \"victim\"\nthrough = \"attacker\"\nrate = \"2 kpkt/s\"\npackets = 4000",
        r#"
x.toml:31:11: "attacker" is no reflector
   |
31 | through = "attacker"
   |           ^^^^^^^^^^
   = give "attacker" kind = "reflector", or choose another host
"#,
    ),
    (
        "kind = \"attacker\" }",
        "kind = \"reflector\" }",
        r#"
x.toml:29:8: "attacker" is a reflector
   |
29 | from = "attacker"
   |        ^^^^^^^^^^
   = name it in through: reflectors send nothing that nobody set off
"#,
    ),
    (
        "packets = 4000",
        "packets = 4000\namplify = 4",
        r#"
x.toml:33:11: nobody answers this
   |
33 | amplify = 4
   |           ^
   = name a reflector in through, or leave out amplify
"#,
    ),
    (
        "packets = 4000",
        "packets = 4000\namplify = 9",
        r#"
x.toml:33:11: 9 answers to a packet
   |
33 | amplify = 9
   |           ^
   = use 1 to 8
"#,
    ),
    (
        "{ a = \"c\", b = \"d\" }, ",
        "",
        r#"
x.toml:29:8: "victim" cannot be reached from "attacker"
   |
29 | from = "attacker"
   |        ^^^^^^^^^^
   = no links lead from "d" to "a"
"#,
    ),
    (
        "2 kpkt/s",
        "60 kpkt/s",
        r#"
x.toml:31:8: with this, all traffic makes 60000 pkt/s
   |
31 | rate = "60 kpkt/s"
   |        ^^^^^^^^^^^
   = stay within 50000 pkt/s, which is the safety limit
"#,
    ),
    (
        "packets = 4000",
        "packets = 4000\nttl = 4",
        r#"
x.toml:33:7: a TTL of 4 ends on the way of 4 routers
   |
33 | ttl = 4
   |       ^
   = use at least 5
"#,
    ),
    (
        "packets = 4000",
        "packets = 4000\nsize = \"40 B\"",
        r#"
x.toml:33:8: 40 B are too few for headers, tag and room for records
   |
33 | size = "40 B"
   |        ^^^^^^
   = use at least 52 B, or leave size out
"#,
    ),
    (
        "class = \"attack\"",
        "class = \"legit\"",
        r#"
x.toml:26:1: no traffic is an attack, so there is nothing to trace
   |
26 | [[traffic]]
   | ^^^^^^^^^^^
   = add a [[traffic]] with class = "attack"

x.toml:33:9: honest traffic forges no address
   |
33 | spoof = { per = "flow" }
   |         ^^^^^^^^^^^^^^^^
   = leave out spoof, or set class = "attack"
"#,
    ),
    (
        "[[effect]]",
        "[case]\nport = 53\n[[effect]]",
        r#"
x.toml:26:1: the case is about port 53, the attack goes to 9
   |
26 | [[traffic]]
   | ^^^^^^^^^^^
   = set port = 53 here, or change it in [case]
"#,
    ),
];

const AIMS: &[Row] = &[
    (
        "domain = \"xa\"\nduty",
        "domain = \"xb\"\nduty",
        r#"
x.toml:44:10: there is no domain "xb"
   |
44 | domain = "xb"
   |          ^^^^
   = did you mean "xa"?
"#,
    ),
    (
        "statement = \"See that routers' marks alone lead back along the way of one forged flood.\"",
        "statement = \" \"",
        r#"
x.toml:40:13: nothing is said
   |
40 | statement = " "
   |             ^^^
   = write a sentence for those who are to agree
"#,
    ),
];

const SCHEMES_AND_EFFECTS: &[Row] = &[
    (
        "id = \"fms\"",
        "id = \"fsm\"",
        r#"
x.toml:23:6: there is no scheme "fsm"
   |
23 | id = "fsm"
   |      ^^^^^
   = did you mean "fms"?
"#,
    ),
    (
        "p = 0.04",
        "q = 0.04",
        r#"
x.toml:24:5: scheme "fms" has no parameter "q"
   |
24 | q = 0.04
   |     ^^^^
   = did you mean "p"?
"#,
    ),
    (
        "measure = \"paths.exact\"",
        "measure = \"path.exact\"",
        r#"
x.toml:36:11: there is no measure "path.exact"
   |
36 | measure = "path.exact"
   |           ^^^^^^^^^^^^
   = did you mean "paths.exact"?
"#,
    ),
    (
        "want = \"== 1\"",
        "want = \"all\"",
        r#"
x.toml:37:8: "all" compares nothing
   |
37 | want = "all"
   |        ^^^^^
   = write such as ">= 0.99" or "== mixed"
"#,
    ),
];

#[test]
fn several_at_once_and_syntax() {
    let report = said(&[("p = 0.04", "p = 1.4"), ("{ id = \"e\" }", "{ id = \"b\" }")]);
    assert_eq!(report.matches("x.toml:").count(), 3, "{report}");
    assert!(report.contains("p must lie above 0 and at most at 1, not 1.4"), "{report}");
    assert!(report.contains("\"b\" is used twice"), "{report}");
    assert!(report.contains("there is no router \"e\""), "{report}");
    let report = said(&[("packets = 4000", "packets = ")]);
    assert!(report.starts_with("x.toml:32:"), "{report}");
    let report = said(&[("packets = 4000", "packets = 2024-01-01")]);
    assert!(report.contains("must be a whole number, not a date"), "{report}");
}

#[test]
fn hostile_texts_are_refused_without_a_panic() {
    let deep = format!("a = {}", "[".repeat(100_000));
    let wide = "x".repeat(100_000);
    let binary = "\u{0}\u{feff}\u{202e}";
    let huge = FIRST.replace("packets = 4000", "packets = 99999999999999999999999999999999");
    let negative = FIRST.replace("packets = 4000", "packets = -1");
    let many = FIRST.replace("packets = 4000", "packets = 18446744073709551615");
    let slow = FIRST.replace("2 kpkt/s", "0.001 pkt/s");
    let tiny = FIRST.replace("2 kpkt/s", "0 pkt/s");
    let spoof = FIRST.replace("{ per = \"flow\" }", "{ per = \"flow\", pool = \"198.18.0.0/32\" }");
    for text in ["", &deep, &wide, binary, &huge, &negative, &many, &slow, &tiny, &spoof] {
        let planned =
            scenario::parse("x.toml", text, &Overrides::default()).and_then(|s| resolve::plan(&s));
        assert!(planned.is_err());
    }
}
