//! Carrying out actions. What comes of one is queued as the next input.

use super::Daemon;
use mpath_core::diag::Line;
use mpath_core::{Action, Input};
use mpath_ipc::{Failure, Reply, TimedEvent};
use mpath_linux::clock;
use mpath_model::Family;
use mpath_model::event::{Event, EventKind, Level};
use mpath_model::kernel::{KernelOp, Listen, Transmit};
use nix::errno::Errno;
use std::time::{Duration, SystemTime};

/// Pause before sockets that could not be opened, or a dump that failed, are tried again.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

impl Daemon {
    pub(super) fn carry_out(&mut self, action: Action) {
        match action {
            Action::Send(what) => self.send(&what),
            Action::Kernel { batch, ops } => self.apply(batch, &ops),
            Action::Persist(state) => {
                let line = self.journal.keep(clock::now(), &state);
                line.into_iter().for_each(|l| self.alarm(l));
            }
            Action::Prepare { index, generation, ops } => self.plans.keep(index, generation, &ops),
            Action::Resynchronise => self.resynchronise(),
            Action::Listen(listen) => self.open_sockets(listen),
            Action::Log(line) => self.logger.log(line),
            Action::Emit(event) => self.announce_event(event),
            Action::Reply { id, result } => self.answer(id, result),
        }
    }

    /// Logs a line about the daemon itself; watchers are told of errors.
    pub(super) fn alarm(&mut self, line: Line) {
        if line.level != Level::Err {
            return self.logger.log(line);
        }
        let (event, interface, group) = (EventKind::Alarm, None, None);
        let event = Event { event, interface, group, message: line.text.clone() };
        self.logger.log_event(line, Some(&event));
        self.announce_event(event);
    }

    fn apply(&mut self, batch: u64, ops: &[KernelOp]) {
        let errors = self.kernel.apply(ops);
        self.look.forget_written(ops);
        // The engine is promised the events before the report.
        let mut events = Vec::new();
        let overflowed = self.kernel.read_events(&mut events).unwrap_or(true);
        self.note_events(&events);
        if !events.is_empty() {
            self.queue.push_back(Input::Kernel(events));
        }
        self.queue.push_back(Input::Done { batch, errors });
        if overflowed {
            self.say_dropped();
            self.resynchronise();
        }
    }

    fn send(&mut self, what: &Transmit) {
        if let Err(error) = self.probes.send(what) {
            if let Transmit::Advert(advert) = what {
                let (id, errno) = (advert.id.clone(), error.raw_os_error().unwrap_or(0));
                self.queue.push_back(Input::AdvertFailed { id, errno });
                return;
            }
            let (index, family, seq) = match what {
                Transmit::Echo { index, target, seq, .. } => (*index, Family::of(target), Some(*seq)),
                Transmit::Frame { index, .. } => (*index, Family::Inet, None),
                Transmit::Advert(advert) => (advert.index, Family::of(&advert.source), None),
            };
            let errno = error.raw_os_error().unwrap_or(0);
            self.queue.push_back(Input::SendFailed { index, seq, family, errno });
        }
    }

    /// Dumps everything; what was still to be read about the past is dropped.
    pub(super) fn resynchronise(&mut self) {
        self.memberships.follow(&self.listen.follow);
        self.dump_again = None;
        let mut stale = Vec::new();
        if self.kernel.read_events(&mut stale).is_ok_and(|overflowed| overflowed) {
            self.say_dropped();
        }
        match self.kernel.dump() {
            Ok(dump) => {
                self.names = dump.links.iter().map(|l| (l.index, l.name.clone())).collect();
                self.queue.push_back(Input::Inventory(dump));
                self.listen_anew();
            }
            Err(error) => {
                self.logger.say(Level::Err, error.to_string(), &[]);
                // Without a new picture, what has been read is all that is known.
                self.note_events(&stale);
                self.queue.push_back(Input::Kernel(stale));
                self.dump_again = Some(clock::now() + LISTEN_AGAIN);
            }
        }
    }

    /// Whoever is the first to find out.
    pub(super) fn say_dropped(&self) {
        self.logger.say(Level::Info, "the kernel dropped events: looking at everything again", &[]);
    }

    /// Sockets may have gone deaf with what has happened to their interfaces, and the engine wants the same ones as before. A
    /// little later: the kernel tells of an interface before it takes its memberships.
    pub(super) fn listen_anew(&mut self) {
        self.listen_again.get_or_insert(clock::now() + LISTEN_AGAIN);
    }

    pub(super) fn open_sockets(&mut self, listen: Listen) {
        let names = &self.names;
        let errors = self.probes.listen(&listen, &|index| names.get(&index).cloned());
        self.listen_again = (!errors.is_empty()).then(|| clock::now() + LISTEN_AGAIN);
        for (_, error) in errors {
            // Whoever has no socket is deaf, and looks as if his NIC were. That an interface has gone, or has no IPv6, is told
            // elsewhere.
            let errno = Errno::from_raw(error.errno());
            let ours =
                matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EPERM | Errno::EACCES);
            self.logger.say(if ours { Level::Err } else { Level::Debug }, error.to_string(), &[]);
        }
        if let Err(error) = self.sources.watch(&self.probes.fds()) {
            self.logger.say(Level::Err, format!("watching probe sockets: {error}"), &[]);
        }
        self.memberships.follow(&listen.follow);
        self.carrier.watch(clock::now(), &listen.carrier);
        self.listen = listen;
    }

    pub(super) fn announce_event(&mut self, event: Event) {
        let time = self.clock.rfc3339(SystemTime::now());
        self.server.broadcast(&event, &time);
        if let Some(program) = &self.engine.settings().daemon.on_event {
            self.hooks.tell(program, &TimedEvent { time, event });
        }
    }

    fn answer(&mut self, id: u64, result: Result<(), mpath_core::action::Refusal>) {
        let Some(caller) = self.callers.remove(&id) else { return };
        let now = clock::now();
        match result {
            Ok(()) => self.server.reply(now, caller, &Reply::Done),
            Err(refusal) => {
                let failure = Failure::Refused { reason: refusal.reason, message: refusal.message };
                self.server.error(now, caller, &failure);
            }
        }
    }
}
