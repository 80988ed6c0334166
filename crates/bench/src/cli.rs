//! The command line.

use crate::faults::FaultOptions;
use crate::peers::PeersOptions;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Shortest detection time that is measured: the shortest that mpathd.toml allows.
const SHORTEST: Duration = Duration::from_millis(20);

/// Longest: above it a run takes minutes.
const LONGEST: Duration = Duration::from_secs(60);

/// Measures the real mpathd in private network namespaces: faults on a network of its own, figures from the packets
/// that clients received and from the daemon's events. Needs no root and touches nothing outside.
///
/// Every run first measures the same traffic with nothing failing: the longest gap then is the floor, which the
/// machine and its load cause and mpathd cannot go below. Figures come as raw gap, floor, and gap minus floor.
///
/// Percentiles are nearest-rank: with fewer than 100 runs, p99 is the worst run.
///
/// Exit status: 0 all limits held, 1 one was missed or the measurement could not be made, 2 usage.
#[derive(Debug, Parser)]
#[command(name = "mpath-bench", version, after_long_help = EXAMPLES, subcommand_value_name = "SCENARIO",
          subcommand_help_heading = "Scenarios", disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to measure
    #[command(subcommand)]
    pub(crate) scenario: Scenario,
    /// Failures to measure, 1 to 10000, in each case
    #[arg(long, value_name = "N", global = true, default_value_t = 30,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) runs: u32,
    /// Print data, with every sample, instead of a table
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Also draw every sample: an SVG for each case, into this directory
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) svg: Option<PathBuf>,
    /// Seed of the moments at which failures begin
    #[arg(long, value_name = "S", global = true, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The daemon's program [default: $MPATHD_BIN, else beside this program, else in $PATH]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) daemon: Option<PathBuf>,
}

