//! `ashiato manifest`: what may run between hosts, agreed and signed before it does.

use super::load::Given;
use super::print;
use crate::exit::Exit;
use crate::hosts::placement::Placement;
use crate::safety::clock::Utc;
use crate::safety::manifest::{Manifest, Window, draft};
use crate::safety::records::Records;
use crate::safety::signature::{Role, Signer};
use crate::safety::site::{PATH, Pinned, Site};
use anyhow::Result;
use clap::Subcommand;
use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Seconds by which clocks of partners may differ without a thought.
const SLACK: u64 = 60;

/// Arguments of `ashiato manifest`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Makes a signer's key, and prints what sites put into their policies.
    Key(Key),
    /// Writes the terms of a run over hosts, for everybody to read and sign.
    Draft(Draft),
    /// Signs a manifest as one of the roles that it needs.
    Sign(Sign),
    /// Checks a manifest's signatures; with a site's policy, also whose they are.
    Verify(Verify),
    /// Shows a manifest.
    Show(Show),
    /// Makes a manifest, or a signer's key, invalid at this site, at once.
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
struct Key {
    /// The file to make; it stays with its owner.
    file: PathBuf,
    /// As whom the owner will sign: director, safety, or a nation such as nation/XA.
    #[arg(long)]
    role: Role,
    /// The owner's name.
    #[arg(long)]
    person: String,
}

#[derive(Debug, clap::Args)]
struct Draft {
    #[command(flatten)]
    given: Given,
    /// Which host stands for which nodes.
    #[arg(long, value_name = "FILE", env = "ASHIATO_RUN_HOSTS")]
    hosts: PathBuf,
    /// The manifest to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// From when on it holds, as 2026-11-22T22:30:00Z; since a minute ago where left out, as clocks differ.
    #[arg(long, value_name = "TIME")]
    from: Option<Utc>,
    /// For how many minutes.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=240))]
    minutes: u64,
}

#[derive(Debug, clap::Args)]
struct Sign {
    /// The manifest.
    manifest: PathBuf,
    /// The signer's key.
    #[arg(long, value_name = "FILE", env = "ASHIATO_MANIFEST_KEY")]
    key: PathBuf,
    /// As whom.
    #[arg(long)]
    role: Role,
}

#[derive(Debug, clap::Args)]
struct Verify {
    /// The manifest.
    manifest: PathBuf,
    /// The site's policy, whose pinned keys count.
    #[arg(long, value_name = "FILE", env = "ASHIATO_SITE")]
    site: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// The manifest.
    manifest: PathBuf,
    /// How to print.
    #[arg(long, value_enum, default_value_t, env = "ASHIATO_MANIFEST_FORMAT")]
    format: super::form::Form,
}

#[derive(Debug, clap::Args)]
struct Revoke {
    /// The manifest, or the public key of a signer in hex.
    what: String,
    /// The site's policy, which says where its records are.
    #[arg(long, value_name = "FILE", env = "ASHIATO_SITE", default_value = PATH)]
    site: PathBuf,
}

/// Runs the verb.
///
/// # Errors
/// Bad files exit with 2, what is not signed as it must be with 5.
pub fn run(args: &Args) -> Result<Exit> {
    match &args.what {
        What::Key(key) => make_key(key),
        What::Draft(draft) => write_draft(draft),
        What::Sign(sign) => add_signature(sign),
        What::Verify(verify) => check(verify),
        What::Show(show) => print_manifest(show),
        What::Revoke(revoke) => take_back(revoke),
    }
}

fn make_key(key: &Key) -> Result<Exit> {
    let signer = Signer::generate()?;
    signer.write_new(&key.file)?;
    let (role, person) = (key.role.clone(), key.person.clone());
    let pinned = Pinned { role, person, key: signer.public() };
    print(format!("[[signer]]\n{}", toml::to_string(&pinned)?))?;
    Ok(Exit::Met)
}

fn write_draft(args: &Draft) -> Result<Exit> {
    let (_, plan) = args.given.plan()?;
    let scenario = std::fs::read(&args.given.file)?;
    let window = Window {
        from: args.from.unwrap_or_else(|| Utc(Utc::now().0 - SLACK)),
        seconds: args.minutes * 60,
    };
    let manifest = draft(&scenario, &plan, &Placement::read(&args.hosts)?, window)?;
    manifest.write(&args.out)?;
    print(text(&manifest)?)?;
    Ok(Exit::Met)
}

