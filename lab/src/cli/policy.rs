//! `ashiato policy show|test FILE`: a domain's policy, and what it would let out of a record, to whom, when.

use super::form::Form;
use crate::clock::unix_ns;
use crate::exit::Exit;
use crate::policy::{Answer, Question, Record};
use crate::scenario::policies;
use anyhow::Context;
use clap::Subcommand;
use comfy_table::{Table, presets};
use serde_json::{Value, json};
use std::path::PathBuf;
use traceback::disclose::{Policy, Terms};

/// Arguments of `ashiato policy`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The rules of a policy.
    Show {
        /// The policy's file.
        file: PathBuf,
        /// How to print.
        #[arg(long, value_enum, default_value_t, env = "ASHIATO_POLICY_FORMAT")]
        format: Form,
    },
    /// What it would let out of a record, field by field; exit 5 where it refuses.
    Test(Test),
}

#[derive(Debug, clap::Args)]
struct Test {
    /// The policy's file.
    file: PathBuf,
    /// The domain that asks.
    #[arg(long, required_unless_present = "all", env = "ASHIATO_POLICY_REQUESTER")]
    requester: Option<String>,
    /// The domain that began, where the requester asks for another.
    #[arg(long, env = "ASHIATO_POLICY_ORIGIN")]
    origin: Option<String>,
    /// What the answer is for.
    #[arg(long, default_value = "traceback", env = "ASHIATO_POLICY_PURPOSE")]
    purpose: String,
    /// The question's own label.
    #[arg(long, default_value = "AMBER", env = "ASHIATO_POLICY_TLP")]
    tlp: String,
    /// When: "HH:MM" in UTC, or seconds since the Unix epoch; now where left out.
    #[arg(long, env = "ASHIATO_POLICY_AT")]
    at: Option<String>,
    /// Questions of this requester in the hour before.
    #[arg(long, default_value_t = 0, env = "ASHIATO_POLICY_ASKED")]
    asked: u32,
    /// A record, as JSON; docs/scenario.md has one.
    #[arg(long, value_name = "FILE", conflicts_with = "path", env = "ASHIATO_POLICY_RECORD")]
    record: Option<PathBuf>,
    /// Routers of the domain that packets passed, that nearest the source first, by name; `--scenario` has
    /// them.
    #[arg(long, value_name = "ROUTER,ROUTER", value_delimiter = ',', requires = "scenario")]
    path: Vec<String>,
    /// The scenario that routers of `--path` are in.
    #[arg(long, value_name = "FILE", env = "ASHIATO_POLICY_SCENARIO")]
    scenario: Option<PathBuf>,
    /// A row for everybody whom rules name, and one for anybody else.
    #[arg(long, conflicts_with = "requester")]
    all: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t, env = "ASHIATO_POLICY_FORMAT")]
    format: Form,
}

/// Runs the verb.
///
/// # Errors
/// [`Exit::Usage`] with everything that is wrong with a file.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    match &args.what {
        What::Show { file, format } => {
            let policy = policies::read(file).map_err(|report| Exit::Usage.refuse(report))?;
            match format {
                Form::Json => super::print(format!("{:#}\n", json!(policy)))?,
                Form::Table => super::print(show(&policy))?,
            }
            Ok(Exit::Met)
        }
        What::Test(test) => test.run(),
    }
}

impl Test {
    fn run(&self) -> anyhow::Result<Exit> {
        let policy = policies::read(&self.file).map_err(|report| Exit::Usage.refuse(report))?;
        let record = self.record(&policy)?;
        let tlp = self.tlp.parse().map_err(|e| Exit::Usage.refuse(format!("--tlp: {e}")))?;
        let question = |requester: &str| {
            anyhow::Ok(Question {
                requester: requester.into(),
                origin: self.origin.clone().unwrap_or_else(|| requester.into()),
                purpose: self.purpose.clone(),
                tlp,
                at_unix_s: self.at()?,
                asked_in_last_hour: self.asked,
            })
        };
        if self.all {
            let named = crate::policy::requesters(&policy);
            let answers = named.iter().map(|who| Ok((who, question(who)?.put(&policy, &record))));
            let answers: Vec<(&String, Answer)> = answers.collect::<anyhow::Result<_>>()?;
            match self.format {
                Form::Json => {
                    let all = answers.iter().map(|(who, a)| ((*who).clone(), json!(a)));
                    super::print(format!("{:#}\n", all.collect::<Value>()))?;
                }
                Form::Table => super::print(matrix(&answers))?,
            }
            return Ok(Exit::Met);
        }
        let requester = self.requester.as_deref().unwrap_or_default();
        let answer = question(requester)?.put(&policy, &record);
        match self.format {
            Form::Json => super::print(format!("{:#}\n", json!(answer)))?,
            Form::Table => super::print(one(&policy, requester, &answer))?,
        }
        Ok(if answer.refused.is_some() { Exit::Policy } else { Exit::Met })
    }

