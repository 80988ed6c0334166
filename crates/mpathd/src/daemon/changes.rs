//! Changes of the configuration by operators: putting a text in force, for good or on trial, saving it, and
//! returning to the file.

use super::{Daemon, keys, keys::readable_keys, line, refused as refused_line};
use crate::control::ConnId;
use crate::last_good;
use crate::running::{KeptKey, Running};
use mpath_config::Loaded;
use mpath_ipc::{Change, Failure, LONGEST_TRIAL, Reply, Request, RunningConfiguration};
use mpath_linux::clock;
use mpath_model::event::{Event, EventKind, Level};
use mpath_model::{Settings, Time};
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

impl Daemon {
    /// Puts in force what the file says, or what was changed since by an earlier run.
    pub(crate) fn begin(&mut self, loaded: &Loaded) {
        let dir = &self.options.state_dir;
        let (running, complaint) = Running::start(loaded, &self.defaults(), self.config(), dir);
        if let Some(why) = complaint {
            let text = "changes of an earlier run that no file holds cannot be used: the file is in force";
            self.logger.say(Level::Err, text, &[("cause", &why)]);
        } else if running.now.unsaved {
            let text = "changes that no file holds are in force: save them, or reload --discard";
            self.logger.say(Level::Warning, text, &[]);
        }
        self.running = running;
        self.configure_with_keys(self.running.now.settings.clone());
    }

    fn config(&self) -> std::path::PathBuf {
        self.options.paths().config.unwrap_or(mpath_config::DEFAULT_CONFIG.into())
    }

    /// Goes on beside an engine that was handed over; what was on trial is not.
    pub(super) fn pick_up(&mut self) {
        match mpath_config::load(&self.options.paths()) {
            Ok(loaded) => self.begin(&loaded),
            Err(errors) => {
                errors.problems().iter().for_each(|p| self.logger.log(refused_line(p)));
                self.logger.say(Level::Err, "the file is broken: what was in force stays in force", &[]);
                let dir = &self.options.state_dir;
                self.running = Running::beside(self.engine.settings(), self.config(), dir);
            }
        }
    }

    /// The configuration, or a change of it.
    pub(super) fn change(&mut self, caller: ConnId, request: Request) {
        let outcome = match request {
            Request::Configuration => Ok(Some(Reply::Configuration(Box::new(RunningConfiguration {
                text: mpath_config::render::complete(&self.running.now.settings),
                serial: self.running.serial,
                keys: self.running.keys().display().to_string(),
                unsaved: self.running.now.unsaved,
            })))),
            Request::Configure(change) => self.put_in_force(*change).map(|()| Some(Reply::Done)),
            Request::Confirm => self.confirm().map(|()| Some(Reply::Done)),
            Request::Save => self.save(caller).map(|()| None),
            other => Err(Failure::MethodNotFound { method: other.method().to_owned() }),
        };
        let now = clock::now();
        match outcome {
            Ok(Some(reply)) => self.server.reply(now, caller, &reply),
            Ok(None) => {}
            Err(failure) => self.server.error(now, caller, &failure),
        }
    }

    fn put_in_force(&mut self, change: Change) -> Result<(), Failure> {
        if self.running.trial.is_some() {
            return Err(refused("trial_running", "a trial is under way: confirm it, or wait for its end"));
        }
        self.no_save_under_way()?;
        if change.base.is_some_and(|base| base != self.running.serial) {
            let message = "somebody else has changed the configuration meanwhile: look at it and try again";
            return Err(refused("changed_meanwhile", message));
        }
        let mut replaced = Vec::new();
        let loaded = match self.understand_with_keys(&change, &mut replaced) {
            Ok(loaded) => loaded,
            Err(failure) => {
                // What is refused changes nothing.
                self.restore_keys(&replaced);
                return Err(failure);
            }
        };
        loaded.notices.iter().for_each(|n| self.logger.log(line(n)));
        let trial = change.trial_ms.map(|ms| clock::now() + Duration::from_millis(ms).min(LONGEST_TRIAL));
        // A change of what is in force leaves alone what has been released; a file that is put in force means all it says.
        let released = if change.base.is_some() { self.running.now.released.clone() } else { Vec::new() };
        let version = (change.text, loaded.settings, released);
        self.running.change(version, trial.map(|until| (until, replaced)));
        if trial.is_none() {
            self.keep_changes();
        }
        let message = if trial.is_some() { "configuration on trial" } else { "configuration changed" };
        self.adopt(message);
        Ok(())
    }

    /// Passphrases are kept first: their files are looked into when the text is read.
    fn understand_with_keys(&self, change: &Change, replaced: &mut Vec<KeptKey>) -> Result<Loaded, Failure> {
        for key in &change.keys {
            let kept = self.running.keep_key(&key.name, &key.passphrase).map_err(|e| {
                refused("not_kept", &format!("cannot keep passphrase {}: {e}", key.name.escape_debug()))
            })?;
            replaced.push(kept);
        }
        let loaded = self.understand(&change.text, &change.name)?;
        keys(&loaded.settings).map_err(|lines| self.refuse_passphrases(&lines))?;
        Ok(loaded)
    }

