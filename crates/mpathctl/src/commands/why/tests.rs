use super::*;
use mpath_model::Family;
use mpath_model::explain::{Change, ProbeRecord, Rule};
use mpath_model::status::{LinkState, Method};

fn explanation() -> Explanation {
    let target = "192.0.2.1".parse().unwrap();
    let probe = |number: u64, rtt_us: Option<u64>, lost| ProbeRecord {
        number,
        target: Some(target),
        ago_us: 1000,
        rtt_us,
        lost,
    };
    let mut probes = vec![probe(1, Some(310), false), probe(2, Some(300), false)];
    probes.extend((3..8).map(|n| probe(n, None, true)));
    probes.push(probe(8, None, false));
    Explanation {
        interface: "eth1".to_owned(),
        group: Some("production".to_owned()),
        state: InterfaceState::Failed,
        link: LinkState::Up,
        rule: Rule::ProbesLost,
        reason: "its link is up, and its last 5 probes are unanswered".to_owned(),
        remedy: vec!["10 probes in a row must be answered".to_owned()],
        problems: vec!["its link-layer address is that of eth0: the switch mixes them up".to_owned()],
        history: vec![
            Change { ago_ms: 7_300_000, what: "The link has come up on eth1".to_owned() },
            Change { ago_ms: 900, what: "NIC failure detected on eth1 of group production".to_owned() },
        ],
        instances: vec![Evidence {
            family: Family::Inet,
            method: Method::Icmp,
            mode: TargetMode::Routes,
            source: Some("192.0.2.12".parse().unwrap()),
            interval_us: 1_428_571,
            losses: 5,
            losses_to_fail: 5,
            answers: 0,
            answers_to_repair: 10,
            quiet_ms: None,
            send_error: Some(100),
            sent: 8,
            answered: 2,
            refused: 1,
            targets: vec![TargetEvidence {
                address: target,
                standing: "active".to_owned(),
                rtt_us: Some(305),
                deviation_us: Some(12_300),
                sent: 8,
                answered: 2,
                lost: 5,
            }],
            probes,
        }],
    }
}

#[test]
fn the_evidence_is_laid_out() {
    let golden = "\
eth1 of group production: FAILED, link up
  because its link is up, and its last 5 probes are unanswered
  to repair: 10 probes in a row must be answered
  problem: its link-layer address is that of eth0: the switch mixes them up

  inet by icmp from 192.0.2.12, every 1.4 s: 8 sent, 2 answered, 1 answers
    refused
    5 lost in a row, 5 make it suspect; 0 answered in a row, 10 repair it
    the last probe could not be sent: Network is down
    targets are routers or named targets
    TARGET     USE     SENT  LOST  RTT     +-       PROBES
    192.0.2.1  active  8     5     305 us  12.3 ms  ..xxxxx?

  what happened:
           2 h ago  The link has come up on eth1
        900 ms ago  NIC failure detected on eth1 of group production
";
    let text = render(&explanation(), false);
    assert_eq!(text, golden);
    assert!(render(&explanation(), true).contains("\x1b[1;31mproblem:\x1b[0m"));
}