/// Shown after the options.
const EXAMPLES: &str = "\
Examples:
  cargo build --release -p mpathd -p mpath-bench
  target/release/mpath-bench link --rate 10000      # cable cut: how long clients are cut off
  target/release/mpath-bench planned --rate 10000   # offline and online: nothing may be lost
  target/release/mpath-bench silent --fdt 100ms     # black hole: how fast probes notice
  target/release/mpath-bench crash --runs 1000      # killed at random instants: nothing may be lost
  target/release/mpath-bench faults --runs 10       # and much else that goes wrong around it
  target/release/mpath-bench lagg --rate 10000      # the same for a lagg, and the way back
  target/release/mpath-bench loss --runs 20 --parallel 5   # 20% of all frames lost: nothing may fail
  target/release/mpath-bench peers --runs 20        # beside keepalived, ucarp, bonding and teamd
  target/release/mpath-bench carp --worlds 10       # a host dies: how long until another one answers
  target/release/mpath-bench scale --runs 3         # 2 to 512 NICs: what watching costs
  target/release/mpath-bench idle --runs 6          # and a quiet daemon with two
  target/release/mpath-bench calm --runs 1            # busy or stopped for 60 s: nothing may fail
  target/release/mpath-bench silent --json | jq '.cases[].measures.detection_ms'";

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Scenario {
    /// Cable cut: how soon packets arrive by the other NIC
    ///
    /// Cuts the cable of the NIC that holds the data addresses while a client on the link sends UDP packets to both of them,
    /// IPv4 and IPv6. Measured is the time from the cut to the first packet of each family on the other NIC, which the kernel
    /// stamps: the cut was noticed, the addresses have moved, the client has heard of it. Between the runs the cable is
    /// plugged in again and the addresses go home. Limits, worse family of each run: p50 under 1 ms, p99 under 5 ms.
    Link(LinkOptions),
    /// Cable cut that the kernel tells of late
    ///
    /// As `link`, with NICs whose carrier events the kernel holds back because another link event fired within the last
    /// second: polling has to find it. Limit: p99 under 15 ms.
    Late(LinkOptions),
    /// A NIC is taken offline and put online again: no packet may be lost
    ///
    /// Traffic as in `link`. Limit: no packet lost, there and back, both families.
    Planned(LinkOptions),
    /// Cable cut under TCP: how long bulk transfers stall
    ///
    /// A client on the link receives from both data addresses, and keeps 100 more sessions open. Stall: longest time
    /// without progress around the cut. Limits: p99 under 300 ms, worse family, and no session lost.
    Tcp,
    /// Cable cut with many addresses, against a hand-rolled reflex
    ///
    /// From the carrier event to the last of the addresses on the other NIC, as a third party on the host sees it, for the
    /// daemon and in turns for the floor: messages assembled beforehand, one system call, one announcement, nothing else.
    /// Limits for one address of each family: 1.25 times the floor (p50) and 2 times (p99); for more, 1.3 times (p50).
    Addresses(AddressOptions),
    /// Silent path: how fast probes notice a failure and a repair
    ///
    /// Lets the path behind the switch swallow every frame, carrier up, at a random moment, and heals it at another.
    /// Detection: from the fault to the event nic_failed; repair: from the healing to nic_repaired. Both are
    /// stamped on arrival at a watcher on the control socket, so they hold the daemon's delay and the watcher's.
    /// A machine too busy to answer probes in time makes the daemon raise its detection time, as in.mpathd does: the
    /// time in force before each fault is told. Outage: as in `link`. Limits: every detection within the failure detection time, every repair under
    /// twice that, and no nic_failed without a fault.
    Silent(SilentOptions),
    /// Kills: whether an address is ever lost
    ///
    /// Kills the daemon (SIGKILL) at a random instant of a failover, a repair, a reload, an offline or a NIC's removal, lets
    /// something else happen while nobody runs, starts it again and mends everything. Limit: every address, declared
    /// and adopted, is somewhere at every kill, and on its home alone in the end.
    Crash,
    /// What goes wrong around the daemon in the middle of a move
    ///
    /// Each fault hits the real daemon while four addresses, two declared and two adopted, are on their way to the other NIC
    /// or home in turns. `kill`: SIGKILL at a random moment, and a restart; `stop`: SIGSTOP for 3 s; `eperm`, `enobufs`, `ebusy`:
    /// for 2 s every netlink call of the daemon, or every other, fails with this error (a seccomp filter reports them);
    /// `disk`: no room in the state directory, then SIGKILL and a restart; `interfaces`: 1,000 come and go; `routes`:
    /// 100,000 come, and go at once. Recovery runs from the fault's end (from the kill; in storms and on a full disk from the
    /// cable) until every address is on the right NIC alone and both data addresses answer. Limits: no address nowhere at
    /// any time, none on two NICs in the end, the daemon never ends by itself, recovered within 5 s, on the way
    /// home within two detection times more.
    ///
    /// `hostile`: a host on the link sends 10,000 packets a second of one kind after the other: forged and overheard echo
    /// replies, ARP, neighbour advertisements, claims to the router's address, malformed packets, CARP adverts, and a
    /// mixture. Limits: no change of state, under 10% of a processor beyond what a quiet link costs; while it goes on, a
    /// cable is cut and the addresses are in place within 500 ms, and a silent path is found within the detection time.
    Faults(FaultOptions),
    /// No fault at all: whether something else passes for a failure
    ///
    /// Nothing is broken while something else disturbs the daemon: `hogs` keeps every processor busy, `hog` one, `stop` lets
    /// the daemon stand still (SIGSTOP) for the first half of the time, `none` leaves the disturbing to you (step the
    /// clock of a machine that is yours, say). Limits: no failure is told, and where nothing disturbs, the daemon takes
    /// less than 3 ms of processor time a second.
    Calm(CalmOptions),
    /// Losses: what lives is not failed, what dies is found
    ///
    /// The paths lose frames by chance, each by itself, in each direction. `steady`: on both NICs for a while; limit: no
    /// failure and no failover. `death`: on both NICs, and the path of one dies; limit: found within the failure detection
    /// time. `gray`: on one NIC; limit: its addresses are elsewhere within 10 s. Each run has a network of its own.
    Loss(LossOptions),
    /// Lagg: cable cut, silent path, throughput
    ///
    /// A lagg over two ports, made by each back-end. `cable`: the cable of the active port is cut while a client on the
    /// link exchanges UDP packets with both addresses, IPv4 and IPv6, and receives a paced TCP transfer, and is plugged in
    /// again, every other time into a switch port that starts forwarding a second late. `silent`: the path behind the active
    /// port swallows every frame. `speed`: TCP both ways and small UDP packets through the lagg and through a bare NIC in
    /// turns. Limits: outage p50 under 1 ms and p99 under 5 ms, TCP stall p99 under 300 ms; a millisecond of packets
    /// lost on the way back; silent paths left within the detection time of 100 ms; 0.9 of the bare NIC.
    Lagg(LaggOptions),
    /// CARP: the master dies, stops, or runs its program again
    ///
    /// Two hosts with one virtual address, and a third that asks for it by broadcast 200 times a second; a sniffer at each
    /// host's port. `kill` ends the master with SIGKILL at a random phase, `stop` with SIGTERM, `again` lets it run its
    /// program file again (SIGUSR2) under 1,000 packets a second; `group` and `lagg` break cables, NICs and switches of hosts
    /// that have two of each, then the host; `many` is about the processor time of 255 vhids. Limits:
    /// never do both hosts answer one question; the other advertises 3.0 to 3.1 s after a killed master's last advert
    /// and answers within 50 ms of the protocol's 3 s; after a clean stop it answers within 50 ms; a program that runs
    /// again sends no advert late and loses no packet; faults inside a host never move the address to another; 255 vhids
    /// cost less than 2% of a processor.
    Carp(CarpOptions),
    /// The same faults for keepalived, ucarp, bonding and teamd
    ///
    /// Networks, faults and traffic are the same for everybody, who takes his turn after the others; figures are the longest gaps
    /// of a client. Between two hosts that share an address: `kill` (the one that has it dies, cable first) and `stop` (its
    /// program is told to stop) for mpathd's CARP, ucarp and keepalived, each at the same moments after an advert; keepalived
    /// with its shortest interval is shown beside. Between two NICs: `cable` and `silent` (see `link`) for mpathd's group and
    /// laggs, bonding and teamd, where everybody is told the same time (--fdt): mpathd as its detection time, which holds seven
    /// probes, the others as their probe interval. `loss`: how often answers change their NIC while both lose 20% each way.
    ///
    /// Rule: the median of mpathd, of its slowest kind where there are several, exceeds no peer's by more than the median of the
    /// longest gaps with nothing failing; it moves no oftener than any peer. Exit status 1 if that is missed, if a peer that
    /// is there does not work, or, where $CI is true, if its program is not installed.
    Peers(PeersOptions),
    /// Many NICs: what watching costs
    ///
    /// A server with so many NICs, two on each link with a group and an address of each family, all healthy. Measured in
    /// windows: processor time, also for each probe and beside what one echo costs a program that does nothing else;
    /// memory; wake-ups (voluntary context switches). Limits: 512 NICs at 10 s under 3% of one processor and 64 MiB; 64
    /// NICs at 100 ms under 30%; a probe among many NICs costs less than 1.25 times that among the fewest.
    Scale(ScaleOptions),
    /// A quiet daemon with two NICs: processor time and wake-ups
    ///
    /// The standard network with a failure detection time of 10 s, and nothing happens. Limit: under 0.2% of a processor.
    Idle(IdleOptions),
}

