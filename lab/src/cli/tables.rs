//! A plan as tables for people. No format: programs read the JSON.

mod conditions;
mod disclosure;

use crate::plan::{Flow, LinkPlan, Plan, Source};
use crate::resolve::expect::expectations;
use crate::resolve::pages::WANTED_FALSE_ROUTERS;
use crate::scenario::streams::{LONGEST_STREAM, MOST_PACKETS, MOST_PER_SECOND};
use crate::traffic;
use comfy_table::{Table, presets};

/// All of a plan.
pub(super) fn plan(plan: &Plan) -> String {
    let parts = [
        head(plan),
        domains(plan),
        disclosure::domains(plan),
        routers(plan),
        disclosure::routers(plan),
        hosts(plan),
        links(plan),
        conditions::links(plan),
        conditions::faults(plan),
        flows(plan),
        troubles(plan),
        schemes(plan),
        laws(plan),
        effects(plan),
        safety(plan),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// A titled table; nothing where there are no rows.
fn table<const N: usize>(title: &str, header: [&str; N], rows: Vec<[String; N]>) -> Option<String> {
    if rows.is_empty() {
        return None;
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).add_rows(rows);
    if header.iter().any(|h| !h.is_empty()) {
        table.set_header(header);
    }
    let lines = table.lines().map(|line| format!(" {}\n", line.trim_end()));
    Some(format!("{title}\n{}", lines.collect::<String>()))
}

fn head(plan: &Plan) -> Option<String> {
    let room = plan.room.map_or("none".to_owned(), |r| {
        let ioam = if r.trace_nodes > 0 {
            format!("IOAM trace of {}", r.trace_nodes)
        } else {
            String::new()
        };
        let export = if r.export { "IOAM direct export" } else { "" };
        let records = if r.records > 0 { format!("{} records", r.records) } else { String::new() };
        let all = [records.as_str(), &ioam, export];
        all.into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(", ")
    });
    let filter = &plan.case.filter;
    let any = |n: Option<u16>| n.map_or("any".to_owned(), |n| n.to_string());
    let rows = vec![
        ["scenario".to_owned(), plan.name.clone()],
        ["seed".to_owned(), plan.seed.to_string()],
        ["plan".to_owned(), plan.sha256()],
        ["room in packets".to_owned(), room],
        ["case: victim".to_owned(), filter.victim.to_string()],
        ["case: protocol".to_owned(), any(filter.protocol.map(u16::from))],
        ["case: port".to_owned(), any(filter.port)],
        ["case: packets kept".to_owned(), plan.case.samples.to_string()],
    ];
    table("PLAN", ["", ""], rows)
}

fn domains(plan: &Plan) -> Option<String> {
    let asns = |asns: &[u32]| asns.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let row = |d: &crate::plan::Domain| {
        [d.id.clone(), d.nation.clone(), asns(&d.asns), d.disclosed.clone()]
    };
    let rows = plan.domains.iter().map(row).collect();
    table("DOMAINS", ["ID", "NATION", "AS", "DISCLOSES"], rows)
}

fn routers(plan: &Plan) -> Option<String> {
    let row = |(i, r): (usize, &crate::plan::RouterPlan)| {
        let agent = if r.deployed { "yes" } else { "no" }.to_owned();
        let (id, routes) = (r.id.to_string(), r.routes.len().to_string());
        [i.to_string(), r.name.clone(), id, r.asn.to_string(), r.nation.clone(), agent, routes]
    };
    let rows = plan.routers.iter().enumerate().map(row).collect();
    table("ROUTERS", ["INDEX", "NAME", "ADDRESS", "AS", "NATION", "AGENT", "ROUTES"], rows)
}

fn hosts(plan: &Plan) -> Option<String> {
    let row = |h: &crate::plan::HostPlan| {
        let kind = format!("{:?}", h.kind).to_lowercase();
        let router = plan.routers[h.router].name.clone();
        [h.name.clone(), kind, h.address.to_string(), h.gateway.to_string(), router]
    };
    let rows = plan.hosts.iter().map(row).collect();
    table("HOSTS", ["NAME", "KIND", "ADDRESS", "GATEWAY", "ROUTER"], rows)
}

fn links(plan: &Plan) -> Option<String> {
    let row = |l: &LinkPlan| {
        let end = |e: crate::plan::End| format!("{} {}", plan.node_name(e.node), e.address);
        [end(l.a), end(l.b), format!("/{}", l.len), format!("{} B", l.mtu)]
    };
    table("LINKS", ["A", "B", "NET", "MTU"], plan.links.iter().map(row).collect())
}

fn flows(plan: &Plan) -> Option<String> {
    let row = |f: &Flow| {
        let ways = format!("{} -> {}", plan.hosts[f.from].name, plan.hosts[f.to].name);
        let source = match f.source {
            Source::Fixed(address) => address.to_string(),
            Source::PerPacket { net, len } => format!("{net}/{len}, each packet"),
        };
        let named = |path: &[usize]| {
            let names: Vec<_> = path.iter().map(|r| plan.routers[*r].name.as_str()).collect();
            names.join(" ")
        };
        let paths: Vec<_> = f.all_ways().iter().map(|(path, _)| named(path)).collect();
        [
            f.id.to_string(),
            format!("{}, {:?}", f.traffic, f.class).to_lowercase(),
            ways,
            source,
            f.port.to_string(),
            format!("{:.0} pkt/s", per_second(f)),
            f.packets.to_string(),
            format!("{} B", f.size),
            format!("{:.1}-{:.1} s", f.start.0 as f64 / 1e9, end(f)),
            paths.join(" | "),
        ]
    };
    let header =
        ["ID", "TRAFFIC", "WAY", "SOURCE", "PORT", "RATE", "PACKETS", "SIZE", "PHASE", "PATH"];
    table("FLOWS", header, plan.flows.iter().map(row).collect())
}

fn troubles(plan: &Plan) -> Option<String> {
    let rows = plan.troubles().into_iter().map(|what| [what]).collect();
    table("ADVERSARIES AND FAULTS", [""], rows)
}

fn schemes(plan: &Plan) -> Option<String> {
    let row = |s: &crate::plan::SchemePlan| {
        let best = disclosure::best(s);
        let wrong = s.expected_false_routers.map_or("-".to_owned(), |x| format!("{x:.1e}"));
        [s.id.clone(), s.params.to_string(), best, wrong]
    };
    let rows = plan.schemes.iter().map(row).collect();
    let best = "BEST RECALL: ROUTER / AS / NATION";
    table("SCHEMES", ["ID", "PARAMETERS", best, "EXPECTED FALSE ROUTERS"], rows)
}

fn laws(plan: &Plan) -> Option<String> {
    let row = |e: crate::resolve::expect::Expectation| {
        [
            e.scheme,
            e.flow.to_string(),
            e.hops.to_string(),
            format!("{:.0}", e.mean),
            format!("{:.0}", e.p99_9),
            e.packets.to_string(),
            format!("{:.1e}", 1.0 - e.enough),
        ]
    };
    let rows = expectations(plan).into_iter().map(row).collect();
    let header = ["SCHEME", "FLOW", "HOPS", "MEAN", "P99.9", "SENT", "TOO FEW WITH PROBABILITY"];
    table("PACKETS NEEDED BY THE LAW", header, rows)
}

fn effects(plan: &Plan) -> Option<String> {
    let row = |e: &crate::plan::Effect| {
        let worlds = if e.worlds.is_empty() { "all".to_owned() } else { e.worlds.join(", ") };
        [e.measure.clone(), e.scheme.clone(), e.want.clone(), worlds]
    };
    let rows = plan.effects.iter().map(row).collect();
    table("EFFECTS", ["MEASURE", "SCHEME", "WANT", "WORLDS"], rows)
}

fn safety(plan: &Plan) -> Option<String> {
    let rate: f64 = plan.flows.iter().map(per_second).sum();
    let turn: u64 = plan.flows.iter().map(|f| f.packets).sum();
    let longest = plan.flows.iter().map(|f| end(f) - f.start.0 as f64 / 1e9).fold(0.0, f64::max);
    let wrong: f64 = plan.schemes.iter().filter_map(|s| s.expected_false_routers).sum();
    let row = |what: &str, here: String, most: String| [what.to_owned(), here, most];
    let rows = vec![
        row("all rates", format!("{rate:.0} pkt/s"), format!("{MOST_PER_SECOND} pkt/s")),
        row(
            "packets of the run",
            (turn * plan.schemes.len() as u64).to_string(),
            MOST_PACKETS.to_string(),
        ),
        row("longest stream", format!("{longest:.1} s"), format!("{LONGEST_STREAM} s")),
        row(
            "expected false routers",
            format!("{wrong:.1e}"),
            format!("{WANTED_FALSE_ROUTERS:.0e}"),
        ),
        row("addresses", "inside".to_owned(), "198.18.0.0/15, 2001:2::/48".to_owned()),
    ];
    table("BOUNDS", ["", "HERE", "AT MOST"], rows)
}

fn per_second(flow: &Flow) -> f64 {
    flow.per_1000_seconds() as f64 / 1e3
}

/// When the last packet leaves, in seconds.
fn end(flow: &Flow) -> f64 {
    traffic::last_departure(flow).0 as f64 / 1e9
}
