//! A watcher on the daemon's control socket that stamps each event when it arrives.

use mpath_ipc::{Client, ClientError, TimedEvent};
use mpath_model::EventKind;
use mpath_testkit::Error;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the daemon may take to answer the first question.
const ANSWER: Duration = Duration::from_secs(10);

/// Events kept; a daemon that sends more is ill, and the watch ends.
const MAX_EVENTS: usize = 1_000_000;

/// An event and when it arrived here.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Arrival at the watcher.
    pub(crate) at: Instant,
    /// The event with the daemon's own time.
    pub(crate) event: TimedEvent,
}

impl Seen {
    /// Whether this is `kind` of the NIC `interface`.
    pub(crate) fn is(&self, kind: EventKind, interface: &str) -> bool {
        self.event.event.event == kind && self.event.event.interface.as_deref() == Some(interface)
    }
}

#[derive(Default)]
struct Heard {
    events: Vec<Seen>,
    /// Why no more events come.
    ended: Option<String>,
}

type Shared = Arc<(Mutex<Heard>, Condvar)>;

/// All events since the watch began.
pub(crate) struct Events(Shared);

impl Events {
    /// Watches the daemon behind `socket` until it goes away.
    pub(crate) fn watch(socket: &Path) -> Result<Events, Error> {
        let refused = |e: ClientError| Error::new("watch the events of mpathd", e);
        let mut watch = Client::connect(socket, ANSWER).and_then(Client::watch).map_err(refused)?;
        let shared = Shared::default();
        let theirs = Arc::clone(&shared);
        let listen = move || {
            loop {
                let next = watch.next_event();
                let at = Instant::now();
                let mut heard = lock(&theirs);
                match next {
                    Ok(event) if heard.events.len() < MAX_EVENTS => heard.events.push(Seen { at, event }),
                    Ok(_) => heard.ended = Some(format!("more than {MAX_EVENTS} events")),
                    Err(e) => heard.ended = Some(e.to_string()),
                }
                theirs.1.notify_all();
                if heard.ended.is_some() {
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("events".into())
            .spawn(listen)
            .map_err(|e| Error::new("start the thread that watches events", e))?;
        Ok(Events(shared))
    }

    /// The first event of this kind and NIC that arrived after `since`; waits for it until `deadline`.
    pub(crate) fn wait(
        &self,
        kind: EventKind,
        interface: &str,
        since: Instant,
        deadline: Duration,
    ) -> Result<Seen, Error> {
        let what = || format!("wait for the event {kind:?} of {interface}");
        let end = Instant::now() + deadline;
        let mut heard = lock(&self.0);
        loop {
            if let Some(seen) = heard.events.iter().find(|s| s.at >= since && s.is(kind, interface)) {
                return Ok(seen.clone());
            }
            if let Some(why) = &heard.ended {
                return Err(Error::new(what(), why));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::new(what(), format!("none within {deadline:?}")));
            }
            heard = self.0.1.wait_timeout(heard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Everything so far, and an error if the watch has ended.
    pub(crate) fn all(&self) -> Result<Vec<Seen>, Error> {
        let heard = lock(&self.0);
        match &heard.ended {
            Some(why) => Err(Error::new("watch the events of mpathd", why)),
            None => Ok(heard.events.clone()),
        }
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, Heard> {
    shared.0.lock().unwrap_or_else(PoisonError::into_inner)
}
