//! The agent that benchmarks measure.

use ashiato_agent::config::{
    Datapath, DrawKind, Interval, KEEP_ROUTES_MS, Port, RING_MIB, RunKey, Vantage,
};
use std::path::PathBuf;
use std::time::Duration;
use traceback::RouterId;
use traceback::invariant::Key;
use traceback::report::Role;
use traceback::router::{Far, Spread};

/// The `n`th router: between `p0` and `p1` of a namespace, with keyed draws, no step timed.
pub fn router(space: PathBuf, n: usize, scheme: &str, datapath: Datapath) -> Vantage {
    Vantage {
        role: Role::Router,
        router: RouterId(0xc613_0001 + u32::try_from(n).unwrap_or_default()),
        index: u16::try_from(n).unwrap_or_default(),
        degree: 2,
        asn: 0,
        netns: Some(space),
        cert: PathBuf::new(),
        key_file: PathBuf::new(),
        scheme: scheme.into(),
        params: serde_json::json!({}),
        key: RunKey(Key(1, 2)),
        draws: DrawKind::Keyed,
        report_every: Interval(Duration::from_secs(1)),
        sample_1_in: 0,
        datapath,
        keep_routes_ms: KEEP_ROUTES_MS,
        ring_mib: RING_MIB,
        spread: Spread::Flow,
        filter: None,
        ports: ["p0", "p1"].map(|name| Port::new(name, Far::default())).into(),
        hlog: None,
        zero_unix_ns: 0,
        answer_after: None,
        acts_as: None,
        mute: false,
    }
}
