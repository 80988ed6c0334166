//! The acts: what is broken or mended, what should follow, and how long that may take.

use super::Teller;
use super::figures::{Figures, ms};
use super::stage::Stage;
use crate::error::Error;
use crate::wait::poll_until;
use std::time::{Duration, Instant};

/// The NIC that suffers.
const NIC: usize = 0;

/// How long an act is watched after everything is in its place.
const AFTERGLOW: Duration = Duration::from_millis(700);

/// How long TCP may take to send again: its retransmission timer doubles with every loss.
const TCP_RECOVERY: Duration = Duration::from_secs(6);

/// Pause between two looks at the kernel's addresses.
const LOOK: Duration = Duration::from_millis(30);

/// Where the data addresses belong when the act is over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On eth0.
    Home,
    /// On one other NIC.
    Elsewhere,
}

/// One act.
pub(super) struct Act {
    name: &'static str,
    story: &'static str,
    /// What is done to the network; gives the time just before.
    deed: fn(&Stage) -> Result<Instant, Error>,
    place: Place,
    /// Longest outage that is as it should be.
    limit: Duration,
    /// How long the addresses may take to be in their place.
    deadline: Duration,
}

/// All acts in order. `floor` is the longest gap without any fault.
pub(super) fn programme(failure_detection_time: Duration, floor: Duration) -> Vec<Act> {
    let planned = Duration::from_millis(500) + floor;
    // A repair takes ten answers in a row, a seventh of the detection time apart.
    let repair = failure_detection_time * 4 + Duration::from_secs(4);
    let detection = failure_detection_time + Duration::from_millis(500);
    vec![
        Act {
            name: "cable cut",
            story: "Cutting the cable of eth0: its carrier is gone.",
            deed: |stage| stage.lan.cut(NIC),
            place: Place::Elsewhere,
            limit: Duration::from_secs(1),
            deadline: Duration::from_secs(4),
        },
        Act {
            name: "plugged back",
            story: "Plugging it back in. mpathd waits until eth0 has proved itself, then takes the addresses home.",
            deed: |stage| stage.lan.plug(NIC),
            place: Place::Home,
            limit: planned,
            deadline: repair,
        },
        Act {
            name: "silent path",
            story: "The path behind eth0's switch port swallows every frame; the carrier stays up. Only probes can tell.",
            deed: |stage| stage.lan.blackhole(NIC),
            place: Place::Elsewhere,
            limit: detection,
            deadline: detection + Duration::from_secs(3),
        },
        Act {
            name: "healed",
            story: "Opening the path again, and waiting for the way home.",
            deed: |stage| stage.lan.heal(NIC),
            place: Place::Home,
            limit: planned,
            deadline: repair,
        },
        Act {
            name: "offline",
            story: "An operator takes eth0 out of service: mpathctl offline eth0.",
            deed: |stage| now_then(stage, |s| s.daemon.offline("eth0")),
            place: Place::Elsewhere,
            limit: planned,
            deadline: Duration::from_secs(4),
        },
        Act {
            name: "online",
            story: "And puts it back: mpathctl online eth0.",
            deed: |stage| now_then(stage, |s| s.daemon.online("eth0")),
            place: Place::Home,
            limit: planned,
            deadline: repair,
        },
    ]
}

fn now_then(stage: &Stage, deed: fn(&Stage) -> Result<(), Error>) -> Result<Instant, Error> {
    let at = Instant::now();
    deed(stage)?;
    Ok(at)
}

/// An act being played.
pub(super) struct Scene<'a> {
    stage: &'a mut Stage,
    teller: &'a Teller,
}

impl<'a> Scene<'a> {
    pub(super) fn new(stage: &'a mut Stage, teller: &'a Teller) -> Scene<'a> {
        Scene { stage, teller }
    }

    /// Plays the act and measures it.
    pub(super) fn perform(&mut self, act: &Act) -> Figures {
        let mut problem = self.prepare();
        self.teller.line("");
        self.teller.say(act.story);
        let begin = match (act.deed)(self.stage) {
            Ok(at) => at,
            Err(e) => {
                note(&mut problem, e.to_string());
                Instant::now()
            }
        };
        match self.wait_place(act, begin) {
            Ok(nic) => self.teller.say(&format!("         The addresses are on {nic}.")),
            Err(why) => note(&mut problem, why),
        }
        std::thread::sleep(AFTERGLOW);
        let end = Instant::now();
        let clients = self.stage.udp_window(begin, end);
        let survived = poll_until(TCP_RECOVERY, || self.stage.tcp_flows_since(end).then_some(()));
        let figures = Figures {
            act: act.name,
            limit: act.limit,
            clients,
            transfers: self.stage.tcp_window(begin, Instant::now()),
            tcp_survived: survived.is_some(),
            problem,
        };
        self.comment(&figures);
        figures
    }

    /// Before a fault, all NICs must be known to work. Without a daemon there is nothing to wait for.
    fn prepare(&mut self) -> Option<String> {
        if !self.stage.daemon.is_running() {
            return Some("mpathd does not run".to_owned());
        }
        // Between a fault and its end, a NIC is of course not well.
        let home = self.stage.places() == ["eth0"];
        let well = home.then(|| self.stage.wait_all_well());
        well.and_then(Result::err).map(|_| "mpathd does not see all NICs work".to_owned())
    }

    /// Waits until kernel and clients agree that the addresses are in their place; gives the NIC.
    fn wait_place(&self, act: &Act, begin: Instant) -> Result<String, String> {
        let home = || self.stage.places() == ["eth0"];
        let settled = || {
            std::thread::sleep(LOOK);
            let seen = Instant::now();
            let places = self.stage.places();
            let [nic] = places.as_slice() else { return None };
            let right = (nic == "eth0") == (act.place == Place::Home);
            let flowing = || self.stage.udp_flows_since(seen.max(begin)).then_some(());
            (right && poll_until(LOOK * 2, flowing).is_some()).then(|| nic.clone())
        };
        poll_until(act.deadline, settled).ok_or_else(|| {
            let places = self.stage.places();
            let where_to = match act.place {
                Place::Home => "home on eth0",
                Place::Elsewhere => "on another NIC",
            };
            if (act.place == Place::Home) == home() && !places.is_empty() {
                format!("not every client gets answers after {:.1} s", act.deadline.as_secs_f64())
            } else {
                format!(
                    "the addresses are not {where_to} after {:.1} s: {places:?}",
                    act.deadline.as_secs_f64()
                )
            }
        })
    }

    /// What came out, in words.
    fn comment(&self, figures: &Figures) {
        let verdict = if figures.ok() { "" } else { "  NOT as it should be" };
        self.teller.say(&format!(
            "         The clients were without an answer for {:.1} ms at most; {} of {} packets lost; TCP {}.{verdict}",
            ms(figures.outage()),
            figures.lost(),
            figures.sent(),
            if figures.tcp_survived { "survived" } else { "did not survive" },
        ));
        if let Some(problem) = &figures.problem {
            self.teller.say(&format!("         Problem: {problem}"));
        }
    }
}

/// Keeps the first problem.
fn note(problem: &mut Option<String>, text: String) {
    problem.get_or_insert(text);
}
