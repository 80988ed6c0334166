use super::*;
use mio::{Events, Poll};
use mpath_ipc::{Client, ClientError, ReplyMessage};
use mpath_model::{EventKind, Status};
use std::io::Read;
use std::os::unix::net::UnixStream as StdStream;
use std::thread;
use std::time::Instant;

const FIRST: Token = Token(100);
const LIMIT: Duration = Duration::from_secs(20);

struct Bench {
    poll: Poll,
    server: Server,
    path: PathBuf,
    now: Time,
    calls: Vec<Call>,
    _dir: tempfile::TempDir,
}

fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let poll = Poll::new().unwrap();
    let server = Server::bind(&path, Access::default(), poll.registry(), FIRST, "9.9").unwrap();
    Bench { poll, server, path, now: Time(0), calls: Vec::new(), _dir: dir }
}

impl Bench {
    fn turn(&mut self, wait: Duration) {
        let mut events = Events::with_capacity(16);
        self.poll.poll(&mut events, Some(wait)).unwrap();
        for event in &events {
            assert!(self.server.owns(event.token()));
            self.server.ready(self.now, event.token(), event, &mut self.calls);
        }
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&Bench) -> bool) {
        let end = Instant::now() + LIMIT;
        while !done(self) {
            assert!(Instant::now() < end, "waited in vain until {what}");
            self.turn(Duration::from_millis(20));
        }
    }

    fn connections(&self) -> usize {
        self.server.slots.iter().flatten().count()
    }

    fn connect(&mut self) -> StdStream {
        let stream = StdStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let before = self.connections();
        self.until("the connection is accepted", |b| b.connections() > before);
        stream
    }

    fn watchers(&self) -> usize {
        self.server.slots.iter().flatten().filter(|c| c.watching()).count()
    }
}

fn event(message: &str) -> Event {
    Event { event: EventKind::Alarm, interface: None, group: None, message: message.to_owned() }
}

fn read_reply(stream: &mut StdStream) -> ReplyMessage {
    let mut bytes = Vec::new();
    let mut byte = [0u8];
    loop {
        stream.read_exact(&mut byte).unwrap();
        if byte[0] == 0 {
            return ReplyMessage::decode(&bytes).unwrap();
        }
        bytes.push(byte[0]);
    }
}

fn call(request: Request) -> Vec<u8> {
    mpath_ipc::Call::new(request).encode()
}

fn is_closed(stream: &mut StdStream) -> bool {
    matches!(stream.read(&mut [0u8; 64]), Ok(0) | Err(_))
}

#[test]
fn status_goes_out_as_a_call_and_comes_back_as_a_reply() {
    let mut b = bench();
    let path = b.path.clone();
    let client = thread::spawn(move || Client::connect(&path, LIMIT).unwrap().status().unwrap());
    b.until("a call arrives", |b| !b.calls.is_empty());
    let to = b.calls[0].connection;
    assert_eq!(b.calls, [Call { connection: to, request: Request::Status }]);
    let status = Status { version: "9.9".to_owned(), ..Status::default() };
    b.server.reply(b.now, to, &Reply::Status(Box::new(status.clone())));
    assert_eq!(client.join().unwrap(), status);
    b.until("the connection is gone", |b| b.connections() == 0);
}

#[test]
fn pipelined_requests_are_served_one_at_a_time_in_order() {
    let mut b = bench();
    let mut stream = b.connect();
    let eth = |n: u32| Request::Offline { interface: format!("eth{n}") };
    let mut bytes: Vec<u8> = (0..40).flat_map(|n| call(eth(n))).collect();
    bytes.extend(call(Request::GetInfo));
    stream.write_all(&bytes).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    for n in 0..40 {
        b.until("the next call arrives", |b| !b.calls.is_empty());
        assert_eq!(b.calls.len(), 1);
        let got = b.calls.remove(0);
        assert_eq!(got.request, eth(n));
        b.server.error(b.now, got.connection, &Failure::PermissionDenied { message: n.to_string() });
        let reply = read_reply(&mut stream);
        assert_eq!(reply.result, Err(Failure::PermissionDenied { message: n.to_string() }));
    }
    b.until("the connection is done with", |b| b.connections() == 0);
    assert_eq!(read_reply(&mut stream).result.unwrap()["version"], "9.9");
    assert!(is_closed(&mut stream));
}

