//! Laggs in the kernel: three back-ends behind one trait, and the requests that are the same for all of them. When to do what
//! is the engine's affair.

mod bond;
mod bridge;
pub mod redirect;

use crate::netlink::create::End;
use crate::netlink::{Socket, create, ports};
use bond::Bond;
use bridge::Bridge;
use mpath_model::kernel::{LaggBackend, LaggOp, Link, Steering, inner_name};
use mpath_model::{IfIndex, Mac};
use nix::errno::Errno;
use redirect::Redirect;

/// A means to join ports into one interface. Every request is idempotent: what is so already is no error.
trait Backend {
    /// Makes the interface, administratively down and without ports.
    fn create(&mut self, socket: &mut Socket, name: &str, mac: Mac, mtu: u32) -> Result<(), Errno>;

    /// Takes the interface away.
    fn destroy(&mut self, socket: &mut Socket, name: &str) -> Result<(), Errno>;

    /// Makes an interface a port through which nothing passes yet.
    fn attach(&mut self, socket: &mut Socket, lagg: IfIndex, port: IfIndex) -> Result<(), Errno>;

    /// Takes a port away.
    fn detach(&mut self, socket: &mut Socket, port: IfIndex) -> Result<(), Errno>;

    /// Says where frames go: opens what is to be open before it closes what is to be closed.
    fn steer(&mut self, socket: &mut Socket, to: Target<'_>, steering: &Steering) -> Result<(), Errno>;
}

/// The lagg that is steered.
#[derive(Clone, Copy, Debug)]
struct Target<'a> {
    name: &'a str,
    index: IfIndex,
    mac: Mac,
}

/// All back-ends with what they know.
#[derive(Debug, Default)]
pub struct Laggs {
    redirect: Redirect,
    bridge: Bridge,
    bond: Bond,
}

impl Laggs {
    /// Carries out one request.
    pub fn perform(&mut self, socket: &mut Socket, op: &LaggOp) -> Result<(), Errno> {
        match op {
            LaggOp::Create { name, backend, mac, mtu } => {
                self.backend(*backend).create(socket, name, *mac, *mtu)
            }
            LaggOp::Destroy { name, backend } => self.backend(*backend).destroy(socket, name),
            LaggOp::Attach { lagg, backend, port } => self.backend(*backend).attach(socket, *lagg, *port),
            LaggOp::Detach { backend, port } => self.backend(*backend).detach(socket, *port),
            LaggOp::Steer { name, backend, lagg, mac, steering } => {
                let to = Target { name, index: *lagg, mac: *mac };
                self.backend(*backend).steer(socket, to, steering)
            }
            LaggOp::SetMac { index, mac } => set_mac(socket, *index, *mac),
            LaggOp::SetMtu { index, mtu } => errno(ports::set_mtu(socket, *index, *mtu)),
            LaggOp::SetPromisc { index, on } => errno(ports::set_promisc(socket, *index, *on)),
            LaggOp::SetUp { index, up } => errno(create::set_admin_state(socket, *index, *up)),
        }
    }

    /// What redirections do at present, among these interfaces.
    pub fn steering(&mut self, links: &[Link]) -> Vec<(String, Steering)> {
        let redirected = |name: &str| links.iter().any(|inner| inner.name == inner_name(name));
        let laggs: Vec<&str> =
            links.iter().map(|l| l.name.as_str()).filter(|name| redirected(name)).collect();
        self.redirect.shown(&laggs)
    }

    fn backend(&mut self, which: LaggBackend) -> &mut dyn Backend {
        match which {
            LaggBackend::Redirect => &mut self.redirect,
            LaggBackend::Bridge => &mut self.bridge,
            LaggBackend::Bond => &mut self.bond,
        }
    }
}

/// Many drivers change the address of an interface only while it is down.
fn set_mac(socket: &mut Socket, index: IfIndex, mac: Mac) -> Result<(), Errno> {
    match errno(create::set_mac(socket, index, mac)) {
        Err(Errno::EBUSY) => {
            errno(create::set_admin_state(socket, index, false))?;
            let set = errno(create::set_mac(socket, index, mac));
            errno(create::set_admin_state(socket, index, true))?;
            set
        }
        result => result,
    }
}

fn errno<T>(result: Result<T, crate::Error>) -> Result<T, Errno> {
    result.map_err(|e| Errno::from_raw(e.errno()))
}

/// Index of an interface by its name.
fn index_of(name: &str) -> Result<IfIndex, Errno> {
    nix::net::if_::if_nametoindex(name)
}

/// Makes the interface that takes the ports, if it is not there yet, by `make`.
fn make(
    socket: &mut Socket,
    (name, mac, mtu): (&str, Mac, u32),
    make: impl FnOnce(&mut Socket, &End) -> Result<(), crate::Error>,
) -> Result<(), Errno> {
    let end = End { name: name.to_owned(), mac: Some(mac), ..End::default() };
    match errno(make(socket, &end)) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(error) => return Err(error),
    }
    errno(ports::set_mtu(socket, index_of(name)?, mtu))
}

/// Deletes an interface, if it is there.
fn delete(socket: &mut Socket, name: &str) -> Result<(), Errno> {
    match index_of(name) {
        Ok(index) => errno(create::delete(socket, index)),
        Err(_) => Ok(()),
    }
}
