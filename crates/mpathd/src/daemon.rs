//! The loop: one thread that waits, hands inputs to the engine and carries out its actions. Decisions are the
//! engine's; what lives here is order: signals, then the kernel's events, then packets, then operators, then time.

mod again;
mod carrier;
mod changes;
mod effects;
mod fast;
mod inquire;
mod keys;
mod noise;
mod release;
mod service;
mod sources;
mod sysctls;

pub(crate) use keys::keys;
pub(crate) use sources::{CONTROL, Sources};

use crate::control::{Call, ConnId, Server};
use crate::detach;
use crate::handover::Program;
use crate::hooks::Hooks;
use crate::journal::Journal;
use crate::last_good;
use crate::lock::Lock;
use crate::log::Logger;
use crate::options::Options;
use crate::recorder::Recorder;
use crate::running::Running;
use crate::saving::Saving;
use crate::wallclock::WallClock;
use carrier::Carrier;
use mpath_config::Notice;
use mpath_core::diag::Line;
use mpath_core::input::{Command, RequestId};
use mpath_core::{Action, Engine, Input};
use mpath_ipc::{Failure, Problem, Reply, Request};
use mpath_linux::clock;
use mpath_linux::kernel::Kernel;
use mpath_linux::membership::Memberships;
use mpath_linux::probes::{Keys, Probes};
use mpath_linux::sandbox::Sandbox;
use mpath_model::event::{Event, EventKind, Level};
use mpath_model::kernel::{Heard, KernelEvent, Listen};
use mpath_model::{IfIndex, Settings, Status, Time};
use service::Service;
use sources::Woken;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

/// Packets are taken from a socket in so many bursts of 256 at a time: more than its buffer holds, and not all that a flood
/// brings while they are handled.
const BURSTS: usize = 4;

/// How long event programs may still run at a stop.
const HOOKS_PATIENCE: Duration = Duration::from_secs(5);

/// The daemon.
pub(crate) struct Daemon {
    engine: Engine,
    /// What the engine said when it was asked last; nothing since it was given an input.
    engine_due: Option<Option<Time>>,
    kernel: Kernel,
    probes: Probes,
    journal: Journal,
    logger: Logger,
    server: Server,
    hooks: Hooks,
    sources: Sources,
    clock: WallClock,
    options: Options,
    program: Program,
    sandbox: Sandbox,
    /// The program is to run itself again: at the latest then.
    again: Option<Time>,
    running: Running,
    /// The file is being written, for this caller.
    saving: Option<(ConnId, Saving)>,
    service: Service,
    carrier: Carrier,
    realtime: bool,
    listen: Listen,
    /// Sockets from which not all packets have been taken.
    unread: BTreeSet<RawFd>,
    listen_again: Option<Time>,
    dump_again: Option<Time>,
    look: sysctls::Look,
    recorder: Option<Recorder>,
    names: HashMap<IfIndex, String>,
    queue: VecDeque<Input>,
    actions: Vec<Action>,
    plans: fast::Plans,
    memberships: Memberships,
    callers: HashMap<RequestId, ConnId>,
    next_request: RequestId,
    /// Given back last.
    lock: Lock,
}

