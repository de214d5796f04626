//! Putting a pursuit's questions, and telling it what comes back.

use super::http::{Given, PostError, post};
use super::join::{Branch, Flag, Kind};
use super::letter::{self, Letter};
use super::office::{Office, ahead_ms, now_ms};
use super::outgoing::after_all;
use super::pursuit::{Errand, Pursuit};
use super::tell::about;
use super::{Inquiry, Reply, Status};
use crate::clock::Utc;
use hyper::StatusCode;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep, timeout};
use traceback::disclose::Tlp;

/// How often a question is put again where the connection fails, and the first time in between.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(100);

/// A question that waits for its answer.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Who was asked.
    pub peer: String,
    /// The token of the later answer, where one was promised.
    pub token: Option<String>,
    node: usize,
    tell: UnboundedSender<News>,
}

/// Something that a pursuit must hear.
#[derive(Debug)]
enum News {
    Reply(usize, Box<Reply>),
    Acknowledged(usize),
    Clock(usize, i64),
}

impl Waiting {
    /// Passes a reply on; true where it is the answer, not only the word that it will come.
    pub(super) fn hear(&self, reply: Reply, ahead: i64) -> bool {
        let pending = matches!(reply.status, Status::Pending { .. });
        let news = if pending {
            News::Acknowledged(self.node)
        } else {
            News::Reply(self.node, Box::new(reply))
        };
        // A pursuit that is over hears nothing more.
        let _ = self.tell.send(News::Clock(self.node, ahead));
        let _ = self.tell.send(news);
        !pending
    }
}

/// Drives a pursuit to its end.
pub(super) async fn drive(
    office: &Arc<Office>,
    mut pursuit: Pursuit,
    mut errands: Vec<Errand>,
) -> Pursuit {
    let (tell, mut told) = unbounded_channel();
    let mut words = vec![];
    loop {
        for errand in errands {
            let (node, peer) = (errand.node, errand.to.clone());
            let waiting = Waiting { peer, token: None, node, tell: tell.clone() };
            words.push(errand.inquiry.id.clone());
            office.waiting().insert(errand.inquiry.id.clone(), waiting);
            tokio::spawn(put(office.clone(), errand));
        }
        let Some(deadline) = pursuit.next_deadline() else { break };
        let until = Instant::now() + Duration::from_millis(deadline.saturating_sub(now_ms()));
        let news = tokio::select! {
            news = told.recv() => news,
            () = tokio::time::sleep_until(until) => None,
        };
        let now = now_ms();
        errands = match news {
            Some(News::Reply(node, reply)) => pursuit.take(node, *reply, now),
            Some(News::Acknowledged(node)) => {
                pursuit.acknowledge(node, now);
                vec![]
            }
            Some(News::Clock(node, ahead)) => {
                clock(office, &mut pursuit, node, ahead);
                vec![]
            }
            None => pursuit.expire(now),
        };
    }
    let mut waiting = office.waiting();
    for word in words {
        waiting.remove(&word);
    }
    drop(waiting);
    pursuit
}

/// Puts one question that leads to no other.
pub(super) async fn ask_one(office: &Arc<Office>, to: String, inquiry: Inquiry) -> Branch {
    let (tell, mut told) = unbounded_channel();
    let waiting = Waiting { peer: to.clone(), token: None, node: 0, tell };
    let (id, deadline, tlp) = (inquiry.id.clone(), inquiry.deadline_ms, inquiry.tlp);
    let asked_ms = now_ms();
    office.waiting().insert(id.clone(), waiting);
    tokio::spawn(put(office.clone(), Errand { node: 0, to: to.clone(), inquiry }));
    let (mut reply, mut acknowledged_ms) = (None, None);
    let heard = async {
        while let Some(news) = told.recv().await {
            match news {
                News::Reply(_, came) => return reply = Some(*came),
                News::Acknowledged(_) => acknowledged_ms = Some(now_ms()),
                News::Clock(..) => {}
            }
        }
    };
    let left = Duration::from_millis(deadline.saturating_sub(asked_ms));
    let answered = timeout(left, heard).await.is_ok();
    office.waiting().remove(&id);
    let took = now_ms().saturating_sub(asked_ms);
    let silent = Reply::bare(id, &to, Status::Silent, tlp, took);
    Branch {
        towards: String::new(),
        packets: vec![],
        asked_ms: Some(asked_ms),
        acknowledged_ms,
        answered_ms: answered.then(now_ms),
        reply: reply.unwrap_or(silent),
        further: vec![],
    }
}

fn clock(office: &Office, pursuit: &mut Pursuit, node: usize, ahead: i64) {
    if ahead.unsigned_abs() > office.domain.config.bounds.clock_ms {
        let way = if ahead > 0 { "ahead of" } else { "behind" };
        let what = format!("its clock is about {} s {way} ours", ahead.unsigned_abs() / 1_000);
        let flag = Flag::new(Kind::Clock, pursuit.domain(node), None, &[], what);
        pursuit.flag(flag);
    }
}

