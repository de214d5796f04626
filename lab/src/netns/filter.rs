//! Filters of clsact that hold a BPF program, told from everybody else's by the number that the kernel gave the
//! program: no two living programs share one.

use super::netlink::{connect, runtime};
use anyhow::{Context, Result};
use aya::programs::tc::{NlOptions, TcAttachOptions};
use aya::programs::{SchedClassifier, TcAttachType};
use futures_util::TryStreamExt;
use rtnetlink::Handle;
use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::tc::{TcAttribute, TcFilterBpfOption, TcMessage, TcOption};
use std::mem::forget;

/// Which packets of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Those that come in.
    Ingress,
    /// Those that leave.
    Egress,
}

/// Has a program filter one side of an interface that has a clsact, whatever becomes of this process.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn attach(program: &mut SchedClassifier, interface: &str, side: Side) -> Result<()> {
    let side = match side {
        Side::Ingress => TcAttachType::Ingress,
        Side::Egress => TcAttachType::Egress,
    };
    let options = TcAttachOptions::Netlink(NlOptions::default());
    let id = program.attach_with_options(interface, side, options)?;
    // A link that is dropped looks for its filter in the namespace where the thread happens to be.
    forget(program.take_link(id)?);
    Ok(())
}

/// Whether the program with this number filters one side of an interface of the calling thread's namespace.
///
/// # Errors
/// When the kernel cannot be asked.
pub(crate) fn is_at(index: u32, side: Side, program: u32) -> Result<bool> {
    let runtime = runtime()?;
    let handle = connect(&runtime)?;
    let filters = runtime.block_on(filters(&handle, index, side))?;
    Ok(filters.iter().any(|filter| holds(filter, program)))
}

/// Whether an interface of the calling thread's namespace has a clsact already.
///
/// # Errors
/// When the kernel cannot be asked.
pub(crate) fn has_clsact(index: u32) -> Result<bool> {
    let runtime = runtime()?;
    let handle = connect(&runtime)?;
    Ok(runtime.block_on(clsact(&handle, index))?.is_some())
}

/// What a sentinel added to an interface and what of it stands: its filters, and the clsact where that was made
/// for them and holds nothing else by now. Removes both where that is wanted.
pub(super) async fn one(
    handle: &Handle,
    (index, program, made_clsact): (u32, u32, bool),
    remove: bool,
) -> Result<bool> {
    let mut found = false;
    for side in [Side::Ingress, Side::Egress] {
        for filter in filters(handle, index, side).await? {
            if holds(&filter, program) {
                found = true;
                if remove {
                    delete(handle, RouteNetlinkMessage::DelTrafficFilter(bare(&filter))).await?;
                }
            }
        }
    }
    let Some(clsact) = clsact(handle, index).await?.filter(|_| made_clsact) else {
        return Ok(found);
    };
    let mut others = vec![];
    for side in [Side::Ingress, Side::Egress] {
        others.extend(filters(handle, index, side).await?);
    }
    if others.iter().any(|filter| !holds(filter, program)) {
        return Ok(found);
    }
    if remove {
        delete(handle, RouteNetlinkMessage::DelQueueDiscipline(bare(&clsact))).await?;
    }
    Ok(true)
}

async fn filters(handle: &Handle, index: u32, side: Side) -> Result<Vec<TcMessage>> {
    let get = handle.traffic_filter(i32::try_from(index)?).get();
    let get = if side == Side::Ingress { get.ingress() } else { get.egress() };
    // Without a clsact, or an interface, the kernel has no list to give.
    Ok(get.execute().try_collect().await.unwrap_or_default())
}

async fn clsact(handle: &Handle, index: u32) -> Result<Option<TcMessage>> {
    let all: Vec<TcMessage> = handle.qdisc().get().execute().try_collect().await?;
    let index = i32::try_from(index)?;
    let is = |q: &TcMessage| {
        q.header.index == index && q.attributes.contains(&TcAttribute::Kind("clsact".into()))
    };
    Ok(all.into_iter().find(is))
}

/// Whether a filter runs the program with this number.
fn holds(filter: &TcMessage, program: u32) -> bool {
    let ours = |option: &TcOption| match option {
        TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => *id == program,
        _ => false,
    };
    let is_ours = |attribute: &TcAttribute| match attribute {
        TcAttribute::Options(options) => options.iter().any(ours),
        _ => false,
    };
    filter.attributes.iter().any(is_ours)
}

/// Enough to name it: its place, priority and handle.
fn bare(message: &TcMessage) -> TcMessage {
    let mut bare = TcMessage::default();
    bare.header = message.header.clone();
    bare
}

async fn delete(handle: &Handle, what: RouteNetlinkMessage) -> Result<()> {
    let mut request = NetlinkMessage::from(what);
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK;
    let answers = handle.clone().request(request).context("netlink does not answer")?;
    let answers: Vec<_> = futures_util::StreamExt::collect(answers).await;
    for answer in answers {
        if let NetlinkPayload::Error(error) = answer.payload
            && error.code.is_some()
        {
            return Err(error.to_io()).context("the kernel keeps a filter");
        }
    }
    Ok(())
}
