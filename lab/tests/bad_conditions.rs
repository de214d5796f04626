//! Bad conditions of links and bad faults: each is refused with a reason, and nothing of it panics.

use ashiato::exit::Exit;
use ashiato::hosts::HostsWorld;
use ashiato::hosts::placement::Tunnels;
use ashiato::resolve;
use ashiato::scenario::spec::Datapath;
use ashiato::scenario::{self, Overrides};

const LINKS: &str = include_str!("../../scenarios/x-link-conditions.toml");
const FAULTS: &str = include_str!("../../scenarios/x-faults.toml");

/// What is said where `from` stands as `to`, all of it.
fn said(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    let text = text.replacen(from, to, 1);
    let planned =
        scenario::parse("x.toml", &text, &Overrides::default()).and_then(|s| resolve::plan(&s));
    planned.map(|p| p.sha256()).expect_err(to).to_string()
}

#[test]
fn links_cannot_be_what_no_link_is() {
    for (from, to, want) in [
        ("delay = \"5 ms\"", "delay = \"-5 ms\"", "no number in front of the unit"),
        ("delay = \"5 ms\"", "delay = 5", "the unit is missing"),
        ("delay = \"5 ms\"", "delay = \"61 s\"", "1 min at most"),
        ("delay = \"5 ms\"", "dely = \"5 ms\"", "did you mean \"delay\"?"),
        ("delay = \"5 ms\"", "queue = \"20 kB\"", "a queue where nothing waits"),
        ("delay = \"5 ms\"", "jitter = \"1 ms\"", "packets cannot come before they left"),
        ("jitter = \"2 ms\"", "jitter = \"41 ms\"", "packets cannot come before they left"),
        ("loss = \"2 %\"", "loss = \"100 %\"", "leaves no packet"),
        ("loss = \"0 %\" }", "loss = \"120 %\" }", "a loss of 120 % leaves no packet"),
        ("rate = \"2.4 Mbit/s\"", "rate = \"2.4 pkt/s\"", "unit \"pkt/s\" is unknown here"),
        ("rate = \"2.4 Mbit/s\"", "rate = \"0 bit/s\"", "use 8 kbit/s to 100 Gbit/s"),
        ("queue = \"20 kB\"", "queue = \"100 B\"", "the longest frame"),
        ("link = { delay = \"10 ms\" }", "link = { mtu = \"9000 B\" }", "unknown key \"mtu\""),
        ("back = { delay = \"60 ms\"", "back = { mtu = \"60 B\"", "unknown key \"mtu\""),
    ] {
        let said = said(LINKS, from, to);
        assert!(said.contains(want), "{to}: {said}");
    }
}

#[test]
fn faults_say_one_thing_about_what_there_is() {
    for (from, to, want) in FAULTY {
        if want.is_empty() {
            // Killed and back before its clock jumps: nothing is wrong with that.
            let text = FAULTS.replacen(from, to, 1);
            let scenario = scenario::parse("x.toml", &text, &Overrides::default());
            assert!(scenario.and_then(|s| resolve::plan(&s)).is_ok());
            continue;
        }
        let said = said(FAULTS, from, to);
        assert!(said.contains(want), "{to}: {said}");
    }
    let links = "link = [\"b\", \"c\"]\ncut = true\nreroute = true";
    let host = said(FAULTS, links, "link = [\"a\", \"victim\"]\ncut = true\nreroute = true");
    assert!(host.contains("where a link between two of them is cut"), "{host}");
    let crooked =
        FAULTS.replacen("{ id = \"e\", domain", "{ id = \"e\", conduct = \"silent\", domain", 1);
    assert!(said(&crooked, "kill = \"e\"", "kill = \"e\" ").contains("no honest agent"));
    let undeployed = format!("{FAULTS}\n[deployment]\nshare = \"0 %\"\n");
    assert!(said(&undeployed, "kill", "kill").contains("no agent works at router"));
}

#[test]
fn too_many_faults_are_refused() {
    let one = "\n[[fault]]\nid = \"f0\"\nat = \"1 s\"\nkill = \"a\"\n";
    let many: String = (1..40).map(|i| one.replace("f0", &format!("f{i}"))).collect();
    let text = said(FAULTS, "[[effect]]", &format!("{many}\n[[effect]]"));
    assert!(text.contains("32 at most"), "{text}");
}