#[test]
fn standard_interface_and_wrong_calls_are_answered_here() {
    let mut b = bench();
    let mut stream = b.connect();
    let mut ask = |b: &mut Bench, bytes: &[u8]| {
        stream.write_all(bytes).unwrap();
        b.turn(LIMIT);
        read_reply(&mut stream).result
    };
    let interface = mpath_ipc::INTERFACE.to_owned();
    let idl = ask(&mut b, &call(Request::GetInterfaceDescription { interface })).unwrap();
    assert_eq!(idl["description"], mpath_ipc::IDL);
    assert_eq!(ask(&mut b, &call(Request::Watch)), Err(Failure::ExpectedMore));
    let method = "org.mpathd.Fly".to_owned();
    assert_eq!(ask(&mut b, b"{\"method\":\"org.mpathd.Fly\"}\0"), Err(Failure::MethodNotFound { method }));
    assert!(b.calls.is_empty());
}

#[test]
fn garbage_and_too_much_are_dropped() {
    let mut b = bench();
    let mut stream = b.connect();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n\0").unwrap();
    b.until("garbage is dropped", |b| b.connections() == 0);
    assert!(is_closed(&mut stream));

    let mut stream = b.connect();
    let writer = thread::spawn(move || {
        let blank = [b' '; 4096];
        let mut sent = 0usize;
        while sent < 3 * mpath_ipc::MAX_REQUEST && stream.write_all(&blank).is_ok() {
            sent += blank.len();
        }
    });
    b.until("the endless request is dropped", |b| b.connections() == 0);
    writer.join().unwrap();
    assert_eq!(b.server.counters.malformed, 2);
    let line = b.server.report(b.now).unwrap();
    assert_eq!(line.fields[3], ("malformed".to_owned(), "2".to_owned()));
    b.server.counters.malformed = 3;
    assert_eq!(b.server.report(b.now), None);
    assert!(b.server.report(b.now + QUIET).is_some());
    assert_eq!(b.server.report(b.now + QUIET * 2), None);
}

#[test]
fn half_a_request_is_dropped_in_time_and_a_whole_one_is_not() {
    let mut b = bench();
    let mut half = b.connect();
    let mut whole = b.connect();
    half.write_all(b"{\"method\"").unwrap();
    whole.write_all(&call(Request::Status)).unwrap();
    b.until("the whole request arrives", |b| !b.calls.is_empty());
    b.until("the half one is noticed", |b| b.server.next_deadline().is_some());
    assert_eq!(b.server.next_deadline(), Some(Time(0) + PATIENCE));
    b.now = Time(0) + PATIENCE / 2;
    half.write_all(b":").unwrap();
    b.turn(LIMIT);
    b.server.expire(b.now);
    assert_eq!(b.connections(), 2);
    b.now = Time(0) + PATIENCE;
    b.server.expire(b.now);
    assert_eq!((b.connections(), b.server.counters.stalled), (1, 1));
    assert_eq!(b.server.next_deadline(), None);
    assert!(is_closed(&mut half));
}

#[test]
fn watchers_get_events_and_a_slow_one_is_dropped_alone() {
    let mut b = bench();
    let mut good = b.connect();
    let mut slow = b.connect();
    let watch = mpath_ipc::Call { request: Request::Watch, more: true, oneway: false }.encode();
    good.write_all(&watch).unwrap();
    slow.write_all(&watch).unwrap();
    b.until("both watch", |b| b.watchers() == 2);
    let text = "x".repeat(1000);
    let mut sent = 0;
    while b.watchers() == 2 {
        b.server.broadcast(&event(&text), "2026-11-22T00:00:00Z");
        let reply = read_reply(&mut good);
        assert!(reply.continues);
        assert_eq!(reply.result.unwrap()["event"]["message"], text.as_str());
        sent += 1;
        assert!(sent < 10_000, "a watcher that never reads is never dropped");
    }
    assert_eq!((b.watchers(), b.server.counters.slow), (1, 1));
    drop(slow);
    drop(good);
    b.until("the good one has gone too", |b| b.connections() == 0);
}

