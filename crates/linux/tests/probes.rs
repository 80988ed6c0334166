//! Probe sockets, announcements and neighbours between two namespaces.
#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

mod common;

use common::{Net, isolated, plain, wait_for};
use mpath_linux::echo::{EchoSocket, Request};
use mpath_linux::netlink::create;
use mpath_linux::{Probes, clock};
use mpath_model::addr::is_link_local6;
use mpath_model::kernel::{Heard, KernelOp, Listen, Packet, Placing, Transmit, ifa, nud};
use mpath_model::{Address, Family, IfIndex, KernelEvent, Mac, Neighbour, Route};
use mpath_wire::{arp, icmp};
use nix::poll::{PollFd, PollFlags, poll};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

fn addressed() -> Net {
    let mut net = Net::new();
    for text in ["192.0.2.10/24", "192.0.2.11/24", "2001:db8::10/64"] {
        net.apply(KernelOp::AddAddress(plain(net.e0, text)));
    }
    for text in ["192.0.2.1/24", "2001:db8::1/64"] {
        net.peer_apply(KernelOp::AddAddress(plain(net.p0, text)));
    }
    net
}

fn listen(probes: &mut Probes, echo: &[(IfIndex, Family)], arp: &[IfIndex]) {
    let wanted = Listen { echo: echo.to_vec(), arp: arp.to_vec(), ..Listen::default() };
    let errors = probes.listen(&wanted, &|_| None);
    assert!(errors.is_empty(), "{errors:?}");
}

#[track_caller]
fn hear(probes: &mut Probes, wanted: impl Fn(&Heard) -> bool) -> Heard {
    wait_for("packet", || {
        let mut heard = Vec::new();
        for fd in probes.fds() {
            probes.receive(fd, &mut heard);
        }
        heard.into_iter().find(&wanted)
    })
}

fn echo(index: IfIndex, source: &str, target: &str, seq: u16) -> Transmit {
    Transmit::Echo {
        index,
        source: source.parse().unwrap(),
        target: target.parse().unwrap(),
        ident: 0x4d50,
        seq,
        payload: (0..100).collect(),
    }
}

#[test]
fn echo_is_answered_and_stamped() {
    isolated("echo_is_answered_and_stamped", || {
        let net = addressed();
        let mut probes = Probes::new();
        listen(&mut probes, &[(net.e0, Family::Inet), (net.e0, Family::Inet6)], &[]);
        for (n, (from, to)) in
            [("192.0.2.10", "192.0.2.1"), ("192.0.2.11", "192.0.2.1"), ("2001:db8::10", "2001:db8::1")]
                .into_iter()
                .enumerate()
        {
            let number = n as u16 + 7;
            let before = clock::now();
            probes.send(&echo(net.e0, from, to, number)).unwrap();
            let heard = hear(&mut probes, |h| matches!(h.what, Packet::EchoReply { .. }));
            let after = clock::now();
            assert_eq!(heard.index, net.e0);
            // Two clocks are compared: leave room for their difference, not for seconds.
            assert!(heard.at + Duration::from_secs(1) >= before && heard.at <= after);
            let wanted = Packet::EchoReply {
                from: to.parse().unwrap(),
                to: from.parse().unwrap(),
                code: 0,
                ident: 0x4d50,
                seq: number,
                payload: (0..64).collect(),
            };
            assert_eq!(heard.what, wanted);
        }
    });
}