/// Options of the scale.
#[derive(Clone, Debug, Args)]
pub(crate) struct ScaleOptions {
    /// NICs and failure detection times, each a case of its own; 2 to 512 NICs, even
    #[arg(long, value_name = "NICS@T,...", value_delimiter = ',', value_parser = load,
          default_value = "2@10s,8@10s,64@10s,512@10s,2@100ms,8@100ms,64@100ms")]
    pub(crate) at: Vec<Load>,
    /// Length of a window, 20ms to 60s
    #[arg(long = "for", value_name = "T", default_value = "20s", value_parser = duration)]
    pub(crate) lasting: Duration,
}

/// So many NICs, probed so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) nics: u32,
    pub(crate) fdt: Duration,
}

/// `512@10s`
fn load(text: &str) -> Result<Load, String> {
    let (nics, fdt) = text.split_once('@').ok_or("give NICs and detection time: 512@10s")?;
    let nics = nics.parse().ok().filter(|n: &u32| (2..=512).contains(n) && n.is_multiple_of(2));
    Ok(Load { nics: nics.ok_or("NICs must be an even number from 2 to 512")?, fdt: duration(fdt)? })
}

/// Options of the quiet daemon.
#[derive(Clone, Debug, Args)]
pub(crate) struct IdleOptions {
    /// Length of a window, 20ms to 60s
    #[arg(long = "for", value_name = "T", default_value = "10s", value_parser = duration)]
    pub(crate) lasting: Duration,
}

