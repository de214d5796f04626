//! The compose file: text that docker-compose 1.29 and `docker compose` 2 both read.

use super::{Compose, Container, DIRECTOR, KEYS};
use crate::netns::own_settings;
use std::fmt::Write;

/// What of a compose file is not the plan's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The image, which holds the three programs.
    pub image: String,
    /// The scenario's file on the machine.
    pub scenario: String,
    /// Arguments over it, such as `--seed=3`.
    pub given: Vec<String>,
    /// Where run folders go on the machine; the director adds one named by the run.
    pub runs: String,
    /// Whether that is the run's own folder instead, which is empty.
    pub one: bool,
    /// Whether the engine is too old for CAP_BPF and CAP_PERFMON: then CAP_SYS_ADMIN stands for them,
    /// where the datapath loads programs.
    pub sys_admin: bool,
}

impl Compose {
    /// The file's text.
    pub fn to_yaml(&self, options: &Options) -> String {
        let mut out = self.head(options);
        self.services(&mut out, options);
        for container in &self.containers {
            node(&mut out, container);
        }
        let _ = write!(
            out,
            "\nnetworks:\n  underlay:\n    internal: true\n    labels: *labels\n    ipam:\n      \
             config: [{{ subnet: {} }}]\n\nvolumes:\n  keys:\n    labels: *labels\n",
            self.subnet
        );
        out
    }

    fn head(&self, options: &Options) -> String {
        let (scenario, image) = (&options.scenario, &options.image);
        let words = std::iter::once(scenario).chain(&options.given);
        let words: Vec<&str> = words.map(String::as_str).collect();
        let mut out = format!(
            "# Written by `ashiato compose {}`.\n# The image is made by `make image`. Then:\n\
             #   docker-compose up\n\
             #   docker-compose down --volumes\n",
            words.join(" ")
        );
        let _ = write!(
            out,
            "\nx-labels: &labels\n  ashiato: \"\"\n  ashiato.run: ${{ASHIATO_RUN:-compose}}\n\n\
             x-program: &program\n  image: {image}\n  labels: *labels\n  cap_drop: [ALL]\n  \
             security_opt: [\"no-new-privileges:true\"]\n  read_only: true\n  tmpfs: [/run, /tmp]\n\n\
             x-node: &node\n  <<: *program\n  cap_add: [{}]\n  volumes: [\"keys:/keys:ro\"]\n  \
             depends_on: {{ {KEYS}: {{ condition: service_completed_successfully }} }}\n  \
             healthcheck: {{ test: [CMD, /ashiato, host, --check], interval: 30s, timeout: 10s }}\n",
            self.capabilities(options).join(", ")
        );
        for (anchor, forwards) in [("router", true), ("leaf", false)] {
            if self.containers.iter().any(|c| c.forwards == forwards) {
                let _ = writeln!(out, "\nx-{anchor}: &{anchor}");
                for (key, value) in own_settings(forwards) {
                    let _ = writeln!(out, "  net.{key}: {value}");
                }
            }
        }
        out
    }

    fn services(&self, out: &mut String, options: &Options) {
        let given: String = options.given.iter().map(|g| format!(", {}", quoted(g))).collect();
        let subnet = quoted(&format!("--subnet={}", self.subnet));
        let scenario = quoted(&format!("{}:/scenario.toml:ro", options.scenario));
        let single = if options.one { ", --out, /out/runs" } else { "" };
        let runs = quoted(&format!("{}:/out/runs", options.runs));
        let _ = write!(
            out,
            "\nservices:\n  {KEYS}:\n    <<: *program\n    network_mode: none\n    command: [compose, \
             /scenario.toml, --prepare, /keys, {subnet}{given}]\n    volumes: [{scenario}, \
             \"keys:/keys\"]\n\n  {DIRECTOR}:\n    <<: *program\n    cap_add: [DAC_OVERRIDE]\n    working_dir: /out\n    command: \
             [run, /scenario.toml, --world, hosts, --hosts, /keys/{DIRECTOR}/placement.toml{single}{given}]\n    \
             volumes: [{scenario}, \"keys:/keys:ro\", {runs}]\n    depends_on: {{ {KEYS}: {{ \
             condition: service_completed_successfully }} }}\n    networks: {{ underlay: {{ \
             ipv4_address: {} }} }}\n",
            self.director
        );
    }

    /// The least that the datapath needs.
    pub(super) fn capabilities(&self, options: &Options) -> Vec<&'static str> {
        let mut all = vec!["NET_ADMIN", "NET_RAW"];
        if self.datapath.kernel_forwards() {
            let more: &[_] = if options.sys_admin { &["SYS_ADMIN"] } else { &["BPF", "PERFMON"] };
            all.extend(more);
        }
        all
    }
}

fn node(out: &mut String, container: &Container) {
    let Container { name, address, forwards } = container;
    let anchor = if *forwards { "router" } else { "leaf" };
    let _ = write!(
        out,
        "\n  {name}:\n    <<: *node\n    command: [host, --once, --config, /keys/{name}/host.toml, \
         --site, /keys/{name}/site.toml]\n    \
         sysctls: *{anchor}\n    networks: {{ underlay: {{ ipv4_address: {address} }} }}\n"
    );
}

/// A string as YAML reads it, whatever is in it: JSON's form is one of YAML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text.replace('$', "$$")).to_string()
}