#[test]
fn a_reply_larger_than_the_socket_buffer_arrives_whole() {
    let mut b = bench();
    let mut stream = b.connect();
    stream.write_all(&call(Request::Reload { discard: false })).unwrap();
    b.until("the call arrives", |b| !b.calls.is_empty());
    let message = "y".repeat(3 << 20);
    let failure = Failure::Refused { reason: "r".to_owned(), message };
    b.server.error(b.now, b.calls[0].connection, &failure);
    assert_eq!(b.server.next_deadline(), Some(b.now + PATIENCE));
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        let mut chunk = vec![0u8; 1 << 16];
        while all.last() != Some(&0) {
            let n = stream.read(&mut chunk).unwrap();
            all.extend_from_slice(&chunk[..n]);
        }
        all.pop();
        ReplyMessage::decode(&all).unwrap()
    });
    b.until("all is sent", |b| b.server.next_deadline().is_none());
    assert_eq!(reader.join().unwrap().result, Err(failure));
}

#[test]
fn too_many_connections_are_told_so() {
    let mut b = bench();
    let held: Vec<StdStream> = (0..MAX_CONNECTIONS).map(|_| b.connect()).collect();
    let path = b.path.clone();
    let client = thread::spawn(move || Client::connect(&path, LIMIT).unwrap().status().unwrap_err());
    b.until("one is refused", |b| b.server.counters.refused == 1);
    assert!(matches!(client.join().unwrap(), ClientError::Failed(Failure::Refused { .. })));
    drop(held);
    b.until("all have gone", |b| b.connections() == 0);
    drop(b.connect());
}

#[test]
fn rights_decide_before_the_engine_hears() {
    let info = ServiceInfo::mpathd("1");
    let offline = || Request::Offline { interface: "eth0".to_owned() };
    for (rights, request, passes) in [
        (Rights::None, Request::Status, false),
        (Rights::None, Request::GetInfo, true),
        (Rights::Read, Request::Status, true),
        (Rights::Read, offline(), false),
        (Rights::Read, Request::Statistics, false),
        (Rights::Control, offline(), true),
        (Rights::Control, Request::Reload { discard: false }, true),
    ] {
        let mut out = Vec::new();
        let denied = match dispatch(&info, rights, ConnId(1), mpath_ipc::Call::new(request), &mut out) {
            Dispatch::Answer(bytes) => {
                let reply = ReplyMessage::decode(bytes.strip_suffix(b"\0").unwrap()).unwrap();
                matches!(reply.result, Err(Failure::PermissionDenied { .. }))
            }
            Dispatch::Later | Dispatch::Watch => false,
        };
        assert_eq!(denied, !passes);
        assert!(passes || out.is_empty());
    }
}

#[test]
fn the_socket_is_taken_over_only_when_dead() {
    let b = bench();
    let again = |path: &Path| Server::bind(path, Access::default(), b.poll.registry(), Token(500), "1");
    assert!(matches!(again(&b.path), Err(BindError::InUse(_))));
    let dir = tempfile::tempdir().unwrap();
    let dead = dir.path().join("dead");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    let server = again(&dead).unwrap();
    assert_eq!(std::fs::metadata(&dead).unwrap().permissions().mode() & 0o777, 0o666);
    drop(server);
    assert!(!dead.exists());
    std::fs::write(&dead, "a file").unwrap();
    assert!(matches!(again(&dead), Err(BindError::NotASocket(_))));
    assert!(matches!(again(&dir.path().join("no/dir/s")), Err(BindError::Io(_, "bind", _))));
}
