//! One host with two NICs, and a client on its link that talks to it: mpathd's group and laggs, the kernel's bonding, teamd. All
//! of them prefer the first NIC.

use super::options::{Event, PeersOptions};
use super::program::{self, Program};
use super::verdict::{Outcome, Part};
use super::ways::Ways;
use crate::cli::Backend;
use crate::lagg;
use crate::progress::Progress;
use crate::rng::Rng;
use crate::stage::{NIC, PATIENCE, Site, Stage, Traffic};
use crate::stats::ms;
use mpath_linux::netfilter::Netfilter;
use mpath_linux::netfilter::message::{Deed, Hook, Message, Rule};
use mpath_linux::netlink::ports::BondWatch;
use mpath_testkit::lan::{DATA4, DATA6, Loss, ROUTER4, ROUTER6};
use mpath_testkit::traffic::{self, PORT};
use mpath_testkit::{Echo, Error, Host, Lan, LanOptions, poll_until};
use std::time::{Duration, Instant};

/// What the drivers call the devices that these programs make.
const BOND: &str = "bond0";
const TEAM: &str = "team0";
/// Table that shows what the kernel's packet filter can do, and the index of every host's loopback.
const LOOK: &str = "look";
const LOOPBACK: u32 = 1;
/// How often bonding looks at the links: what its documentation and every distribution say, ms.
const MIIMON: u32 = 100;
/// Detection time of mpathd where the link tells of the failure: it only matters for the way home.
const FDT: Duration = Duration::from_millis(500);
/// Windows with and without a fault are so much longer than what everybody was told.
const WINDOW: Duration = Duration::from_secs(1);
/// Faults come at a random moment within this time.
const SPREAD: Duration = Duration::from_millis(300);
/// Frames lost in each direction, in thousandths.
const LOSS: u32 = 200;

/// Who keeps two NICs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeper {
    Group,
    Lagg(Backend),
    /// Whether only ARP counts as a sign of life.
    Bonding {
        validate: bool,
    },
    Teamd,
}

impl Keeper {
    const ALL: [Keeper; 6] = [
        Keeper::Group,
        Keeper::Lagg(Backend::Redirect),
        Keeper::Lagg(Backend::Bridge),
        Keeper::Bonding { validate: false },
        Keeper::Bonding { validate: true },
        Keeper::Teamd,
    ];

    /// Those that differ where this happens.
    pub(super) fn for_event(event: Event) -> impl Iterator<Item = Keeper> {
        let same = move |k: &Keeper| event != Event::Cable || *k != Keeper::Bonding { validate: true };
        Keeper::ALL.into_iter().filter(same)
    }

