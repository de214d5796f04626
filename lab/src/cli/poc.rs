//! `ashiato poc`: points of contact, by a signed directory.

use super::desk::Desk;
use super::form::Form;
use super::print;
use crate::exit::Exit;
use anyhow::Result;
use ashiato_collector::clock::Utc;
use ashiato_collector::contact::readiness::{QUESTIONS, Readiness};
use ashiato_collector::contact::signed::Signed;
use ashiato_collector::contact::{Contact, Directory, Reach};
use ashiato_collector::signer::Signer;
use clap::Subcommand;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Arguments of `ashiato poc`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Signs a directory (TOML) for others to rely on.
    Sign(Sign),
    /// Checks a signed directory, and names what has expired.
    Verify(From),
    /// Lists all points of contact.
    List(List),
    /// Shows whom to reach for an address or a domain, in the order in which to try.
    Show(Show),
    /// Tries whether a domain can be reached, as an exercise that is measured.
    Ping(Ping),
    /// Scores questionnaires about how ready domains are, side by side.
    Readiness(Ready),
}

#[derive(Debug, clap::Args)]
struct Sign {
    /// The directory.
    directory: PathBuf,
    /// The signer's key (`ashiato manifest key` makes one).
    #[arg(long, value_name = "FILE", env = "ASHIATO_MANIFEST_KEY")]
    key: PathBuf,
    /// The signed directory to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
struct From {
    /// The signed directory.
    #[arg(env = "ASHIATO_CONTACTS")]
    directory: PathBuf,
    /// Public keys (hex) of those who may sign it; anybody, where left out.
    #[arg(long, value_name = "HEX", env = "ASHIATO_CONTACTS_KEY", value_delimiter = ',')]
    signer: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    from: From,
    /// How to print.
    #[arg(long, value_enum, default_value_t, env = "ASHIATO_POC_FORMAT")]
    format: Form,
}

#[derive(Debug, clap::Args)]
struct Show {
    #[command(flatten)]
    from: From,
    /// An address, or a domain's word.
    #[arg(long)]
    of: String,
    /// How to print.
    #[arg(long, value_enum, default_value_t, env = "ASHIATO_POC_FORMAT")]
    format: Form,
}

#[derive(Debug, clap::Args)]
struct Ping {
    #[command(flatten)]
    desk: Desk,
    /// Domains, by their words.
    #[arg(required = true)]
    domain: Vec<String>,
    /// How to print.
    #[arg(long, value_enum, default_value_t, env = "ASHIATO_POC_FORMAT")]
    format: Form,
}

#[derive(Debug, clap::Args)]
struct Ready {
    /// Questionnaires (TOML).
    files: Vec<PathBuf>,
    /// Prints the questions instead.
    #[arg(long)]
    questions: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t, env = "ASHIATO_POC_FORMAT")]
    format: Form,
}

/// Runs the verb.
///
/// # Errors
/// Bad files exit with 2, bad signatures with 5.
pub fn run(args: &Args) -> Result<Exit> {
    match &args.what {
        What::Sign(sign) => sign_it(sign),
        What::Verify(from) => verify(from),
        What::List(list) => list_all(list),
        What::Show(show) => show_one(show),
        What::Ping(ping) => ping_all(ping),
        What::Readiness(ready) => matrix(ready),
    }
}

fn sign_it(args: &Sign) -> Result<Exit> {
    let directory: Directory = toml_file(&args.directory)?;
    let shown = args.directory.display();
    directory.check().map_err(|e| Exit::Usage.refuse(format!("{shown}: {e}")))?;
    let signer = Signer::read(&args.key).map_err(|e| Exit::Usage.refuse(e))?;
    let signed = Signed::new(directory, &signer)?;
    let text = serde_json::to_string_pretty(&signed)? + "\n";
    std::fs::write(&args.out, text)
        .map_err(|e| Exit::Usage.refuse(format!("cannot write {}: {e}", args.out.display())))?;
    print(format!("signed by {}\n", signed.key))?;
    Ok(Exit::Met)
}

fn verify(from: &From) -> Result<Exit> {
    let signed = read(from)?;
    let now = Utc::now();
    let over: Vec<String> = signed
        .directory
        .contacts
        .iter()
        .filter(|contact| !contact.is_valid(now))
        .map(|contact| format!("{} expired at {}", contact.domain, contact.valid_until))
        .collect();
    print(format!("signed by {}, {} entries\n", signed.key, signed.directory.contacts.len()))?;
    if over.is_empty() {
        return Ok(Exit::Met);
    }
    print(over.join("\n") + "\n")?;
    Ok(Exit::Partial)
}

