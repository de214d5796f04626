//! What domains of a plan show and tell, and the best recall that this leaves.

use super::table;
use crate::plan::{Ceiling, Decision, Domain, Node, Plan, SchemePlan};
use traceback::Nanos;
use traceback::disclose::Cut;
use traceback::scheme::{Keeper, Names};

/// What each domain shows and tells; nothing where all show everything.
pub(super) fn domains(plan: &Plan) -> Option<String> {
    if plan.shows_all() {
        return None;
    }
    let home = &plan.domains[plan.home()].id;
    let borders = plan.borders();
    let row = |i: usize| {
        let (domain, told) = (&plan.domains[i], plan.policy(i).at_best(home, "traceback"));
        let near = borders.iter().filter_map(|(a, b)| match i {
            _ if i == *a => Some(plan.domains[*b].id.as_str()),
            _ if i == *b => Some(plan.domains[*a].id.as_str()),
            _ => None,
        });
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let word = |approval| serde_json::to_value(approval).ok()?.as_str().map(String::from);
        let contact = domain.contact.as_ref().map(|c| c.answer_within.0 / 1_000_000_000);
        [
            domain.id.clone(),
            domain.marks().to_string(),
            plan.answers_of(i).to_string(),
            or_none(told.as_ref().map(|t| t.rule.clone())),
            or_none(told.as_ref().map(|t| t.tlp.to_string())),
            or_none(told.as_ref().and_then(|t| word(t.approval)).map(|word| word + &said(domain))),
            or_none(contact.map(|s| format!("{s} s"))),
            near.collect::<Vec<_>>().join(", "),
        ]
    };
    let tells = format!("TELLS {home}");
    let header = ["ID", "MARKS SHOW", &tells, "BY RULE", "LABEL", "APPROVAL", "WITHIN", "BESIDE"];
    table("DISCLOSURE", header, (0..plan.domains.len()).map(row).collect())
}

/// What a domain's people say in runs, where that is not at once yes.
fn said(domain: &Domain) -> String {
    let after = |after: Nanos| format!(" after {} s", after.0 as f64 / 1e9);
    match domain.people() {
        (Decision::Agree, Nanos(0)) => String::new(),
        (Decision::Agree, time) => format!(", agree{}", after(time)),
        (Decision::Deny, time) => format!(", deny{}", after(time)),
        (Decision::Silent, _) => ", silent".into(),
    }
}

/// Under which name and where routers act that mark; nothing where all act everywhere under their own.
pub(super) fn routers(plan: &Plan) -> Option<String> {
    let marks = (0..plan.schemes.len()).filter_map(|s| crate::run::scheme(plan, s).ok());
    let mut paths = marks.filter(|s| {
        let card = s.card();
        card.keeper == Keeper::Victim && card.names == Names::Paths && !s.speaks()
    });
    let cut = plan.acting(&*paths.next()?).ok().filter(|cut| !cut.is_whole())?;
    let rows = (0..plan.routers.len()).map(|router| acts(plan, &cut, router)).collect();
    table("ROUTERS AS SHOWN", ["NAME", "ACTS AS", "ON PACKETS FROM"], rows)
}

fn acts(plan: &Plan, cut: &Cut, router: usize) -> [String; 3] {
    let index = |i: usize| u32::try_from(i).unwrap_or(u32::MAX);
    let node = Node::Router(router);
    let beside = |link: usize| plan.links[link].seen_from(node).1.node;
    let ports: Vec<Node> = plan.ports(node).into_iter().map(beside).collect();
    let from = |other: &&Node| match other {
        Node::Router(i) => cut.acts(index(router), Some(index(*i))),
        Node::Host(_) => cut.acts(index(router), None),
    };
    let acting: Vec<&str> = ports.iter().filter(from).map(|n| plan.node_name(*n)).collect();
    let from = match acting.len() {
        0 => "-".into(),
        n if n == ports.len() => "all".into(),
        _ => acting.join(", "),
    };
    let shown = cut.node(index(router)).filter(|_| !acting.is_empty());
    let name = shown.map_or_else(|| "-".into(), |node| format!("{} {}", node.name, node.id));
    [plan.routers[router].name.clone(), name, from]
}

/// The best recall of a scheme, stage by stage where domains hide something.
pub(super) fn best(scheme: &SchemePlan) -> String {
    let levels = |c: Ceiling| [c.router, c.r#as, c.nation].map(|x| format!("{x:.2}")).join(" / ");
    match scheme.marks_ceiling {
        None => levels(scheme.ceiling),
        Some(marks) => {
            format!("marks {}, answers {}", levels(marks), levels(scheme.ceiling))
        }
    }
}