    fn record(&self, policy: &Policy) -> anyhow::Result<Record> {
        if let Some(file) = &self.record {
            let text = std::fs::read(file)
                .map_err(|e| Exit::Usage.refuse(format!("cannot read {}: {e}", file.display())))?;
            return serde_json::from_slice(&text)
                .map_err(|e| Exit::Usage.refuse(format!("{}: {e}", file.display())));
        }
        let Some(file) = &self.scenario else { return Ok(Record::example()) };
        let given = super::load::Given::of(file);
        let (_, plan) = given.plan()?;
        Record::of(&plan, &policy.domain, &self.path).map_err(|e| Exit::Usage.refuse(e))
    }

    fn at(&self) -> anyhow::Result<u64> {
        let Some(text) = &self.at else { return Ok(unix_ns() / 1_000_000_000) };
        let clock = text.split_once(':').and_then(|(h, m)| {
            let (hour, minute) = (h.parse::<u64>().ok()?, m.parse::<u64>().ok()?);
            (hour < 24 && minute < 60).then_some(hour * 3_600 + minute * 60)
        });
        let bad = || Exit::Usage.refuse(format!("--at {text}: write \"09:30\", or seconds"));
        clock.or_else(|| text.parse().ok()).with_context(|| bad().to_string()).map_err(|_| bad())
    }
}

/// A table without lines.
fn table<const N: usize>(header: [&str; N], rows: Vec<[String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header).add_rows(rows);
    let lines = table.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

fn show(policy: &Policy) -> String {
    let any = |list: &Option<Vec<String>>| list.as_ref().map_or("any".into(), |l| l.join(", "));
    let or_any = |text: Option<String>| text.unwrap_or_else(|| "any".into());
    let usual = policy.usual();
    let rules = policy.rules.iter().map(|rule| {
        let (hours, rate) = (rule.hours.map(|h| h.to_string()), rule.rate.map(|r| r.to_string()));
        let names = [any(&rule.requester), any(&rule.purpose), or_any(hours), or_any(rate)];
        row(names, &rule.terms(&policy.answers))
    });
    let rest = ["anybody else", "any", "any", "any"].map(String::from);
    let rows = rules.chain([row(rest, &usual)]).collect();
    let header = [
        "RULE",
        "REQUESTER",
        "PURPOSE",
        "HOURS",
        "RATE",
        "DETAIL",
        "LABEL",
        "APPROVAL",
        "TIME",
        "KEPT",
        "FIELDS",
    ];
    let Policy { domain, version, marks, .. } = policy;
    format!("{domain}, version {version}; routers write: {marks}\n\n{}", table(header, rows))
}

/// A rule: whom and when it names, and what it tells.
fn row([requester, purpose, hours, rate]: [String; 4], terms: &Terms) -> [String; 11] {
    let fields = terms.fields.iter().map(|(f, t)| format!("{} {}", f.word(), t.word()));
    [
        terms.rule.clone(),
        requester,
        purpose,
        hours,
        rate,
        terms.detail.to_string(),
        terms.tlp.to_string(),
        crate::policy::word(terms.approval),
        terms.time.to_string(),
        terms.retain.to_string(),
        fields.collect::<Vec<_>>().join(", "),
    ]
}

fn one(policy: &Policy, requester: &str, answer: &Answer) -> String {
    let Policy { domain, version, .. } = policy;
    let head = match (&answer.refused, &answer.terms) {
        (Some(refusal), _) => format!("{domain} refuses {requester}: {}", refusal.why),
        (None, Some(terms)) => format!(
            "{domain} answers {requester} by rule \"{}\" (version {version}): {}, {}, approval {}, kept {} at most",
            terms.rule,
            terms.shown(),
            terms.tlp,
            crate::policy::word(terms.approval),
            terms.retain
        ),
        (None, None) => String::new(),
    };
    let row = |f: &crate::policy::FieldRow| {
        [
            f.field.clone(),
            f.treatment.clone(),
            f.shown.clone().unwrap_or("-".into()),
            f.rule.clone(),
        ]
    };
    let rows: Vec<_> = answer.fields.iter().map(row).collect();
    format!("{head}\n\n{}", table(["FIELD", "TREATMENT", "SHOWN", "RULE"], rows))
}

fn matrix(answers: &[(&String, Answer)]) -> String {
    let row = |(who, answer): &(&String, Answer)| {
        let told = |field: &str| {
            let found = answer.fields.iter().find(|f| f.field == field);
            found.and_then(|f| f.shown.clone()).unwrap_or_else(|| "-".into())
        };
        let rule = match (&answer.refused, &answer.terms) {
            (Some(refusal), _) => format!("refused: {}", refusal.why),
            (None, terms) => terms.as_ref().map(|t| t.rule.clone()).unwrap_or_default(),
        };
        [(*who).clone(), rule, told("addresses"), told("hops"), told("origin"), told("times")]
    };
    let header = ["REQUESTER", "RULE", "ADDRESSES", "HOPS", "ORIGIN", "TIMES"];
    table(header, answers.iter().map(row).collect())
}
