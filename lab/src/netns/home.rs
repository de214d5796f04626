//! What one collector is about to be: its folder, with keys, map, policy and configuration.

use super::disk;
use super::headquarters::{Ground, Seat};
use crate::office::{self, PEOPLE};
use crate::plan::Plan;
use anyhow::{Context, Result};
use ashiato_collector::authority::{Authority, Tls};
use ashiato_collector::exchange::Config;
use ashiato_collector::identity::Identity;
use ashiato_collector::server;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use traceback::report::Role;

/// Keys serve one run and outlive no working day by much.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);
/// The folder of keys within a collector's.
const KEYS: &str = "keys";
/// The name of a collector's configuration.
pub(crate) const CONFIG: &str = "collector.json";

/// Files of a collector's folder: their paths within it, and what they hold.
pub(crate) type Files = BTreeMap<String, String>;

/// What one collector is about to be.
pub(super) struct Home {
    /// Its position; that of its domain, where it serves one.
    pub(super) desk: usize,
    /// Its folder.
    pub(super) dir: PathBuf,
    /// Where it listens.
    pub(super) ground: Ground,
    /// The domain's own keys, where it speaks for one; else it serves all.
    domain_keys: Option<Tls>,
    authority: Authority,
    pub(super) keys: Tls,
}

impl Home {
    /// Makes its folder and its first keys.
    pub(super) fn found(plan: &Plan, desk: usize, work: &Path, ground: Ground) -> Result<Self> {
        let dir = match plan.exchange {
            Some(_) => work.join(format!("desk{desk}")),
            None => work.to_path_buf(),
        };
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let authority = Authority::new(LIFETIME).context("cannot make keys")?;
        let issue = |who: Identity| authority.write(&dir.join(KEYS), &who, &[ground.desk.ip()]);
        let keys = issue(Identity::Collector).context("cannot make keys")?;
        let domain = plan.exchange.as_ref().and_then(|_| plan.domains.get(desk));
        let domain = domain.map(|domain| issue(Identity::Domain(domain.id.clone())));
        let domain_keys = domain.transpose().context("cannot make keys")?;
        Ok(Self { desk, dir, ground, domain_keys, authority, keys })
    }

    fn issue(&self, who: &Identity) -> Result<Tls> {
        self.authority.write(&self.dir.join(KEYS), who, &[]).context("cannot make keys")
    }

    /// Keys of the people who answer for it.
    pub(super) fn operators(&self) -> Result<Vec<Tls>> {
        let people = if self.domain_keys.is_some() { &PEOPLE[..] } else { &PEOPLE[..1] };
        people.iter().map(|name| self.issue(&Identity::Operator((*name).into()))).collect()
    }

    /// Whether a router's agent reports here.
    fn keeps(&self, plan: &Plan, router: usize) -> bool {
        self.domain_keys.is_none() || plan.domains[self.desk].id == plan.routers[router].domain
    }

    /// Writes its configuration, in which all paths start at its folder.
    pub(super) fn configure(
        &self,
        plan: &Plan,
        homes: &[Self],
        behind_disk: bool,
        zero: u64,
    ) -> Result<PathBuf> {
        let exchange = self.exchange(plan, homes, zero)?;
        let map = match &exchange {
            // Who speaks for a domain knows its surroundings and no more.
            Some(exchange) => exchange.map.clone(),
            None => {
                self.put("map.json", serde_json::to_vec(&plan.map()?)?)?;
                Some("map.json".into())
            }
        };
        let Tls { ca, cert, key } = &self.keys;
        let store = Path::new(if behind_disk { disk::FOLDER } else { "" });
        let config = server::Config {
            listen: self.ground.desk,
            tls: Tls { ca: self.inside(ca), cert: self.inside(cert), key: self.inside(key) },
            store: store.join("reports.db"),
            map,
            store_limit_bytes: None,
            ask_timeout_ms: 5_000,
            cut_timeout_ms: 20_000,
            exchange,
        };
        self.put(CONFIG, serde_json::to_vec(&config)?)
    }

    /// Writes a file of its folder.
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<PathBuf> {
        let path = self.dir.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// A path as it is named within the folder.
    fn inside(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.dir).unwrap_or(path).into()
    }

    /// How it speaks for its domain, where it does.
    fn exchange(&self, plan: &Plan, homes: &[Self], zero: u64) -> Result<Option<Config>> {
        let seat = |other: &Self| {
            let keys = other.domain_keys.as_ref()?;
            Some(self.seat(plan, other, keys))
        };
        let seats = homes.iter().map(seat).collect::<Option<Result<Vec<_>>>>();
        let Some(seats) = seats.transpose()? else { return Ok(None) };
        self.put(office::POLICY, serde_json::to_vec(&plan.policy(self.desk))?)?;
        self.put(office::MAP, serde_json::to_vec(&office::surroundings(plan, self.desk)?)?)?;
        Ok(Some(office::exchange(plan, self.desk, &seats, zero)))
    }

    /// A domain as this one knows it, by a copy of its certificate.
    fn seat(&self, plan: &Plan, other: &Self, keys: &Tls) -> Result<office::Seat> {
        let listen = other.ground.office;
        if other.desk == self.desk {
            let (certificate, key) = (self.inside(&keys.cert), self.inside(&keys.key));
            return Ok(office::Seat { listen, certificate, key });
        }
        let pem = fs::read(&keys.cert).context("cannot read a domain's certificate")?;
        let certificate = self.put(&format!("domain-{}.pem", plan.domains[other.desk].id), pem)?;
        Ok(office::Seat { listen, certificate: self.inside(&certificate), key: PathBuf::new() })
    }

    /// All files that its folder holds.
    pub(super) fn files(&self) -> Result<Files> {
        let mut files = Files::new();
        for dir in [self.dir.clone(), self.dir.join(KEYS)] {
            for entry in
                fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?
            {
                let path = entry?.path();
                if path.is_file() {
                    let text = fs::read_to_string(&path)
                        .with_context(|| format!("cannot read {}", path.display()))?;
                    files.insert(self.inside(&path).display().to_string(), text);
                }
            }
        }
        Ok(files)
    }

    /// Vantages that report here, with keys of their own.
    pub(super) fn seats(&self, plan: &Plan) -> Result<Vec<Seat>> {
        let routers = plan.routers.iter().enumerate().filter(|(_, r)| r.works());
        let routers = routers.map(|(at, r)| (Role::Router, at, Identity::Router(r.id)));
        let gateway = plan.hosts[plan.case.victim].router;
        let observer = (Role::Observer, gateway, Identity::Observer(plan.gateway()));
        let all = routers.chain([observer]).filter(|(_, router, _)| self.keeps(plan, *router));
        let seat = |(role, router, who): (Role, usize, Identity)| {
            Ok(Seat { role, router, desk: self.desk, tls: self.issue(&who)? })
        };
        all.map(seat).collect()
    }

    /// The name of its process.
    pub(super) fn role(&self, plan: &Plan) -> String {
        let domain = plan.domains.get(self.desk).filter(|_| self.domain_keys.is_some());
        domain.map_or("collector".into(), |domain| format!("collector-{}", domain.id))
    }
}
