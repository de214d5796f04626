//! From a scenario to its plan: every address, route, path and number that the file leaves open.
//!
//! A pure function: the same file, overrides and seed give the same bytes. What needs routes or
//! addresses to be judged is refused here; everything else was refused by [`crate::scenario`].

mod addresses;
mod chosen;
mod conditions;
mod deployed;
pub mod expect;
mod flows;
pub mod pages;
mod routes;
mod shown;
pub mod ways;

use crate::plan::{
    CasePlan, Caution, Contact, Domain, Effect, Epoch, Exchange, Plan, Room, RoomKind, RouterPlan,
    SCHEMA,
};
use crate::scenario::spec::{self, Ip, Multipath, Poc, Protocol, Safety, World};
use crate::scenario::{Problems, Ranges, Report, Scenario, Spec};
use crate::units::Quantity;
use addresses::Addresses;
use flows::Flows;
use routes::Routes;
use std::collections::BTreeSet;
use traceback::Nanos;
use traceback::case::Filter;
use traceback::disclose::Lapse;
use traceback::invariant::{Key, mix2};
use traceback::ioam::MAX_NODES;
use traceback::packet::proto;
use traceback::room::MAX_OPTION4;
use traceback::router::Spread;
use traceback::schemes;
use traceback::slot::Slot;

/// Makes every choice that a scenario leaves open.
///
/// # Errors
/// What only routes and addresses show: an unreachable victim, a packet that is too small, a TTL
/// that ends on the way, a prefix that is used up.
pub fn plan(scenario: &Scenario) -> Result<Plan, Report> {
    let spec = &scenario.spec;
    let mut problems = Problems::new(&scenario.document);
    let (ranges, nodes) = (Ranges::of(spec.ip), Nodes::of(spec));
    let addresses = Addresses::assign(spec, &nodes, &ranges, &mut problems);
    let Some(addresses) = addresses else { return Err(refused(problems)) };
    let routes = Routes::find(&nodes, &addresses, &BTreeSet::new());
    let paths = flows::paths(spec, &nodes, &routes, &mut problems);
    let Some(paths) = paths else { return Err(refused(problems)) };
    let room = room(spec, paths.iter().map(|p| p.routers.len()).max().unwrap_or(0));
    let at = Flows { spec, addresses: &addresses, ranges: &ranges, room };
    let flows = at.make(paths, &mut problems);
    let routers = routers(spec, &nodes, routes);
    let epochs = epochs(spec, &nodes, &addresses);
    let faults = conditions::faults(spec, &routers, &addresses.links, &mut problems);
    problems.end()?;
    let plan = Plan {
        schema: SCHEMA.to_owned(),
        name: spec.name.clone(),
        seed: spec.seed,
        key: Key(mix2(spec.seed, 1), mix2(spec.seed, 2)),
        draws: spec.draws,
        domains: domains(scenario),
        routers,
        case: case(spec, &addresses),
        hosts: addresses.hosts,
        links: addresses.links,
        flows,
        room,
        schemes: vec![],
        effects: effects(spec),
        process_per_router: spec.agents.process_per_router,
        spread: spread(spec),
        epochs,
        faults,
        caution: caution(spec),
        exchange: spec.exchange.as_ref().map(exchange),
        purpose: spec.purpose.clone(),
        roles: spec.role.clone(),
    };
    settle(spec, plan)
}

/// What only the rest of a plan shows: ways, whether domains ask each other, schemes.
fn settle(spec: &Spec, mut plan: Plan) -> Result<Plan, Report> {
    ways::fill(&mut plan).map_err(|why| Report::whole(why, "leave another way"))?;
    if !plan.shows_all() {
        // A collector for all would know what domains do not tell.
        plan.exchange.get_or_insert_with(|| exchange(&spec::Exchange::default()));
    }
    plan.schemes = chosen::schemes(spec, &plan)?;
    Ok(plan)
}

fn caution(spec: &Spec) -> Caution {
    let Safety { ramp, stop_if } = &spec.safety;
    Caution { ramp: ramp.map(|span| Nanos(span.amount())), stop_if: stop_if.clone() }
}

fn exchange(asks: &spec::Exchange) -> Exchange {
    let spec::Exchange { mode, within, purpose, exercise } = asks.clone();
    Exchange { mode, within: Nanos(within.amount()), purpose, exercise }
}

fn refused(problems: Problems<'_>) -> Report {
    let fallback = Report::whole("the scenario cannot be planned", "");
    problems.end().err().unwrap_or(fallback)
}

/// Positions of a spec's words.
struct Nodes {
    /// Router of each host.
    host_routers: Vec<usize>,
    /// Routers of each link.
    link_routers: Vec<(usize, usize)>,
    /// Domain of each router.
    router_domains: Vec<usize>,
}

impl Nodes {
    fn of(spec: &Spec) -> Self {
        let routers = &spec.topology.routers;
        let router = |id: &str| {
            let found = routers.iter().position(|r| r.id == id);
            found.expect("invariant: the scenario's check knows every router")
        };
        let domain = |r| {
            let domain = spec.domain_of(r).map(|d| &d.id);
            let found = spec.domain.iter().position(|d| Some(&d.id) == domain);
            found.expect("invariant: the scenario's check knows every domain")
        };
        Self {
            host_routers: spec.topology.hosts.iter().map(|h| router(&h.router)).collect(),
            link_routers: spec
                .topology
                .links
                .iter()
                .map(|l| (router(&l.a), router(&l.b)))
                .collect(),
            router_domains: routers.iter().map(domain).collect(),
        }
    }
}

