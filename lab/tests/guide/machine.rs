//! A machine: a shell in namespaces of its own, over a file system that begins as this host's and takes its
//! changes with it.

use crate::support::{run_id, state};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// How long a step may take.
const PATIENCE: Duration = Duration::from_secs(150);

/// What the shell of a machine does before it obeys. Arguments: a folder, the machine's name.
const BEGIN: &str = r#"
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
mount --rbind /dev dev
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
rm -rf etc/ashiato var/lib/ashiato
mkdir -p srv/field
hostname "$2"
exec chroot "$1/root" /usr/bin/env -i -C /srv/field HOME=/srv/field TERM=dumb LC_ALL=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin bash --norc 2>&1
"#;

/// Machines, and the network between them.
pub(crate) struct Lab {
    pub(crate) dir: PathBuf,
    spaces: Vec<String>,
    machines: Vec<Machine>,
}

pub(crate) struct Machine {
    name: String,
    /// The shell, which is its first process: when it ends, all of them do.
    shell: Child,
    hands: ChildStdin,
    said: Receiver<String>,
    /// Its file system, as seen from here.
    root: PathBuf,
}

fn ip(line: &str) {
    let out = Command::new("ip").args(line.split(' ')).output().unwrap();
    assert!(out.status.success(), "ip {line}: {}", String::from_utf8_lossy(&out.stderr));
}

impl Lab {
    pub(crate) fn open(machines: &[(&str, &str)]) -> Self {
        let run = run_id();
        let (dir, id) = (state(&run), run[run.len() - 6..].to_lowercase());
        let mut lab = Self { dir, spaces: vec![], machines: vec![] };
        let switch = format!("t{id}-switch");
        ip(&format!("netns add {switch}"));
        lab.spaces.push(switch.clone());
        ip(&format!("-n {switch} link add br0 type bridge"));
        ip(&format!("-n {switch} link set br0 up"));
        for (i, (name, address)) in machines.iter().enumerate() {
            let space = format!("t{id}-{name}");
            ip(&format!("netns add {space}"));
            lab.spaces.push(space.clone());
            ip(&format!("-n {space} link add eth0 type veth peer name c{i} netns {switch}"));
            ip(&format!("-n {switch} link set c{i} master br0 up"));
            ip(&format!("-n {space} addr add {address}/24 dev eth0"));
            ip(&format!("-n {space} link set eth0 up"));
            ip(&format!("-n {space} link set lo up"));
            let folder = lab.dir.join(name);
            fs::create_dir(&folder).unwrap();
            lab.machines.push(Machine::start(name, &space, &folder));
        }
        lab
    }

    pub(crate) fn machine(&mut self, name: &str) -> &mut Machine {
        let found = self.machines.iter_mut().find(|m| m.name == name);
        found.unwrap_or_else(|| panic!("the guide has no machine {name}"))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.machines.clear();
        for space in &self.spaces {
            let _ = Command::new("ip").args(["netns", "del", space]).status();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Machine {
    fn start(name: &str, space: &str, folder: &Path) -> Self {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{space}"));
        command.args(["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"]);
        command.args(["bash", "-c", BEGIN, "begin"]).arg(folder).arg(name);
        let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (hands, out) = (shell.stdin.take().unwrap(), shell.stdout.take().unwrap());
        let (pass, said) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(out).split(b'\n').map_while(Result::ok);
            lines.take_while(|l| pass.send(String::from_utf8_lossy(l).into_owned()).is_ok()).count()
        });
        let root = PathBuf::new();
        let mut machine = Self { name: name.into(), shell, hands, said, root };
        machine.run("true\n", None);
        // The shell is the only child of `unshare`, and the first process of its namespace.
        let unshare = machine.shell.id();
        let children = format!("/proc/{unshare}/task/{unshare}/children");
        let first = fs::read_to_string(children).unwrap();
        machine.root = PathBuf::from(format!("/proc/{}/root", first.trim()));
        machine
    }

    /// The folder in which its commands run.
    pub(crate) fn home(&self) -> PathBuf {
        self.root.join("srv/field")
    }

    /// Gives it a file.
    pub(crate) fn take(&self, source: &Path, name: &Path) {
        let to = self.home().join(name.file_name().unwrap());
        fs::copy(source, &to)
            .unwrap_or_else(|e| panic!("{} to {}: {e}", source.display(), to.display()));
    }

    /// Runs commands as they are typed; each must succeed, or the last must end with `code`. Returns what
    /// was said.
    pub(crate) fn run(&mut self, text: &str, code: Option<i32>) -> String {
        // In braces, so that nothing reads what is typed next.
        let typed = format!(
            "trap 'failed=1; printf \"FAILED: %s\\n\" \"$BASH_COMMAND\"' ERR; failed=0\n\
             {{\n{text}}} < /dev/null\ncode=$?; printf '\\n@@%s %s\\n' \"$failed\" \"$code\"\n"
        );
        self.hands.write_all(typed.as_bytes()).unwrap();
        let mut said = String::new();
        loop {
            match self.said.recv_timeout(PATIENCE) {
                Ok(line) if line.starts_with("@@") => {
                    let (failed, last) = line[2..].split_once(' ').unwrap();
                    let good = code.map_or(failed == "0", |code| last == code.to_string());
                    let wanted = code.unwrap_or(0);
                    assert!(
                        good,
                        "{}: ended with {last}, not {wanted}:\n{text}\n{said}",
                        self.name
                    );
                    return said;
                }
                Ok(line) => said += &(line + "\n"),
                Err(RecvTimeoutError::Timeout) => panic!("{}: hangs:\n{text}\n{said}", self.name),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("{}: is dead:\n{text}\n{said}", self.name)
                }
            }
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // `unshare` takes its child along, and that, as the first process, all others.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
