use super::*;
use crate::failure::Problem;
use mpath_model::EventKind;
use proptest::prelude::*;

fn decode(text: &str) -> Result<Call, BadCall> {
    Call::decode(text.as_bytes())
}

fn strip(mut bytes: Vec<u8>) -> Vec<u8> {
    assert_eq!(bytes.pop(), Some(0));
    assert!(!bytes.contains(&0));
    bytes
}

#[test]
fn every_request_survives_the_wire() {
    let interface = "eth0".to_owned();
    for request in [
        Request::Status,
        Request::Watch,
        Request::Offline { interface: interface.clone() },
        Request::Online { interface: interface.clone() },
        Request::Reload { discard: false },
        Request::Reload { discard: true },
        Request::Configuration,
        Request::Configure(Box::default()),
        Request::Configure(Box::new(Change {
            text: "t".to_owned(),
            name: "n".to_owned(),
            base: Some(3),
            keys: vec![Key { name: "k".to_owned(), passphrase: "p".to_owned() }],
            trial_ms: Some(5),
        })),
        Request::Confirm,
        Request::Save,
        Request::Explain { interface: Some(interface.clone()) },
        Request::Explain { interface: None },
        Request::PlanFailure { interface: interface.clone() },
        Request::PlanConfiguration { text: "[daemon]\n".to_owned(), name: "f".to_owned() },
        Request::Freeze { for_ms: Some(1) },
        Request::Freeze { for_ms: None },
        Request::Thaw,
        Request::Release { target: None },
        Request::Release { target: Some("eth0".to_owned()) },
        Request::Statistics,
        Request::Demote { by: -240 },
        Request::GetInfo,
        Request::GetInterfaceDescription { interface },
    ] {
        for (more, oneway) in [(false, false), (true, false), (false, true)] {
            let call = Call { request: request.clone(), more, oneway };
            assert_eq!(Call::decode(&strip(call.encode())), Ok(call));
        }
        let (service, method) = request.method().rsplit_once('.').unwrap();
        let idl = if service == crate::INTERFACE { crate::IDL } else { crate::SERVICE_IDL };
        assert!(idl.contains(&format!("method {method}(")), "{method} is not in the interface definition");
    }
}

#[test]
fn calls_in_varlinks_own_words() {
    assert_eq!(decode(r#"{"method":"org.mpathd.Status"}"#), Ok(Call::new(Request::Status)));
    assert_eq!(
        decode(r#"{"method":"org.mpathd.Watch","parameters":{},"more":true}"#),
        Ok(Call { request: Request::Watch, more: true, oneway: false })
    );
    assert_eq!(
        decode(r#"{"method":"org.mpathd.Offline","parameters":{"interface":"eth1"},"more":null}"#),
        Ok(Call::new(Request::Offline { interface: "eth1".to_owned() }))
    );
}

#[test]
fn wrong_calls_are_answered_by_name() {
    let answer = |text| match decode(text) {
        Err(BadCall::Answer(failure)) => failure,
        other => panic!("{text}: {other:?}"),
    };
    let method = "org.mpathd.Explode".to_owned();
    assert_eq!(answer(r#"{"method":"org.mpathd.Explode"}"#), Failure::MethodNotFound { method });
    let interface = "io.example".to_owned();
    assert_eq!(answer(r#"{"method":"io.example.Do"}"#), Failure::InterfaceNotFound { interface });
    for (text, parameter) in [
        (r#"{"method":"org.mpathd.Offline"}"#, "interface"),
        (r#"{"method":"org.mpathd.Offline","parameters":{"interface":1}}"#, "interface"),
        (r#"{"method":"org.mpathd.Status","parameters":{"verbose":true}}"#, "verbose"),
    ] {
        assert_eq!(answer(text), Failure::InvalidParameter { parameter: parameter.to_owned() });
    }
    for text in ["", "null", "[]", "GET / HTTP/1.1", r#"{"method":1}"#, r#"{"method":"a.b","parameters":[]}"#]
    {
        assert!(matches!(decode(text), Err(BadCall::Malformed(_))), "{text}");
    }
}

#[test]
fn every_failure_survives_the_wire() {
    let text = || "x".to_owned();
    for failure in [
        Failure::Refused { reason: text(), message: text() },
        Failure::ConfigError {
            errors: vec![Problem { line: Some(3), message: text(), ..Problem::default() }],
        },
        Failure::PermissionDenied { message: text() },
        Failure::MethodNotFound { method: text() },
        Failure::InterfaceNotFound { interface: text() },
        Failure::InvalidParameter { parameter: text() },
        Failure::ExpectedMore,
    ] {
        let reply = ReplyMessage::decode(&strip(failure.encode())).unwrap();
        assert_eq!(reply, ReplyMessage { result: Err(failure.clone()), continues: false });
        let short = failure.name().rsplit_once('.').unwrap().1.to_owned();
        let known = format!("{}{}", crate::IDL, crate::SERVICE_IDL);
        assert!(known.contains(&format!("error {short} (")), "{short} is not in the interface definition");
    }
}

#[test]
fn events_are_flat_and_continue() {
    let event = Event {
        event: EventKind::NicFailed,
        interface: Some("eth0".to_owned()),
        group: None,
        message: "NIC failure detected on eth0".to_owned(),
    };
    let event = TimedEvent { time: "2026-11-22T01:02:03.004Z".to_owned(), event };
    let bytes = strip(Reply::Event(event.clone()).encode());
    assert_eq!(
        String::from_utf8(bytes.clone()).unwrap(),
        concat!(
            r#"{"parameters":{"event":{"time":"2026-11-22T01:02:03.004Z","event":"nic_failed","#,
            r#""interface":"eth0","group":null,"message":"NIC failure detected on eth0"}},"continues":true}"#
        )
    );
    let reply = ReplyMessage::decode(&bytes).unwrap();
    assert!(reply.continues);
    assert_eq!(field::<TimedEvent>(reply.result.unwrap(), "event"), Ok(event));
}

#[test]
fn status_keeps_the_order_of_the_contract() {
    let bytes = strip(Reply::Status(Box::default()).encode());
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        concat!(
            r#"{"parameters":{"status":{"version":"","unsaved":false,"frozen":false,"groups":[],"#,
            r#""ungrouped":[],"laggs":[],"carps":[],"carp_counters":{"sent":0,"senderr":0,"received":0,"#,
            r#""badlen":0,"badsum":0,"badvhid":0,"badif":0,"badver":0,"badttl":0,"badauth":0,"own":0,"replayed":0}}}}"#
        )
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Call::decode(&bytes);
        let _ = ReplyMessage::decode(&bytes);
    }

    #[test]
    fn arbitrary_names_survive(name in "\\PC{0,20}|[\\x00-\\x1f]{0,5}") {
        let call = Call::new(Request::Offline { interface: name });
        prop_assert_eq!(Call::decode(&strip(call.encode())), Ok(call));
    }
}

#[test]
fn types_methods_and_errors_share_one_space_of_names() {
    for idl in [crate::IDL, crate::SERVICE_IDL] {
        let mut names: Vec<&str> = idl
            .lines()
            .filter_map(|l| ["type ", "method ", "error "].iter().find_map(|k| l.strip_prefix(k)))
            .filter_map(|l| l.split(['(', ' ']).next())
            .collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "{names:?}");
    }
}
