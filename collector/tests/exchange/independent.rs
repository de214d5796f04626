//! A RID system that others could have written asks our collector: `rid_client.py`, which knows the RFCs alone.

use crate::realm::{Realm, border, hub, own_address, packet};
use crate::rig::LONG;
use ashiato_collector::exchange::Verdict;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;
use traceback::disclose::{Approval, Detail};

/// What the client prints, line by line.
struct Client {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Client {
    /// Asks `xb` in the name of `xa` about packet `n`.
    fn start(realm: &Realm, listen: SocketAddr, n: u32, id: &str) -> Self {
        let (me, them) = (&realm.lands[0].rig.dir, &realm.lands[1].rig.dir);
        let mut command = Command::new("python3");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rid_client.py"));
        let xa = me.join("domain-xa.pem");
        let key = me.join("domain-xa.key");
        command.arg("--certificate").arg(xa).arg("--key").arg(key);
        command.arg("--peer-certificate").arg(them.join("domain-xb.pem"));
        command.arg("--peer-authority").arg(them.join("ca.pem"));
        let peer = realm.lands[1].address.to_string();
        let listen = listen.to_string();
        let bytes = hex::encode(packet(n, 0));
        command
            .args(["--peer", &peer, "--listen", &listen, "--me", "xa", "--to", "xb", "--id", id]);
        command.args(["--packet", &bytes, "--seen", "1970-01-01T09:00:00.000000005+09:00"]);
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { _child: child, lines }
    }

    async fn line(&mut self) -> Value {
        let line = timeout(LONG, self.lines.next_line()).await.unwrap().unwrap();
        serde_json::from_str(&line.expect("the client says something")).unwrap()
    }
}

/// Two domains; the first one's place is taken by the client, which is called back at the address given here.
async fn realm(change: impl FnOnce(&mut Realm)) -> (Realm, SocketAddr) {
    let mut realm = Realm::new(2, &[(0, 1)]);
    let listen = own_address();
    realm.exchange(1).peers[0].address = listen;
    change(&mut realm);
    realm.start().await;
    realm.walk(1, &[1, 0]);
    (realm, listen)
}

/// Whether the client can run here; `make test` sees to it as root.
fn has_python() -> bool {
    let found = std::process::Command::new("python3").arg("--version").output().is_ok();
    if !found {
        println!("skipped: needs python3");
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_completed() {
    if !has_python() {
        return;
    }
    let (realm, listen) = realm(|_| {}).await;
    let said = Client::start(&realm, listen, 1, "CSIRT-2026-1").line().await;
    assert_eq!((&said["alive"], &said["elsewhere"]), (&json!(204), &json!(404)));
    let answer = &said["answer"];
    assert_eq!(answer["type"], "Result", "{said}");
    assert_eq!((&answer["id"], &answer["to"]), (&json!("CSIRT-2026-1"), &json!("xa")));
    assert_eq!((&answer["found"], &answer["source"]), (&json!(true), &json!(["xb"])));
    let path = [hub(1), border(1, 0)].map(|id| json!(["ipv4-addr", id.to_string()]));
    assert_eq!(answer["path"], json!(path));
    // A packet that did not pass there was not seen.
    let said = Client::start(&realm, listen, 2, "CSIRT-2026-2").line().await;
    let answer = &said["answer"];
    assert_eq!((&answer["type"], &answer["found"]), (&json!("Result"), &json!(false)), "{said}");
    assert_eq!(answer["path"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_denied() {
    if !has_python() {
        return;
    }
    let (realm, listen) = realm(|realm| realm.lands[1].policy.answers.detail = Detail::None).await;
    let said = Client::start(&realm, listen, 1, "CSIRT-2026-3").line().await;
    let answer = &said["answer"];
    assert_eq!(answer["type"], "Acknowledgement", "{said}");
    assert_eq!((&answer["status"], &answer["justification"]), (&json!("Denied"), &json!("Other")));
    assert_eq!((&answer["path"], &answer["found"]), (&json!([]), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_answer_comes_by_callback() {
    if !has_python() {
        return;
    }
    let one = |realm: &mut Realm| realm.lands[1].policy.answers.approval = Approval::OnePerson;
    let (realm, listen) = realm(one).await;
    let mut client = Client::start(&realm, listen, 1, "CSIRT-2026-4");
    assert_eq!(client.line().await, json!({ "waiting": true }));
    let mut operator = realm.operator(1, "alice").await;
    assert_eq!(operator.decide("CSIRT-2026-4", &Verdict::Approve).await.unwrap(), 0);
    let said = client.line().await;
    assert_eq!((&said["status"], &said["empty"]), (&json!(202), &json!(true)), "{said}");
    let callbacks = said["callbacks"].as_array().unwrap();
    assert!(callbacks.iter().all(|came| came["token_is_ours"] == true), "{said}");
    assert_eq!(callbacks.last().unwrap()["type"], "Result");
    assert_eq!(
        (&said["answer"]["type"], &said["answer"]["found"]),
        (&json!("Result"), &json!(true))
    );
}
