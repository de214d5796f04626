//! `authority` and `token`: keys for an experiment, made here or asked for by machines.

use super::{Failure, HOST, INTERNAL, OK, USAGE};
use anyhow::anyhow;
use ashiato_collector::authority::Authority;
use ashiato_collector::enrol;
use ashiato_collector::identity::Identity;
use clap::{Args, Subcommand};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// What can be done about keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make an authority, and the certificates of a collector, its operators and its agents.
    Init(Init),
    /// Give certificates to machines that show a token, until interrupted.
    Serve(Desk),
    /// Take a machine's enrolment away.
    Revoke(Revoke),
}

/// Flags of `authority serve`.
#[derive(Debug, Args)]
pub(crate) struct Desk {
    /// The authority's folder.
    #[arg(env = "ASHIATO_COLLECTOR_DIR")]
    dir: PathBuf,
    /// Where to listen.
    #[arg(
        long,
        env = "ASHIATO_COLLECTOR_ENROL",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:7402"
    )]
    listen: SocketAddr,
    /// Days until certificates end.
    #[arg(long, env = "ASHIATO_COLLECTOR_DAYS", default_value_t = 30)]
    days: u32,
}

/// Flags of `authority revoke`.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The authority's folder.
    #[arg(env = "ASHIATO_COLLECTOR_DIR")]
    dir: PathBuf,
    /// Whose, such as host/lab-a.
    #[arg(value_parser = who)]
    name: Identity,
}

/// Flags of `token`.
#[derive(Debug, Args)]
pub(crate) struct Token {
    /// The authority's folder.
    #[arg(env = "ASHIATO_COLLECTOR_DIR")]
    dir: PathBuf,
    /// Who is to enrol, such as host/lab-a.
    #[arg(value_parser = who)]
    name: Identity,
    /// Where `authority serve` listens.
    #[arg(
        long,
        env = "ASHIATO_COLLECTOR_ENROL",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:7402"
    )]
    address: SocketAddr,
    /// Minutes until the token ends.
    #[arg(long, env = "ASHIATO_COLLECTOR_MINUTES", default_value_t = 60)]
    minutes: u32,
}

impl Token {
    /// Prints a token, which goes into a file of the new machine.
    pub(crate) fn run(self) -> Result<u8, Failure> {
        let valid = Duration::from_secs(u64::from(self.minutes) * 60);
        let token = enrol::token(&self.dir, &self.name, self.address, valid);
        let token = token.map_err(Failure::of(HOST))?;
        let text = serde_json::to_string_pretty(&token).map_err(Failure::of(INTERNAL))?;
        println!("{text}");
        Ok(OK)
    }
}

impl Desk {
    fn run(self) -> Result<u8, Failure> {
        let lifetime = Duration::from_secs(u64::from(self.days) * 24 * 3600);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let served = enrol::serve(&self.dir, self.listen, lifetime, |listen| {
            let ready = serde_json::json!({ "event": "ready", "listen": listen.to_string() });
            println!("{ready}");
        });
        runtime.map_err(Failure::of(INTERNAL))?.block_on(served).map_err(Failure::of(HOST))?;
        Ok(OK)
    }
}

impl Revoke {
    fn run(self) -> Result<u8, Failure> {
        if enrol::revoke(&self.dir, &self.name).map_err(Failure::of(HOST))? {
            println!("{} may no longer take part", self.name);
            return Ok(OK);
        }
        let known = anyhow!("{} is not enrolled", self.name);
        Err(Failure::of(USAGE)(known))
    }
}

fn who(text: &str) -> Result<Identity, String> {
    let named = Identity::parse(text);
    named.ok_or_else(|| format!("{text:?} is no identity: say host/lab-a, router/192.0.2.1, ..."))
}

