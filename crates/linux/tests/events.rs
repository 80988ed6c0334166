//! What the kernel tells by itself, and who else may not.
#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

mod common;

use common::{Net, isolated, plain, wait_for};
use mpath_linux::netlink::Socket;
use mpath_linux::netlink::create::{self, End};
use mpath_linux::{Kernel, sys};
use mpath_model::kernel::{KernelEvent, KernelOp, Placing};
use mpath_model::{PROTO_MPATHD, Route};
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, getsockname, sendto, socket,
};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};

#[test]
fn every_kind_of_change_arrives() {
    isolated("every_kind_of_change_arrives", || {
        let mut net = Net::new();
        net.dump();
        net.forget_events();
        for text in ["192.0.2.10/24", "2001:db8::10/64"] {
            let address = plain(net.e0, text);
            let addr = address.addr;
            net.apply(KernelOp::AddAddress(address));
            let added =
                net.expect_event("address", |e| matches!(e, KernelEvent::Address(a) if a.addr == addr));
            assert_eq!(net.address(net.e0, text).map(KernelEvent::Address), Some(added));
            let network = addr.network();
            let route = |e: &KernelEvent| matches!(e, KernelEvent::Route(r) if r.dst == network);
            let index = net.e0;
            net.forget_events();
            let wanted = "203.0.113.0/24".parse().unwrap();
            let static_route = Route::onlink(wanted, index, 0, PROTO_MPATHD);
            net.apply(KernelOp::AddRoute(static_route.clone(), Placing::Before));
            let heard = net.expect_event("route", |e| matches!(e, KernelEvent::Route(r) if r.dst == wanted));
            assert_eq!(heard, KernelEvent::Route(static_route.clone()));
            assert!(!route(&heard));
            net.apply(KernelOp::DelRoute(static_route.clone()));
            let gone = KernelEvent::RouteGone(static_route);
            net.expect_event("route gone", |e| *e == gone);
            net.apply(KernelOp::DelAddress { index, addr });
            net.expect_event(
                "address gone",
                |e| matches!(e, KernelEvent::AddressGone(a) if a.addr == addr && a.index == index),
            );
        }
        let (e0, p0) = (net.e0, net.p0);
        let link = |wanted: bool| move |e: &KernelEvent| matches!(e, KernelEvent::Link(l) if l.index == e0 && l.running == wanted);
        create::set_admin_state(&mut net.peer_socket, p0, false).unwrap();
        net.expect_event("link down", link(false));
        assert!(!net.kernel.link(e0).unwrap().unwrap().running);
        create::set_admin_state(&mut net.peer_socket, p0, true).unwrap();
        net.expect_event("link up", link(true));
        create::set_admin_state(&mut net.socket, e0, false).unwrap();
        net.expect_event("admin down", |e| matches!(e, KernelEvent::Link(l) if l.index == e0 && !l.up));
        create::rename(&mut net.socket, e0, "renamed").unwrap();
        net.expect_event(
            "rename",
            |e| matches!(e, KernelEvent::Link(l) if l.index == e0 && l.name == "renamed"),
        );
        create::delete(&mut net.socket, e0).unwrap();
        net.expect_event("link gone", |e| *e == KernelEvent::LinkGone(e0));
        assert_eq!(net.kernel.events().undecodable(), 0);
    });
}

#[test]
fn asking_for_a_link_shows_the_live_carrier() {
    isolated("asking_for_a_link_shows_the_live_carrier", || {
        let mut net = Net::new();
        // The second cut follows link events at once, so its own event is held back for up to a second.
        for _ in 0..2 {
            create::set_admin_state(&mut net.peer_socket, net.p0, false).unwrap();
            assert!(!net.kernel.link(net.e0).unwrap().unwrap().running);
            create::set_admin_state(&mut net.peer_socket, net.p0, true).unwrap();
            wait_for("carrier", || net.kernel.link(net.e0).unwrap().filter(|l| l.running));
        }
    });
}

