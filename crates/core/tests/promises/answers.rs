//! What counts as an answer (mpathd-behaviour.md 1.7 and 1.8): cases 7 to 10 and 55.

use crate::common::net::reply;
use crate::common::*;
use mpath_core::Input;
use mpath_model::event::Level::Info;
use mpath_model::kernel::{Heard, Packet, Transmit};

const ROUTER: &str = "192.0.2.1";
const AMBIGUOUS: &str = "Number of ambiguous probe acks received";
const ACKED: &str = "Number of probe acks received";

/// A laboratory in which answers are kept back, with one probe of eth0 just sent.
fn held() -> (Lab, Transmit) {
    let mut lab = Spec::default().lab();
    lab.net.hold = true;
    lab.until(secs(1), "probe", |l| !l.probes(ETH0).is_empty());
    let probe = lab.last_probe(ETH0);
    lab.sent.clear();
    (lab, probe)
}

fn with(
    packet: &Packet,
    change: impl FnOnce(&mut std::net::IpAddr, &mut u8, &mut u16, &mut u16, &mut Vec<u8>),
) -> Packet {
    let mut p = packet.clone();
    let Packet::EchoReply { from, code, ident, seq, payload, .. } = &mut p else { panic!("an echo") };
    change(from, code, ident, seq, payload);
    p
}

// case 7
#[test]
fn a_late_answer_turns_lost_into_acked_and_breaks_the_run() {
    let mut lab = Spec::default().lab();
    lab.net.delay_next.entry(ETH0).or_default().push_back(ms(600));
    lab.until(secs(1), "delayed probe", |l| l.net.delay_next[&ETH0].is_empty());
    lab.net.drop_next.insert(ETH0, 4);
    lab.run(secs(3));
    assert_eq!(lab.net.drop_next[&ETH0], 0, "four more were lost");
    assert_eq!(lab.said(), [] as [&str; 0]);
}

// case 8
#[test]
fn only_the_genuine_answer_counts_everything_else_is_refused_and_counted() {
    let (mut lab, probe) = held();
    let good = reply(&probe, ip(ROUTER));
    let acked = lab.statistic(ACKED)[0];
    let refused = lab.statistic(AMBIGUOUS)[0];
    lab.hear(ETH0, with(&good, |_, _, _, seq, _| *seq = seq.wrapping_add(1)));
    assert_eq!(lab.statistic(AMBIGUOUS)[0], refused + 1, "seq == snxt");
    lab.hear(ETH0, with(&good, |from, _, _, _, _| *from = ip("192.0.2.99")));
    assert_eq!(lab.statistic(AMBIGUOUS)[0], refused + 2, "wrong source");
    lab.hear(ETH0, with(&good, |_, _, _, _, payload| payload[19] ^= 1));
    assert_eq!(lab.statistic(AMBIGUOUS)[0], refused + 3, "wrong nonce");
    lab.hear(ETH1, good.clone());
    assert_eq!(lab.statistic(ACKED)[0], acked, "an answer on another NIC proves nothing");
    lab.hear(ETH0, with(&good, |_, _, ident, _, _| *ident ^= 1));
    lab.hear(ETH0, with(&good, |_, code, _, _, _| *code = 1));
    lab.hear(ETH0, with(&good, |_, _, _, _, payload| payload.truncate(10)));
    lab.hear(ETH0, with(&good, |_, _, _, _, payload| payload[11] ^= 0xff));
    let Packet::EchoReply { from, code, ident, seq, payload, .. } = good.clone() else { panic!() };
    lab.hear(ETH0, Packet::EchoReply { from, to: ip("192.0.2.10"), code, ident, seq, payload });
    assert_eq!(lab.statistic(ACKED)[0], acked);
    lab.hear(ETH0, good.clone());
    assert_eq!(lab.statistic(ACKED)[0], acked + 1, "the genuine one");
    let refused = lab.statistic(AMBIGUOUS)[0];
    lab.hear(ETH0, good);
    assert_eq!(lab.statistic(AMBIGUOUS)[0], refused + 1, "a duplicate");
    assert_eq!(lab.statistic(ACKED)[0], acked + 1);
    assert_eq!(lab.said(), [] as [&str; 0]);
}