    pub(super) fn key(self) -> &'static str {
        match self {
            Keeper::Group => "mpathd_group",
            Keeper::Lagg(Backend::Redirect) => "mpathd_lagg_redirect",
            Keeper::Lagg(Backend::Bridge) => "mpathd_lagg_bridge",
            Keeper::Lagg(Backend::Bond) => "mpathd_lagg_bond",
            Keeper::Bonding { validate: false } => "bonding",
            Keeper::Bonding { validate: true } => "bonding_validate",
            Keeper::Teamd => "teamd",
        }
    }

    /// With what it is told; `probes` where it is to ask others that often, or within that time.
    pub(super) fn label(self, probes: Option<Duration>) -> String {
        let time = probes.map_or(0, |t| t.as_millis());
        let (watch, bond, team) = match probes {
            None => (String::new(), format!("miimon={MIIMON}"), "ethtool".to_owned()),
            Some(_) => (
                format!(", detection time {time} ms"),
                format!("arp_interval={time}"),
                format!("arp_ping, interval {time}"),
            ),
        };
        match self {
            Keeper::Group => format!("mpathd, group{watch}"),
            Keeper::Lagg(backend) => format!("mpathd, lagg by {}{watch}", backend.name()),
            Keeper::Bonding { validate: false } => format!("bonding, {bond}"),
            Keeper::Bonding { validate: true } => format!("bonding, {bond} arp_validate=all"),
            Keeper::Teamd => format!("teamd, {team}"),
        }
    }

    pub(super) fn part(self) -> Part {
        match self {
            Keeper::Group | Keeper::Lagg(_) => Part::Ours,
            _ => Part::Peer,
        }
    }

    /// What it, or the event, lacks here.
    fn lacks(self, event: Event) -> Result<Option<Outcome>, Error> {
        let host = Host::new("look")?;
        let loses = || filters(&host, Deed::Lose(LOSS)) || host.lossy("lo", LOSS).is_ok();
        if event == Event::Loss && !loses() {
            return Ok(Some(Outcome::NotInKernel("nft numgen or netem, which lose frames")));
        }
        let without = |there: bool, what| (!there).then_some(Outcome::NotInKernel(what));
        Ok(match self {
            Keeper::Lagg(Backend::Redirect) => without(filters(&host, Deed::Forward(LOOPBACK)), "nft fwd"),
            Keeper::Bonding { .. } => without(host.bond(BOND, &[]).is_ok(), "bonding driver"),
            Keeper::Teamd => without(host.team(TEAM).is_ok(), "team driver").or_else(|| {
                program::find("teamd").is_none().then_some(Outcome::NotInstalled("libteam-utils"))
            }),
            _ => None,
        })
    }
}

/// Whether the kernel can do this to frames that come in.
fn filters(host: &Host, deed: Deed) -> bool {
    let batch = [
        Message::new_table(LOOK, 0),
        Message::new_chain(LOOK, LOOK, Hook::Ingress, 0, "lo"),
        Message::new_rule(LOOK, LOOK, &Rule { only: None, deed }),
    ];
    host.run(|| Netfilter::open().is_ok_and(|mut netfilter| netfilter.commit(&batch).is_ok()))
}

/// What is measured of every keeper.
#[derive(Clone, Copy)]
pub(super) struct Plan<'a> {
    pub(super) site: &'a Site,
    pub(super) options: &'a PeersOptions,
    pub(super) event: Event,
    /// What everybody is told, where probes decide.
    pub(super) time: Duration,
    pub(super) runs: u32,
    pub(super) seed: u64,
}

impl Plan<'_> {
    /// What every keeper is told of probes.
    pub(super) fn probes(&self) -> Option<Duration> {
        (self.event != Event::Cable).then_some(self.time)
    }

    /// The outages of a keeper, ms, or its moves; longest gaps with nothing failing go to `floor`.
    pub(super) fn measure(&self, keeper: Keeper, floor: &mut Vec<f64>) -> Result<Outcome, Error> {
        if let Some(lack) = keeper.lacks(self.event)? {
            return Ok(lack);
        }
        let label = keeper.label(self.probes());
        let progress = Progress::new(format!("peers, {}, {label}", self.event.name()), self.runs);
        let world = World::build(self.site, keeper, self.probes())?;
        let mut rng = Rng::new(self.seed);
        let mut found = Vec::new();
        for number in 1..=self.runs {
            let run = match self.event {
                Event::Loss => self.losses(&world),
                _ => self.fault(&world, &mut rng, floor),
            };
            let value = run.map_err(|e| Error::new(e.to_string(), world.said()))?;
            let unit = if self.event == Event::Loss { "moves" } else { "ms" };
            progress.done(number, &format!("{value:.1} {unit}"));
            found.push(value);
        }
        Ok(Outcome::Samples(found))
    }

    /// The longest gap of a client around a fault, worse family, ms.
    fn fault(&self, world: &World, rng: &mut Rng, floor: &mut Vec<f64>) -> Result<f64, Error> {
        let lan = world.lan();
        let window = WINDOW + self.probes().unwrap_or_default();
        world.wait_home()?;
        let traffic = Traffic::start(lan, self.options.traffic.rate)?;
        floor.push(worse(&traffic.floor(window)));
        std::thread::sleep(rng.below(SPREAD));
        let fault = if self.event == Event::Cable { lan.cut(NIC)? } else { lan.blackhole(NIC)? };
        // Who does not come back in time has been away for as long as that.
        let outage = match traffic.around(fault, window) {
            Ok(seen) => worse(&seen),
            Err(_) => ms(fault.elapsed()),
        };
        drop(traffic);
        if self.event == Event::Cable {
            lan.plug(NIC)?
        } else {
            lan.heal(NIC)?
        };
        Ok(outage)
    }

    /// How often answers change the NIC while both lose frames and neither has failed.
    fn losses(&self, world: &World) -> Result<f64, Error> {
        let lan = world.lan();
        world.wait_home()?;
        let traffic = Traffic::start(lan, self.options.traffic.rate)?;
        let ways = Ways::watch(lan)?;
        let begin = Instant::now();
        lan.lose(&[NIC, NIC + 1], Loss::both(LOSS))?;
        std::thread::sleep(self.options.lasting);
        let moves = ways.moves(begin, Instant::now());
        lan.lose(&[NIC, NIC + 1], Loss::default())?;
        drop(traffic);
        Ok(moves as f64)
    }
}