fn domains(scenario: &Scenario) -> Vec<Domain> {
    let contact = |poc: &Poc| {
        let within = poc.answer_within.parse::<Lapse>().ok()?;
        let answer_within = Nanos(within.0.saturating_mul(1_000_000_000));
        let (decides, after) =
            (poc.decides.unwrap_or_default(), poc.after.map(|after| after.amount()));
        let after = Nanos(after.unwrap_or(0));
        Some(Contact { answer_within, role: poc.role.clone(), decides, after })
    };
    let domain = |d: &spec::Domain| {
        let policy = scenario.policies.get(&d.id).cloned();
        Domain {
            id: d.id.clone(),
            nation: d.nation.clone(),
            asns: d.asns.clone(),
            disclosed: policy.as_ref().map_or("router", |p| p.marks.word()).to_owned(),
            policy,
            contact: d.poc.as_ref().and_then(contact),
        }
    };
    scenario.spec.domain.iter().map(domain).collect()
}

fn routers(spec: &Spec, nodes: &Nodes, routes: Routes) -> Vec<RouterPlan> {
    let tables = routes.tables.into_iter().zip(routes.also);
    let all = spec.topology.routers.iter().enumerate().zip(tables);
    let deployed = deployed::routers(spec, nodes);
    let multipath = spec.routing.multipath != Multipath::First;
    let position = |name: &String| spec.topology.routers.iter().position(|r| r.id == *name);
    let router = |((i, r), (routes, also)): ((usize, &spec::Router), (_, Vec<_>))| {
        let domain = &spec.domain[nodes.router_domains[i]];
        RouterPlan {
            name: r.id.clone(),
            id: addresses::loopback(i),
            asn: r.asn.unwrap_or(domain.asns[0]),
            nation: domain.nation.clone(),
            domain: domain.id.clone(),
            deployed: deployed[i],
            conduct: r.conduct,
            poses_as: r.poses_as.as_ref().and_then(position),
            nat: r.nat,
            routes,
            also: if multipath { also } else { vec![] },
        }
    };
    all.map(router).collect()
}

fn spread(spec: &Spec) -> Option<Spread> {
    match spec.routing.multipath {
        Multipath::First => None,
        Multipath::Flow => Some(Spread::Flow),
        Multipath::Packet => Some(Spread::Packet),
    }
}

/// Routes after each change of the scenario.
fn epochs(spec: &Spec, nodes: &Nodes, addresses: &Addresses) -> Vec<Epoch> {
    let mut down = BTreeSet::new();
    let mut epochs: Vec<Epoch> = vec![];
    for change in conditions::changes(spec) {
        let joins = |l: &spec::Link| {
            (l.a == change.a && l.b == change.b) || (l.a == change.b && l.b == change.a)
        };
        let Some(link) = spec.topology.links.iter().position(joins) else { continue };
        if change.up {
            down.remove(&link);
        } else {
            down.insert(link);
        }
        let at = change.at.nanos();
        // Of several changes at once, the last one knows all.
        epochs.retain(|e| e.at != at);
        epochs.push(Epoch { at, routes: Routes::find(nodes, addresses, &down).tables });
    }
    epochs
}

/// Room for records and for marks that no header field holds, where a scheme of the scenario writes them.
fn room(spec: &Spec, longest: usize) -> Option<Room> {
    let cards = || spec.scheme.iter().filter_map(|s| schemes::find(&s.id)).map(|s| s.card());
    let any = |wanted: Slot| cards().any(|c| c.slot(spec.ip == Ip::V6) == wanted);
    let marks = any(Slot::Room);
    let records = if marks || cards().any(|c| c.records) { longest } else { 0 };
    let records = records.max(if marks { 2 } else { 0 });
    let option = spec.ip == Ip::V6 || records <= MAX_OPTION4;
    let kind = if option { RoomKind::Option } else { RoomKind::Payload };
    let v6 = spec.ip == Ip::V6;
    let trace_nodes = if v6 && any(Slot::IoamTrace) { longest.min(MAX_NODES.into()) } else { 0 };
    let room = Room { kind, records, trace_nodes, export: v6 && any(Slot::IoamExport) };
    (room != Room { kind, ..Room::default() }).then_some(room)
}

fn case(spec: &Spec, addresses: &Addresses) -> CasePlan {
    let victim = spec.victim().map(|v| &v.id);
    let victim = spec.topology.hosts.iter().position(|h| Some(&h.id) == victim);
    let victim = victim.expect("invariant: the scenario's check found a victim");
    let filter = Filter {
        victim: addresses.hosts[victim].address,
        protocol: match spec.case.protocol {
            Protocol::Udp => Some(proto::UDP),
            Protocol::Any => None,
        },
        source_port: None,
        port: spec.case.port,
    };
    CasePlan { victim, filter, samples: spec.case.samples.into() }
}

fn effects(spec: &Spec) -> Vec<Effect> {
    let world = |w: &World| {
        match w {
            World::Sim => "sim",
            World::Netns => "netns",
            World::Compose => "compose",
            World::Hosts => "hosts",
        }
        .to_owned()
    };
    let effect = |e: &spec::Effect| Effect {
        measure: e.measure.clone(),
        scheme: e.scheme.clone(),
        want: e.want.clone(),
        worlds: e.worlds.iter().map(world).collect(),
    };
    spec.effect.iter().map(effect).collect()
}