/// Puts a question, and tells what came of it.
async fn put(office: Arc<Office>, errand: Errand) {
    let (id, to) = (errand.inquiry.id.clone(), errand.to);
    let line = json!({ "to": to, "id": id, "about": about(&errand.inquiry), "tlp": errand.inquiry.tlp,
        "subject": kind(&errand.inquiry), "exercise": errand.inquiry.exercise,
        "until": office.until(now_ms()) });
    let noted = office.book.note("asked", line);
    let (tlp, deadline_ms) = (errand.inquiry.tlp, errand.inquiry.deadline_ms);
    let heard = match noted.await {
        // What is not written down does not leave.
        Err(e) => Err(e.to_string()),
        Ok(()) => match office.domain.expired(&to, Utc::now()) {
            Some(why) => Err(why),
            None => asked(&office, &to, &errand.inquiry).await,
        },
    };
    match heard {
        Ok(Some((reply, ahead))) => hear(&office, &to, reply, ahead).await,
        Ok(None) => {}
        Err(why) if now_ms() < deadline_ms => {
            let reply = failed(&id, &to, why, tlp);
            hear(&office, &to, reply, 0).await;
        }
        // Who gave nothing before the deadline is silent, which the pursuit finds out itself.
        Err(_) => {}
    }
}

/// What a peer says to a question at once; `None` where it comes later.
async fn asked(
    office: &Office,
    to: &str,
    inquiry: &Inquiry,
) -> Result<Option<(Reply, i64)>, String> {
    let (given, again) = send(office, to, inquiry).await?;
    let heard = open(office, &inquiry.id, to, given)?;
    let lost = again && heard.as_ref().is_some_and(|(r, _)| r.status == Status::AlreadySeen);
    let told = if lost { what_became(office, to, inquiry).await } else { None };
    Ok(told.map(|reply| (reply, 0)).or(heard))
}

/// The reply in a response; `None` where it comes later.
fn open(
    office: &Office,
    id: &str,
    peer: &str,
    given: Given,
) -> Result<Option<(Reply, i64)>, String> {
    if given.status == StatusCode::ACCEPTED {
        let token = given.token.ok_or("the answer is to come later, without a token")?;
        if let Some(waiting) = office.waiting().get_mut(id) {
            waiting.token = Some(token);
        }
        return Ok(None);
    }
    match Letter::read(&given.body, peer, office.domain.id()) {
        Ok(Letter::Reply(reply)) if reply.inquiry == id && reply.domain == peer => {
            Ok(Some((reply, ahead_ms(given.clock, now_ms()))))
        }
        Ok(_) => Err("the response is no answer to this question".into()),
        Err(e) => Err(e.why),
    }
}

/// Notes what was heard, and passes it on; an answer that nobody waits for any more is said to be late.
pub(super) async fn hear(office: &Arc<Office>, peer: &str, reply: Reply, ahead: i64) {
    let line = json!({ "from": peer, "id": reply.inquiry, "status": reply.status, "rule": reply.rule,
        "tlp": reply.tlp, "withheld": reply.withheld, "took_ms": reply.took_ms,
        "until": office.until(now_ms()) });
    let (id, from, status) = (reply.inquiry.clone(), peer.to_owned(), reply.status.clone());
    let waits = office.waiting().contains_key(&id);
    let noted = office.book.write(move |page| {
        page.note("heard", line);
        if waits { Ok(true) } else { after_all(page, &from, &id, &status) }
    });
    if let Err(e) = noted.await {
        tracing::error!("exchange: {e}");
    }
    // Once it is over, a pursuit hears nothing more; until then also what comes after the deadline.
    let id = reply.inquiry.clone();
    let mut waiting = office.waiting();
    if waiting.get(&id).is_some_and(|w| w.hear(reply, ahead)) {
        waiting.remove(&id);
    }
}

/// What became of a question whose first response broke off: it was looked into, and is not looked into twice.
async fn what_became(office: &Office, to: &str, inquiry: &Inquiry) -> Option<Reply> {
    let body = letter::query(&inquiry.id, to, &inquiry.origin);
    let given = post_to(office, to, body, None).await.ok()?;
    let Ok(Letter::Report(report)) = Letter::read(&given.body, to, office.domain.id()) else {
        return None;
    };
    letter::told(&report).filter(|reply| reply.inquiry == inquiry.id && reply.domain == to)
}

/// What a peer gives back, and whether it was asked more than once. It is waited for beyond the deadline: a late answer is heard, and said to be late.
async fn send(office: &Office, to: &str, inquiry: &Inquiry) -> Result<(Given, bool), String> {
    let region = office.domain.peer(to).map(|peer| peer.region).unwrap_or_default();
    let body = letter::ask(inquiry, to, region);
    let mut pause = PAUSE;
    for attempt in 1..TRIES {
        match post_to(office, to, body.clone(), None).await {
            Err(PostError::Connect { .. } | PostError::Broken { .. })
                if now_ms() < inquiry.deadline_ms =>
            {
                sleep(pause).await;
            }
            other => return other.map(|given| (given, attempt > 1)).map_err(|e| e.to_string()),
        }
        pause *= 2;
    }
    post_to(office, to, body, None).await.map(|given| (given, true)).map_err(|e| e.to_string())
}

/// Posts a document to a peer.
pub(super) async fn post_to(
    office: &Office,
    to: &str,
    body: Vec<u8>,
    token: Option<&str>,
) -> Result<Given, PostError> {
    let peer = office.domain.peer(to).zip(office.clients.get(to));
    let (peer, tls) = peer.expect("invariant: only peers are asked and answered");
    post(peer.address, tls.clone(), body, token, &office.domain.config.bounds).await
}

fn failed(id: &str, peer: &str, why: String, tlp: Tlp) -> Reply {
    Reply::bare(id.into(), peer, Status::Failed { why }, tlp, 0)
}

fn kind(inquiry: &Inquiry) -> &'static str {
    match inquiry.subject {
        super::Subject::Packets { .. } => "packets",
        super::Subject::Names { .. } => "names",
    }
}

/// The sender's clock against ours.
pub(super) fn ahead(clock: Option<SystemTime>) -> i64 {
    ahead_ms(clock, now_ms())
}
