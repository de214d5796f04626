//! `document`: what is known of a question, as a document for others.

use super::{Failure, INTERNAL, OK, USAGE};
use anyhow::{Context, anyhow};
use ashiato_collector::dossier::Dossier;
use ashiato_collector::iodef::{self, Document as Iodef};
use ashiato_collector::rid::{Body, Incoming, Message, Unread};
use ashiato_collector::xml::BadDocument;
use clap::{Args, ValueEnum};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Flags of `document`.
#[derive(Debug, Args)]
pub(crate) struct Document {
    /// What becomes of it.
    #[arg(long = "as", env = "ASHIATO_COLLECTOR_DOCUMENT_AS", value_enum)]
    form: Form,
    /// For a report of RID: the domain that is to get it.
    #[arg(long, env = "ASHIATO_COLLECTOR_DOCUMENT_TO", value_name = "DOMAIN", default_value = "")]
    to: String,
    /// A question with the replies to it, as JSON; `-` reads standard input. For `json`: a message of RID or a
    /// document of IODEF instead.
    file: PathBuf,
}

/// A form of documents.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    /// IODEF version 2, XML (RFC 7970).
    IodefXml,
    /// IODEF version 2, JSON (RFC 8727).
    IodefJson,
    /// A bundle of STIX 2.1.
    Stix,
    /// A report of RID 2.0 (RFC 6545) with IODEF in it.
    Rid,
    /// The other way: what a message of RID, or a document of IODEF in XML or JSON, says.
    Json,
}

impl Document {
    pub(crate) fn run(self) -> Result<u8, Failure> {
        let bytes = read(&self.file).map_err(Failure::of(USAGE))?;
        let made = self.make(&bytes).with_context(|| self.file.display().to_string());
        let made = made.map_err(Failure::of(USAGE))?;
        let mut out = std::io::stdout().lock();
        let written = out.write_all(&made).and_then(|()| out.write_all(b"\n"));
        written.map_err(Failure::of(INTERNAL))?;
        Ok(OK)
    }

    fn make(&self, bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
        let dossier = || {
            let known: Result<Dossier, _> = serde_json::from_slice(bytes);
            known.context("a question with replies has \"inquiry\", \"replies\" and \"at_unix_ms\"")
        };
        Ok(match self.form {
            Form::IodefXml => dossier()?.iodef().to_xml(),
            Form::IodefJson => dossier()?.iodef().to_json(),
            Form::Stix => serde_json::to_vec_pretty(&dossier()?.stix())?,
            Form::Rid if self.to.is_empty() => {
                return Err(anyhow!("a report is for a domain: say --to"));
            }
            Form::Rid => dossier()?.report(&self.to).write(),
            Form::Json => understand(bytes)?,
        })
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = vec![];
    let read = match path.as_os_str() == "-" {
        true => std::io::stdin().read_to_end(&mut bytes),
        false => std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)),
    };
    read.with_context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes)
}

/// What a document of others says.
fn understand(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let shown = match Message::read(bytes) {
        Ok(Incoming { message, ignored, signatures }) => serde_json::json!({
            "message": message.kind().word(),
            "to": message.envelope.to,
            "origin": message.envelope.origin,
            "region": message.envelope.region,
            "at": message.envelope.at,
            "says": said(message.body),
            "ignored": ignored,
            "signatures_not_verified": signatures,
        }),
        // No message at all, perhaps a document alone.
        Err(Unread { why: BadDocument::Root { .. }, .. }) => document(Iodef::from_xml(bytes)?),
        Err(_) if bytes.trim_ascii_start().starts_with(b"{") => document(Iodef::from_json(bytes)?),
        Err(unread) => return Err(unread.into()),
    };
    Ok(serde_json::to_vec_pretty(&shown)?)
}

fn document(read: iodef::Read) -> serde_json::Value {
    serde_json::json!({ "document": read.document, "ignored": read.ignored })
}

fn said(body: Body) -> serde_json::Value {
    match body {
        Body::Ask(inquiry) => serde_json::json!(inquiry),
        Body::Answer(reply) => serde_json::json!(reply),
        Body::Taken { id } => serde_json::json!({ "taken": id }),
        Body::Report(document) => serde_json::json!(document),
        Body::Query { id } => serde_json::json!({ "query": id }),
    }
}