// case 8
#[test]
fn answers_with_a_code_too_short_or_of_an_unknown_kind_are_counted_too() {
    let (mut lab, probe) = held();
    let good = reply(&probe, ip(ROUTER));
    let refused = lab.statistic(AMBIGUOUS)[0];
    lab.hear(ETH0, with(&good, |_, code, _, _, _| *code = 1));
    lab.hear(ETH0, with(&good, |_, _, _, _, payload| payload.truncate(10)));
    lab.hear(ETH0, with(&good, |_, _, _, _, payload| payload[11] ^= 0xff));
    assert_eq!(lab.statistic(AMBIGUOUS)[0], refused + 3);
}

// case 8, message 25
#[test]
fn m25_refused_answers_are_told_in_the_words_of_the_reference() {
    let (mut lab, probe) = held();
    let good = reply(&probe, ip(ROUTER));
    let Packet::EchoReply { seq, .. } = good else { panic!() };
    let snxt = seq.wrapping_add(1);
    lab.hear(ETH0, with(&good, |_, _, _, seq, _| *seq = snxt));
    let window = format!("out of window probe seq {snxt} snxt {snxt} on eth0 from 192.0.2.1");
    assert_eq!(lab.level(&window), Info);
    lab.hear(ETH0, with(&good, |from, _, _, _, _| *from = ip("192.0.2.99")));
    let fake = format!(" Fake probe reply seq {seq} snxt {snxt} on eth0 from 192.0.2.99");
    assert!(lab.lines.iter().any(|(_, l)| l.text.ends_with(&fake) && l.level == Info), "{}", lab.story());
    lab.hear(ETH0, good.clone());
    lab.hear(ETH0, good.clone());
    let twice = format!(" Duplicate probe reply seq {seq} snxt {snxt} on eth0 from 192.0.2.1");
    assert!(lab.lines.iter().any(|(_, l)| l.text.ends_with(&twice) && l.level == Info), "{}", lab.story());
    lab.hear(ETH0, with(&good, |_, code, _, _, _| *code = 1));
    assert_eq!(lab.level("probe reply code 1 from 192.0.2.1 on eth0"), Info);
    lab.hear(ETH0, with(&good, |_, _, _, _, payload| payload.truncate(10)));
    assert!(lab.lines.iter().any(|(_, l)| l.text.starts_with("probe reply too short: ")));
    lab.hear(ETH0, with(&good, |_, _, _, _, payload| payload[11] ^= 0xff));
    assert!(lab.lines.iter().any(|(_, l)| l.text.starts_with("probe reply type: ")));
}

// case 8
#[test]
fn the_window_is_52_probes() {
    let mut lab = Spec::default().lab();
    lab.net.hold = true;
    lab.until(secs(20), "60 probes", |l| l.probes(ETH0).len() >= 60);
    let snxt = lab.probes(ETH0).last().unwrap().2.wrapping_add(1);
    let of = |lab: &Lab, back: u16| {
        let is = |p: &&Packet| matches!(p, Packet::EchoReply { seq, to, .. } if *seq == snxt - back && *to == ip("192.0.2.11"));
        lab.net.held.iter().map(|(_, p)| p).find(is).unwrap().clone()
    };
    let (acked, refused) = (lab.statistic(ACKED)[0], lab.statistic(AMBIGUOUS)[0]);
    lab.hear(ETH0, of(&lab, 53));
    assert_eq!((lab.statistic(ACKED)[0], lab.statistic(AMBIGUOUS)[0]), (acked, refused + 1));
    lab.hear(ETH0, of(&lab, 52));
    assert_eq!((lab.statistic(ACKED)[0], lab.statistic(AMBIGUOUS)[0]), (acked + 1, refused + 1));
}

