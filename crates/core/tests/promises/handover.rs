//! The program runs again in place (SIGUSR2): the engine goes through its written form with everything in it.

use crate::common::*;
use mpath_core::{Engine, Input};
use mpath_model::carp::Over;
use mpath_model::settings::{Carp, Lagg};
use mpath_model::status::InterfaceState;

/// A group that is probed in both families, with a standby; a vhid over another NIC; and a lagg.
fn busy() -> Lab {
    let spec = Spec { nics: 5, standby: vec![2], six: true, hosts: 3, ..Spec::default() };
    let mut settings = spec.settings();
    settings.groups[0].interfaces.truncate(3);
    settings.carps.push(Carp {
        preempt: true,
        addresses: vec!["192.0.2.100/24".parse().unwrap()],
        ..Carp::new(Over::Interface("eth3".into()), 7)
    });
    let mut lagg = Lagg::new("lagg0", &settings.detection);
    lagg.ports = vec!["eth4".into()];
    settings.laggs.push(lagg);
    let mut kernel = spec.kernel();
    kernel.no_marks = true;
    kernel.put(ETH1, "192.0.2.20/24");
    kernel.put(ETH1, "2001:db8::20/64");
    let mut lab = Lab::start(5, settings, kernel, spec.net(), None);
    lab.feed(Input::WallClock { unix: 1 << 50 });
    lab.run(secs(10));
    lab
}

/// What the next program image makes of the engine.
fn taken_over(engine: &Engine) -> Engine {
    let written = serde_json::to_string(engine).unwrap();
    let read: Engine = serde_json::from_str(&written).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), written);
    read.resumed("test")
}

/// As the daemon does it: the settings of the file first, then the picture.
fn reexec(lab: &mut Lab) {
    lab.engine = taken_over(&lab.engine);
    lab.listen = Default::default();
    lab.feed(Input::Configure(lab.settings.clone()));
    lab.dump();
}

#[test]
fn an_engine_with_everything_in_it_comes_back_equal_in_every_moment_of_its_life() {
    let mut lab = busy();
    let step = |lab: &mut Lab| {
        for _ in 0..40 {
            taken_over(&lab.engine);
            lab.step(lab.now + secs(1));
        }
    };
    step(&mut lab);
    lab.net.loss_of.insert(ETH0, 700);
    lab.run(secs(15));
    step(&mut lab);
    lab.net.loss_of.clear();
    lab.carrier(&[ETH1], false);
    step(&mut lab);
    for _ in 0..5 {
        lab.kernel.drop_address(ETH2, &"192.0.2.20/24".parse().unwrap());
        lab.deliver();
        lab.run(secs(1));
    }
    lab.net.apart.insert(ETH1);
    lab.carrier(&[ETH1], true);
    lab.run(secs(30));
    step(&mut lab);
}

#[test]
fn what_comes_before_the_picture_decides_nothing() {
    let mut lab = busy();
    lab.carrier(&[ETH1], false);
    lab.run(secs(5));
    let answers = lab.statistic("Number of probe acks received ");
    lab.mark();
    let failed = lab.state("eth1");
    reexec(&mut lab);
    assert_eq!(lab.said(), [] as [&str; 0], "{}", lab.story());
    assert_eq!((failed, lab.state("eth1")), (InterfaceState::Failed, InterfaceState::Failed));
    assert_eq!(lab.statistic("Number of probe acks received "), answers, "history goes on");
    lab.run(secs(30));
    let moved = |(_, op): &&(_, mpath_model::kernel::KernelOp)| {
        use mpath_model::kernel::KernelOp;
        // Lifetimes of CARP addresses are renewed all the time.
        matches!(op, KernelOp::AddAddress(a) if a.index < 100)
            || matches!(op, KernelOp::DelAddress { .. } | KernelOp::AddRoute(..) | KernelOp::DelLink(_))
    };
    assert_eq!(lab.ops.iter().filter(moved).count(), 0, "{:?}", lab.ops);
    assert_eq!(lab.where_is("192.0.2.20"), [ETH2], "the standby keeps it");
}