fn list_all(args: &List) -> Result<Exit> {
    let signed = read(&args.from)?;
    if args.format == Form::Json {
        print(serde_json::to_string_pretty(&signed.directory)? + "\n")?;
        return Ok(Exit::Met);
    }
    let now = Utc::now();
    let line = |contact: &Contact| {
        let over = if contact.is_valid(now) { "" } else { "  EXPIRED" };
        let nets: Vec<String> = contact.prefixes.iter().map(ToString::to_string).collect();
        let (domain, organisation) = (&contact.domain, &contact.organisation);
        let (nation, zone) = (&contact.nation, &contact.time_zone);
        format!("{domain:<12} {nation:<3} {organisation}  {}  {zone}{over}\n", nets.join(" "))
    };
    print(signed.directory.contacts.iter().map(line).collect::<String>())?;
    Ok(Exit::Met)
}

fn show_one(args: &Show) -> Result<Exit> {
    let directory = read(&args.from)?.directory;
    let found = match args.of.parse::<IpAddr>() {
        Ok(address) => directory.at(address),
        Err(_) => directory.of(&args.of),
    };
    let Some(contact) = found else {
        return Err(
            Exit::Partial.refuse(format!("nobody in the directory answers for {}", args.of))
        );
    };
    let now = Utc::now();
    let reach = directory.escalate(&contact.domain, now);
    if args.format == Form::Json {
        let whole = json!({ "contact": contact, "valid": contact.is_valid(now), "reach": reach });
        print(serde_json::to_string_pretty(&whole)? + "\n")?;
        return Ok(Exit::Met);
    }
    let mut out = format!("{} {}, {}\n", contact.domain, contact.nation, contact.organisation);
    if !contact.is_valid(now) {
        writeln!(out, "the entry expired at {}: turn to", contact.valid_until)?;
    }
    out.extend(reach.iter().map(person));
    print(out)?;
    Ok(Exit::Met)
}

/// Somebody to turn to.
pub(super) fn person(reach: &Reach) -> String {
    let open = if reach.open { "there now" } else { "away now" };
    let hours = reach.desk.hours.map_or("always".to_owned(), |hours| hours.to_string());
    let languages = reach.desk.languages.join("/");
    let (domain, role) = (&reach.domain, &reach.desk.role);
    format!(
        "    {domain:<12} {role:<10} {hours} ({open})  {languages}  {}\n",
        reach.desk.reach.join(" ")
    )
}

fn ping_all(args: &Ping) -> Result<Exit> {
    let mut pings = vec![];
    for domain in &args.domain {
        pings.push(args.desk.call(async |mut op| op.ping(domain).await)?);
    }
    if args.format == Form::Json {
        print(serde_json::to_string_pretty(&pings)? + "\n")?;
    } else {
        let mut out = String::from("EXERCISE\n");
        for ping in &pings {
            writeln!(out, "{:<12} {} in {} ms", ping.domain, ping.outcome, ping.took_ms)?;
            out.extend(ping.escalate.iter().map(person));
        }
        print(out)?;
    }
    let all = pings.iter().all(|ping| ping.reached);
    Ok(if all { Exit::Met } else { Exit::Partial })
}

fn matrix(args: &Ready) -> Result<Exit> {
    if args.questions {
        let line = |(section, word, worth, text): &(&str, &str, u32, &str)| {
            format!("{section:<11} {word:<20} {worth}  {text}\n")
        };
        print(QUESTIONS.iter().map(line).collect::<String>())?;
        return Ok(Exit::Met);
    }
    let mut rows = vec![];
    for path in &args.files {
        let ready: Readiness = toml_file(path)?;
        let scores = ready.scores();
        let scores = scores.map_err(|e| Exit::Usage.refuse(format!("{}: {e}", path.display())))?;
        rows.push((ready.domain, scores));
    }
    if args.format == Form::Json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(domain, scores)| json!({ "domain": domain, "scores": scores }))
            .collect();
        print(serde_json::to_string_pretty(&rows)? + "\n")?;
        return Ok(Exit::Met);
    }
    let mut out = String::new();
    for (domain, scores) in &rows {
        write!(out, "{domain:<12}")?;
        for (section, score) in scores {
            let unknown = if score.unknown > 0 {
                format!(" ({} unknown)", score.unknown)
            } else {
                String::new()
            };
            write!(out, "  {section} {}/{}{unknown}", score.points, score.of)?;
        }
        out.push('\n');
    }
    print(out)?;
    Ok(Exit::Met)
}

fn read(from: &From) -> Result<Signed> {
    use ashiato_collector::server::ServeError::Read;
    Signed::read(&from.directory, &from.signer).map_err(|e| match e {
        Read { .. } => Exit::Usage.refuse(e),
        other => Exit::Policy.refuse(other),
    })
}

fn toml_file<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|e| Exit::Usage.refuse(format!("cannot read {shown}: {e}")))?;
    toml::from_str(&text).map_err(|e| Exit::Usage.refuse(format!("{shown}: {e}")))
}
