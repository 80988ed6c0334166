//! Two hosts with one virtual address, and a client that talks to it: CARP by mpathd and by ucarp, VRRP by keepalived. The one
//! that answers dies with its cable, or its program is told to stop.

use super::options::Event;
use super::program::{self, Program};
use super::verdict::{Outcome, Part};
use crate::carp::{launch, opposite, wait_state};
use crate::presence::beside;
use crate::progress::Progress;
use crate::rng::Rng;
use crate::stage::{LEAD, PATIENCE, Site};
use crate::stats::ms;
use mpath_testkit::traffic::PORT;
use mpath_testkit::{Daemon, Echo, Error, Host, Pair, Side, Sniffer, UdpStream, poll_until};
use mpath_wire::ethernet::{self, ethertype};
use mpath_wire::{carp, ipv4};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const VIP: &str = "10.77.0.100";
const VIP_NET: &str = "10.77.0.100/24";
const PASSPHRASE: &str = "lagg-carp-lab";
/// Skew of both hosts in 1/256 s: the least that all programs can be given. VRRP calls it 256 minus the priority.
const SKEW: u8 = 2;
/// Before each fault nothing happens for so long: every stand-in has heard the master. The floor is measured then.
const SETTLE: Duration = Duration::from_secs(2);
/// A stream is watched for so long after the first answer of the other host.
const AFTER: Duration = Duration::from_secs(1);
/// In this time the answers that are under way arrive.
const UNDER_WAY: Duration = Duration::from_millis(300);

/// Who keeps the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeper {
    Mpathd,
    Ucarp,
    /// With adverts at this interval in hundredths of a second.
    Keepalived(u32),
}

impl Keeper {
    pub(super) const ALL: [Keeper; 4] =
        [Keeper::Mpathd, Keeper::Ucarp, Keeper::Keepalived(100), Keeper::Keepalived(1)];

    pub(super) fn key(self) -> &'static str {
        match self {
            Keeper::Mpathd => "mpathd_carp",
            Keeper::Ucarp => "ucarp",
            Keeper::Keepalived(100) => "keepalived",
            Keeper::Keepalived(_) => "keepalived_shortest",
        }
    }

    pub(super) fn label(self) -> String {
        match self {
            Keeper::Mpathd => "mpathd, advbase 1".to_owned(),
            Keeper::Ucarp => "ucarp, advbase 1".to_owned(),
            Keeper::Keepalived(100) => "keepalived, advert_int 1".to_owned(),
            Keeper::Keepalived(n) => format!("keepalived, advert_int {}", f64::from(n) / 100.0),
        }
    }

    pub(super) fn part(self) -> Part {
        match self {
            Keeper::Mpathd => Part::Ours,
            Keeper::Keepalived(n) if n < 100 => Part::Beside,
            _ => Part::Peer,
        }
    }

    /// The program that has to be installed, which is also Debian's name for its package.
    fn needs(self) -> Option<&'static str> {
        match self {
            Keeper::Mpathd => None,
            Keeper::Ucarp => Some("ucarp"),
            Keeper::Keepalived(_) => Some("keepalived"),
        }
    }

    /// From one advert to the next.
    fn interval(self) -> Duration {
        match self {
            Keeper::Keepalived(n) => Duration::from_millis(10) * n,
            _ => Duration::from_secs(1),
        }
    }
}

/// The outages of a keeper, ms; longest gaps with nothing failing go to `floor`.
pub(super) fn measure(
    site: &Site,
    keeper: Keeper,
    event: Event,
    (rate, runs, seed): (u32, u32, u64),
    floor: &mut Vec<f64>,
) -> Result<Outcome, Error> {
    if let Some(program) = keeper.needs().filter(|p| program::find(p).is_none()) {
        return Ok(Outcome::NotInstalled(program));
    }
    let progress = Progress::new(format!("peers, {}, {}", event.name(), keeper.label()), runs);
    let mut world = World::build(site, keeper)?;
    let mut rng = Rng::new(seed);
    let mut outages = Vec::new();
    for number in 1..=runs {
        let phase = rng.below(keeper.interval());
        let run = world.fault(event, rate, phase);
        let (gap, outage) = run.map_err(|e| Error::new(e.to_string(), world.said()))?;
        floor.push(ms(gap));
        outages.push(ms(outage));
        progress.done(number, &format!("outage {:.1} ms", ms(outage)));
    }
    Ok(Outcome::Samples(outages))
}

/// A host's program.
enum Member {
    Ours(Daemon),
    Theirs(Program),
}

/// Everything that runs. Fields are dropped in this order.
struct World<'a> {
    site: &'a Site,
    keeper: Keeper,
    /// When each host advertised.
    adverts: [Sniffer<()>; 2],
    _echo: [Echo; 2],
    members: [Member; 2],
    pair: Pair,
    master: Side,
}

