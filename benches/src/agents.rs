//! The agent that benchmarks measure.

use ashiato_agent::config::{Datapath, DrawKind, Interval, Port, RunKey, Vantage};
use std::path::PathBuf;
use std::time::Duration;
use traceback::RouterId;
use traceback::invariant::Key;
use traceback::report::Role;

/// The `n`th router: between `p0` and `p1` of a namespace, with keyed draws, no step timed.
pub fn router(space: PathBuf, n: usize, scheme: &str, datapath: Datapath) -> Vantage {
    let port = |name: &str| Port {
        ifname: name.into(),
        neighbour: None,
        border: false,
        legacy: false,
        silent: false,
        link: None,
    };
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
        keep_routes_ms: 20,
        spread: traceback::router::Spread::Flow,
        filter: None,
        ports: vec![port("p0"), port("p1")],
        hlog: None,
        zero_unix_ns: 0,
        answer_after: None,
        acts_as: None,
        mute: false,
    }
}
