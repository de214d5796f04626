//! Where packets come in and go out: raw sockets and the userspace router over them.
//!
//! - [`socket`] is a safe AF_PACKET socket: for taps, traffic actors and observers.
//! - [`afpacket`] is the userspace router over [`port`]s, which are [`ring`]s or pnet's channels, and
//!   [`observer`] the listener at a victim; both run in the loop of [`serve`], asked over a [`desk`].
//! - [`kernel`] holds the eBPF datapaths, where packets never leave the kernel.
//! - [`watch`] follows the kernel's [`tables`]; [`waiting`] keeps frames whose neighbour is unknown.
//! - [`finish`] completes checksums, [`offload`] keeps the kernel from merging frames ([`ethtool`] for
//!   good, on interfaces made for an experiment), [`outgoing`] gathers those about to leave, [`netns`]
//!   enters namespaces, [`poll`] sleeps. [`tap`] is an interface of the lab's, for tunnels between hosts.
//!
//! Nothing here knows a scheme: the router is [`traceback::router::Router`].

pub mod afpacket;
pub mod desk;
pub mod ethtool;
pub mod finish;
pub mod kernel;
pub mod netns;
pub mod observer;
pub mod offload;
pub mod outgoing;
pub mod poll;
pub mod port;
pub mod ring;
pub mod serve;
pub mod socket;
pub mod tables;
pub mod tap;
pub mod waiting;
pub mod watch;