impl Daemon {
    #[allow(
        clippy::too_many_arguments,
        reason = "each part is opened by start-up, where failing is still cheap"
    )]
    pub(crate) fn new(
        engine: Engine,
        kernel: Kernel,
        probes: Probes,
        journal: Journal,
        logger: Logger,
        server: Server,
        hooks: Hooks,
        sources: Sources,
        clock: WallClock,
        options: Options,
        program: Program,
        sandbox: Sandbox,
        lock: Lock,
    ) -> Daemon {
        Daemon {
            engine,
            engine_due: None,
            kernel,
            probes,
            journal,
            logger,
            server,
            hooks,
            sources,
            clock,
            options,
            program,
            sandbox,
            again: None,
            running: Running::default(),
            saving: None,
            service: Service::from_environment(),
            carrier: Carrier::default(),
            realtime: false,
            listen: Listen::default(),
            unread: BTreeSet::new(),
            listen_again: None,
            dump_again: None,
            look: sysctls::Look::default(),
            recorder: None,
            names: HashMap::new(),
            queue: VecDeque::new(),
            actions: Vec::new(),
            plans: fast::Plans::default(),
            memberships: Memberships::default(),
            callers: HashMap::new(),
            next_request: 1,
            lock,
        }
    }

    /// Runs until a signal says stop. Addresses and routes stay where they are.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        self.resynchronise();
        self.drain_queue();
        self.logger.say(Level::Info, "mpathd is running", &[("version", env!("CARGO_PKG_VERSION"))]);
        self.service.ready();
        detach::ready();
        loop {
            let deadline = self.deadline();
            self.sources.wait(deadline)?;
            let (mut signalled, unread) = (false, std::mem::take(&mut self.unread));
            for woken in self.sources.woken() {
                match woken {
                    Woken::Signal => signalled = true,
                    Woken::Kernel => self.kernel_events(),
                    Woken::Packets(fd) => self.packets(fd),
                    Woken::Control(event) => self.control(&event),
                    Woken::Hooks => self.hook_lines(),
                    Woken::Saved | Woken::Timer => {}
                }
            }
            unread.into_iter().for_each(|fd| self.packets(fd));
            if self.hooks.unread() {
                self.hook_lines();
            }
            if signalled && self.signals()? {
                self.service.stopping();
                self.feed(Input::Stop);
                self.logger.say(Level::Info, "mpathd stops; addresses and routes stay where they are", &[]);
                return Ok(());
            }
            self.time();
            self.run_again();
            self.service.alive(clock::now());
        }
    }

    fn hook_lines(&mut self) {
        self.hooks.read().into_iter().for_each(|line| self.alarm(line));
    }

    /// Puts settings in force. What leaves by them still speaks with its old key.
    pub(crate) fn configure(&mut self, settings: Settings, keys: Keys) {
        self.carrier.set(settings.daemon.link_poll);
        self.set_realtime(settings.daemon.realtime);
        self.feed(Input::Configure(settings));
        self.probes.set_keys(keys);
    }

    /// Goes on with the settings of an engine that was handed over.
    pub(crate) fn resume(&mut self, keys: Keys) {
        // The image before this one may have tried in vain to write it.
        let written = self.engine.persisted().map(|state| self.journal.keep(clock::now(), state));
        written.flatten().into_iter().for_each(|line| self.alarm(line));
        self.probes.set_keys(keys);
        self.carrier.set(self.engine.settings().daemon.link_poll);
        self.set_realtime(self.engine.settings().daemon.realtime);
        self.pick_up();
    }

    /// Without the right to it the daemon works as well as it can.
    fn set_realtime(&mut self, wanted: bool) {
        if wanted == std::mem::replace(&mut self.realtime, wanted) {
            return;
        }
        if let Err(error) = mpath_linux::realtime::set(wanted) {
            let text = "`realtime` is refused; CAP_SYS_NICE and CAP_IPC_LOCK are needed";
            self.logger.say(Level::Warning, text, &[("cause", &error.to_string())]);
        }
    }

    /// Records every input from now on.
    pub(crate) fn record(&mut self, recorder: Option<Recorder>) {
        self.recorder = recorder;
    }

    /// Writes the recording out and ends it.
    fn end_recording(&mut self) {
        let complaint = self.recorder.take().and_then(Recorder::close);
        complaint.into_iter().for_each(|line| self.logger.log(line));
    }

    /// Lets event programs finish, then writes out what is left of the recording and of the log.
    pub(crate) fn close(mut self, patience: Duration) {
        self.end_recording();
        self.hooks.close(HOOKS_PATIENCE).into_iter().for_each(|l| self.logger.log(l));
        self.logger.close(patience);
    }

    /// Hands one input to the engine and carries out what follows from it, and from that.
    pub(crate) fn feed(&mut self, input: Input) {
        self.queue.push_back(input);
        self.drain_queue();
    }

    fn drain_queue(&mut self) {
        while let Some(input) = self.queue.pop_front() {
            let mut actions = std::mem::take(&mut self.actions);
            let now = clock::now();
            if let Some(recorder) = &mut self.recorder {
                recorder.before(&self.engine, now, &input);
            }
            self.engine_due = None;
            self.engine.handle(now, input, &mut actions);
            if let Some(recorder) = &mut self.recorder {
                recorder.after(actions.len());
            }
            if self.kernel.has_committed() {
                fast::kernel_first(&mut actions);
            }
            let mut rest = actions.drain(..).peekable();
            while let Some(action) = rest.next() {
                match (action, rest.peek()) {
                    // A message is a line and, behind it, an event.
                    (Action::Log(line), Some(Action::Emit(event))) if event.message == line.text => {
                        self.logger.log_event(line, Some(event));
                    }
                    (action, _) => self.carry_out(action),
                }
            }
            drop(rest);
            self.actions = actions;
        }
    }

    /// When the engine wants its next tick.
    fn engine_due(&mut self) -> Option<Time> {
        *self.engine_due.get_or_insert_with(|| self.engine.next_deadline())
    }

    fn deadline(&mut self) -> Option<Time> {
        let deadlines = [
            self.engine_due(),
            self.server.next_deadline(),
            self.carrier.next(),
            self.service.next(),
            self.listen_again,
            self.dump_again,
            self.journal.next(),
            self.look.next(),
            self.again.map(|t| t.min(clock::now() + again::LOOK)),
            self.trial_ends(),
            (!self.unread.is_empty() || self.hooks.unread()).then(clock::now),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Everything whose time has come. Packets that have arrived meanwhile are read first: one's own lateness is never
    /// held against a NIC.
    fn time(&mut self) {
        let now = clock::now();
        self.server.expire(now).into_iter().for_each(|line| self.logger.log(line));
        self.end_save();
        self.end_trial(now);
        if let Some(line) = self.server.report(now) {
            self.logger.log(line);
        }
        if let Some(line) = self.hooks.report(now) {
            self.logger.log(line);
        }
        if let Some(line) = self.journal.tend(now) {
            self.alarm(line);
            self.keep_changes();
        }
        if let Some(line) = self.server.tend(now) {
            self.alarm(line);
        }
        if self.carrier.next().is_some_and(|t| t <= now) {
            self.poll_carrier(now);
        }
        self.look_at_sysctls(now);
        if self.listen_again.is_some_and(|t| t <= now) {
            self.open_sockets(self.listen.clone());
        }
        if self.dump_again.is_some_and(|t| t <= now) {
            self.resynchronise();
            self.drain_queue();
        }
        if self.engine_due().is_some_and(|t| t <= clock::now()) {
            for fd in self.probes.ready() {
                self.packets(fd);
            }
            self.feed(Input::Tick);
        }
    }

    fn kernel_events(&mut self) {
        self.commit_at_event();
        let mut events = Vec::new();
        let overflowed = match self.kernel.read_events(&mut events) {
            Ok(overflowed) => overflowed,
            Err(error) => {
                self.logger.say(Level::Err, error.to_string(), &[]);
                true
            }
        };
        self.note_events(&events);
        if !events.is_empty() {
            self.feed(Input::Kernel(events));
        }
        if overflowed {
            self.say_dropped();
            self.resynchronise();
            self.drain_queue();
        }
    }

    /// Names for errors and replies; a link event makes carrier polling fast for a while.
    fn note_events(&mut self, events: &[KernelEvent]) {
        for event in events {
            match event {
                KernelEvent::Link(link) => {
                    self.names.insert(link.index, link.name.clone());
                    self.carrier.link_event(clock::now());
                    if self.listen.carp.iter().any(|(index, ..)| *index == link.index) {
                        self.listen_anew();
                    }
                }
                KernelEvent::LinkGone(index) => {
                    self.listen_anew();
                    self.names.remove(index);
                    self.carrier.link_event(clock::now());
                }
                _ => {}
            }
        }
    }

    fn poll_carrier(&mut self, now: Time) {
        let started = clock::now();
        let mut changed = Vec::new();
        for index in self.listen.carrier.clone() {
            let carrier = self.kernel.carrier(index);
            if self.carrier.stirred(index, carrier)
                && let Ok(Some(link)) = self.kernel.link(index)
                && self.carrier.changed(index, carrier, link.running)
            {
                changed.push((index, link.running));
            }
        }
        let cost = clock::now() - started;
        if let [(index, false)] = changed[..] {
            self.commit(index);
        }
        for (index, running) in changed {
            self.feed(Input::Running { index, running });
        }
        self.settle_commit();
        self.carrier.polled(now, cost);
    }

    /// Takes the packets of a socket. What comes faster than it is handled has to wait for everything else, and is come back for.
    fn packets(&mut self, fd: RawFd) {
        let mut heard: Vec<Heard> = Vec::new();
        for _ in 0..BURSTS {
            let more = self.probes.receive(fd, &mut heard);
            for packet in heard.drain(..) {
                self.queue.push_back(Input::Heard(packet));
            }
            self.drain_queue();
            if !more {
                return;
            }
        }
        self.unread.insert(fd);
    }

    fn control(&mut self, event: &mio::event::Event) {
        let mut calls = Vec::new();
        self.server.ready(clock::now(), event.token(), event, &mut calls);
        for call in calls {
            self.call(call);
        }
    }

    fn call(&mut self, call: Call) {
        let now = clock::now();
        match call.request {
            Request::Status => {
                let unsaved = self.running.now.unsaved;
                let status = Reply::Status(Box::new(Status { unsaved, ..self.engine.snapshot() }));
                self.server.reply(now, call.connection, &status);
            }
            Request::Explain { .. } | Request::PlanFailure { .. } | Request::PlanConfiguration { .. } => {
                self.inquire(call.connection, call.request);
            }
            Request::Freeze { for_ms } => {
                self.ask(call.connection, Command::Freeze(for_ms.map(Duration::from_millis)));
            }
            Request::Release { target } => {
                self.running.now.release(target.clone());
                self.ask(call.connection, Command::Release(target));
            }
            Request::Thaw => self.ask(call.connection, Command::Thaw),
            Request::Configuration | Request::Configure(_) | Request::Confirm | Request::Save => {
                self.change(call.connection, call.request);
            }
            Request::Reload { discard } => match self.reload(discard) {
                Ok(()) => self.server.reply(now, call.connection, &Reply::Done),
                Err(failure) => self.server.error(now, call.connection, &failure),
            },
            Request::Offline { interface } => self.ask(call.connection, Command::Offline(interface)),
            Request::Online { interface } => self.ask(call.connection, Command::Online(interface)),
            Request::Demote { by } => self.ask(call.connection, Command::Demote(by)),
            Request::Statistics => self.ask(call.connection, Command::Statistics),
            // The server answers these itself.
            Request::Watch | Request::GetInfo | Request::GetInterfaceDescription { .. } => {}
        }
    }

    fn ask(&mut self, caller: ConnId, command: Command) {
        let id = self.next_request;
        self.next_request += 1;
        self.callers.insert(id, caller);
        self.feed(Input::Request { id, command });
    }

    /// Handles the signals that have arrived. True: stop.
    fn signals(&mut self) -> io::Result<bool> {
        use nix::sys::signal::Signal;
        while let Some(signal) = self.sources.signal()? {
            match signal {
                Signal::SIGHUP => {
                    if let Err(Failure::Refused { message, .. }) = self.reload(false) {
                        self.logger.say(Level::Err, format!("configuration not reread: {message}"), &[]);
                    }
                }
                Signal::SIGUSR1 => {
                    let id = self.next_request;
                    self.next_request += 1;
                    self.feed(Input::Request { id, command: Command::Statistics });
                }
                Signal::SIGUSR2 => self.again = Some(clock::now() + again::PATIENCE),
                _ => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Reads the configuration again, and tells the service manager.
    fn reload(&mut self, discard: bool) -> Result<(), Failure> {
        self.service.reloading();
        let outcome = self.reread(discard);
        self.service.ready();
        outcome
    }

    /// Who may do what. The user database may have to be waited for: everything else comes first.
    fn set_access(&mut self) {
        let lines = self.server.set_access(clock::now(), &self.running.now.settings.daemon);
        lines.into_iter().for_each(|line| self.logger.log(line));
    }

    /// A file with errors changes nothing.
    fn reread(&mut self, discard: bool) -> Result<(), Failure> {
        self.may_reload(discard)?;
        self.logger.say(Level::Info, "SIGHUP: restart and reread config file", &[]);
        match mpath_config::load(&self.options.paths()) {
            Ok(loaded) => {
                let keys = keys(&loaded.settings).map_err(|lines| self.refuse_passphrases(&lines))?;
                let unkept = last_good::keep(&loaded, self.options.last_good.as_deref());
                unkept.into_iter().for_each(|l| self.alarm(l));
                loaded.notices.iter().for_each(|n| self.logger.log(line(n)));
                self.reloaded(&loaded);
                self.configure(loaded.settings, keys);
                self.set_access();
                self.announce_event(Event {
                    event: EventKind::Config,
                    interface: None,
                    group: None,
                    message: "configuration reloaded".into(),
                });
                Ok(())
            }
            Err(errors) => {
                errors.problems().iter().for_each(|p| self.logger.log(refused(p)));
                let errors = errors.problems().iter().map(problem).collect();
                Err(Failure::ConfigError { errors })
            }
        }
    }
}

impl Daemon {
    /// A passphrase that was there a moment ago cannot be read any more.
    fn refuse_passphrases(&self, lines: &[String]) -> Failure {
        let problem = |text: &String| Problem {
            file: None,
            line: None,
            column: None,
            message: text.clone(),
            text: text.clone(),
        };
        lines.iter().for_each(|l| self.logger.say(Level::Err, format!("configuration refused: {l}"), &[]));
        Failure::ConfigError { errors: lines.iter().map(problem).collect() }
    }
}

pub(crate) fn problem(p: &mpath_config::Problem) -> Problem {
    Problem {
        file: Some(p.file.clone()),
        line: p.line,
        column: p.column,
        message: p.message.clone(),
        text: p.render(false),
    }
}

/// A problem of the configuration as a log line.
pub(crate) fn refused(p: &mpath_config::Problem) -> Line {
    let place = p.line.map_or(p.file.clone(), |l| format!("{}:{l}", p.file));
    let text = format!("configuration refused: {}", p.message);
    Line { level: Level::Err, text, fields: vec![("at".to_owned(), place)] }
}

/// A notice of the configuration as a log line.
pub(crate) fn line(n: &Notice) -> Line {
    Line { level: n.level, text: n.text.clone(), fields: n.fields.clone() }
}
