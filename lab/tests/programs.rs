//! The three programs as they are packaged: a manual page and completions for every verb, and a size that a small
//! router can hold; and what the doctor says of a firewall with two back ends.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{root, run_id, state};

const PROGRAMS: [&str; 3] = ["ashiato", "ashiato-agent", "ashiato-collector"];
/// What the agent's file may take without symbols, in bytes. Source: the project's aim, 20 MiB.
const LARGEST_AGENT: u64 = 20 << 20;

fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_ashiato")).with_file_name(name)
}

fn said(name: &str, args: &[&str]) -> String {
    let out = Command::new(program(name)).args(args).output().unwrap();
    assert!(out.status.success(), "{name} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// Verbs below these words, at any depth, as the help lists them.
fn verbs(name: &str, words: &[&str], found: &mut BTreeSet<String>) {
    let help = said(name, &[words, &["--help"]].concat());
    let Some((_, list)) = help.split_once("Commands:\n") else { return };
    let list = list.lines().take_while(|l| !l.is_empty());
    let names =
        list.filter_map(|l| l.strip_prefix("  ")?.split(' ').next().filter(|w| !w.is_empty()));
    for verb in names.filter(|verb| *verb != "help") {
        let below = [words, &[verb]].concat();
        found.insert(below.join("-"));
        verbs(name, &below, found);
    }
}

#[test]
fn every_verb_has_a_manual_page_and_completes() {
    let dir = state(&run_id());
    let mut pages = 0;
    for name in PROGRAMS {
        said(name, &["manual", dir.to_str().unwrap()]);
        let mut all = BTreeSet::new();
        verbs(name, &[], &mut all);
        let bash = said(name, &["completion", "bash"]);
        for verb in &all {
            let page = dir.join(format!("{name}-{verb}.1"));
            let text =
                fs::read_to_string(&page).unwrap_or_else(|e| panic!("{}: {e}", page.display()));
            assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{name} {verb}");
            let last = verb.rsplit('-').next().unwrap();
            assert!(bash.contains(last), "{name} {verb}");
            pages += 1;
        }
        for shell in ["zsh", "fish"] {
            assert!(said(name, &["completion", shell]).contains(name));
        }
    }
    assert!(pages > 40, "only {pages} verbs were found");
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn the_agent_is_small() {
    let dir = state(&run_id());
    let bare = dir.join("agent");
    let strip = Command::new("strip").arg("-o").arg(&bare).arg(program("ashiato-agent")).status();
    assert!(strip.unwrap().success());
    let size = fs::metadata(&bare).unwrap().len();
    fs::remove_dir_all(dir).unwrap();
    assert!(size < LARGEST_AGENT, "{size} bytes");
}

/// In a namespace where both back ends of the firewall hold rules, the doctor names both and their tables.
#[test]
fn the_doctor_names_two_firewalls() {
    if !root() {
        return;
    }
    let id = run_id();
    let space = format!("t{}-walls", id[id.len() - 6..].to_lowercase());
    let ip = |words: &[&str]| Command::new("ip").args(words).output().unwrap();
    assert!(ip(&["netns", "add", &space]).status.success());
    let said = || {
        let doctor = [env!("CARGO_BIN_EXE_ashiato"), "doctor", "--world", "hosts"];
        let out = ip(&[&["netns", "exec", &space], &doctor[..]].concat());
        String::from_utf8(out.stdout).unwrap()
    };
    let rule = |tool: &str| {
        let words = ["netns", "exec", &space, tool, "-A", "INPUT", "-j", "ACCEPT"];
        ip(&words).status.success()
    };
    let (one, tried) = (rule("iptables-nft"), said());
    let (both, mixed) = (one && rule("iptables-legacy"), said());
    assert!(ip(&["netns", "del", &space]).status.success());
    if !both {
        println!("skipped: needs both back ends of iptables");
        return;
    }
    assert!(!tried.contains("two firewalls"), "{tried}");
    assert!(mixed.contains("iptables-legacy has filter; nftables has ip filter"), "{mixed}");
}