/// Raw sockets get everybody's answers.
#[test]
fn answers_to_somebody_elses_requests_are_not_heard() {
    isolated("answers_to_somebody_elses_requests_are_not_heard", || {
        let net = addressed();
        for (family, from, to) in
            [(Family::Inet, "192.0.2.10", "192.0.2.1"), (Family::Inet6, "2001:db8::10", "2001:db8::1")]
        {
            let [ours, theirs] = [0, 1].map(|_| EchoSocket::open(net.e0, family).unwrap());
            let ask = |socket: &EchoSocket, ident| {
                let echo = icmp::Echo { ident, seq: 1, payload: &[] };
                let request = Request { source: from.parse().unwrap(), target: to.parse().unwrap(), echo };
                socket.send(request).unwrap();
            };
            let heard = |socket: &EchoSocket| {
                let mut heard = Vec::new();
                socket.receive(&mut heard);
                let idents = heard.into_iter().filter_map(|h| match h.what {
                    Packet::EchoReply { ident, .. } => Some(ident),
                    _ => None,
                });
                Some(idents.collect::<Vec<_>>()).filter(|all| !all.is_empty())
            };
            ask(&ours, 1);
            assert_eq!(wait_for("answer", || heard(&ours)), [1]);
            ask(&theirs, 2);
            wait_for("answer to somebody else", || heard(&theirs).filter(|all| all.contains(&2)));
            ask(&ours, 1);
            assert_eq!(wait_for("answer", || heard(&ours)), [1]);
        }
    });
}

#[test]
fn stamps_are_of_arrival_not_of_reading() {
    isolated("stamps_are_of_arrival_not_of_reading", || {
        let net = addressed();
        let socket = EchoSocket::open(net.e0, Family::Inet).unwrap();
        let request = Request {
            source: "192.0.2.10".parse().unwrap(),
            target: "192.0.2.1".parse().unwrap(),
            echo: icmp::Echo { ident: 1, seq: 2, payload: &[] },
        };
        socket.send(request).unwrap();
        let mut waiting = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut waiting, 10_000u16), Ok(1));
        let arrived = clock::now();
        std::thread::sleep(Duration::from_millis(400));
        let mut heard = Vec::new();
        assert!(!socket.receive(&mut heard));
        assert!(heard[0].at <= arrived + Duration::from_millis(200));
    });
}

#[test]
fn probes_leave_and_arrive_by_their_own_interface_only() {
    isolated("probes_leave_and_arrive_by_their_own_interface_only", || {
        let mut net = addressed();
        // The same subnet on the second NIC: an ordinary lookup would take the first.
        net.apply(KernelOp::AddAddress(plain(net.e1, "192.0.2.20/24")));
        net.apply(KernelOp::AddAddress(plain(net.e1, "2001:db8::20/64")));
        net.peer_apply(KernelOp::AddAddress(plain(net.p1, "192.0.2.2/32")));
        net.peer_apply(KernelOp::AddAddress(plain(net.p1, "2001:db8:1::2/64")));
        net.peer_apply(KernelOp::AddRoute(
            Route::onlink("192.0.2.20/32".parse().unwrap(), net.p1, 0, 4),
            Placing::Before,
        ));
        net.apply(KernelOp::AddAddress(plain(net.e1, "2001:db8:1::20/64")));
        let mut probes = Probes::new();
        let both = |family| [(net.e0, family), (net.e1, family)];
        listen(&mut probes, &[both(Family::Inet), both(Family::Inet6)].concat(), &[]);
        probes.send(&echo(net.e1, "192.0.2.20", "192.0.2.2", 1)).unwrap();
        assert_eq!(hear(&mut probes, |_| true).index, net.e1);
        probes.send(&echo(net.e1, "2001:db8:1::20", "2001:db8:1::2", 2)).unwrap();
        assert_eq!(hear(&mut probes, |_| true).index, net.e1);
        // All nodes of the link: the peer's end answers, our own interface does not.
        let local = wait_for("usable link-local address", || {
            let found = net.kernel.dump().unwrap().addresses;
            let wanted = |a: &&Address| a.index == net.e1 && is_link_local6(&a.addr.address);
            found.iter().find(wanted).filter(|a| !a.has(ifa::TENTATIVE)).map(|a| a.addr.address)
        });
        let answer = wait_for("answer from all nodes", || {
            let request = echo(net.e1, &local.to_string(), "ff02::1", 3);
            probes.send(&request).unwrap();
            let mut heard = Vec::new();
            for fd in probes.fds() {
                probes.receive(fd, &mut heard);
            }
            heard.pop()
        });
        assert_eq!(answer.index, net.e1);
        assert!(matches!(answer.what, Packet::EchoReply { from, to, .. } if from != local && to == local));
    });
}

