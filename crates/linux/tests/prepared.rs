//! Requests made ready in advance, and the notification that they wait for.
#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

mod common;

use common::{Net, isolated, plain, wait_for};
use mpath_linux::netlink::{Socket, create};
use mpath_linux::prepared::Prepared;
use mpath_model::kernel::{KernelOp, Placing};
use mpath_model::{KernelEvent, PROTO_MPATHD, Route};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

/// Counts what a watched thread allocates for as long as nothing can be read from a socket that hears of what was done.
struct Watched;

static WITNESS: AtomicI32 = AtomicI32::new(-1);
static TOO_EARLY: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
}

#[allow(unsafe_code, reason = "an allocator that looks")]
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if WATCHED.get() && !readable(WITNESS.load(Ordering::Relaxed)) {
            TOO_EARLY.fetch_add(1, Ordering::Relaxed);
        }
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[allow(unsafe_code, reason = "asks without allocating")]
fn readable(socket: RawFd) -> bool {
    let mut asked = libc::pollfd { fd: socket, events: libc::POLLIN, revents: 0 };
    unsafe { libc::poll(&mut asked, 1, 0) > 0 }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// Allocations of `body` before the first message arrives at `witness`.
fn allocations_before(witness: RawFd, body: impl FnOnce()) -> usize {
    TOO_EARLY.store(0, Ordering::Relaxed);
    WITNESS.store(witness, Ordering::Relaxed);
    WATCHED.set(true);
    body();
    WATCHED.set(false);
    TOO_EARLY.load(Ordering::Relaxed)
}

fn ops(net: &Net) -> Vec<KernelOp> {
    let addresses = ["192.0.2.10/24", "2001:db8::10/64"].map(|a| KernelOp::AddAddress(plain(net.e1, a)));
    let route = Route::onlink("203.0.113.0/24".parse().unwrap(), net.e1, 0, PROTO_MPATHD);
    addresses.into_iter().chain([KernelOp::AddRoute(route, Placing::Before)]).collect()
}

#[test]
fn a_lost_carrier_is_seen_in_the_header_and_the_plan_is_done_once() {
    isolated("a_lost_carrier_is_seen_in_the_header_and_the_plan_is_done_once", || {
        let mut net = Net::new();
        let (members, p0) = ([net.e0, net.e1], net.p0);
        let wanted = ops(&net);
        let plan = Prepared::new(&wanted);
        net.forget_events();
        assert_eq!(net.kernel.lost_carrier(&members), None);
        create::set_admin_state(&mut net.peer_socket, p0, false).unwrap();
        assert_eq!((net.kernel.carrier(net.e0), net.kernel.carrier(net.e1)), (Some(false), Some(true)));
        let lost = wait_for("the notification", || net.kernel.lost_carrier(&members));
        assert_eq!(lost, net.e0);
        net.kernel.commit(plan);
        assert!(net.address(net.e1, "192.0.2.10/24").is_some(), "there before anybody asked");
        // Asked for once more, and not done twice: the route would be refused as a duplicate.
        let flush = KernelOp::FlushNeighbours(net.e0);
        let asked: Vec<KernelOp> = wanted.iter().cloned().chain([flush]).collect();
        assert_eq!(net.kernel.apply(&asked), [0, 0, 0, 0]);
        assert!(!net.kernel.has_committed());
        assert_eq!(net.kernel.apply(&wanted)[2], libc::EEXIST);
        // What was read ahead is still told, and by itself.
        let mut ahead = Vec::new();
        net.kernel.take_read_ahead(&mut ahead);
        let e0 = net.e0;
        let lost = |e: &KernelEvent| matches!(e, KernelEvent::Link(l) if l.index == e0 && !l.running);
        let new = |e: &KernelEvent| matches!(e, KernelEvent::Address(_));
        assert!(ahead.iter().any(lost) && !ahead.iter().any(new), "{ahead:?}");
        net.expect_event("what the plan did", new);
    });
}

#[test]
fn nothing_gets_past_the_look_at_carriers() {
    isolated("nothing_gets_past_the_look_at_carriers", || {
        let mut net = Net::new();
        let (members, p0) = ([net.e0, net.e1], net.p0);
        net.forget_events();
        assert_eq!(net.kernel.lost_carrier(&members), None);
        create::set_admin_state(&mut net.peer_socket, p0, false).unwrap();
        wait_for("carrier lost", || net.kernel.link(members[0]).unwrap().filter(|l| !l.running));
        // Told by now, and not looked at.
        let mut events = Vec::new();
        assert!(!net.kernel.read_events(&mut events).unwrap());
        assert_eq!(events, []);
        let lost = wait_for("the notification", || net.kernel.lost_carrier(&members));
        assert_eq!(lost, net.e0);
        assert!(!net.kernel.read_events(&mut events).unwrap());
        assert!(!events.is_empty());
    });
}

#[test]
fn nothing_is_allocated_between_the_notification_and_the_system_call() {
    isolated("nothing_is_allocated_between_the_notification_and_the_system_call", || {
        let mut net = Net::new();
        let (members, p0) = ([net.e0, net.e1], net.p0);
        let witness = Socket::open().unwrap();
        witness.join(libc::RTNLGRP_IPV4_IFADDR).unwrap();
        let plan = Prepared::new(&ops(&net));
        net.forget_events();
        create::set_admin_state(&mut net.peer_socket, p0, false).unwrap();
        wait_for("carrier lost", || net.kernel.link(members[0]).unwrap().filter(|l| !l.running));
        let early = allocations_before(witness.fd(), || {
            assert_eq!(net.kernel.lost_carrier(&members), Some(members[0]));
            net.kernel.commit(plan);
        });
        assert_eq!(early, 0);
        let witnessed = allocations_before(-1, || drop(std::hint::black_box(Box::new(early))));
        assert_eq!(witnessed, 1, "this allocator counts");
    });
}

/// Whatever else has happened may have changed what is right.
#[test]
fn other_news_make_it_nobodys_plan() {
    isolated("other_news_make_it_nobodys_plan", || {
        let mut net = Net::new();
        let members = [net.e0, net.e1];
        let (p0, p1, e1) = (net.p0, net.p1, net.e1);
        net.forget_events();
        create::set_admin_state(&mut net.peer_socket, p0, false).unwrap();
        create::set_admin_state(&mut net.peer_socket, p1, false).unwrap();
        wait_for("both links", || {
            let down = |k: &mut mpath_linux::Kernel, i| k.link(i).unwrap().is_some_and(|l| !l.running);
            let all = members.iter().all(|i| down(&mut net.kernel, *i));
            all.then_some(())
        });
        assert_eq!(net.kernel.lost_carrier(&members), None, "two at once");
        net.forget_events();
        create::set_admin_state(&mut net.peer_socket, p0, true).unwrap();
        wait_for("carrier", || net.kernel.link(members[0]).unwrap().filter(|l| l.running));
        net.forget_events();
        net.apply(KernelOp::AddAddress(plain(e1, "192.0.2.77/24")));
        create::set_admin_state(&mut net.peer_socket, p0, false).unwrap();
        wait_for("carrier lost", || net.kernel.link(members[0]).unwrap().filter(|l| !l.running));
        assert_eq!(net.kernel.lost_carrier(&members), None, "an address came first");
    });
}
