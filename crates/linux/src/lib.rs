//! The only crate of the product that talks to the kernel: rtnetlink, probe and packet sockets, sysctls,
//! clocks. It decides nothing: it shows what is there, tells of changes and does what it is told. All
//! `unsafe` is in [`sys`], all knowledge of netlink messages in [`netlink`].

mod adverts;
mod authors;
pub mod clock;
pub mod echo;
pub mod error;
pub mod kernel;
pub mod lagg;
pub mod membership;
pub mod netfilter;
pub mod netlink;
pub mod packet;
pub mod prepared;
pub mod probes;
mod raw;
pub mod realtime;
pub mod sandbox;
pub mod sys;
pub mod sysctl;
mod virtual_mac;

pub use error::Error;
pub use kernel::Kernel;
pub use probes::Probes;