#[test]
fn worlds_that_cannot_make_them_say_so() {
    let disk = "[[fault]]\nid = \"full\"\nat = \"1 s\"\nfor = \"1 s\"\ndisk_full = \"collector\"\n";
    let calm = FAULTS.split("[[fault]]").next().unwrap();
    for (text, why) in [
        (LINKS, "bare tunnels carry what comes"),
        (FAULTS, "bare tunnels carry what comes"),
        (&[calm, disk].concat(), "no file system of its own"),
    ] {
        let scenario = scenario::parse("x.toml", text, &Overrides::default()).unwrap();
        let plan = resolve::plan(&scenario).unwrap();
        let takes = |tunnels| HostsWorld::takes(&plan, Datapath::Afpacket, tunnels);
        assert!(takes(Tunnels::Sealed).is_ok());
        let refused = takes(Tunnels::Bare).unwrap_err();
        assert_eq!(Exit::of(&refused), Exit::Usage);
        assert!(refused.to_string().contains(why), "{refused}");
    }
}

/// What to change in the faults, into what, and what is said about it; nothing where it is sound.
const FAULTY: &[(&str, &str, &str)] = &[
    ("at = \"1 s\"", "at = \"-1 s\"", "no number in front of the unit"),
    ("at = \"1 s\"", "at = \"700 s\"", "600 s at most"),
    ("for = \"1 s\"", "for = \"0 s\"", "above 0 and up to 600 s"),
    ("link = [\"b\", \"c\"]", "link = [\"b\", \"e\"]", "no link joins \"b\" and \"e\""),
    ("link = [\"b\", \"c\"]", "link = [\"b\"]", "no link joins \"b\""),
    ("cut = true", "cut = false", "give one of cut = true, loss, delay and rate"),
    ("cut = true", "cut = true\nloss = \"5 %\"", "give one of cut = true, loss, delay and rate"),
    ("cut = true", "cut = \"victim\"", "says 2 things that fail"),
    ("cut = true", "cut = 3", "must be"),
    (
        "delay = \"80 ms\"",
        "delay = \"80 ms\"\nreroute = true",
        "where a link between two of them is cut",
    ),
    ("delay = \"80 ms\"", "loss = \"100 %\"", "write cut = true"),
    ("kill = \"e\"", "kill = \"nobody\"", "there is no router \"nobody\""),
    ("kill = \"e\"", "kill = \"e\"\ndelay = \"1 s\"", "does not belong to this kind of fault"),
    ("kill = \"e\"", "", "says 0 things that fail"),
    ("kill = \"e\"", "kil = \"e\"", "did you mean \"kill\"?"),
    ("for = \"2 s\"\ndomain", "domain", "never ends"),
    ("domain = \"xa\"\ncut", "domain = \"zz\"\ncut", "there is no domain \"zz\""),
    ("domain = \"xa\"\ncut", "router = \"zz\"\ncut", "there is no router \"zz\""),
    ("cut = \"collector\"", "cut = \"internet\"", "\"internet\" cannot be cut"),
    ("step = \"+1500 ms\"", "step = \"0 s\"", "above 0 and up to an hour"),
    ("step = \"+1500 ms\"", "step = \"soon\"", "no step of a clock"),
    ("step = \"+1500 ms\"", "step = 1500", "no step of a clock"),
    ("disk_full = \"collector\"", "disk_full = \"victim\"", "cannot be filled"),
    ("for = \"1500 ms\"\ndisk", "disk", "never ends"),
    (
        "slow = { domain = \"xb\", delay = \"1 s\" }",
        "slow = { domain = \"xb\", delay = \"31 s\" }",
        "30 s at most",
    ),
    ("slow = { domain", "at = \"1 s\"\nslow = { domain", "leave at out"),
    ("id = \"crash\"", "id = \"cable\"", "\"cable\" is used twice"),
    ("id = \"crash\"", "id = \"Crash!\"", "is no word for a scenario"),
    // Both befall the collector at once.
    (
        "at = \"4 s\"\nfor = \"1500 ms\"",
        "at = \"2 s\"\nfor = \"1500 ms\"",
        "befall one thing at once",
    ),
    ("clock = { agent = \"d\"", "clock = { agent = \"e\"", ""),
];