fn add_signature(args: &Sign) -> Result<Exit> {
    let mut manifest = Manifest::read(&args.manifest)?;
    manifest.sign(&Signer::read(&args.key)?, args.role.clone())?;
    manifest.write(&args.manifest)?;
    let missing: Vec<String> = manifest.unsigned();
    let rest = if missing.is_empty() { "nothing is missing".into() } else { missing.join("; ") };
    print(format!("signed as {}; {rest}\n", args.role))?;
    Ok(Exit::Met)
}

fn check(args: &Verify) -> Result<Exit> {
    let manifest = Manifest::read(&args.manifest)?;
    let faults = match &args.site {
        Some(path) => site_faults(&manifest, path)?,
        None => manifest.unsigned(),
    };
    if !faults.is_empty() {
        return Err(Exit::Policy.refuse(format!(
            "{}: {}",
            args.manifest.display(),
            faults.join("; ")
        )));
    }
    let whose = if args.site.is_some() { ", with keys that this site knows" } else { "" };
    print(format!("everybody signed who must{whose}\n"))?;
    Ok(Exit::Met)
}

fn site_faults(manifest: &Manifest, path: &Path) -> Result<Vec<String>> {
    let site = Site::read(path)?;
    let mut faults = site.signature_faults(manifest, &manifest.terms.roles);
    faults.extend(Records::at(&site.records).revoked(manifest));
    let (now, ends) = (Utc::now(), manifest.terms.not_after);
    if now >= ends {
        faults.push(format!("its window ended at {ends}, and it is {now}"));
    }
    Ok(faults)
}

fn print_manifest(args: &Show) -> Result<Exit> {
    let manifest = Manifest::read(&args.manifest)?;
    match args.format {
        super::form::Form::Table => print(text(&manifest)?)?,
        super::form::Form::Json => {
            let (terms, digest) = (&manifest.terms, manifest.terms.digest());
            let missing = manifest.unsigned();
            let whole = json!({ "terms": terms, "digest": digest, "signatures": manifest.signatures, "faults": missing });
            print(serde_json::to_string_pretty(&whole)? + "\n")?;
        }
    }
    Ok(Exit::Met)
}

fn take_back(args: &Revoke) -> Result<Exit> {
    let path = Path::new(&args.what);
    let what = match path.exists() {
        true => Manifest::read(path)?.terms.digest(),
        false => args.what.clone(),
    };
    let site = Site::read(&args.site)?;
    let records = Records::at(&site.records);
    let new = records.revoke(&what)?;
    if new {
        records.evidence()?.add("revoked", json!({ "what": what }))?;
    }
    let word = if new { "revoked" } else { "revoked already" };
    print(format!("{word} at this site: {what}; what runs under it ends within a second\n"))?;
    Ok(Exit::Met)
}

fn text(manifest: &Manifest) -> Result<String> {
    let terms = &manifest.terms;
    let mut out = String::new();
    writeln!(out, "scenario   {}  (file {})", terms.scenario, terms.scenario_sha256)?;
    writeln!(out, "plan       {}", terms.plan_sha256)?;
    writeln!(out, "holds      {} to {}", terms.not_before, terms.not_after)?;
    let list: Vec<String> = terms.prefixes.iter().map(ToString::to_string).collect();
    writeln!(out, "addresses  {}", list.join(" "))?;
    writeln!(out, "at most    {}", terms.caps)?;
    for (host, party) in &terms.hosts {
        let nodes: Vec<&str> = party.nodes.iter().map(String::as_str).collect();
        let runs = party.collector.map(|port| format!("; its domain's collector on port {port}"));
        let (at, runs) = (party.underlay, runs.unwrap_or_default());
        writeln!(out, "host       {host} at {at}: {}{runs}", nodes.join(" "))?;
        writeln!(out, "           key {}", party.key)?;
    }
    for role in &terms.roles {
        let signed = match manifest.signature(role) {
            Some(s) if s.holds(&terms.signed_as(role)) => format!("signed with key {}", s.key),
            Some(_) => "SIGNATURE DOES NOT HOLD".into(),
            None => "not signed".into(),
        };
        writeln!(out, "{role:<10} {signed}")?;
    }
    writeln!(out, "digest     {}", terms.digest())?;
    Ok(out)
}