fn worse(seen: &[traffic::Report; 2]) -> f64 {
    ms(seen[0].outage.max(seen[1].outage))
}

/// Everything that runs.
enum World {
    Group(Stage),
    Lagg(lagg::Stage),
    Peer(PeerStage),
}

/// Of somebody else's program or driver. Fields are dropped in this order.
struct PeerStage {
    _echo: Echo,
    program: Option<Program>,
    lan: Lan,
}

impl World {
    fn build(site: &Site, keeper: Keeper, probes: Option<Duration>) -> Result<World, Error> {
        let fdt = probes.unwrap_or(FDT);
        Ok(match keeper {
            Keeper::Group => World::Group(Stage::build(site, fdt)?),
            Keeper::Lagg(backend) => {
                let more = format!("failure_detection_time = \"{}ms\"", fdt.as_millis());
                let stage = lagg::Stage::build(site, backend, 2, &more)?;
                stage.wait_answers()?;
                World::Lagg(stage)
            }
            Keeper::Bonding { validate } => World::Peer(PeerStage::bonding(validate, probes)?),
            Keeper::Teamd => World::Peer(PeerStage::teamd(site, probes)?),
        })
    }

    fn lan(&self) -> &Lan {
        match self {
            World::Group(stage) => &stage.lan,
            World::Lagg(stage) => &stage.lan,
            World::Peer(stage) => &stage.lan,
        }
    }

    /// Waits until the first NIC carries the traffic again.
    fn wait_home(&self) -> Result<(), Error> {
        match self {
            World::Group(stage) => stage.wait_home(PATIENCE)?,
            World::Lagg(stage) => stage.wait_active("eth0")?,
            World::Peer(_) => {}
        }
        Ways::watch(self.lan())?.wait_home(self.lan())
    }

    fn said(&self) -> String {
        match self {
            World::Group(stage) => stage.log(),
            World::Lagg(stage) => stage.log(),
            World::Peer(stage) => stage.program.as_ref().map_or_else(String::new, Program::said),
        }
    }
}

impl PeerStage {
    fn lan() -> Result<Lan, Error> {
        Lan::new(LanOptions { configured: false, ..LanOptions::default() })
    }

    fn bonding(validate: bool, probes: Option<Duration>) -> Result<PeerStage, Error> {
        let lan = PeerStage::lan()?;
        let watch = match probes {
            None => BondWatch::Link(MIIMON),
            Some(time) => {
                let target = ROUTER4.parse().expect("a constant address");
                BondWatch::Arp {
                    every: u32::try_from(time.as_millis()).unwrap_or(u32::MAX),
                    target,
                    validate,
                }
            }
        };
        lan.server.watchful_bond(BOND, &["eth0", "eth1"], watch)?;
        PeerStage::configured(lan, BOND, None)
    }

