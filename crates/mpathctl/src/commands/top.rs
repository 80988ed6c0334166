//! `mpathctl top`: the full-screen live view. Here: the terminal, the keys and where the data come from; what is known is in
//! [`model`], how it looks in [`view`].

mod model;
mod view;

use crate::cli::Cli;
use crate::exit::{Error, Exit};
use model::{Model, Question};
use mpath_ipc::{Client, ClientError, Request, TimedEvent};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::time::{Duration, Instant};

/// Between two looks at the daemon.
const REFRESH: Duration = Duration::from_millis(500);
/// How long a key may take to be noticed.
const POLL: Duration = Duration::from_millis(100);
/// Events on their way to the screen; more are dropped.
const QUEUE: usize = 256;

pub(crate) fn run(cli: &Cli) -> Result<Exit, Error> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Error::Usage(
            "top needs a terminal; for programs there are status --json and watch --json".into(),
        ));
    }
    let client = super::connect(cli)?;
    let events = watched(super::connect(cli)?.watch()?);
    let mut terminal = ratatui::try_init().map_err(Error::Output)?;
    let result =
        Session { client, socket: cli.socket.clone(), events, model: Model::default() }.run(&mut terminal);
    ratatui::restore();
    result.map(|()| Exit::Done)
}

/// Events as they come; the channel ends with the daemon.
fn watched(watch: mpath_ipc::client::Watch) -> Receiver<TimedEvent> {
    let (to, events) = sync_channel(QUEUE);
    std::thread::spawn(move || listen(watch, &to));
    events
}

/// Hands events on until nobody takes them; ends when the daemon goes.
fn listen(mut watch: mpath_ipc::client::Watch, to: &SyncSender<TimedEvent>) {
    while let Ok(event) = watch.next_event() {
        if let Err(TrySendError::Disconnected(_)) = to.try_send(event) {
            return;
        }
    }
}

struct Session {
    client: Client,
    socket: PathBuf,
    events: Receiver<TimedEvent>,
    model: Model,
}

impl Session {
    fn run(&mut self, terminal: &mut ratatui::DefaultTerminal) -> Result<(), Error> {
        let mut due = Instant::now();
        loop {
            if Instant::now() >= due {
                self.refresh();
                due = Instant::now() + REFRESH;
            }
            self.hear();
            terminal.draw(|frame| view::draw(frame, &mut self.model))?;
            if event::poll(POLL)?
                && let Event::Key(key) = event::read()?
                && key.kind == KeyEventKind::Press
                && self.key(key)
            {
                return Ok(());
            }
        }
    }

    /// Looks at the daemon; one that has gone is told, and looked for again.
    fn refresh(&mut self) {
        let look = |client: &mut Client| Ok((client.status()?, client.explain(None)?));
        let outcome = look(&mut self.client).or_else(|first: ClientError| {
            let again = Client::connect(&self.socket, mpath_ipc::client::TIMEOUT);
            self.client = again.map_err(|_| first)?;
            look(&mut self.client)
        });
        match outcome {
            Ok((status, evidence)) => self.model.update(status, evidence),
            Err(error) => self.model.lost(&error.to_string()),
        }
    }

    /// Takes the events that have come. A watch that has ended, with the daemon or because this reader was too slow, is
    /// begun anew as soon as there is a daemon.
    fn hear(&mut self) {
        loop {
            match self.events.try_recv() {
                Ok(event) => self.model.event(event),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    let again = Client::connect(&self.socket, mpath_ipc::client::TIMEOUT);
                    let Ok(watch) = again.and_then(Client::watch) else { return };
                    self.events = watched(watch);
                    self.model.missed();
                }
            }
        }
    }

    /// True: the end.
    fn key(&mut self, key: KeyEvent) -> bool {
        if let Some(question) = self.model.question.take() {
            if key.code == KeyCode::Char('y') {
                self.act(question);
            }
            return false;
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return true,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return true,
            KeyCode::Down | KeyCode::Char('j') => self.model.move_by(1),
            KeyCode::Up | KeyCode::Char('k') => self.model.move_by(-1),
            KeyCode::PageDown => self.model.move_by(10),
            KeyCode::PageUp => self.model.move_by(-10),
            KeyCode::Home => self.model.move_by(isize::MIN),
            KeyCode::End => self.model.move_by(isize::MAX),
            KeyCode::Char('o') => self.model.ask(Question::Offline),
            KeyCode::Char('n') => self.model.ask(Question::Online),
            _ => {}
        }
        false
    }

    fn act(&mut self, (what, interface): (Question, String)) {
        let request = match what {
            Question::Offline => Request::Offline { interface },
            Question::Online => Request::Online { interface },
        };
        self.model.message = match self.client.call(request) {
            Ok(_) => "done".to_owned(),
            Err(error) => error.to_string(),
        };
    }
}
