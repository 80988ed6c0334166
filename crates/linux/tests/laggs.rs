//! Laggs on a real kernel: what the back-ends make, steer and take away.
#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

mod common;

use common::{Net, isolated};
use mpath_model::kernel::{LaggBackend, LaggOp, Steering, inner_name};
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
