//! Routers that do not do what their scheme says, in real namespaces: the agent's own code around another
//! vantage, in a process of the lab's. No agent can be told to lie.

use crate::conduct;
use crate::exit::Exit;
use crate::plan::{Conduct, Plan};
use anyhow::{Context, Result};
use ashiato_agent::config::{self, Vantage};
use ashiato_agent::station::{self, Post};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use traceback::{Place, RouterId};

/// What the process is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The agents' configuration that an honest process would have.
    pub agents: PathBuf,
    /// What each of its routers makes of it.
    pub routers: Vec<Crooked>,
}

/// One such router.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crooked {
    /// Who it is.
    pub router: RouterId,
    /// The place in whose name it marks, where that is another's.
    pub place: Option<Place>,
    /// What its owner makes of it.
    pub conduct: Conduct,
}

impl Crooked {
    /// A router of a plan.
    ///
    /// # Errors
    /// When the plan's map does not hold it.
    pub(crate) fn of(plan: &Plan, router: usize) -> Result<Self> {
        let spec = &plan.routers[router];
        let name = spec.poses_as.map_or(spec.id, |other| plan.routers[other].id);
        let place = plan.map()?.place(name).context("the map holds every router")?;
        let poses = spec.poses_as.is_some();
        Ok(Self { router: spec.id, place: poses.then_some(place), conduct: spec.conduct })
    }
}

/// Runs them until told to stop, or until the lab is gone.
///
/// # Errors
/// When the agents' configuration cannot be read, or no thread can be started.
pub fn run(config: &Config) -> Result<Exit> {
    let agents = config::Config::read(&config.agents)?;
    let posting = |vantage: &Vantage| post(config, vantage);
    let done = ashiato_agent::run::run_with(&agents, true, &posting)?;
    Ok(if done { Exit::Met } else { Exit::Internal })
}

fn post(config: &Config, vantage: &Vantage) -> Result<Post> {
    let crooked = config.routers.iter().find(|c| c.router == vantage.router);
    let Crooked { place, conduct, .. } = *crooked.context("nobody says what this router does")?;
    let scheme = station::scheme(vantage)?;
    let place = place.unwrap_or_else(|| vantage.place());
    let honest = scheme.vantage(station::setting(vantage, place)?);
    Ok(Post { place, vantage: conduct::of(conduct, &*scheme, honest) })
}