/// Flags of `authority init`.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Folder for keys and certificates. Files that are there are never overwritten.
    #[arg(env = "ASHIATO_COLLECTOR_DIR")]
    dir: PathBuf,
    /// Days until the certificates end.
    #[arg(long, env = "ASHIATO_COLLECTOR_DAYS", default_value_t = 30)]
    days: u32,
    /// Days until the authority itself ends; until then certificates can be renewed.
    #[arg(long, env = "ASHIATO_COLLECTOR_AUTHORITY_DAYS", default_value_t = 365)]
    authority_days: u32,
    /// Addresses of the collector beside 127.0.0.1.
    #[arg(long, env = "ASHIATO_COLLECTOR_ADDRESS", value_delimiter = ',')]
    address: Vec<IpAddr>,
    /// Names of operators.
    #[arg(
        long,
        env = "ASHIATO_COLLECTOR_OPERATOR",
        value_delimiter = ',',
        default_value = "local"
    )]
    operator: Vec<String>,
    /// Loopbacks of routers with an agent.
    #[arg(long, env = "ASHIATO_COLLECTOR_ROUTER", value_delimiter = ',')]
    router: Vec<Ipv4Addr>,
    /// Loopbacks of routers behind which a victim observes.
    #[arg(long, env = "ASHIATO_COLLECTOR_OBSERVER", value_delimiter = ',')]
    observer: Vec<Ipv4Addr>,
    /// Addresses of the director of runs over several hosts, beside 127.0.0.1.
    #[arg(long, env = "ASHIATO_COLLECTOR_DIRECTOR", value_delimiter = ',')]
    director: Vec<IpAddr>,
    /// Domains that speak with others through the collector, by their words.
    #[arg(long, env = "ASHIATO_COLLECTOR_DOMAIN", value_delimiter = ',')]
    domain: Vec<String>,
    /// Words of hosts that take part in such runs.
    #[arg(long, env = "ASHIATO_COLLECTOR_HOST", value_delimiter = ',')]
    host: Vec<String>,
}

impl Verb {
    pub(crate) fn run(self) -> Result<u8, Failure> {
        match self {
            Self::Init(init) => init.run(),
            Self::Serve(desk) => desk.run(),
            Self::Revoke(revoke) => revoke.run(),
        }
    }
}

impl Init {
    fn run(self) -> Result<u8, Failure> {
        let named = |kind: &str, name: &String| {
            let odd = || anyhow!("{kind} {name:?}: use letters, digits and dashes, 32 at most");
            let who = Identity::parse(&format!("{kind}/{name}"));
            who.ok_or_else(odd).map_err(Failure::of(USAGE))
        };
        let operators = self.operator.iter().map(|n| named("operator", n));
        let hosts = self.host.iter().map(|n| named("host", n));
        let mut who = operators.chain(hosts).collect::<Result<Vec<_>, _>>()?;
        who.extend(self.router.iter().map(|r| Identity::Router((*r).into())));
        who.extend(self.observer.iter().map(|r| Identity::Observer((*r).into())));
        let [lifetime, own] = [self.days, self.authority_days.max(self.days)]
            .map(|days| Duration::from_secs(u64::from(days) * 24 * 3600));
        let authority = Authority::lasting(lifetime, own).map_err(Failure::of(HOST))?;
        let mut servers = vec![(Identity::Collector, &self.address)];
        for domain in &self.domain {
            servers.push((named("domain", domain)?, &self.address));
        }
        if !self.host.is_empty() || !self.director.is_empty() {
            servers.push((Identity::Director, &self.director));
        }
        for (server, addresses) in servers {
            let local = IpAddr::from(Ipv4Addr::LOCALHOST);
            let addresses: Vec<_> = [local].into_iter().chain(addresses.iter().copied()).collect();
            let made = authority.write(&self.dir, &server, &addresses);
            println!("{}", made.map_err(Failure::of(HOST))?.cert.display());
        }
        for who in &who {
            let made = authority.write(&self.dir, who, &[]);
            println!("{}", made.map_err(Failure::of(HOST))?.cert.display());
        }
        let key = authority.write_key(&self.dir).map_err(Failure::of(HOST))?;
        println!("{}", key.display());
        Ok(OK)
    }
}
