use super::*;
use std::sync::Mutex;
use std::sync::mpsc::Sender;

/// A stream that keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream that waits for a permit before each write.
struct Gated(Kept, Receiver<()>);

impl Write for Gated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.1.recv();
        self.0.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const LIMIT: Duration = Duration::from_secs(20);

fn line(text: &str, fields: &[(&str, &str)]) -> Line {
    let fields = fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Line { level: Level::Err, text: text.to_owned(), fields }
}

#[test]
fn plain_lines_have_time_level_text_fields() {
    let kept = Kept::default();
    let sink = Sink::Plain(Box::new(kept.clone()));
    let logger = Logger::start(sink, Level::Info, WallClock::utc()).unwrap();
    logger.say(Level::Notice, "NIC repair detected on eth0", &[("cause", "link up"), ("n", "3")]);
    logger.say(Level::Debug, "not wanted", &[]);
    assert!(logger.close(LIMIT));
    let text = kept.text();
    let (time, rest) = text.split_once(' ').unwrap();
    assert_eq!(rest, "notice NIC repair detected on eth0 cause=\"link up\" n=3\n");
    assert!(time.len() == 29 && time.ends_with("+00:00"), "{time}");
}

#[test]
fn what_was_only_counted_is_told_at_the_end() {
    let kept = Kept::default();
    let logger = Logger::start(Sink::Plain(Box::new(kept.clone())), Level::Info, WallClock::utc()).unwrap();
    let flood = |n: usize| (0..n).for_each(|_| logger.log(line("same", &[])));
    let told = || kept.text().lines().filter(|l| l.ends_with("err same repeated=5")).count();
    flood(25);
    logger.flush(LIMIT);
    assert_eq!(told(), 1, "another program image follows: {}", kept.text());
    flood(25);
    assert!(logger.close(LIMIT));
    assert_eq!(told(), 2, "{}", kept.text());
}

#[test]
fn journal_lines_start_with_the_priority() {
    let kept = Kept::default();
    let logger =
        Logger::start(Sink::Journal(Box::new(kept.clone())), Level::Debug, WallClock::utc()).unwrap();
    logger.say(Level::Err, "a", &[]);
    logger.say(Level::Debug, "b", &[]);
    assert!(logger.close(LIMIT));
    assert_eq!(kept.text(), "<3>a\n<7>b\n");
}

#[test]
fn values_cannot_forge_lines_or_fields() {
    for (value, written) in [
        ("eth0", "eth0"),
        ("", "\"\""),
        ("a b", "\"a b\""),
        ("a=b", "\"a=b\""),
        ("say \"no\"", "\"say \\\"no\\\"\""),
        ("x\n2026 err forged", "\"x\\n2026 err forged\""),
        ("\u{1b}[31m", "\\u{1b}[31m"),
    ] {
        assert_eq!(body(&line("t", &[("k", value)])), format!("t k={written}"));
    }
    assert_eq!(body(&line("two\nlines", &[])), "two\\nlines");
}

#[test]
fn a_full_queue_drops_counts_and_says_so() {
    let kept = Kept::default();
    let (permits, gate): (Sender<()>, _) = channel();
    let sink = Sink::Journal(Box::new(Gated(kept.clone(), gate)));
    let logger = Logger::start(sink, Level::Debug, WallClock::utc()).unwrap();
    // One line may be in the writer's hands; the rest waits.
    for n in 0..QUEUE + 51 {
        logger.say(Level::Info, n.to_string(), &[]);
    }
    let lost = logger.dropped.load(Ordering::Relaxed);
    assert!((50..=51).contains(&lost), "{lost}");
    drop(permits);
    assert!(logger.close(LIMIT));
    let text = kept.text();
    let report = format!("<4>log lines dropped, the log is written too slowly count={lost}\n");
    assert!(text.contains(&report), "{text}");
    assert_eq!(text.lines().count(), QUEUE + 51 - usize::try_from(lost).unwrap() + 1);
}

#[test]
fn close_gives_up_at_its_deadline() {
    let (permits, gate): (Sender<()>, _) = channel();
    let sink = Sink::Plain(Box::new(Gated(Kept::default(), gate)));
    let logger = Logger::start(sink, Level::Debug, WallClock::utc()).unwrap();
    logger.say(Level::Info, "stuck", &[]);
    assert!(!logger.close(Duration::from_millis(50)));
    drop(permits);
}

#[test]
fn the_writer_takes_no_signals_and_the_caller_keeps_its_own() {
    let masks = || -> Vec<(String, String)> {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let status = |t: std::fs::DirEntry| std::fs::read_to_string(t.path().join("status")).ok();
        let field = |s: &str, key: &str| -> String {
            s.lines().find_map(|l| l.strip_prefix(key)).unwrap_or_default().trim().to_owned()
        };
        let all = tasks.filter_map(|t| status(t.unwrap()));
        all.map(|s| (field(&s, "Name:"), field(&s, "SigBlk:"))).collect()
    };
    let before = SigSet::thread_get_mask().unwrap();
    let logger = Logger::start(Sink::Plain(Box::new(io::sink())), Level::Info, WallClock::utc()).unwrap();
    assert_eq!(SigSet::thread_get_mask().unwrap(), before);
    // A thread gives itself its name: that may take a moment.
    let end = std::time::Instant::now() + LIMIT;
    let writers: Vec<String> = loop {
        let found: Vec<_> = masks().into_iter().filter(|(n, _)| n == "log").map(|(_, m)| m).collect();
        if !found.is_empty() {
            break found;
        }
        assert!(std::time::Instant::now() < end, "there is no writer thread");
        thread::yield_now();
    };
    let term = 1u64 << (nix::sys::signal::Signal::SIGTERM as i32 - 1);
    for mask in writers {
        assert_ne!(u64::from_str_radix(&mask, 16).unwrap() & term, 0, "{mask}");
    }
    assert!(logger.close(LIMIT));
}

#[test]
fn entries_of_the_journal_have_fields_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let journald = UnixDatagram::bind(dir.path().join("socket")).unwrap();
    let socket = UnixDatagram::unbound().unwrap();
    socket.connect(dir.path().join("socket")).unwrap();
    let logger = Logger::start(Sink::Native(socket), Level::Info, WallClock::utc()).unwrap();
    let event = Event {
        event: mpath_model::EventKind::NicFailed,
        interface: Some("eth0".to_owned()),
        group: Some("g".to_owned()),
        message: "NIC failure detected on eth0 of group g".to_owned(),
    };
    logger.log_event(line(&event.message, &[("cause", "no answer\nPRIORITY=0")]), Some(&event));
    assert!(logger.close(LIMIT));
    let mut bytes = [0; 4096];
    let n = journald.recv(&mut bytes).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&bytes[..n]),
        "MESSAGE=NIC failure detected on eth0 of group g\nPRIORITY=3\nSYSLOG_FACILITY=3\n\
         SYSLOG_IDENTIFIER=mpathd\nMPATHD_CAUSE=no answer\\nPRIORITY=0\n\
         MESSAGE_ID=7a1f0c52d3ae4f0c9b6e5d1c08f4a203\nMPATHD_EVENT=nic_failed\nMPATHD_INTERFACE=eth0\n\
         MPATHD_GROUP=g\n"
    );
}
