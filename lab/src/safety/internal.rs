//! Whether the networks of a host lead nowhere else, as its policy claims.

use crate::exit::Exit;
use crate::netns::place::{is_virtual, leads_out};
use crate::netns::{addresses_here, links_here};
use anyhow::{Context, Result};
use ipnet::IpNet;
use std::net::IpAddr;

/// Believes a claim only where it is true: every interface that is up is virtual, nothing leads out, and
/// everybody whom the run has this host talk to is on one of its own links.
///
/// # Errors
/// [`Exit::Policy`] says what contradicts the claim.
pub(super) fn check(others: &[IpAddr]) -> Result<()> {
    let no = |why: String| {
        Err(Exit::Policy.refuse(format!(
            "this site's policy says that its networks are internal and need no manifest, but {why}: \
             take manifest = \"required\" and have runs signed"
        )))
    };
    for (name, kind) in links_here().context("cannot list interfaces")? {
        if !is_virtual(&name, &kind) {
            return no(format!("interface {name} is a real one"));
        }
    }
    if let Some(table) = leads_out() {
        return no(format!("there is a default route ({table})"));
    }
    let near: Vec<IpNet> = addresses_here().context("cannot list addresses")?;
    match others.iter().find(|other| !near.iter().any(|net| net.contains(*other))) {
        Some(other) => no(format!("{other} is on no link of this host")),
        None => Ok(()),
    }
}