    fn teamd(site: &Site, probes: Option<Duration>) -> Result<PeerStage, Error> {
        let lan = PeerStage::lan()?;
        for nic in ["eth0", "eth1"] {
            lan.server.set_admin(lan.server.index_of(nic)?, false)?;
        }
        let program = Program::start(site, &lan.server, "teamd", |files| {
            let config = files.write("teamd.conf", &team_config(probes))?;
            let pid = files.path("pid").display().to_string();
            let line = ["-f", &config.display().to_string(), "-p", &pid, "-u", "-g"].map(str::to_owned);
            Ok(line.into())
        })?;
        let ready = || {
            let up = lan.server.has(TEAM) && lan.server.is_running("eth0") && lan.server.is_running("eth1");
            (up || program.has_ended()).then_some(up)
        };
        match poll_until(PATIENCE, ready) {
            Some(true) => PeerStage::configured(lan, TEAM, Some(program)),
            _ => Err(Error::new("wait until teamd has its ports", program.said())),
        }
    }

    /// Addresses and routes of the server on the one interface that it has now.
    fn configured(lan: Lan, interface: &str, program: Option<Program>) -> Result<PeerStage, Error> {
        let server = &lan.server;
        server.set_up(interface)?;
        server.add_address(interface, &format!("{DATA4}/24"))?;
        server.add_address(interface, &format!("{DATA6}/64"))?;
        server.add_route(interface, "0.0.0.0/0", ROUTER4)?;
        server.add_route(interface, "::/0", ROUTER6)?;
        let echo = Echo::start(server, PORT)?;
        Ok(PeerStage { _echo: echo, program, lan })
    }
}

/// As teamd.conf(5) has it for two ports of which the first is preferred; what is not said is teamd's default.
fn team_config(probes: Option<Duration>) -> String {
    let watch = match probes {
        None => "{\"name\": \"ethtool\"}".to_owned(),
        Some(time) => format!(
            "{{\"name\": \"arp_ping\", \"interval\": {}, \"source_host\": \"{DATA4}\", \"target_host\": \"{ROUTER4}\"}}",
            time.as_millis()
        ),
    };
    format!(
        "{{\"device\": \"{TEAM}\", \"runner\": {{\"name\": \"activebackup\"}}, \"link_watch\": {watch}, \
         \"ports\": {{\"eth0\": {{\"prio\": 100}}, \"eth1\": {{\"prio\": 10}}}}}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn everybody_is_told_the_same_time_and_has_a_key_of_his_own() {
        let time = Some(Duration::from_millis(20));
        let labels: Vec<String> = Keeper::ALL.iter().map(|k| k.label(time)).collect();
        assert!(labels.iter().all(|l| l.contains("20")), "{labels:?}");
        assert!(team_config(time).contains("\"interval\": 20,"));
        let keys: BTreeSet<_> = Keeper::ALL.iter().map(|k| k.key()).collect();
        assert_eq!(keys.len(), Keeper::ALL.len());
    }

    #[test]
    fn teamd_is_given_json() {
        for probes in [None, Some(Duration::from_secs(1))] {
            let value: serde_json::Value = serde_json::from_str(&team_config(probes)).unwrap();
            assert_eq!(value["ports"]["eth0"]["prio"], 100);
        }
    }

    #[test]
    fn a_cut_cable_asks_nobody() {
        assert!(!Keeper::for_event(Event::Cable).any(|k| k == Keeper::Bonding { validate: true }));
        assert_eq!(Keeper::for_event(Event::Loss).count(), Keeper::ALL.len());
        assert_eq!(Keeper::Bonding { validate: false }.label(None), "bonding, miimon=100");
    }
}
