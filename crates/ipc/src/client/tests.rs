use super::*;
use crate::failure::Problem;
use crate::message::Reply;
use mpath_model::{Event, EventKind};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::thread;

const SHORT: Duration = Duration::from_millis(200);

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A server that reads one request and answers `bytes`, then waits for the client to go.
fn server(path: &Path, answers: Vec<Vec<u8>>) -> thread::JoinHandle<()> {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0u8; 4096];
        for answer in answers {
            assert!(stream.read(&mut buffer).unwrap() > 0);
            stream.write_all(&answer).unwrap();
        }
        while stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
    })
}

fn one_line(error: &ClientError, path: &Path) {
    let text = error.to_string();
    assert!(!text.contains('\n') && text.contains(path.to_str().unwrap()), "{text}");
}

#[test]
fn missing_dead_and_foreign_sockets_are_told_apart() {
    let dir = dir();
    let path = dir.path().join("mpathd.sock");
    let connect = || Client::connect(&path, SHORT).unwrap_err();

    let error = connect();
    assert!(matches!(error, ClientError::Missing(_)), "{error}");
    one_line(&error, &path);

    drop(UnixListener::bind(&path).unwrap());
    let error = connect();
    assert!(matches!(error, ClientError::Dead(_)), "{error}");
    one_line(&error, &path);

    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "hello").unwrap();
    let error = connect();
    assert!(matches!(error, ClientError::Foreign(..)), "{error}");
    one_line(&error, &path);

    std::fs::remove_file(&path).unwrap();
    let _datagram = UnixDatagram::bind(&path).unwrap();
    let error = connect();
    assert!(matches!(error, ClientError::Foreign(..)), "{error}");
}

#[test]
fn a_path_too_long_for_a_socket_is_named() {
    let path = PathBuf::from(format!("/tmp/{}", "x".repeat(200)));
    let error = Client::connect(&path, SHORT).unwrap_err();
    assert!(matches!(error, ClientError::Io(..)));
    one_line(&error, &path);
}

/// What another program's varlink service says to a call of ours.
const NO_INTERFACE: &[u8] =
    b"{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"org.mpathd\"}}\0";

#[test]
fn garbage_and_silence_are_foreign() {
    let garbage: &[&[u8]] =
        &[b"HTTP/1.0 400 Bad Request\r\n\r\n\0", b"[]\0", b"{\"hello\":1}\0", NO_INTERFACE];
    for bytes in garbage {
        let dir = dir();
        let path = dir.path().join("s");
        let server = server(&path, vec![bytes.to_vec()]);
        let error = Client::connect(&path, TIMEOUT).unwrap().status().unwrap_err();
        assert!(matches!(error, ClientError::Foreign(..)), "{error}");
        one_line(&error, &path);
        server.join().unwrap();
    }
    let dir = dir();
    let path = dir.path().join("s");
    let server = server(&path, vec![]);
    let error = Client::connect(&path, SHORT).unwrap().status().unwrap_err();
    assert!(matches!(error, ClientError::Silent(..)), "{error}");
    one_line(&error, &path);
    server.join().unwrap();
}

#[test]
fn status_and_failures_come_through() {
    let dir = dir();
    let path = dir.path().join("s");
    let status = Status { version: "1".to_owned(), ..Status::default() };
    let failure = Failure::ConfigError { errors: vec![Problem::default()] };
    let answers = vec![Reply::Status(Box::new(status.clone())).encode(), failure.encode()];
    let server = server(&path, answers);
    let mut client = Client::connect(&path, TIMEOUT).unwrap();
    assert_eq!(client.status().unwrap(), status);
    match client.call(Request::Status) {
        Err(ClientError::Failed(f)) => assert_eq!(f, failure),
        other => panic!("{other:?}"),
    }
    drop(client);
    server.join().unwrap();
}

#[test]
fn watch_reads_events_and_ends_when_the_daemon_goes() {
    let dir = dir();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let event = |n: u32| TimedEvent {
        time: "2026-11-22T00:00:00Z".to_owned(),
        event: Event { event: EventKind::LinkDown, interface: None, group: None, message: n.to_string() },
    };
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0u8; 4096];
        assert!(stream.read(&mut buffer).unwrap() > 0);
        stream.write_all(&Reply::Info(ServiceInfo::mpathd("1")).encode()).unwrap();
        assert!(stream.read(&mut buffer).unwrap() > 0);
        for n in 0..3 {
            stream.write_all(&Reply::Event(event(n)).encode()).unwrap();
        }
    });
    let mut watch = Client::connect(&path, TIMEOUT).unwrap().watch().unwrap();
    for n in 0..3 {
        assert_eq!(watch.next_event().unwrap(), event(n));
    }
    let end = watch.next_before(Instant::now() + TIMEOUT).unwrap_err();
    assert!(matches!(end, ClientError::Closed(_)), "{end}");
    server.join().unwrap();
}
