//! Which routers take part: a share of them, in a chosen order.

use super::Nodes;
use crate::scenario::Spec;
use crate::scenario::spec::Order;
use std::cmp::Reverse;
use traceback::invariant::mix2;

/// For every router whether an agent works there.
pub(super) fn routers(spec: &Spec, nodes: &Nodes) -> Vec<bool> {
    let routers = &spec.topology.routers;
    let mut order: Vec<usize> = (0..routers.len()).filter(|i| routers[*i].deployed).collect();
    let links = |i: usize| nodes.link_routers.iter().filter(|(a, b)| *a == i || *b == i).count();
    let has_host = |i: usize| nodes.host_routers.contains(&i);
    match spec.deployment.order {
        Order::Degree => order.sort_by_key(|i| Reverse(links(*i))),
        Order::Edge => order.sort_by_key(|i| (!has_host(*i), links(*i))),
        Order::Random => order.sort_by_key(|i| mix2(spec.seed ^ 0x6465_706c, *i as u64)),
        Order::Listed => {}
    }
    let count = (spec.deployment.share.part() * order.len() as f64).round();
    let mut deployed = vec![false; routers.len()];
    for (rank, router) in (0_u32..).zip(order) {
        deployed[router] = f64::from(rank) < count;
    }
    deployed
}
