//! The state machine of a vhid (lagg-carp.md B.4), a pure function: which state follows, and for what reason.
//!
//! ```text
//!          interface usable                 nobody advertises, or not well enough
//!   INIT ───────────────────► BACKUP ───────────────────────────────────────────► MASTER
//!    ▲                          │ ▲                                                  │
//!    │                          │ └──────────────────────────────────────────────────┤
//!    │                          │        somebody advertises as often or more         │
//!    └──────────────────────────┴─────────────────────────────────────────────────────┘
//!                       interface down, addresses changed, stop
//! ```
//! An INIT vhid whose addresses are still in the kernel goes straight to MASTER: they are there for less time than
//! another host waits before it takes over, so that nobody has.

use serde::{Deserialize, Serialize};
use std::fmt;

/// State of a vhid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Takes no part.
    #[default]
    Init,
    /// Listens.
    Backup,
    /// Advertises, and holds the addresses.
    Master,
}

impl State {
    /// All states.
    pub const ALL: [State; 3] = [State::Init, State::Backup, State::Master];
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Init => "INIT",
            State::Backup => "BACKUP",
            State::Master => "MASTER",
        })
    }
}

/// What an advert amounts to, by the times in it and one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Advertises as often as oneself would, or more often.
    Better,
    /// Advertises less often.
    Worse,
    /// Advertises so seldom that one's own patience would not last: a host that resigns says 255/255.
    Resigning,
}

/// What can happen to a vhid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The interface is usable.
    Usable,
    /// It is usable, and the addresses are still there from a life before.
    Resumed,
    /// The interface is not usable.
    Unusable,
    /// The addresses have changed: a new round begins.
    Changed,
    /// The daemon stops, or the vhid has left the configuration.
    Stopped,
    /// Nobody has been heard for long enough.
    Silence,
    /// A valid advert.
    Advert(Heard),
    /// This host was not awake for so long that another one may have taken over.
    Slept,
}

impl Happening {
    /// Everything that can happen.
    pub const ALL: [Happening; 10] = [
        Happening::Usable,
        Happening::Resumed,
        Happening::Unusable,
        Happening::Changed,
        Happening::Stopped,
        Happening::Silence,
        Happening::Advert(Heard::Better),
        Happening::Advert(Heard::Worse),
        Happening::Advert(Heard::Resigning),
        Happening::Slept,
    ];
}

/// The state that follows, with the reason; none if the state stays. A tie between masters makes both yield.
pub fn next(state: State, what: Happening, preempt: bool) -> Option<(State, &'static str)> {
    use Happening as H;
    use State as S;
    match (state, what) {
        (S::Init, H::Usable) => Some((S::Backup, "initialization complete")),
        (S::Init, H::Resumed) => Some((S::Master, "addresses still held")),
        (S::Backup | S::Master, H::Unusable) => Some((S::Init, "hardware interface down")),
        (S::Backup | S::Master, H::Changed) => Some((S::Init, "addresses changed")),
        (S::Backup | S::Master, H::Stopped) => Some((S::Init, "stopped")),
        (S::Backup, H::Silence) => Some((S::Master, "master timed out")),
        (S::Backup, H::Advert(Heard::Worse | Heard::Resigning)) if preempt => {
            Some((S::Master, "preempting a slower master"))
        }
        (S::Backup, H::Advert(Heard::Resigning)) => Some((S::Master, "master will time out")),
        (S::Master, H::Advert(Heard::Better)) => Some((S::Backup, "more frequent advertisement received")),
        (S::Master, H::Slept) => Some((S::Backup, "not awake for too long")),
        (S::Init, _)
        | (S::Backup, H::Usable | H::Resumed | H::Slept | H::Advert(_))
        | (S::Master, H::Usable | H::Resumed | H::Silence | H::Advert(_)) => None,
    }
}

#[cfg(test)]
mod tests;
