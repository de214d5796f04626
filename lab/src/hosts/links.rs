//! The sealed tunnels of a run on one host: a key of its own first, then those of the others, then packets.

use super::wire;
use crate::exit::Exit;
use crate::netns::Stage;
use crate::netns::layout::Share;
use crate::safety::Terms;
use crate::tunnel::{Carrier, Half, Peer, Tally, Tap, carrier, half, losses};
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long tunnels may take to stand, once all keys are known: a lost packet is said again after five seconds.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked meanwhile whether the run is to end.
const GLANCE: Duration = Duration::from_millis(20);

/// Tunnels that wait for the others' keys, or carry.
#[derive(Debug)]
pub(super) struct Links {
    half: Half,
    /// What halves are signed for.
    run: [u8; 32],
    /// The others' addresses, and the hashes of their enrolled keys where the manifest says them.
    peers: BTreeMap<SocketAddr, Option<String>>,
    port: u16,
    waiting: Option<(UdpSocket, Vec<Tap>)>,
    carrier: Option<Carrier>,
}

impl Links {
    /// Makes the host's own key, and listens; `None` where no tunnel is sealed.
    ///
    /// # Errors
    /// When the address is taken, or the terms do not say whose key is to be there.
    pub(super) fn open(
        share: &Share,
        stage: &mut Stage,
        terms: Option<&Terms>,
        whole_sha256: &str,
    ) -> Result<Option<Self>> {
        let mut near = None;
        let mut peers = BTreeMap::new();
        for tunnel in share.tunnels.values().filter(|tunnel| tunnel.sealed) {
            near = Some(SocketAddr::new(tunnel.near, tunnel.port));
            let key = terms.map(|terms| key_at(terms, tunnel.far)).transpose()?;
            peers.insert(SocketAddr::new(tunnel.far, tunnel.port), key);
        }
        let Some(near) = near else { return Ok(None) };
        let socket =
            carrier::listen(near).map_err(|e| Exit::HostNotReady.refuse(format!("{e:#}")))?;
        let run = terms.map_or_else(|| Sha256::digest(whole_sha256).into(), Terms::sum);
        let (half, waiting) = (Half::make()?, Some((socket, stage.take_taps())));
        Ok(Some(Self { half, run, peers, port: near.port(), waiting, carrier: None }))
    }

    /// The host's own half, signed.
    ///
    /// # Errors
    /// When the host's key cannot be read.
    pub(super) fn show(&self, key: &Path) -> Result<Vec<u8>> {
        self.half.show(&self.run, key)
    }

    /// Takes the others' halves, and returns when every tunnel stands.
    ///
    /// # Errors
    /// [`Exit::Policy`] for a half that is not of the host that the manifest names; names the hosts that do not
    /// answer. Says at once why the run is to end.
    pub(super) fn meet(&mut self, halves: &[wire::Half], stage: &Stage) -> Result<()> {
        let mut peers = vec![];
        for (address, key) in &self.peers {
            let of = address.ip().to_string();
            let shown = halves.iter().find(|half| half.underlay == of);
            let shown = shown.with_context(|| format!("the director gives no key of {of}"))?;
            let key = half::look(&shown.shown, &self.run, key.as_deref())
                .map_err(|e| Exit::of(&e).refuse(format!("{of}: {e:#}")))?;
            peers.push(Peer { address: *address, key });
        }
        let (socket, taps) = self.waiting.take().context("tunnels stand already")?;
        let carrier = self.carrier.insert(Carrier::start(socket, &self.half, &peers, taps)?);
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if carrier.await_peers(peers.len(), GLANCE) {
                return Ok(());
            }
            stage.pulse()?;
        }
        let all: Vec<String> = self.peers.keys().map(ToString::to_string).collect();
        let joined = carrier.tally().joined;
        Err(Exit::HostNotReady.refuse(format!(
            "within {PATIENCE:?} {joined} of the tunnels to {} stood: UDP port {} must be open both ways",
            all.join(", "),
            self.port
        )))
    }

    /// What tunnels refused, and what found no room in them.
    pub(super) fn faults(&self, stage: &Stage) -> Result<(u64, u64)> {
        let Tally { refused, lost, .. } =
            self.carrier.as_ref().map(Carrier::tally).unwrap_or_default();
        Ok((refused, lost + losses::dropped(stage.layout(), self.port)?))
    }
}

fn key_at(terms: &Terms, far: IpAddr) -> Result<String> {
    let party = terms.hosts.values().find(|party| party.underlay == far);
    let why = || format!("the manifest names no host at {far}, where a tunnel would lead");
    party.map(|party| party.key.clone()).ok_or_else(|| Exit::Policy.refuse(why()))
}
