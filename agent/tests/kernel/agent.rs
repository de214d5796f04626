//! The real program over one vantage, killed when this is dropped.

use ashiato_agent::config::{Collector, Config, Vantage};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

pub(crate) struct Agent {
    child: Child,
    dir: PathBuf,
}

impl Agent {
    /// Starts an agent whose state is in a folder of its own; `name` differs between tests.
    pub(crate) fn start(name: &str, vantage: Vantage) -> Self {
        Self::again(Self::folder(name, vantage))
    }

    /// A folder with an agent's configuration and keys.
    pub(crate) fn folder(name: &str, vantage: Vantage) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("ashiato-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let pair = rcgen::generate_simple_self_signed(vec!["collector".into()]).unwrap();
        let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
        std::fs::write(&cert, pair.cert.pem()).unwrap();
        std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
        let collector = Collector {
            // Nobody listens here.
            address: "127.0.0.1:1".parse().unwrap(),
            server_name: "collector".into(),
            ca: cert.clone(),
        };
        let vantages = vec![Vantage { cert, key_file: key, ..vantage }];
        std::fs::write(dir.join("agent.toml"), Config { collector, vantages }.to_toml()).unwrap();
        dir
    }

    /// Starts an agent in a folder that a dead one used.
    pub(crate) fn again(dir: PathBuf) -> Self {
        let command = Self::program(&dir);
        let (agent, ready) = Self::by(command, dir);
        assert_eq!(ready["event"], "ready", "{ready}");
        assert!((1..100_000).contains(&ready["clock_cost_ns"].as_u64().unwrap()), "{ready}");
        agent
    }

    /// Starts an agent in its folder by a command that lacks `run`, and returns its first line, too.
    pub(crate) fn by(mut command: Command, dir: PathBuf) -> (Self, Value) {
        command.args(["run", "--config"]).arg(dir.join("agent.toml"));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let said = serde_json::from_str(&line).unwrap();
        (Self { child, dir }, said)
    }

    /// The program with its state in a folder.
    pub(crate) fn program(dir: &std::path::Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ashiato-agent"));
        command.env("ASHIATO_AGENT_STATE", dir.join("state"));
        command
    }

    /// Journals that are there.
    pub(crate) fn journals(dir: &std::path::Path) -> usize {
        std::fs::read_dir(dir.join("state")).map_or(0, Iterator::count)
    }

    /// Kills it as nothing can be handled, and returns its folder.
    pub(crate) fn kill(mut self) -> PathBuf {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.dir.clone()
    }

    /// Ends it as an operator would.
    pub(crate) fn end(mut self) -> PathBuf {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        self.dir.clone()
    }

    /// Ends it, and returns the last line that it says.
    pub(crate) fn last_words(mut self) -> Value {
        let mut out = BufReader::new(self.child.stdout.take().unwrap());
        let dir = self.end();
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        std::fs::remove_dir_all(dir).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
