//! Moves that cannot be proved: the new NIC has a link, and serves nobody.

use super::*;
use mpath_model::status::ProbeState;

const THIRD: &str =
    "\n[[group.interface]]\nname = \"eth2\"\ntest_addresses = [\"192.0.2.13/24\", \"link-local\"]\n";

/// Three NICs and slow probes: the proof finds it first.
fn three(list: &[(&str, &str)]) -> String {
    let all = data(list).replace("= \"1s\"", "= \"30s\"");
    all.replacen("\n[[group.address]]", &format!("{THIRD}\n[[group.address]]"), 1)
}

/// Somebody must have answered on each NIC in both families, to be a witness.
fn wait_for_witnesses(daemon: &Daemon) {
    let answered = || {
        let before = daemon.log().len();
        daemon.signal(nix::sys::signal::Signal::SIGUSR1).unwrap();
        daemon.wait_log_after(before, SOON, "probe acks received").unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let lines = daemon.log().into_iter().skip(before);
        let acks = lines
            .filter_map(|l| Some(l.text.split_once("Number of probe acks received ")?.1.trim().to_owned()));
        let acks: Vec<String> = acks.collect();
        (acks.len() == 6 && acks.iter().all(|n| n != "0")).then_some(())
    };
    assert!(poll_until(Duration::from_secs(40), answered).is_some(), "{}", daemon.log_text());
}

/// The new NIC has a link and lets nothing out: the move cannot be proved, and the next NIC is used.
#[test]
fn a_move_that_cannot_be_proved_goes_on_to_the_next_nic() {
    with_daemon("proof::a_move_that_cannot_be_proved_goes_on_to_the_next_nic", || {
        let lan = Lan::new(LanOptions { nics: 3, ..LanOptions::default() }).unwrap();
        let config = three(&[("192.0.2.10/24", "eth0"), ("2001:db8:1::10/64", "eth0")]);
        let daemon = Daemon::start(&lan.server, &config).unwrap();
        soon("placed", &daemon, &lan.server, |i| i.addresses.iter().any(|a| a.protocol == 77));
        wait_for_witnesses(&daemon);
        lan.blackhole_outbound(1).unwrap();
        lan.cut(0).unwrap();
        let moved = || (lan.server.holders("192.0.2.10") == ["eth2"]).then_some(());
        let log = || daemon.log_text();
        assert!(poll_until(SOON, moved).is_some(), "{:?}\n{}", lan.server.addresses(), log());
        assert!(log().contains("on NIC eth1: the next NIC is tried"), "{}", log());
        let both = || (lan.server.holders("2001:db8:1::10") == ["eth2"]).then_some(());
        assert!(poll_until(SOON, both).is_some(), "{:?}\n{}", lan.server.addresses(), log());
    });
}

/// The switch of the new NIC lets nobody hear where the address is now, as one that inspects ARP: its probes are answered all the
/// same, and the address is not.
#[test]
fn without_announcements_the_next_nic_is_tried() {
    with_daemon("proof::without_announcements_the_next_nic_is_tried", || {
        let lan = Lan::new(LanOptions { nics: 3, ..LanOptions::default() }).unwrap();
        let daemon = Daemon::start(&lan.server, &three(&[("192.0.2.10/24", "eth0")])).unwrap();
        let on = |nic: &'static str| (lan.server.holders("192.0.2.10") == [nic]).then_some(());
        let log = || daemon.log_text();
        assert!(poll_until(SOON, || on("eth0")).is_some(), "{}", log());
        wait_for_witnesses(&daemon);
        // The router remembers who asked it for an answer to this address.
        let _echo = Echo::start(&lan.server, PORT).unwrap();
        let far = UdpStream::start(&lan.far, target("192.0.2.10"), 50).unwrap();
        let start = Instant::now();
        assert!(poll_until(SOON, || far.alive_since(start).then_some(())).is_some(), "{}", log());
        lan.silence_arp(1, "192.0.2.10".parse().unwrap()).unwrap();
        lan.cut(0).unwrap();
        let there = poll_until(SOON, || on("eth2"));
        assert!(there.is_some(), "{:?}\n{}", lan.server.addresses(), log());
        assert!(log().contains("on NIC eth1: the next NIC is tried"), "{}", log());
        let moved = Instant::now();
        assert!(poll_until(SOON, || far.alive_since(moved).then_some(())).is_some(), "{}", log());
        let why = daemon.status().unwrap();
        assert!(why.groups[0].interfaces.iter().any(|i| i.name == "eth1" && i.probe != ProbeState::Failed));
    });
}