/// Options of CARP.
#[derive(Clone, Debug, Args)]
pub(crate) struct CarpOptions {
    /// What happens, each a case of its own
    #[arg(
        long,
        value_name = "WHAT,...",
        value_delimiter = ',',
        default_value = "kill,stop,again,group,lagg,many"
    )]
    pub(crate) what: Vec<CarpFault>,
    /// Worlds that run at once and share the runs, 1 to 50
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub(crate) worlds: u32,
}

/// What happens to a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CarpFault {
    Kill,
    Stop,
    Again,
    Group,
    Lagg,
    Many,
}

impl CarpFault {
    /// In words, for headings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            CarpFault::Kill => "the master is killed",
            CarpFault::Stop => "the master stops",
            CarpFault::Again => "the master runs its program again",
            CarpFault::Group => "hosts with groups",
            CarpFault::Lagg => "hosts with laggs",
            CarpFault::Many => "many vhids",
        }
    }
}

/// Options of the losses.
#[derive(Clone, Debug, Args)]
pub(crate) struct LossOptions {
    /// What is asked, each a case of its own
    #[arg(long, value_name = "WHAT,...", value_delimiter = ',', default_value = "steady,death")]
    pub(crate) what: Vec<Question>,
    /// Failure detection times, each a case of its own, 20ms to 60s
    #[arg(long, value_name = "T,...", value_delimiter = ',', default_value = "100ms,50ms",
          value_parser = duration)]
    pub(crate) fdt: Vec<Duration>,
    /// Frames lost, in percent, each a case of its own, 1 to 100
    #[arg(long, value_name = "P,...", value_delimiter = ',', default_value = "20",
          value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) loss: Vec<u32>,
    /// How long a steady run lasts, 20ms to 60s
    #[arg(long = "for", value_name = "T", default_value = "60s", value_parser = duration)]
    pub(crate) lasting: Duration,
    /// Lose only what the daemon's host sends
    #[arg(long)]
    pub(crate) one_way: bool,
    /// The members have no test addresses
    #[arg(long)]
    pub(crate) without_test_addresses: bool,
    /// The host has no IPv6
    #[arg(long)]
    pub(crate) ipv4_only: bool,
    /// Runs at the same time, 1 to 20: where only counts matter
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub(crate) parallel: u32,
}

/// What is asked of paths that lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Question {
    Steady,
    Death,
    Gray,
}

impl Question {
    /// In words, for headings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Question::Steady => "both NICs live",
            Question::Death => "a path dies",
            Question::Gray => "one of two NICs",
        }
    }

    /// What is timed.
    pub(crate) fn measure(self) -> &'static str {
        match self {
            Question::Gray => "until its addresses were elsewhere, ms",
            _ => "detection, ms",
        }
    }
}

/// Options of the lagg.
#[derive(Clone, Debug, Args)]
pub(crate) struct LaggOptions {
    /// Back-ends, each a case of its own
    #[arg(long, value_name = "WHAT,...", value_delimiter = ',', default_value = "redirect,bridge")]
    pub(crate) backend: Vec<Backend>,
    /// What is measured, each a case of its own
    #[arg(long, value_name = "WHAT,...", value_delimiter = ',', default_value = "cable,silent,speed")]
    pub(crate) what: Vec<LaggFault>,
    #[command(flatten)]
    pub(crate) traffic: LinkOptions,
}

/// What is measured of a lagg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LaggFault {
    Cable,
    Silent,
    Speed,
}

/// How a lagg is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    Redirect,
    Bridge,
    Bond,
}

impl Backend {
    /// As in mpathd.toml.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Backend::Redirect => "redirect",
            Backend::Bridge => "bridge",
            Backend::Bond => "bond",
        }
    }
}

