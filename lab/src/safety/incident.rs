//! The draft of an incident's report: what people send to each other within minutes after a leak.

use super::clock::Utc;
use super::manifest::Manifest;
use super::site::Site;
use std::fmt::Write;

/// What happened.
#[derive(Debug)]
pub struct Incident<'a> {
    /// The run on this host.
    pub run: &'a str,
    /// This host's name.
    pub host: &'a str,
    /// What was seen.
    pub what: &'a str,
    /// What had been agreed.
    pub manifest: Option<&'a Manifest>,
}

impl Incident<'_> {
    /// The text, in Markdown.
    pub fn draft(&self, site: &Site) -> String {
        let now = Utc::now();
        let Self { run, host, what, manifest } = self;
        let mut out = format!(
            "# Draft: incident in run {run}\n\n- When: {now} (this host's clock)\n- Where: host {host}\n\
             - What: {what}\n- Done: traffic was ended on this host and its share of the run removed; the \
             run is void.\n"
        );
        if let Some(Manifest { terms, signatures }) = manifest {
            let _ = writeln!(out, "- Manifest: {} of scenario {}", terms.digest(), terms.scenario);
            for signature in signatures {
                let pinned = site.signers.iter().find(|p| p.key == signature.key);
                let person = pinned.map_or("a person not known here", |p| &p.person);
                let _ = writeln!(out, "- Signed as {}: {person}", signature.role);
            }
        }
        out += "\n## To be told\n\n";
        if site.contacts.is_empty() {
            out += "- nobody is named in this site's policy (`contacts`)\n";
        }
        for contact in &site.contacts {
            let _ = writeln!(out, "- {contact}");
        }
        out + "\n## Still to be written by a person\n\n- Whether packets reached anybody outside, and whom.\n- Why.\n"
    }
}
