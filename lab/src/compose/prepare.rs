//! Keys and configurations of all containers, made into the volume that they share.

use super::{Compose, DIRECTOR, PORT};
use crate::hosts::Config;
use crate::hosts::placement::{Host, Placement, Tunnels, Word};
use crate::safety::site::Need;
use crate::safety::{Caps, Site};
use anyhow::{Context, Result};
use ashiato_collector::authority::{Authority, Tls};
use ashiato_collector::identity::Identity;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// Keys serve one run.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

impl Compose {
    /// Empties the folder and fills it: one folder for each container.
    ///
    /// # Errors
    /// When keys cannot be made or written.
    pub fn prepare(&self, dir: &Path) -> Result<()> {
        for old in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
            let old = old?.path();
            let removed =
                if old.is_dir() { fs::remove_dir_all(&old) } else { fs::remove_file(&old) };
            removed.with_context(|| format!("cannot remove {}", old.display()))?;
        }
        let authority = Authority::new(LIFETIME)?;
        let listen = SocketAddr::new(self.director.into(), PORT);
        let mut hosts = vec![];
        // Believed by each container only where it is true of its own interfaces and routes.
        let site = Site {
            manifest: Need::InternalNetworksNeedNone,
            caps: Caps::INTERNAL,
            records: "/tmp/safety".into(),
            ..Site::default()
        };
        for container in &self.containers {
            let (name, underlay) = (container.name.clone(), container.address.into());
            let own = dir.join(&name);
            let tls = authority.write(&own, &Identity::Host(name.clone()), &[])?;
            let folder = "/tmp/runs".into();
            let (director, in_place, cut_off) = (listen, true, true);
            let config = Config { director, underlay, tls, in_place, cut_off, folder };
            write(&own.join("host.toml"), &config)?;
            write(&own.join("site.toml"), &site)?;
            let (nodes, collector) = (vec![name.clone()], None);
            hosts.push(Host { name, underlay, nodes, collector });
        }
        let own = dir.join(DIRECTOR);
        let tls: Tls = authority.write(&own, &Identity::Director, &[listen.ip()])?;
        let (collector, enrolled, world) = (None, None, Word::Compose);
        // They never leave this machine, and containers have no /dev/net/tun.
        let (tunnels, tunnel_port) = (Tunnels::Bare, None);
        let placement =
            Placement { listen, collector, tunnels, tunnel_port, world, tls, enrolled, hosts };
        write(&own.join("placement.toml"), &placement)
    }
}

fn write(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let text = toml::to_string(value).context("cannot write TOML")?;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
