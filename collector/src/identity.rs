//! Who stands at the other end of a connection, as its certificate says.

use crate::wire;
use std::fmt;
use std::net::Ipv4Addr;
use traceback::RouterId;
use traceback::report::Role;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The speaker that a certificate names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identity {
    /// The agent on a router.
    Router(RouterId),
    /// An observer at a victim behind a router.
    Observer(RouterId),
    /// Somebody who may call the operator's service.
    Operator(String),
    /// A machine that takes part, by the word that placements know it by.
    Host(String),
    /// A domain that asks others and answers them, by its word.
    Domain(String),
    /// The collector.
    Collector,
    /// The lab where it directs a run over several hosts.
    Director,
    /// Who gives out certificates.
    Authority,
}

impl Identity {
    /// Reads a common name such as `router/192.0.2.1`.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "collector" => return Some(Self::Collector),
            "director" => return Some(Self::Director),
            "authority" => return Some(Self::Authority),
            _ => {}
        }
        let (kind, rest) = name.split_once('/')?;
        let router = || rest.parse::<Ipv4Addr>().ok().map(RouterId::from);
        match kind {
            "router" => router().map(Self::Router),
            "observer" => router().map(Self::Observer),
            "operator" if wire::is_name(rest) => Some(Self::Operator(rest.into())),
            "host" if is_word(rest) => Some(Self::Host(rest.into())),
            "domain" if is_word(rest) => Some(Self::Domain(rest.into())),
            _ => None,
        }
    }

    /// The identity in a certificate (DER) whose chain TLS has already checked.
    ///
    /// `None` where the subject has no common name, several, or one of no kind that we know.
    pub fn of_certificate(der: &[u8]) -> Option<Self> {
        Self::of(&X509Certificate::from_der(der).ok()?.1)
    }

    /// The same of a certificate that was read.
    pub fn of(certificate: &X509Certificate<'_>) -> Option<Self> {
        let mut names = certificate.subject().iter_common_name();
        let name = names.next()?.as_str().ok()?;
        if names.next().is_some() { None } else { Self::parse(name) }
    }

    /// The certificate (DER) in a file's text.
    pub fn certificate_in(pem: &[u8]) -> Option<Vec<u8>> {
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem).ok()?;
        Some(pem.contents)
    }

    /// The public key in a certificate, both DER.
    pub fn key_of(certificate: &[u8]) -> Option<Vec<u8>> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        Some(certificate.public_key().raw.to_vec())
    }

    /// Whether an agent of this identity may speak for this step at this router.
    pub fn speaks_for(&self, role: Role, router: RouterId) -> bool {
        match self {
            Self::Router(id) => role == Role::Router && *id == router,
            Self::Observer(id) => role == Role::Observer && *id == router,
            Self::Operator(_)
            | Self::Host(_)
            | Self::Domain(_)
            | Self::Collector
            | Self::Director
            | Self::Authority => false,
        }
    }

    /// The identity of the agent that takes this step at this router.
    pub fn of_agent(role: Role, router: RouterId) -> Self {
        match role {
            Role::Router => Self::Router(router),
            Role::Observer => Self::Observer(router),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Router(id) => write!(f, "router/{id}"),
            Self::Observer(id) => write!(f, "observer/{id}"),
            Self::Operator(name) => write!(f, "operator/{name}"),
            Self::Host(name) => write!(f, "host/{name}"),
            Self::Domain(name) => write!(f, "domain/{name}"),
            Self::Collector => f.write_str("collector"),
            Self::Director => f.write_str("director"),
            Self::Authority => f.write_str("authority"),
        }
    }
}

/// Whether the text may name a host or a domain: it becomes a part of file names and run ids.
pub fn is_word(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
    (1..=32).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let good = "router/10.0.0.1 observer/10.0.0.9 operator/alice host/lab-1 domain/xa collector director authority";
        for name in good.split(' ') {
            assert_eq!(Identity::parse(name).unwrap().to_string(), name);
        }
        let bad = ",router,router/,router/x,operator/,operator/a b,Router/1.1.1.1,host/,host/a_b";
        for name in bad.split(',') {
            assert_eq!(Identity::parse(name), None, "{name}");
        }
    }

    #[test]
    fn agents_speak_only_for_themselves() {
        let me = Identity::Router(RouterId(1));
        assert!(me.speaks_for(Role::Router, RouterId(1)));
        assert!(!me.speaks_for(Role::Router, RouterId(2)));
        assert!(!me.speaks_for(Role::Observer, RouterId(1)));
        assert!(!Identity::Operator("a".into()).speaks_for(Role::Router, RouterId(1)));
    }
}