impl World<'_> {
    /// Side A is master.
    fn build(site: &Site, keeper: Keeper) -> Result<World<'_>, Error> {
        let pair = Pair::new(1)?;
        let sniffer = |port: &str| Sniffer::start(&pair.switch, port, advert);
        let adverts = [sniffer("a0")?, sniffer("b0")?];
        let a = Member::start(site, keeper, &pair, Side::A)?;
        wait_holder(&pair).map_err(|e| Error::new(e.to_string(), a.said()))?;
        let b = Member::start(site, keeper, &pair, Side::B)?;
        let echo = [Echo::start(&pair.a, PORT)?, Echo::start(&pair.b, PORT)?];
        Ok(World { site, keeper, adverts, _echo: echo, members: [a, b], pair, master: Side::A })
    }

    /// Lets the master go at this time after one of its adverts. Gives the longest gap before that and the one around it.
    fn fault(&mut self, event: Event, rate: u32, phase: Duration) -> Result<(Duration, Duration), Error> {
        let target = SocketAddr::new(VIP.parse().expect("a constant address"), PORT);
        let stream = UdpStream::start(&self.pair.client, target, rate)?;
        let floor = self.calm(&stream)?;
        let advert = self.next_advert()?;
        std::thread::sleep((advert + phase).saturating_duration_since(Instant::now()));
        let fault = if event == Event::Kill { self.kill()? } else { self.term()? };
        std::thread::sleep(UNDER_WAY);
        answered(&stream)?;
        std::thread::sleep(AFTER);
        let outage = stream.window(fault - LEAD, Instant::now()).outage;
        drop(stream);
        self.come_back(event)?;
        Ok((floor, outage))
    }

    /// Waits until one host has the address and keeps it, and gives the longest gap meanwhile. Whoever it is: with the shortest interval
    /// a stand-in that was kept from the processor takes over from a living master.
    fn calm(&mut self, stream: &UdpStream) -> Result<Duration, Error> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            self.master = wait_holder(&self.pair)?;
            answered(stream)?;
            let begin = Instant::now();
            std::thread::sleep(SETTLE);
            if wait_holder(&self.pair)? == self.master {
                return Ok(stream.window(begin, begin + SETTLE).outage);
            }
        }
        Err(Error::new(format!("wait until one host keeps {VIP}"), format!("not within {PATIENCE:?}")))
    }

    fn next_advert(&self) -> Result<Instant, Error> {
        let now = Instant::now();
        let next =
            || self.adverts[self.master as usize].seen().last().map(|(at, ())| *at).filter(|at| *at > now);
        poll_until(PATIENCE, next).ok_or_else(|| {
            Error::new("wait for an advert of the master", format!("none within {PATIENCE:?}"))
        })
    }

    /// The cable first: a host that dies says nothing more.
    fn kill(&mut self) -> Result<Instant, Error> {
        let at = self.pair.cable(self.master, 0, false)?;
        match &mut self.members[self.master as usize] {
            Member::Ours(daemon) => daemon.kill9(),
            Member::Theirs(program) => program.kill9(),
        }
        Ok(at)
    }

    fn term(&mut self) -> Result<Instant, Error> {
        let at = Instant::now();
        match &self.members[self.master as usize] {
            Member::Ours(daemon) => daemon.signal(nix::sys::signal::Signal::SIGTERM)?,
            Member::Theirs(program) => program.term()?,
        }
        Ok(at)
    }

    /// The host that went away becomes the stand-in of the other.
    fn come_back(&mut self, event: Event) -> Result<(), Error> {
        let (back, host) = (self.master, self.pair.host(self.master));
        let member = &mut self.members[back as usize];
        if event == Event::Stop {
            match member {
                Member::Ours(daemon) => daemon.wait_end(PATIENCE).map(drop)?,
                Member::Theirs(program) => program.wait_end()?,
            }
        }
        match member {
            Member::Ours(daemon) => {
                self.pair.cable(back, 0, true)?;
                daemon.restart()?;
                wait_state(daemon, "BACKUP")?;
            }
            Member::Theirs(_) => {
                // A host that has just booted has no address but its own.
                if host.holders(VIP).iter().any(|nic| nic == "eth0") {
                    host.del_address("eth0", VIP_NET)?;
                }
                self.pair.cable(back, 0, true)?;
                *member = Member::start(self.site, self.keeper, &self.pair, back)?;
            }
        }
        self.master = opposite(back);
        Ok(())
    }

    fn said(&self) -> String {
        format!("a: {}\nb: {}", self.members[0].said(), self.members[1].said())
    }
}