/// A tap behaves like a plain NIC: with other events just before, its own is up to a second late.
#[test]
fn a_tap_shows_its_live_carrier() {
    isolated("a_tap_shows_its_live_carrier", || {
        let (mut kernel, mut socket) = (Kernel::open().unwrap(), Socket::open().unwrap());
        let tap = File::options().read(true).write(true).open("/dev/net/tun").unwrap();
        sys::make_tun(tap.as_fd(), "tap0", libc::IFF_TAP | libc::IFF_NO_PI).unwrap();
        let index = nix::net::if_::if_nametoindex("tap0").unwrap();
        create::set_admin_state(&mut socket, index, true).unwrap();
        for _ in 0..3 {
            wait_for("carrier", || kernel.link(index).unwrap().filter(|l| l.running));
            sys::set_tun_carrier(tap.as_fd(), false).unwrap();
            assert!(!kernel.link(index).unwrap().unwrap().running);
            sys::set_tun_carrier(tap.as_fd(), true).unwrap();
        }
    });
}

#[test]
fn leaving_a_bridge_is_not_a_lost_link() {
    isolated("leaving_a_bridge_is_not_a_lost_link", || {
        let mut net = Net::new();
        let end = End { name: "br0".into(), ..End::default() };
        create::bridge(&mut net.socket, &end).unwrap();
        let bridge = net.dump().links.into_iter().find(|l| l.name == "br0").unwrap().index;
        create::set_master(&mut net.socket, net.e0, bridge).unwrap();
        net.forget_events();
        create::set_master(&mut net.socket, net.e0, 0).unwrap();
        create::rename(&mut net.socket, net.e1, "last").unwrap();
        let mut heard = Vec::new();
        wait_for("the last event", || {
            net.kernel.read_events(&mut heard).unwrap();
            heard.iter().any(|e| matches!(e, KernelEvent::Link(l) if l.name == "last")).then_some(())
        });
        let e0 = net.e0;
        assert!(!heard.contains(&KernelEvent::LinkGone(e0)), "{heard:?}");
        assert!(
            heard.iter().any(|e| matches!(e, KernelEvent::Link(l) if l.index == e0 && l.master.is_none()))
        );
    });
}

#[test]
fn overflow_is_reported_and_over_after_a_dump() {
    isolated("overflow_is_reported_and_over_after_a_dump", || {
        let mut net = Net::new();
        net.kernel.events().set_receive_buffer(4096).unwrap();
        let storm: Vec<_> = (0..500u32)
            .map(|n| KernelOp::AddAddress(plain(net.e0, &format!("10.0.{}.{}/32", n / 250, n % 250 + 1))))
            .collect();
        assert!(net.kernel.apply(&storm).iter().all(|e| *e == 0));
        let mut events = Vec::new();
        assert!(net.kernel.read_events(&mut events).unwrap());
        assert!(events.len() < 500);
        let shown = net.dump().addresses.iter().filter(|a| a.addr.is_host()).count();
        assert!(shown >= 500, "{shown}");
        net.forget_events();
        net.kernel.events().set_receive_buffer(1 << 20).unwrap();
        net.apply(KernelOp::AddAddress(plain(net.e0, "10.9.9.9/32")));
        net.expect_event("event after the storm", |e| matches!(e, KernelEvent::Address(_)));
    });
}

#[test]
fn messages_of_others_are_not_believed() {
    isolated("messages_of_others_are_not_believed", || {
        let mut kernel = Kernel::open().unwrap();
        let port = getsockname::<NetlinkAddr>(kernel.event_fd()).unwrap().pid();
        let liar =
            socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)
                .unwrap();
        // RTM_DELLINK of interface 1, as the kernel would send it.
        let mut lie = vec![0u8; 40];
        lie[0..4].copy_from_slice(&40u32.to_ne_bytes());
        lie[4..6].copy_from_slice(&17u16.to_ne_bytes());
        lie[20..24].copy_from_slice(&1u32.to_ne_bytes());
        lie[32..40].copy_from_slice(&[7, 0, 3, 0, b'l', b'o', 0, 0]);
        let to = NetlinkAddr::new(port, 0);
        sendto(liar.as_raw_fd(), &lie, &to, MsgFlags::empty()).unwrap();
        let mut heard = Vec::new();
        wait_for("the lie", || {
            assert!(!kernel.read_events(&mut heard).unwrap());
            (kernel.events().foreign() == 1).then_some(())
        });
        assert_eq!(heard, []);
    });
}
