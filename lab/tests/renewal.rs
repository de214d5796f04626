//! Certificates that are renewed by themselves: the same key or a new one, no token, and not once they were revoked.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use support::{run_id, state};

/// An authority's desk and one machine's folder.
struct Trial {
    dir: PathBuf,
    desk: Child,
    address: String,
}

fn program(name: &str) -> Command {
    let path = Path::new(env!("CARGO_BIN_EXE_ashiato")).with_file_name(name);
    let mut command = Command::new(path);
    command.stdin(Stdio::null());
    command
}

impl Trial {
    fn open(days: u32) -> Self {
        let dir = state(&run_id());
        let mut init = program("ashiato-collector");
        assert!(
            init.args(["authority", "init"])
                .arg(dir.join("keys"))
                .output()
                .unwrap()
                .status
                .success()
        );
        let (desk, address) = serve(&dir, days);
        Self { dir, desk, address }
    }

    fn own(&self, name: &str) -> String {
        fs::read_to_string(self.dir.join("own").join(name)).unwrap()
    }

    fn enrol(&self) {
        let mut token = program("ashiato-collector");
        token.arg("token").arg(self.dir.join("keys")).args([
            "host/lab-a",
            "--address",
            &self.address,
        ]);
        fs::write(self.dir.join("token"), token.output().unwrap().stdout).unwrap();
        let mut enrol = program("ashiato-agent");
        enrol.arg("enrol").arg("--token").arg(self.dir.join("token"));
        let done = enrol.arg("--dir").arg(self.dir.join("own")).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    fn renew(&self, folder: &str, more: &[&str]) -> Output {
        let mut renew = program("ashiato-agent");
        renew.arg("renew").arg("--dir").arg(self.dir.join(folder)).args(more).output().unwrap()
    }

    fn refused(&self, folder: &str, why: &str) {
        let done = self.renew(folder, &[]);
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.code() == Some(3) && said.contains(why), "{why}: {said}");
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let _ = self.desk.kill();
        let _ = self.desk.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Starts the desk of an authority; it and where it listens.
fn serve(dir: &Path, days: u32) -> (Child, String) {
    let mut desk = program("ashiato-collector");
    desk.args(["authority", "serve", "--listen", "127.0.0.1:0", "--days", &days.to_string()]);
    let mut desk = desk.arg(dir.join("keys")).stdout(Stdio::piped()).spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(desk.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
    (desk, ready["listen"].as_str().unwrap().to_owned())
}

#[test]
fn a_certificate_renews_itself_until_it_is_revoked() {
    let trial = Trial::open(5);
    trial.enrol();
    let files = || (trial.own("own.key"), trial.own("own.pem"));
    let first = files();
    // Timers ask often: nothing happens before it is time.
    assert!(trial.renew("own", &["--within", "4"]).status.success());
    assert_eq!(files(), first);
    let done = trial.renew("own", &["--within", "6"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let second = files();
    assert!(second.0 == first.0 && second.1 != first.1, "the same key, another certificate");
    // A new key: the old one is nobody's from then on.
    fs::create_dir(trial.dir.join("old")).unwrap();
    for name in ["own.key", "own.pem", "ca.pem", "authority"] {
        fs::copy(trial.dir.join("own").join(name), trial.dir.join("old").join(name)).unwrap();
    }
    let done = trial.renew("own", &["--rotate"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let third = files();
    assert!(third.0 != second.0 && third.1 != second.1);
    trial.refused("old", "not enrolled with this key, or was revoked");
    assert!(trial.renew("own", &[]).status.success());
    // Somebody else's key with this certificate: TLS does not let it in.
    fs::write(trial.dir.join("old/own.pem"), trial.own("own.pem")).unwrap();
    trial.refused("old", "");
    let mut revoke = program("ashiato-collector");
    revoke.args(["authority", "revoke"]).arg(trial.dir.join("keys")).arg("host/lab-a");
    assert!(revoke.output().unwrap().status.success());
    let last = files();
    trial.refused("own", "not enrolled with this key, or was revoked");
    assert_eq!(files(), last, "a refusal leaves the files alone");
    assert!(!trial.dir.join("own/own.key.new").exists());
}

#[test]
fn one_that_has_ended_needs_a_token() {
    let trial = Trial::open(0);
    trial.enrol();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    trial.refused("own", "its certificate has ended");
}
