//! `--record FILE`: every input of the engine as a line of JSON, written by a thread of its own. The file is bounded: at
//! [`MOST`] bytes it becomes FILE.1 and a new one begins with the engine as it is then, so that what is there can always be
//! played. Passphrases are not in it (`mpath_core::recording`).

use crate::options::Options;
use crate::wallclock::WallClock;
use mpath_core::diag::Line;
use mpath_core::recording::{EntryRef, FORMAT, HeadRef, LineRef};
use mpath_core::{Engine, Input};
use mpath_linux::clock;
use mpath_model::Time;
use mpath_model::event::Level;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// Bytes of one file.
const MOST: usize = 64 << 20;
/// Lines that wait for the disk at most.
const QUEUE: usize = 8192;
/// How long the disk is left alone when the queue is full. A new start costs the whole engine as text.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the end waits for the disk. Nothing moves meanwhile.
const PATIENCE: Duration = Duration::from_millis(500);

enum Note {
    Text(Vec<u8>),
    /// A new file.
    Turn,
}

/// The recorder that the command line asks for.
pub(crate) fn of(options: &Options, clock: &WallClock) -> Result<Option<Recorder>, String> {
    let Some(path) = &options.record else { return Ok(None) };
    let recorder = Recorder::start(path, clock.clone());
    recorder.map(Some).map_err(|e| format!("cannot record into {}: {e}", path.display()))
}

/// Writes the recording.
pub(crate) struct Recorder {
    notes: Option<SyncSender<Note>>,
    writer: Option<JoinHandle<io::Result<()>>>,
    clock: WallClock,
    /// The input being handled, and its time.
    pending: Option<(Time, Input)>,
    /// Bytes in the file.
    size: usize,
    /// Inputs that the queue had no room for.
    lost: u64,
    /// The next line must be an engine.
    anew: bool,
    /// The queue was full: nothing is recorded until then.
    pause: Option<Time>,
}

impl Recorder {
    /// Opens the file. What an earlier run has recorded becomes FILE.1.
    pub(crate) fn start(path: &Path, clock: WallClock) -> io::Result<Recorder> {
        if std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() > 0) {
            std::fs::rename(path, before(path))?;
        }
        let file = create(path)?;
        let (notes, received) = sync_channel(QUEUE);
        let path = path.to_owned();
        let writer = std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || write(&path, file, &received))?;
        Ok(Recorder {
            notes: Some(notes),
            writer: Some(writer),
            clock,
            pending: None,
            size: 0,
            lost: 0,
            anew: true,
            pause: None,
        })
    }

    /// To be called before the engine handles an input.
    pub(crate) fn before(&mut self, engine: &Engine, now: Time, input: &Input) {
        if self.pause.is_some_and(|until| now < until) {
            self.lost += 1;
            return;
        }
        self.pause = None;
        if self.size > MOST {
            self.size = 0;
            self.anew = true;
            self.put(Note::Turn);
        }
        if self.anew {
            self.anew = false;
            let began = self.clock.rfc3339(SystemTime::now());
            let head = HeadRef {
                format: FORMAT,
                version: env!("CARGO_PKG_VERSION"),
                began: &began,
                at: clock::now(),
                lost: self.lost,
                engine,
            };
            self.line(&LineRef::Engine(head));
        }
        self.pending = Some((now, input.clone()));
    }

    /// To be called when it has handled it, with so many actions.
    pub(crate) fn after(&mut self, actions: usize) {
        if let Some((at, input)) = self.pending.take() {
            self.line(&LineRef::Input(EntryRef { at, actions, input: &input }));
        }
    }

    /// Writes out what is left. What went wrong is for the log.
    pub(crate) fn close(mut self) -> Option<Line> {
        drop(self.notes.take());
        let error = ended(self.writer.take()?).err()?;
        Some(Line {
            level: Level::Warning,
            text: "the recording is not complete".to_owned(),
            fields: vec![("cause".to_owned(), error.to_string())],
        })
    }

    fn line(&mut self, line: &LineRef<'_>) {
        if let Ok(mut text) = serde_json::to_vec(line) {
            text.push(b'\n');
            self.size += text.len();
            self.put(Note::Text(text));
        }
    }

    fn put(&mut self, note: Note) {
        let Some(notes) = &self.notes else { return };
        match notes.try_send(note) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.lost += 1;
                self.anew = true;
                self.pause = Some(clock::now() + PAUSE);
            }
            // The disk is full: nothing more is recorded, and close() says so.
            Err(TrySendError::Disconnected(_)) => self.notes = None,
        }
    }
}

