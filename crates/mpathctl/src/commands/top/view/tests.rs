use super::*;
use mpath_ipc::TimedEvent;
use mpath_model::explain::{Evidence, ProbeRecord, Rule, TargetEvidence};
use mpath_model::status::{DataAddress, Group, Method, TargetMode};
use mpath_model::{Event, EventKind, Family, Status};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

fn nic(n: usize) -> Interface {
    Interface {
        name: format!("eth{n}"),
        state: if n == 1 { InterfaceState::Failed } else { InterfaceState::Ok },
        active: n != 1,
        standby: false,
        link: LinkState::Up,
        probe: if n == 1 { ProbeState::Failed } else { ProbeState::Ok },
        mode: TargetMode::Routes,
        test_addresses: vec![],
        targets: vec![],
        addresses: vec![],
        instances: vec![],
        degraded: false,
        unmanaged: vec![],
    }
}

fn model(nics: usize) -> Model {
    let address = DataAddress {
        address: "192.0.2.10/24".parse().unwrap(),
        home: "eth1".to_owned(),
        interface: Some("eth0".to_owned()),
        state: AddressState::Up,
        adopted: false,
    };
    let group = Group {
        name: "production".to_owned(),
        state: GroupState::Degraded,
        failure_detection_time_ms: 10_000,
        requested_failure_detection_time_ms: 10_000,
        failback: true,
        interfaces: (0..nics).map(nic).collect(),
        addresses: vec![address],
    };
    let target = "192.0.2.1".parse().unwrap();
    let probe =
        |number: u64, rtt_us, lost| ProbeRecord { number, target: Some(target), ago_us: 0, rtt_us, lost };
    let explanation = Explanation {
        interface: "eth0".to_owned(),
        group: None,
        state: InterfaceState::Ok,
        link: LinkState::Up,
        rule: Rule::Answered,
        reason: "its link is up and its probes are answered".to_owned(),
        remedy: vec![],
        problems: vec![],
        history: vec![],
        instances: vec![Evidence {
            family: Family::Inet,
            method: Method::Icmp,
            mode: TargetMode::Routes,
            source: None,
            interval_us: 1,
            losses: 0,
            losses_to_fail: 5,
            answers: 3,
            answers_to_repair: 10,
            quiet_ms: None,
            send_error: None,
            sent: 4,
            answered: 2,
            refused: 0,
            targets: vec![TargetEvidence {
                address: target,
                standing: "active".to_owned(),
                rtt_us: Some(300),
                deviation_us: Some(10),
                sent: 4,
                answered: 2,
                lost: 1,
            }],
            probes: vec![
                probe(1, Some(100), false),
                probe(2, Some(800), false),
                probe(3, None, true),
                probe(4, None, false),
            ],
        }],
    };
    let mut model = Model::default();
    let status = Status { version: "0.1.0".to_owned(), groups: vec![group], ..Status::default() };
    model.update(status, vec![explanation]);
    model.event(TimedEvent {
        time: "2026-11-22T01:41:36.007+00:00".to_owned(),
        event: Event {
            event: EventKind::NicFailed,
            interface: Some("eth1".to_owned()),
            group: None,
            message: "NIC failure detected on eth1".to_owned(),
        },
    });
    model
}

fn screen(model: &mut Model, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, model)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let rows = buffer.content().chunks(usize::from(width));
    rows.map(|row| {
        row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned() + "\n"
    })
    .collect()
}

#[test]
fn everything_is_on_the_screen() {
    let golden = "\
mpathd 0.1.0  production degraded
┌ NICs ────────────────────────────────────────────────────────────────────────┐
│eth0  ok      up   ok        active   production  0 addresses                 │
│eth1  FAILED  up   FAILED             production  0 addresses                 │
└──────────────────────────────────────────────────────────────────────────────┘
┌ eth0 ────────────────────────────────────────┐┌ addresses ───────────────────┐
│its link is up and its probes are answered    ││192.0.2.10/24 on eth0 (home et│
│inet: 0 lost in a row of 5                    ││                              │
│  192.0.2.1 300 us 1/4 lost ▁█x·              ││                              │
│                                              ││                              │
└──────────────────────────────────────────────┘└──────────────────────────────┘
┌ events ──────────────────────────────────────────────────────────────────────┐
│01:41:36  NIC failure detected on eth1                                        │
└──────────────────────────────────────────────────────────────────────────────┘
q quit  up/down select  o offline  n online
";
    assert_eq!(screen(&mut model(2), 80, 15), golden);
}

#[test]
fn sixty_four_nics_scroll() {
    let mut model = model(64);
    assert!(screen(&mut model, 80, 24).contains("NICs 1-10 of 64"));
    model.move_by(isize::MAX);
    let text = screen(&mut model, 80, 24);
    assert!(text.contains("NICs 55-64 of 64") && text.contains("eth63"), "{text}");
    model.move_by(-1);
    assert!(screen(&mut model, 80, 24).contains("NICs 55-64 of 64"), "no more than needed");
    model.move_by(isize::MIN);
    assert!(screen(&mut model, 80, 24).contains("NICs 1-10 of 64"));
    model.ask(Question::Offline);
    assert!(screen(&mut model, 80, 24).contains("take eth0 offline? y/n"));
}

#[test]
fn any_size_will_do() {
    for (width, height) in [(1, 1), (10, 3), (20, 8), (40, 10), (300, 100)] {
        screen(&mut model(64), width, height);
        screen(&mut Model::default(), width, height);
    }
}

#[test]
fn a_daemon_that_has_gone_is_told() {
    let mut model = model(2);
    model.lost("the daemon closed the connection");
    assert!(screen(&mut model, 80, 15).contains("no daemon: the daemon closed the connection"));
    let (status, evidence) = (model.status.clone(), model.evidence.clone());
    model.update(status, evidence);
    assert!(screen(&mut model, 80, 15).contains("q quit"));
}