    fn restore_keys(&self, replaced: &[KeptKey]) {
        if let Err(e) = self.running.restore_keys(replaced) {
            let text = "a passphrase that was replaced cannot be put back";
            self.logger.say(Level::Err, text, &[("cause", &e.to_string())]);
        }
    }

    /// Puts what is to be in force in force, and tells so.
    fn adopt(&mut self, message: &str) {
        self.logger.say(Level::Info, message, &[]);
        self.configure_with_keys(self.running.now.effective());
        self.set_access();
        let message = message.to_owned();
        self.announce_event(Event { event: EventKind::Config, interface: None, group: None, message });
    }

    /// Settings that were good a moment ago: a passphrase that cannot be read now is told of, and its vhid is silent.
    fn configure_with_keys(&mut self, settings: Settings) {
        let (keys, bad) = readable_keys(&settings);
        bad.into_iter().for_each(|text| self.logger.say(Level::Err, text, &[]));
        self.configure(settings, keys);
    }

    /// Keeps changes that no file holds for the next start; a trial is no such change yet.
    pub(super) fn keep_changes(&mut self) {
        if self.running.trial.is_some() {
            return;
        }
        if let Err(e) = self.running.keep() {
            let text = "changes cannot be kept for a restart";
            self.logger.say(Level::Err, text, &[("cause", &e.to_string())]);
        }
    }

    fn confirm(&mut self) -> Result<(), Failure> {
        if self.running.trial.take().is_none() {
            return Err(refused("no_trial", "no trial is under way"));
        }
        self.keep_changes();
        self.logger.say(Level::Info, "the configuration on trial is confirmed", &[]);
        Ok(())
    }

    /// Begins to write the file: whoever asked is answered when the disk has it.
    fn save(&mut self, caller: ConnId) -> Result<(), Failure> {
        if self.running.trial.is_some() {
            return Err(refused("trial_running", "a trial is under way: confirm it first"));
        }
        self.no_save_under_way()?;
        let file = self.running.config().display().to_string();
        if !self.running.file_is_as_read() {
            let message = format!(
                "{file} has changed since it was read; look at it, then reload --discard or undo that"
            );
            return Err(refused("file_changed", &message));
        }
        let waker = self.sources.waker();
        // Without a wake-up it would be answered at the next occasion.
        let saving = self.running.save().start(move || drop(waker.wake()));
        self.saving = Some((caller, saving.map_err(|e| not_saved(&file, &e))?));
        Ok(())
    }

    /// Answers once the file is written, or cannot be.
    pub(super) fn end_save(&mut self) {
        let Some((caller, saving)) = self.saving.take() else { return };
        let result = match saving.try_recv() {
            Ok((save, outcome)) => outcome.and_then(|()| self.running.saved(save)),
            Err(TryRecvError::Empty) => {
                self.saving = Some((caller, saving));
                return;
            }
            Err(TryRecvError::Disconnected) => Err(std::io::Error::other("its thread has panicked")),
        };
        let file = self.running.config().display().to_string();
        let now = clock::now();
        match result {
            Ok(moved) => {
                if moved {
                    self.configure_with_keys(self.running.now.effective());
                }
                let kept = self.options.last_good.as_deref();
                let unkept =
                    last_good::keep_text(self.running.now.text.as_bytes(), self.running.config(), kept);
                unkept.into_iter().for_each(|line| self.alarm(line));
                self.logger.say(Level::Info, "configuration saved", &[("file", &file)]);
                self.server.reply(now, caller, &Reply::Done);
            }
            Err(e) => self.server.error(now, caller, &not_saved(&file, &e)),
        }
    }

    /// What is being written is what is in force, until it is written.
    fn no_save_under_way(&self) -> Result<(), Failure> {
        match self.saving {
            Some(_) => {
                Err(refused("save_running", "the configuration is being saved: try again in a moment"))
            }
            None => Ok(()),
        }
    }

    /// The end of the trial under way.
    pub(super) fn trial_ends(&self) -> Option<Time> {
        self.running.trial.as_ref().map(|t| t.until)
    }

    /// Nobody has confirmed in time: back.
    pub(super) fn end_trial(&mut self, now: Time) {
        if self.trial_ends().is_some_and(|t| t <= now)
            && let Some(trial) = self.running.trial.take()
        {
            self.restore_keys(&trial.keys);
            self.running.back(trial.before);
            self.adopt("configuration on trial not confirmed: back to the one before");
        }
    }

    /// Whether the file may be read again: not while that would lose changes that no file holds.
    pub(super) fn may_reload(&self, discard: bool) -> Result<(), Failure> {
        self.no_save_under_way()?;
        if discard || !(self.running.now.unsaved || self.running.trial.is_some()) {
            return Ok(());
        }
        let message = "there are changes that no file holds: save them, or reload --discard";
        Err(refused("unsaved_changes", message))
    }

    /// The file has been read again.
    pub(super) fn reloaded(&mut self, loaded: &Loaded) {
        self.running.read(loaded);
        self.keep_changes();
    }
}

fn refused(reason: &str, message: &str) -> Failure {
    Failure::Refused { reason: reason.to_owned(), message: message.to_owned() }
}

fn not_saved(file: &str, error: &std::io::Error) -> Failure {
    refused("not_saved", &format!("cannot write {file}: {error}"))
}
