//! Laggs on a real kernel: what the back-ends make, steer and take away.
#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

mod common;

use common::{Net, isolated};
use mpath_model::kernel::{KernelOp, LaggBackend, LaggOp, Steering, inner_name};
use mpath_model::{IfIndex, Mac};

const MAC: Mac = Mac([2, 0, 0, 0, 9, 9]);

fn create(net: &mut Net, backend: LaggBackend) -> IfIndex {
    let name = "lagg0".to_owned();
    net.lagg(LaggOp::Create { name: name.clone(), backend, mac: MAC, mtu: 1400 });
    let dump = net.dump();
    let lagg = dump.links.iter().find(|l| l.name == name).unwrap();
    assert_eq!((lagg.mac, lagg.mtu, lagg.up), (Some(MAC), 1400, false));
    lagg.index
}

fn steer(lagg: IfIndex, backend: LaggBackend, steering: Steering) -> LaggOp {
    LaggOp::Steer { name: "lagg0".into(), backend, lagg, mac: MAC, steering }
}

fn steering(active: Option<IfIndex>, draining: &[IfIndex], blocked: &[IfIndex]) -> Steering {
    Steering { active, draining: draining.to_vec(), blocked: blocked.to_vec() }
}

#[test]
fn a_redirection_is_shown_as_it_was_made() {
    isolated("a_redirection_is_shown_as_it_was_made", || {
        let mut net = Net::new();
        let (e0, e1) = (net.e0, net.e1);
        let lagg = create(&mut net, LaggBackend::Redirect);
        let inner = net.dump().links.into_iter().find(|l| l.name == inner_name("lagg0")).unwrap();
        assert_eq!(inner.parent, Some(lagg));
        let all = [
            steering(Some(e0), &[], &[e1]),
            steering(Some(e1), &[e0], &[]),
            steering(Some(e1), &[], &[e0]),
            steering(None, &[], &[e0, e1]),
            steering(Some(e0), &[], &[]),
            steering(Some(e0), &[], &[e1]),
        ];
        for wanted in all {
            net.lagg(steer(lagg, LaggBackend::Redirect, wanted.clone()));
            assert_eq!(net.dump().steering, [("lagg0".to_owned(), wanted)]);
        }
        // Another daemon finds it, and takes it over.
        let mut later = mpath_linux::Kernel::open().unwrap();
        let wanted = steering(Some(e0), &[], &[e1]);
        assert_eq!(later.dump().unwrap().steering, [("lagg0".to_owned(), wanted)]);
        drop(std::mem::replace(&mut net.kernel, later));
        let wanted = steering(Some(e1), &[e0], &[]);
        net.lagg(steer(lagg, LaggBackend::Redirect, wanted.clone()));
        assert_eq!(net.dump().steering, [("lagg0".to_owned(), wanted)]);
        net.lagg(LaggOp::Destroy { name: "lagg0".into(), backend: LaggBackend::Redirect });
        let dump = net.dump();
        assert!(dump.steering.is_empty() && dump.links.iter().all(|l| !l.name.starts_with("lagg0")));
    });
}

/// The kernel opens each port of a bridge whose carrier rises, but none that was closed, and the active one by itself.
#[test]
fn a_closed_port_of_a_bridge_stays_closed() {
    isolated("a_closed_port_of_a_bridge_stays_closed", || {
        let mut net = Net::new();
        let (e0, e1) = (net.e0, net.e1);
        let lagg = create(&mut net, LaggBackend::Bridge);
        let backend = LaggBackend::Bridge;
        for port in [e0, e1] {
            net.lagg(LaggOp::Attach { lagg, backend, port });
        }
        net.lagg(LaggOp::SetUp { index: lagg, up: true });
        let shown = |net: &mut Net| {
            let links = net.dump().links;
            [e0, e1].map(|i| links.iter().find(|l| l.index == i).map(|l| (l.running, l.passes)).unwrap())
        };
        let (open, closed, cut) = ((true, Some(true)), (true, Some(false)), (false, Some(false)));
        assert_eq!(shown(&mut net), [closed; 2], "nobody has said what a new port is to do");
        net.lagg(steer(lagg, backend, steering(Some(e0), &[], &[e1])));
        assert_eq!(shown(&mut net), [open, closed]);
        let p = [net.p0, net.p1];
        let cable = |net: &mut Net, n: usize, up: bool, wanted| {
            net.peer_apply(KernelOp::SetLink { index: p[n], up });
            let there = |net: &mut Net| (shown(net) == wanted).then_some(());
            common::wait_for("the carrier", || there(net));
        };
        cable(&mut net, 1, false, [open, cut]);
        cable(&mut net, 1, true, [open, closed]);
        cable(&mut net, 0, false, [cut, closed]);
        cable(&mut net, 0, true, [open, closed]);
        net.lagg(steer(lagg, backend, steering(Some(e1), &[], &[e0])));
        assert_eq!(shown(&mut net), [closed, open]);
        cable(&mut net, 0, false, [cut, open]);
        cable(&mut net, 0, true, [closed, open]);
        net.lagg(LaggOp::Detach { backend, port: e0 });
        // What another has taken away leaves its ports dormant, until they are freed.
        net.lagg(LaggOp::Destroy { name: "lagg0".into(), backend });
        net.lagg(LaggOp::Detach { backend, port: e1 });
        assert_eq!(shown(&mut net), [(true, None); 2]);
        assert!(net.dump().links.iter().all(|l| l.name != "lagg0" && l.master.is_none()));
    });
}