#[test]
fn a_probe_that_cannot_leave_says_why() {
    isolated("a_probe_that_cannot_leave_says_why", || {
        let net = addressed();
        let mut probes = Probes::new();
        let errno = |result: std::io::Result<()>| result.unwrap_err().raw_os_error().unwrap();
        let request = echo(net.e0, "192.0.2.10", "192.0.2.1", 1);
        assert_eq!(errno(probes.send(&request)), libc::ENOTCONN);
        listen(&mut probes, &[(net.e0, Family::Inet), (net.e0, Family::Inet6)], &[]);
        let foreign = echo(net.e0, "2001:db8::99", "2001:db8::1", 1);
        assert_eq!(errno(probes.send(&foreign)), libc::EINVAL);
        let mixed = echo(net.e0, "192.0.2.10", "2001:db8::1", 1);
        assert_eq!(errno(probes.send(&mixed)), libc::EAFNOSUPPORT);
        let wanted = Listen { arp: vec![9999], ..Listen::default() };
        let errors = probes.listen(&wanted, &|_| Some("gone0".into()));
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].1.errno(), libc::ENODEV);
        assert!(errors[0].1.to_string().contains("gone0"), "{}", errors[0].1);
    });
}

#[test]
fn listening_follows_what_is_wanted() {
    isolated("listening_follows_what_is_wanted", || {
        let net = addressed();
        let mut probes = Probes::new();
        let (four, six) = ((net.e0, Family::Inet), (net.e1, Family::Inet6));
        listen(&mut probes, &[four, six], &[net.e0]);
        let (fds, generation) = (probes.fds(), probes.generation());
        assert_eq!(fds.len(), 3);
        listen(&mut probes, &[four, six], &[net.e0]);
        assert_eq!((probes.fds(), probes.generation()), (fds, generation));
        listen(&mut probes, &[six], &[]);
        assert_eq!(probes.fds().len(), 1);
        assert_ne!(probes.generation(), generation);
        listen(&mut probes, &[], &[]);
        assert!(probes.fds().is_empty());
    });
}

#[test]
fn arp_is_heard_and_asked() {
    isolated("arp_is_heard_and_asked", || {
        let mut net = addressed();
        let mut probes = Probes::new();
        listen(&mut probes, &[], &[net.e0]);
        let mac = net.kernel.link(net.e0).unwrap().unwrap().mac.unwrap();
        let target = "192.0.2.1".parse().unwrap();
        let bytes = arp::request_frame(mac, Mac::BROADCAST, "0.0.0.0".parse().unwrap(), target);
        let before = clock::now();
        let index = net.e0;
        probes.send(&Transmit::Frame { index, bytes }).unwrap();
        // Own packets are not heard: the first is the answer.
        let heard = hear(&mut probes, |h| matches!(h.what, Packet::Arp { .. }));
        assert!(heard.at + Duration::from_secs(1) >= before && heard.at <= clock::now());
        let peer = net.peer_kernel.link(net.p0).unwrap().unwrap().mac.unwrap();
        let wanted = Packet::Arp {
            reply: true,
            sender_mac: peer,
            sender: target,
            target_mac: mac,
            target: "0.0.0.0".parse().unwrap(),
        };
        assert_eq!((heard.index, heard.what), (net.e0, wanted));
    });
}