fn ended(writer: JoinHandle<io::Result<()>>) -> io::Result<()> {
    let latest = Instant::now() + PATIENCE;
    while !writer.is_finished() {
        if Instant::now() >= latest {
            return Err(io::Error::other("the disk takes too long"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    writer.join().unwrap_or_else(|_| Err(io::Error::other("its thread has died")))
}

fn before(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

/// For its owner alone: addresses and neighbours of the host are in it.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn write(path: &Path, file: File, notes: &Receiver<Note>) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    loop {
        match notes.recv_timeout(Duration::from_secs(1)) {
            Ok(Note::Text(text)) => out.write_all(&text)?,
            Ok(Note::Turn) => {
                out.flush()?;
                std::fs::rename(path, before(path))?;
                out = BufWriter::new(create(path)?);
            }
            // A process that is killed leaves what is older than a second.
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => out.flush()?,
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return out.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpath_core::recording::{Line, Replay};
    use std::io::BufRead;

    fn lines(path: &Path) -> Vec<Line> {
        let file = io::BufReader::new(File::open(path).unwrap());
        file.lines().map(|l| serde_json::from_str(&l.unwrap()).unwrap()).collect()
    }

    fn feed(recorder: &mut Recorder, engine: &mut Engine, ms: u64) {
        let (now, mut actions) = (Time(ms * 1_000_000), Vec::new());
        recorder.before(engine, now, &Input::Tick);
        engine.handle(now, Input::Tick, &mut actions);
        recorder.after(actions.len());
    }

    #[test]
    fn what_is_recorded_can_be_played_and_the_file_turns_when_it_is_full() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recording");
        std::fs::write(&path, "of an earlier run\n").unwrap();
        let mut recorder = Recorder::start(&path, WallClock::utc()).unwrap();
        let mut engine = Engine::new(7, "1.0");
        feed(&mut recorder, &mut engine, 1);
        feed(&mut recorder, &mut engine, 2);
        recorder.size = MOST + 1;
        feed(&mut recorder, &mut engine, 3);
        assert!(recorder.close().is_none());

        let (old, new) = (lines(&before(&path)), lines(&path));
        assert_eq!((old.len(), new.len()), (3, 2));
        for file in [old, new] {
            let mut replay = Replay::default();
            assert!(file.into_iter().all(|l| !replay.step(l).unwrap().differs));
            assert!(replay.engine().is_some());
        }
    }

    #[test]
    fn a_disk_that_stands_still_costs_neither_time_nor_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recording");
        let mut recorder = Recorder::start(&path, WallClock::utc()).unwrap();
        let (notes, stuck) = sync_channel(1);
        recorder.notes = Some(notes);
        recorder.writer = Some(std::thread::spawn(|| {
            loop {
                std::thread::park();
            }
        }));
        let mut engine = Engine::new(7, "1.0");
        let now = clock::now().0 / 1_000_000;
        for _ in 0..3 {
            feed(&mut recorder, &mut engine, now);
        }
        // The engine as it began, and nothing after it, not even another engine.
        assert_eq!((stuck.try_iter().count(), recorder.lost), (1, 3));
        feed(&mut recorder, &mut engine, now);
        assert_eq!((stuck.try_iter().count(), recorder.lost), (0, 4));
        recorder.pause = Some(clock::now());
        feed(&mut recorder, &mut engine, clock::now().0 / 1_000_000 + 1);
        assert!(matches!(stuck.try_recv(), Ok(Note::Text(text)) if text.starts_with(b"{\"engine\"")));
        assert!(recorder.close().is_some_and(|line| line.text == "the recording is not complete"));
    }
}
