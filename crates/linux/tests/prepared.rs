//! Requests made ready in advance, and the notification that they wait for.
#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

mod common;

use common::{Net, isolated, plain, wait_for};
use mpath_linux::netlink::create;
use mpath_linux::prepared::Prepared;
use mpath_model::kernel::{KernelOp, Placing};
use mpath_model::{KernelEvent, PROTO_MPATHD, Route};

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