impl Member {
    fn start(site: &Site, keeper: Keeper, pair: &Pair, side: Side) -> Result<Member, Error> {
        let host: &Host = pair.host(side);
        match keeper {
            Keeper::Mpathd => {
                let config = |key: &str| {
                    format!(
                        "[[carp]]\ninterface = \"eth0\"\nvhid = 1\nadvskew = {SKEW}\npassphrase_file = \"{key}\"\n\
                         addresses = [\"{VIP_NET}\"]\n"
                    )
                };
                launch(site, pair, side, &config).map(Member::Ours)
            }
            Keeper::Ucarp => ucarp(site, host, side).map(Member::Theirs),
            Keeper::Keepalived(hundredths) => keepalived(site, host, hundredths).map(Member::Theirs),
        }
    }

    fn said(&self) -> String {
        match self {
            Member::Ours(daemon) => daemon.log_text(),
            Member::Theirs(program) => program.said(),
        }
    }
}

fn ucarp(site: &Site, host: &Host, side: Side) -> Result<Program, Error> {
    let vip = beside("mpath-vip")?;
    Program::start(site, host, "ucarp", |files| {
        let script = |name: &str, deed: &str| {
            let path = files.script(name, &format!("{} {deed} eth0 {VIP_NET}", vip.display()));
            path.map(|path| path.display().to_string())
        };
        let (up, down) = (script("up", "add")?, script("down", "del")?);
        let source = format!("10.77.0.{}", 1 + side as u8);
        let line = format!(
            "-i eth0 -s {source} -v 1 -p {PASSPHRASE} -a {VIP} -b 1 -k {SKEW} -n -z -u {up} -d {down}"
        );
        Ok(line.split(' ').map(str::to_owned).collect())
    })
}

fn keepalived(site: &Site, host: &Host, hundredths: u32) -> Result<Program, Error> {
    Program::start(site, host, "keepalived", |files| {
        let config = files.write("keepalived.conf", &keepalived_config(hundredths))?;
        let file = |name: &str| files.path(name).display().to_string();
        let mut all = vec!["--dont-fork", "--log-console", "--no-syslog", "--vrrp"];
        let (pid, vrrp, config) = (file("pid"), file("vrrp_pid"), config.display().to_string());
        all.extend(["--pid", &pid, "--vrrp_pid", &vrrp, "--use-file", &config]);
        Ok(all.into_iter().map(str::to_owned).collect())
    })
}

/// As its manual page has it for two equal hosts of which neither takes the address back. Times below a second are VRRP 3's.
fn keepalived_config(hundredths: u32) -> String {
    let version = if hundredths < 100 { 3 } else { 2 };
    let (interval, priority) = (f64::from(hundredths) / 100.0, 256 - u32::from(SKEW));
    format!(
        "vrrp_instance peers {{\n    state BACKUP\n    nopreempt\n    interface eth0\n    version {version}\n    \
         virtual_router_id 1\n    priority {priority}\n    advert_int {interval}\n    \
         virtual_ipaddress {{\n        {VIP_NET} dev eth0\n    }}\n}}\n"
    )
}

/// CARP and VRRP have one protocol number.
fn advert(frame: &[u8]) -> Option<()> {
    let (header, packet) = ethernet::parse(frame).ok()?;
    let (ip, _) = (header.ethertype == ethertype::IPV4).then(|| ipv4::parse(packet).ok())??;
    (ip.protocol == carp::PROTOCOL).then_some(())
}

fn answered(stream: &UdpStream) -> Result<(), Error> {
    let now = Instant::now();
    let alive = || stream.alive_since(now).then_some(());
    poll_until(PATIENCE, alive)
        .ok_or_else(|| Error::new(format!("wait for answers of {VIP}"), format!("none within {PATIENCE:?}")))
}

/// Waits until one host has the address and the other has not; gives the one.
fn wait_holder(pair: &Pair) -> Result<Side, Error> {
    let has = |side: Side| !pair.host(side).holders(VIP).is_empty();
    let one = || match (has(Side::A), has(Side::B)) {
        (true, false) => Some(Side::A),
        (false, true) => Some(Side::B),
        _ => None,
    };
    poll_until(PATIENCE, one).ok_or_else(|| {
        let why = format!("not within {PATIENCE:?}: a {}, b {}", has(Side::A), has(Side::B));
        Error::new(format!("wait until one host has {VIP}"), why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keeper_is_told_the_same() {
        assert!(keepalived_config(100).contains("priority 254\n    advert_int 1\n"));
        assert!(keepalived_config(1).contains("version 3\n"));
        assert!(keepalived_config(1).contains("advert_int 0.01\n"));
        let keys: std::collections::BTreeSet<_> = Keeper::ALL.iter().map(|k| k.key()).collect();
        assert_eq!(keys.len(), Keeper::ALL.len());
        assert_eq!(Keeper::Keepalived(1).label(), "keepalived, advert_int 0.01");
        assert_eq!(Keeper::Keepalived(1).interval(), Duration::from_millis(10));
    }
}
