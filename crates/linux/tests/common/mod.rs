//! Private networks for the tests of this crate: a child process in namespaces of its own, a peer in a
//! network namespace beside it.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "clippy takes this module for code outside tests")]

use mpath_linux::netlink::Socket;
use mpath_linux::netlink::create::{self, End};
use mpath_linux::{Kernel, sys};
use mpath_model::kernel::{Address, Inventory, KernelEvent, KernelOp, LaggOp, ifa};
use mpath_model::{IfAddr, IfIndex, Route};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::{Duration, Instant};

const MARK: &str = "MPATH_LINUX_ISOLATED";

/// Runs `body`, the test called `name`, in a child process that is root of its own namespaces.
#[track_caller]
pub(crate) fn isolated(name: &str, body: impl FnOnce()) {
    if std::env::var_os(MARK).is_some() {
        return body();
    }
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    command.env(MARK, "1");
    sys::unshare_before_exec(&mut command);
    sys::die_with_parent(&mut command);
    let output = command.output().expect("run in namespaces of its own");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{name} failed:\n{stdout}\n{stderr}");
    assert!(stdout.contains("1 passed"), "{name} did not run:\n{stdout}");
}

/// Waits until `condition` gives something, ten seconds at most.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A network namespace beside the test's own.
pub(crate) struct Peer {
    namespace: File,
}

impl Peer {
    pub(crate) fn new() -> Peer {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).expect("network namespace of a peer");
            File::open("/proc/thread-self/ns/net").expect("descriptor of the namespace")
        };
        let namespace = std::thread::spawn(make).join().expect("peer");
        Peer { namespace }
    }

    /// Runs `body` inside. Sockets it opens stay inside.
    pub(crate) fn enter<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&self.namespace, CloneFlags::CLONE_NEWNET).expect("enter the peer");
                body()
            });
            inside.join().expect("body inside the peer")
        })
    }
}

/// The test's host: `e0` and `e1` are up and lead to `p0` and `p1` of a peer.
pub(crate) struct Net {
    pub(crate) kernel: Kernel,
    pub(crate) socket: Socket,
    pub(crate) peer: Peer,
    pub(crate) peer_kernel: Kernel,
    pub(crate) peer_socket: Socket,
    pub(crate) e0: IfIndex,
    pub(crate) e1: IfIndex,
    pub(crate) p0: IfIndex,
    pub(crate) p1: IfIndex,
}

impl Net {
    pub(crate) fn new() -> Net {
        let peer = Peer::new();
        let mut socket = Socket::open().unwrap();
        let mut kernel = Kernel::open().unwrap();
        let (mut peer_kernel, mut peer_socket) =
            peer.enter(|| (Kernel::open().unwrap(), Socket::open().unwrap()));
        for (near, far) in [("e0", "p0"), ("e1", "p1")] {
            let end = End { name: near.into(), ..End::default() };
            let other =
                End { name: far.into(), namespace: Some(peer.namespace.as_raw_fd()), ..End::default() };
            create::veth(&mut socket, &end, &other).unwrap();
        }
        let [e0, e1] = up(&mut kernel, &mut socket, ["e0", "e1"]);
        let [p0, p1] = up(&mut peer_kernel, &mut peer_socket, ["p0", "p1"]);
        let mut net = Net { kernel, socket, peer, peer_kernel, peer_socket, e0, e1, p0, p1 };
        wait_for("carrier", || net.kernel.link(e0).unwrap().filter(|l| l.running));
        wait_for("carrier", || net.kernel.link(e1).unwrap().filter(|l| l.running));
        net
    }

    pub(crate) fn dump(&mut self) -> Inventory {
        self.kernel.dump().unwrap()
    }

    #[track_caller]
    pub(crate) fn apply(&mut self, op: KernelOp) {
        assert_eq!(self.kernel.apply(std::slice::from_ref(&op)), [0], "{op:?}");
    }

    #[track_caller]
    pub(crate) fn lagg(&mut self, op: LaggOp) {
        self.apply(KernelOp::Lagg(op));
    }

    #[track_caller]
    pub(crate) fn peer_apply(&mut self, op: KernelOp) {
        assert_eq!(self.peer_kernel.apply(std::slice::from_ref(&op)), [0], "{op:?}");
    }

    pub(crate) fn address(&mut self, index: IfIndex, addr: &str) -> Option<Address> {
        let addr: IfAddr = addr.parse().unwrap();
        let found = self.dump().addresses;
        found.into_iter().find(|a| a.index == index && a.addr == addr)
    }

    /// An address once it is in force: the dump calls an IPv6 address tentative until its local route is there.
    pub(crate) fn address_in_force(&mut self, index: IfIndex, addr: &str) -> Address {
        wait_for(addr, || self.address(index, addr).filter(|a| !a.has(ifa::TENTATIVE)))
    }

    pub(crate) fn routes(&mut self, dst: &str) -> Vec<Route> {
        let dst: IfAddr = dst.parse().unwrap();
        self.dump().routes.into_iter().filter(|r| r.dst == dst).collect()
    }

    /// Waits for an event, passing over others.
    #[track_caller]
    pub(crate) fn expect_event(&mut self, what: &str, wanted: impl Fn(&KernelEvent) -> bool) -> KernelEvent {
        wait_for(what, || {
            let mut events = Vec::new();
            assert!(!self.kernel.read_events(&mut events).unwrap());
            events.into_iter().find(&wanted)
        })
    }

    /// Throws away the events that are there.
    pub(crate) fn forget_events(&mut self) {
        self.kernel.read_events(&mut Vec::new()).unwrap();
    }
}

fn up<const N: usize>(kernel: &mut Kernel, socket: &mut Socket, names: [&str; N]) -> [IfIndex; N] {
    let links = kernel.dump().unwrap().links;
    names.map(|name| {
        let link = links.iter().find(|l| l.name == name).expect("link just made");
        create::set_admin_state(socket, link.index, true).unwrap();
        link.index
    })
}

/// Address with NODAD, so that IPv6 needs no waiting.
pub(crate) fn plain(index: IfIndex, addr: &str) -> Address {
    let mut address = Address::plain(index, addr.parse().unwrap());
    if address.addr.address.is_ipv6() {
        address.flags |= mpath_model::kernel::ifa::NODAD;
    }
    address
}
