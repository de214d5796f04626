//! What a host decides by papers alone: scenario, plan, manifest, signatures, clock, and its own policy.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use ashiato::exit::Exit;
use ashiato::plan::Plan;
use ashiato::resolve;
use ashiato::safety::clock::Utc;
use ashiato::safety::manifest::{LONGEST, SCHEMA};
use ashiato::safety::signature::{Role, Signer};
use ashiato::safety::site::Pinned;
use ashiato::safety::{Asked, Caps, Manifest, Party, Permit, Site, Terms, bounds};
use ashiato::scenario::{self, Overrides};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use support::{line, run_id, state};

const FIRST: &str = include_str!("../../scenarios/first.toml");
const SCENARIO: &[u8] = b"the very file";
const NOW: Utc = Utc(1_800_000_000);
const ROLES: [Role; 2] = [Role::Director, Role::Safety];

/// A site that pins a director, a safety and a nation, and a manifest that they signed.
struct Desk {
    plan: Plan,
    site: Site,
    signers: BTreeMap<Role, Signer>,
    manifest: Manifest,
    dir: PathBuf,
}

/// The plan with what partners must be told before they agree.
fn stated(plan: Plan) -> Plan {
    let first = scenario::parse("first.toml", FIRST, &Overrides::default());
    let first = resolve::plan(&first.unwrap()).unwrap();
    Plan { purpose: first.purpose, roles: first.roles, effects: first.effects, ..plan }
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

impl Desk {
    fn open() -> Self {
        let plan = stated(line(3, false, true));
        let dir = state(&run_id());
        let roles = ROLES.into_iter().chain([Role::Nation("XA".into())]);
        let signers: BTreeMap<Role, Signer> =
            roles.map(|role| (role, Signer::generate().unwrap())).collect();
        let pinned = signers.iter().map(|(role, signer)| Pinned {
            role: role.clone(),
            person: format!("person of {role}"),
            key: signer.public(),
        });
        let site = Site {
            signers: pinned.collect(),
            records: dir.clone(),
            written: true,
            ..Site::default()
        };
        std::fs::write(dir.join("introduced"), b"").unwrap();
        let terms = Terms {
            schema: SCHEMA.into(),
            scenario: "line".into(),
            scenario_sha256: hash(SCENARIO),
            plan_sha256: plan.sha256(),
            prefixes: bounds::prefixes(&plan),
            caps: Caps::drafted_for(&plan),
            hosts: BTreeMap::from([("lab-a".into(), party())]),
            not_before: NOW,
            not_after: Utc(NOW.0 + 3600),
            nonce: hash(b"nonce"),
            roles: Role::needed_by(&plan),
        };
        let mut desk =
            Self { plan, site, signers, manifest: Manifest { terms, signatures: vec![] }, dir };
        desk.sign();
        desk
    }

    /// Has everybody sign the terms as they are.
    fn sign(&mut self) {
        for (role, signer) in &self.signers {
            self.manifest.sign(signer, role.clone()).unwrap();
        }
    }

    fn ask(&self, change: impl FnOnce(&mut Asked<'_>)) -> anyhow::Result<Permit> {
        let (manifest, key) = (serde_json::to_vec(&self.manifest)?, hash(b"key of lab-a"));
        let mut asked = Asked {
            scenario: SCENARIO,
            plan: &self.plan,
            manifest: &manifest,
            host: "lab-a",
            key: &key,
            nodes: BTreeSet::from(["r0".into()]),
            collector: None,
            peers: &[],
            director: [192, 0, 2, 1].into(),
            their_clock: Some(NOW),
            now: NOW,
        };
        change(&mut asked);
        self.site.admit(&asked)
    }

    fn refused(&self, why: &str, change: impl FnOnce(&mut Asked<'_>)) {
        let error = self.ask(change).unwrap_err();
        assert_eq!(Exit::of(&error), Exit::Policy, "{error:#}");
        assert!(format!("{error:#}").contains(why), "{error:#}");
    }
}

/// The host, as the manifest names it.
fn party() -> Party {
    Party {
        key: hash(b"key of lab-a"),
        underlay: [192, 0, 2, 11].into(),
        nodes: BTreeSet::from(["r0".into()]),
        plan_sha256: None,
        collector: None,
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn nobody_takes_part_in_what_does_not_say_why() {
    type Change = fn(&mut Plan);
    let leave_out: [(&str, Change); 3] = [
        ("why it is made", |plan| plan.purpose = None),
        ("who answers for what", |plan| plan.roles.clear()),
        ("what counts as success", |plan| plan.effects.clear()),
    ];
    for (what, change) in leave_out {
        let mut desk = Desk::open();
        change(&mut desk.plan);
        desk.manifest.terms.plan_sha256 = desk.plan.sha256();
        desk.sign();
        desk.refused(&format!("the plan does not say {what}"), |_| {});
    }
}

#[test]
fn what_is_handed_over_must_be_what_was_signed_for() {
    let mut desk = Desk::open();
    let permit = desk.ask(|_| {}).unwrap();
    assert_eq!(permit.bounds.caps.packets_per_second, 2_500);
    desk.refused("the scenario is not the one", |asked| asked.scenario = b"another file");
    desk.refused("does not name host lab-b", |asked| asked.host = "lab-b");
    desk.refused("another key for host lab-a", |asked| asked.key = "00");
    desk.refused("other nodes than the manifest", |asked| asked.nodes = BTreeSet::new());
    desk.refused("not among the peers", |asked| asked.peers = &[STRANGER]);
    desk.refused("this is no manifest", |asked| asked.manifest = b"{}");
    desk.refused("without a signed manifest", |asked| asked.manifest = b"");
    // A host without a policy says how to mend it.
    let site = std::mem::take(&mut desk.site);
    desk.refused("has no site policy", |asked| asked.manifest = b"");
    desk.site = site;
    desk.plan.seed = 2;
    desk.refused("the plan is not the one", |_| {});
}

#[test]
fn a_host_that_may_not_know_all_gets_the_part_that_was_signed_for() {
    let mut desk = Desk::open();
    let mut part = desk.plan.clone();
    part.routers[2].name = "stranger-2".into();
    let party = desk.manifest.terms.hosts.get_mut("lab-a").unwrap();
    party.plan_sha256 = Some(part.sha256());
    party.collector = Some(7500);
    desk.sign();
    let whole = std::mem::replace(&mut desk.plan, part);
    desk.ask(|asked| (asked.scenario, asked.collector) = (b"", Some(7500))).unwrap();
    desk.refused("another collector", |asked| asked.collector = None);
    desk.refused("another collector", |asked| asked.collector = Some(7501));
    desk.plan = whole;
    desk.refused("the plan is not the one", |asked| asked.collector = Some(7500));
}

const STRANGER: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 9));

#[test]
fn everybody_signs_with_a_key_that_is_pinned() {
    let mut desk = Desk::open();
    let whole = desk.manifest.clone();
    for role in whole.terms.roles.clone() {
        desk.manifest.signatures.retain(|s| s.role != role);
        desk.refused(&format!("nobody signed as {role}"), |_| {});
        desk.manifest = whole.clone();
        let stranger = Signer::generate().unwrap();
        desk.manifest.sign(&stranger, role.clone()).unwrap();
        desk.refused(&format!("that signed as {role} is not pinned"), |_| {});
        desk.manifest = whole.clone();
    }
    // One signature is of one role: it does not pass as another.
    let signed = whole.signature(&Role::Safety).unwrap().signature.clone();
    desk.manifest.signatures.iter_mut().for_each(|s| s.signature.clone_from(&signed));
    desk.refused("is not over these terms", |_| {});
    // Neither terms nor signatures change afterwards.
    desk.manifest = whole.clone();
    desk.manifest.terms.caps.packets += 1;
    desk.refused("is not over these terms", |_| {});
    // Director and safety are two people, with two keys.
    desk.manifest = whole;
    desk.site.signers.iter_mut().for_each(|p| p.person = "one and the same".into());
    desk.refused("safety and director are one person", |_| {});
    let director = desk.signers.remove(&Role::Director).unwrap();
    desk.manifest.sign(&director, Role::Safety).unwrap();
    desk.refused("signed with one key", |_| {});
}

#[test]
fn a_manifest_has_its_time_and_a_wrong_clock_is_called_one() {
    let mut desk = Desk::open();
    let ended = Utc(NOW.0 + 3600);
    desk.refused("wait for it, or draft anew", |asked| {
        asked.now = ended;
        asked.their_clock = Some(ended);
    });
    desk.refused("clock and the director's are 7200 s apart", |asked| asked.now.0 -= 7200);
    let permit = desk.ask(|_| {}).unwrap();
    assert!(permit.holds(NOW).is_ok() && permit.holds(ended).is_err());
    // A manifest lives for four hours at most, whoever signs.
    desk.manifest.terms.not_after = Utc(NOW.0 + LONGEST + 1);
    desk.sign();
    desk.refused("longer than 4 hours", |_| {});
}

#[test]
fn a_nonce_and_a_revocation_are_remembered() {
    let desk = Desk::open();
    let permit = desk.ask(|_| {}).unwrap();
    permit.spend().unwrap();
    desk.refused("was used here before", |_| {});
    assert!(permit.spend().is_err());
    assert!(permit.holds(NOW).is_ok());
    // A signer's key that is revoked ends what it signed, at the next renewal.
    permit.records().revoke(&desk.signers[&Role::Safety].public()).unwrap();
    let error = permit.holds(NOW).unwrap_err();
    assert!(error.to_string().contains("that signed as safety was revoked"), "{error}");
}

#[test]
fn a_site_narrows_whatever_is_signed() {
    let mut desk = Desk::open();
    let unsafe_for = |desk: &Desk, why: &str| {
        let error = desk.ask(|_| {}).unwrap_err();
        assert_eq!(Exit::of(&error), Exit::Safety);
        assert!(error.to_string().contains(why), "{error}");
    };
    desk.site.caps.packets_per_second = 1_000;
    unsafe_for(&desk, "2000 packets/s, over the 1000 allowed");
    desk.site.caps =
        Caps { packets_per_second: u64::MAX, bits_per_second: u64::MAX, ..Caps::USUAL };
    // What is compiled in holds against any policy.
    let ceiling = desk.site.effective(None, true).caps;
    assert_eq!(ceiling.packets_per_second, Caps::CEILING.packets_per_second);
    desk.site.blacklist = BTreeSet::from(["198.19.200.0/24".parse().unwrap()]);
    unsafe_for(&desk, "from or to 198.19.200.7/32");
    desk.site.blacklist.clear();
    desk.site.allow = Some(BTreeSet::from(["192.0.2.0/24".parse().unwrap()]));
    unsafe_for(&desk, "which is not allowed");
    desk.site.allow = None;
    desk.site.blacklisted_hosts = BTreeSet::from(["lab-a".into()]);
    desk.refused("does not work with host lab-a", |_| {});
    desk.site.blacklisted_hosts.clear();
    std::fs::remove_file(desk.dir.join("introduced")).unwrap();
    unsafe_for(&desk, "over the 100 allowed");
}
