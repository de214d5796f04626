//! Documents that we send, judged by validators of others.
//!
//! `make test` brings them as root: xmllint with the schemas of the RFCs, the JSON schema of RFC 8727's authors,
//! and the Python package `stix2-validator`.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as expected")]

mod paper;

use ashiato_collector::dossier::Dossier;
use ashiato_collector::exchange::{Inquiry, Subject};
use ashiato_collector::rid::Body;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestRunner};
use std::path::{Path, PathBuf};
use std::process::Command;
use traceback::disclose::Tlp;

/// Dossiers with everything, of each label, and some that chance made.
fn dossiers() -> Vec<Dossier> {
    let labelled = Tlp::ALL.into_iter().map(|tlp| Dossier {
        inquiry: Inquiry { tlp, exercise: tlp == Tlp::Red, ..paper::question() },
        replies: vec![paper::answer()],
        at_unix_ms: 1_795_309_300_000,
    });
    let names = Inquiry { subject: Subject::Names { names: vec![] }, ..paper::question() };
    let bare = Dossier { inquiry: names, replies: vec![], at_unix_ms: 0 };
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let any = (0..8).map(|_| paper::dossier().new_tree(&mut runner).unwrap().current());
    let any: Vec<Dossier> = any.collect();
    labelled.chain([bare]).chain(any).collect()
}

/// A folder of this test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What xmllint says of files, and whether they pass.
fn xmllint(schema: &str, files: &[PathBuf]) -> Option<(bool, String)> {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(schema);
    let mut command = Command::new("xmllint");
    command.args(["--nonet", "--noout", "--schema"]).arg(schema).args(files);
    let said = command.output().ok()?;
    Some((said.status.success(), String::from_utf8_lossy(&said.stderr).into_owned()))
}

#[test]
fn xmllint_passes_every_message() {
    let folder = Folder::new("rid");
    let mut files = vec![];
    for (name, message) in paper::messages() {
        files.push(folder.put(&format!("{name}.xml"), &message.write()));
    }
    for (n, dossier) in dossiers().iter().enumerate() {
        files.push(folder.put(&format!("report-{n}.xml"), &dossier.report("xb").write()));
    }
    let Some((passes, said)) = xmllint("rid/iodef-rid-2.0.xsd", &files) else {
        println!("skipped: needs xmllint (libxml2-utils)");
        return;
    };
    assert!(passes, "{said}");
    // The validator has an opinion: without its policy a message fails.
    let text = String::from_utf8(paper::messages()[0].1.write()).unwrap();
    let wrong = folder
        .put("wrong.xml", text.replace("<iodef-rid:TrafficType", "<iodef-rid:Traffic").as_bytes());
    assert!(!xmllint("rid/iodef-rid-2.0.xsd", &[wrong]).unwrap().0);
}

#[test]
fn xmllint_passes_every_document() {
    let folder = Folder::new("iodef");
    let mut files = vec![];
    // Documents within messages are only looked at by the schema of messages: here by their own.
    for (name, message) in paper::messages() {
        let text = String::from_utf8(message.write()).unwrap();
        if let Some(from) = text.find("<IODEF-Document") {
            let end = text.find("</IODEF-Document>").unwrap() + "</IODEF-Document>".len();
            files.push(folder.put(&format!("{name}.xml"), &text.as_bytes()[from..end]));
        }
        assert_eq!(
            matches!(message.body, Body::Taken { .. } | Body::Query { .. }),
            !text.contains("<IODEF")
        );
    }
    for (n, dossier) in dossiers().iter().enumerate() {
        files.push(folder.put(&format!("{n}.xml"), &dossier.iodef().to_xml()));
    }
    let Some((passes, said)) = xmllint("iodef/iodef-2.0.xsd", &files) else {
        println!("skipped: needs xmllint (libxml2-utils)");
        return;
    };
    assert!(passes, "{said}");
    let text = std::fs::read_to_string(&files[0]).unwrap();
    let wrong =
        folder.put("wrong.xml", text.replace("<GenerationTime", "<Generationtime").as_bytes());
    assert!(!xmllint("iodef/iodef-2.0.xsd", &[wrong]).unwrap().0);
}

#[test]
fn the_json_schema_passes_every_document() {
    let schema = include_str!("data/iodef/iodef-json.draft14.fixed.schema.json");
    let schema = serde_json::from_str(schema).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    for dossier in dossiers() {
        let mut document: serde_json::Value =
            serde_json::from_slice(&dossier.iodef().to_json()).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&document)
            .map(|e| format!("{}: {e}", e.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
        document["Incident"][0].as_object_mut().unwrap().remove("GenerationTime");
        assert!(!validator.is_valid(&document));
    }
}

#[test]
fn the_stix_validator_passes_every_bundle() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let validator = target.join("stix/bin/stix2_validator");
    if !validator.exists() {
        println!("skipped: needs stix2-validator (.ci/stix)");
        return;
    }
    let folder = Folder::new("stix");
    let mut bundles = vec![];
    for (n, dossier) in dossiers().iter().enumerate() {
        let bytes = serde_json::to_vec_pretty(&dossier.stix()).unwrap();
        bundles.push(folder.put(&format!("{n}.json"), &bytes));
    }
    let judge =
        |files: &[PathBuf]| Command::new(&validator).arg("--silent").args(files).output().unwrap();
    let loud = |files: &[PathBuf]| {
        let said = Command::new(&validator).args(files).output().unwrap();
        String::from_utf8_lossy(&said.stdout).into_owned()
    };
    assert!(judge(&bundles).status.success(), "{}", loud(&bundles));
    let text = std::fs::read_to_string(&bundles[0]).unwrap();
    let wrong =
        folder.put("wrong.json", text.replace("\"number_observed\"", "\"observed\"").as_bytes());
    assert!(!judge(&[wrong]).status.success());
}
