//! Datapaths in the kernel: eBPF programs that mark or log what the kernel or they themselves forward.
//!
//! - `agent/bpf/mark.bpf.c` runs at tc egress, `agent/bpf/forward.bpf.c` at XDP; each is compiled once
//!   for every scheme, around the scheme's twin (`traceback/src/schemes/X.h`): [`objects`].
//! - [`layout`] is what programs and agent share, [`program`] loads, attaches and reads one, [`log`]
//!   takes the pages of hash logs away, [`times`] the histograms of the marking step.
//! - [`teller`] writes the messages that a program has chosen packets for.
//! - [`meter`] has the kernel time whole runs, now and then.
//! - [`router`] is all of it as a vantage's datapath.
//!
//! Programs and maps are owned by file descriptors: they go when the agent ends, however it ends.

pub mod behind;
pub mod layout;
pub mod log;
pub mod meter;
pub mod objects;
pub mod program;
pub mod router;
pub mod teller;
pub mod times;