// case 9
#[test]
fn sequence_numbers_wrap_in_service() {
    let mut lab = Spec { fdt: ms(100), ..Spec::default() }.lab();
    lab.record = false;
    lab.run(secs(960)); // 67,000 probes
    assert!(lab.statistic("Number of probes sent")[0] > 66_000);
    assert_eq!(lab.said(), [] as [&str; 0]);
    lab.silence(ETH0);
    lab.until_said(ms(100), "NIC failure detected on eth0 of group g");
}

// case 9
#[test]
fn more_than_65536_probes_without_an_answer() {
    let mut lab = Spec { fdt: ms(100), ..Spec::default() }.lab();
    lab.record = false;
    lab.silence(ETH0);
    lab.run(secs(960));
    assert_eq!(lab.count("NIC failure detected on eth0 of group g"), 1);
    lab.heal(ETH0);
    lab.until_said(ms(200), "NIC repair detected on eth0 of group g");
}

// case 10
#[test]
fn an_rtt_of_more_than_52_intervals_is_no_sample_but_an_answer() {
    let mut lab = Spec::default().lab();
    for _ in 0..5 {
        lab.net.hold = true;
        lab.mark();
        lab.until(secs(1), "probe", |l| !l.probes(ETH0).is_empty());
        let probe = lab.last_probe(ETH0);
        lab.net.hold = false;
        lab.net.held.clear();
        let acked = lab.statistic(ACKED)[0];
        lab.suspend(secs(9)); // 63 intervals
        lab.hear(ETH0, reply(&probe, ip(ROUTER)));
        assert_eq!(lab.statistic(ACKED)[0], acked + 1);
        assert_eq!(lab.group().failure_detection_time_ms, 1000);
    }
}

// case 10
#[test]
fn an_answer_from_before_its_probe_is_no_sample() {
    let (mut lab, probe) = held();
    let acked = lab.statistic(ACKED)[0];
    let at = lab.now.before(secs(5));
    lab.feed(Input::Heard(Heard { index: ETH0, at, what: reply(&probe, ip(ROUTER)) }));
    assert_eq!(lab.statistic(ACKED)[0], acked + 1);
    lab.net.hold = false;
    lab.run(secs(3));
    assert_eq!(lab.group().failure_detection_time_ms, 1000);
    assert_eq!(lab.said(), [] as [&str; 0]);
}

// case 55
#[test]
fn interfaces_with_the_same_low_byte_do_not_take_each_others_answers() {
    let spec = Spec { nics: 1, ..Spec::default() };
    let mut settings = spec.settings();
    settings.groups[0].interfaces =
        Spec { nics: 2, ..Spec::default() }.settings().groups[0].interfaces.clone();
    let mut kernel = spec.kernel();
    kernel.add_link(258, "eth1");
    let mut lab = Lab::start(1, settings, kernel, spec.net(), None);
    lab.run(secs(20));
    lab.mark();
    lab.net.hold = true;
    lab.until(secs(1), "probe", |l| !l.probes(ETH0).is_empty());
    let answer = reply(&lab.last_probe(ETH0), ip(ROUTER));
    let acked = lab.statistic(ACKED);
    lab.hear(258, answer);
    assert_eq!(lab.statistic(ACKED), acked);
    lab.net.hold = false;
    lab.run(secs(2));
    lab.silence(258);
    lab.until_said(secs(1), "NIC failure detected on eth1 of group g");
    assert_eq!(lab.nic("eth0").state, mpath_model::status::InterfaceState::Ok);
}

// case 55
#[test]
fn another_daemons_answers_are_nobodys_evidence() {
    let mut lab = Spec::default().lab();
    let other = Spec { seed: 2, ..Spec::default() }.lab();
    lab.silence(ETH0);
    lab.until_said(secs(2), "NIC failure detected on eth0 of group g");
    let mut other = other;
    for _ in 0..200 {
        other.mark();
        other.until(secs(1), "probe", |l| !l.probes(ETH0).is_empty());
        let foreign = reply(&other.last_probe(ETH0), ip(ROUTER));
        lab.hear(ETH0, foreign);
        lab.run(ms(71));
    }
    assert_eq!(lab.state("eth0"), mpath_model::status::InterfaceState::Failed);
}