/// Options of the calm.
#[derive(Clone, Debug, Args)]
pub(crate) struct CalmOptions {
    /// Failure detection time, 20ms to 60s
    #[arg(long, value_name = "T", default_value = "100ms", value_parser = duration)]
    pub(crate) fdt: Duration,
    /// How long each run lasts, 20ms to 60s
    #[arg(long = "for", value_name = "T", default_value = "60s", value_parser = duration)]
    pub(crate) lasting: Duration,
    /// What disturbs, each a case of its own
    #[arg(long, value_name = "WHAT,...", value_delimiter = ',', default_value = "hogs,stop")]
    pub(crate) by: Vec<Disturbance>,
    #[command(flatten)]
    pub(crate) traffic: LinkOptions,
}

/// What disturbs the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Disturbance {
    Hogs,
    Hog,
    Stop,
    None,
}

impl Disturbance {
    /// In words, for headings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Disturbance::Hogs => "a hog on every processor",
            Disturbance::Hog => "a hog on one processor",
            Disturbance::Stop => "the daemon stopped for half the time",
            Disturbance::None => "nothing disturbs",
        }
    }
}

/// Options of the traffic.
#[derive(Clone, Debug, Args)]
pub(crate) struct LinkOptions {
    /// Packets per second of each stream, 100 to 10000
    #[arg(long, value_name = "HZ", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(100..=10_000))]
    pub(crate) rate: u32,
}

/// Options of the address scenario.
#[derive(Clone, Debug, Args)]
pub(crate) struct AddressOptions {
    /// Addresses of each family, each a case of its own, 1 to 5000
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1,1000",
          value_parser = count)]
    pub(crate) counts: Vec<usize>,
}

fn count(text: &str) -> Result<usize, String> {
    let found = text.parse().ok().filter(|n| (1..=5000).contains(n));
    found.ok_or_else(|| "must be a number from 1 to 5000".to_owned())
}

/// Options of the silent path.
#[derive(Clone, Debug, Args)]
pub(crate) struct SilentOptions {
    /// Failure detection times, each a case of its own, 20ms to 60s
    #[arg(long, value_name = "T,...", value_delimiter = ',', default_value = "100ms,1s",
          value_parser = duration)]
    pub(crate) fdt: Vec<Duration>,
    #[command(flatten)]
    pub(crate) traffic: LinkOptions,
}

/// `100ms` or `2s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, Duration::from_millis(1)),
        (None, Some(number)) => (number, Duration::from_secs(1)),
        (None, None) => return Err("give a unit: 100ms, 1s".to_owned()),
    };
    let number: u32 = number.parse().map_err(|_| "not a whole number with unit ms or s".to_owned())?;
    let value = unit.checked_mul(number).filter(|value| (SHORTEST..=LONGEST).contains(value));
    value.ok_or_else(|| "must be 20ms to 60s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_holds() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_need_a_unit_and_stay_in_range() {
        assert_eq!(duration("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(duration("1s"), Ok(Duration::from_secs(1)));
        for bad in ["1", "s", "ms", "-1s", "1.5s", "19ms", "61s", "99999999999s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn loads_are_nics_at_a_time() {
        assert_eq!(load("512@10s"), Ok(Load { nics: 512, fdt: Duration::from_secs(10) }));
        for bad in ["512", "3@10s", "0@10s", "514@10s", "2@10", "@"] {
            assert!(load(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn options_stand_on_either_side_of_the_scenario() {
        for line in [["--runs", "3", "silent"], ["silent", "--runs", "3"]] {
            let cli = Cli::try_parse_from([&["mpath-bench"], &line[..]].concat()).unwrap();
            assert_eq!(cli.runs, 3);
            let Scenario::Silent(options) = cli.scenario else { panic!("{line:?}") };
            assert_eq!(options.fdt, [Duration::from_millis(100), Duration::from_secs(1)]);
        }
        assert!(Cli::try_parse_from(["mpath-bench", "link", "--rate", "20000"]).is_err());
        assert!(Cli::try_parse_from(["mpath-bench", "link", "--runs", "0"]).is_err());
    }
}