#[test]
fn announcements_reach_the_peer() {
    isolated("announcements_reach_the_peer", || {
        let mut net = addressed();
        let mut at_peer = net.peer.enter(Probes::new);
        let p0 = net.p0;
        net.peer.enter(|| listen(&mut at_peer, &[], &[p0]));
        let address: IpAddr = "192.0.2.10".parse().unwrap();
        let index = net.e0;
        // Announced with the MAC of the moment, also when it has just changed.
        let mac = Mac([2, 0, 0, 0, 0xab, 1]);
        create::set_mac(&mut net.socket, index, mac).unwrap();
        let router = true;
        net.apply(KernelOp::Announce { index, address, router });
        let heard =
            hear(&mut at_peer, |h| matches!(h.what, Packet::Arp { sender_mac, .. } if sender_mac == mac));
        assert!(matches!(heard.what, Packet::Arp { reply: false, sender, target, .. }
            if sender == address && target == address));
        // Until the peer has joined the group of its address it does not hear solicitations.
        let joined = || std::fs::read_to_string("/proc/thread-self/net/igmp6").unwrap();
        wait_for("group of the peer's address", || {
            let groups = net.peer.enter(joined);
            groups.contains("ff0200000000000000000001ff000001").then_some(())
        });
        // The peer knows the IPv6 address by another MAC; the advertisement corrects it.
        let address: IpAddr = "2001:db8::10".parse().unwrap();
        let target: IpAddr = "2001:db8::1".parse().unwrap();
        net.apply(KernelOp::Solicit { index, source: address, target });
        let known = |net: &mut Net| {
            let found = net.peer_kernel.dump().unwrap().neighbours;
            found.into_iter().find(|n| n.address == address)
        };
        wait_for("entry of the peer", || known(&mut net).filter(|n| n.mac == Some(mac)));
        let next = Mac([2, 0, 0, 0, 0xab, 2]);
        create::set_mac(&mut net.socket, index, next).unwrap();
        net.apply(KernelOp::Announce { index, address, router });
        let entry = wait_for("corrected entry", || known(&mut net).filter(|n| n.mac == Some(next)));
        assert!(entry.router);
        let refused = net.kernel.apply(&[
            KernelOp::Announce { index: 1, address, router },
            KernelOp::Announce { index: 9999, address, router },
        ]);
        assert_eq!(refused, [libc::EOPNOTSUPP, libc::ENODEV]);
    });
}

#[test]
fn solicitation_teaches_the_peer_and_is_answered() {
    isolated("solicitation_teaches_the_peer_and_is_answered", || {
        let mut net = addressed();
        let mut probes = Probes::new();
        listen(&mut probes, &[], &[net.e0]);
        let source = "192.0.2.11".parse().unwrap();
        let target = "192.0.2.1".parse().unwrap();
        net.apply(KernelOp::Solicit { index: net.e0, source, target });
        hear(&mut probes, |h| {
            matches!(h.what, Packet::Arp { reply: true, sender, target: to, .. }
                if sender == target && to == source)
        });
        let mac = net.kernel.link(net.e0).unwrap().unwrap().mac;
        let found = net.peer_kernel.dump().unwrap().neighbours;
        assert!(found.iter().any(|n| n.address == source && n.mac == mac));
    });
}

#[test]
fn flushing_deletes_what_was_learnt() {
    isolated("flushing_deletes_what_was_learnt", || {
        let mut net = addressed();
        let mut probes = Probes::new();
        listen(&mut probes, &[(net.e0, Family::Inet), (net.e0, Family::Inet6)], &[]);
        probes.send(&echo(net.e0, "192.0.2.10", "192.0.2.1", 1)).unwrap();
        probes.send(&echo(net.e0, "2001:db8::10", "2001:db8::1", 2)).unwrap();
        // One that never answers: its entry is incomplete.
        probes.send(&echo(net.e0, "192.0.2.10", "192.0.2.99", 3)).unwrap();
        let learnt = |net: &mut Net| {
            let found = net.dump().neighbours;
            let wanted = |n: &Neighbour| n.index == net.e0 && n.state & (nud::NOARP | nud::PERMANENT) == 0;
            found.into_iter().filter(wanted).count()
        };
        wait_for("three entries", || (learnt(&mut net) >= 3).then_some(()));
        net.forget_events();
        net.apply(KernelOp::FlushNeighbours(net.e0));
        let index = net.e0;
        net.expect_event("entry gone", |e| matches!(e, KernelEvent::NeighbourGone(n) if n.index == index));
        // Incomplete entries may come back by themselves, answered ones may not.
        let left = net.dump().neighbours;
        let answered = ["192.0.2.1", "2001:db8::1"].map(|a| a.parse::<IpAddr>().unwrap());
        assert!(left.iter().all(|n| n.index != index || !answered.contains(&n.address)), "{left:?}");
    });
}
