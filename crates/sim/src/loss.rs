//! How often a NIC is failed that only loses packets: two NICs with test addresses, one router, random loss in each direction,
//! nothing else. The kernel grants everything and shows nothing new, so that hours pass in seconds.

use crate::rng::Rng;
use mpath_core::{Action, Engine, Input};
use mpath_model::event::EventKind;
use mpath_model::kernel::{Address, Heard, Inventory, Link, Packet, Transmit};
use mpath_model::settings::{Confirm, Group, Interface, TestAddress, Thresholds};
use mpath_model::{IfAddr, IfIndex, Mac, Settings, Time};
use mpath_wire::{arp, ethernet};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const ROUTER_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const ROUND_TRIP: Duration = Duration::from_micros(300);

/// How packets are lost.
#[derive(Clone, Copy, Debug)]
pub enum Model {
    /// Each by itself, in each direction.
    Independent {
        /// Permille.
        loss: u32,
    },
    /// In bursts (Gilbert-Elliott): while one lasts everything is lost, both ways.
    Bursts {
        /// Share of time in bursts, permille.
        share: u32,
        /// Mean length of a burst.
        mean: Duration,
    },
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// NICs failed although their path lived.
    pub failures: u64,
    /// Group failures.
    pub group_failures: u64,
    /// NICs whose addresses would have moved for loss alone.
    pub degraded: u64,
    /// Packets sent.
    pub packets: u64,
}

/// A path and the state of its loss.
#[derive(Debug)]
struct Path {
    rng: Rng,
    model: Model,
    bad: bool,
    until: Time,
}

impl Path {
    fn new(model: Model, seed: u64, stream: u64) -> Path {
        Path { rng: Rng::new(seed, stream), model, bad: true, until: Time::default() }
    }

    /// Whether a question sent now is answered.
    fn passes(&mut self, now: Time) -> bool {
        match self.model {
            Model::Independent { loss } => !self.rng.chance(loss) && !self.rng.chance(loss),
            Model::Bursts { share, mean } => {
                while self.until <= now {
                    self.bad = !self.bad;
                    let good = mean * (1000 - share) / share.max(1);
                    let length = self.exponential(if self.bad { mean } else { good });
                    self.until = self.until + length;
                }
                !self.bad
            }
        }
    }

    fn exponential(&mut self, mean: Duration) -> Duration {
        let uniform = (self.rng.next() >> 11) as f64 / (1u64 << 53) as f64;
        mean.mul_f64(-(1.0 - uniform).ln())
    }
}

/// Runs for `time` of virtual time.
pub fn run(seed: u64, fdt: Duration, confirm: Confirm, model: Model, time: Duration) -> Outcome {
    let mut engine = Engine::new(seed, "sim");
    let mut paths = [Path::new(model, seed, 11), Path::new(model, seed, 12)];
    let mut queue: BinaryHeap<Reverse<(Time, u64)>> = BinaryHeap::new();
    let mut inputs = std::collections::HashMap::new();
    let (mut out, mut order, mut outcome) = (Vec::new(), 0u64, Outcome::default());
    let begin = Time(0) + Duration::from_secs(1000);
    let mut now = begin;
    engine.handle(now, Input::Configure(settings(fdt, confirm)), &mut out);
    engine.handle(now, Input::Inventory(inventory()), &mut out);
    loop {
        for action in std::mem::take(&mut out) {
            let follow = match action {
                Action::Kernel { batch, ops } => {
                    Some((now, Input::Done { batch, errors: vec![0; ops.len()] }))
                }
                Action::Resynchronise => Some((now, Input::Inventory(inventory()))),
                Action::Send(what) => {
                    outcome.packets += 1;
                    let at = now + ROUND_TRIP;
                    answer(&what)
                        .filter(|(index, _)| paths[*index as usize - 2].passes(now))
                        .map(|(index, what)| (at, Input::Heard(Heard { index, at, what })))
                }
                Action::Emit(event) => {
                    match event.event {
                        EventKind::NicFailed => outcome.failures += 1,
                        EventKind::GroupFailed => outcome.group_failures += 1,
                        EventKind::Alarm if event.message.contains('%') => outcome.degraded += 1,
                        _ => {}
                    }
                    None
                }
                _ => None,
            };
            if let Some((at, input)) = follow {
                order += 1;
                queue.push(Reverse((at, order)));
                inputs.insert(order, input);
            }
        }
        let deadline = engine.next_deadline().map_or(Time(u64::MAX), |t| t.max(now));
        let first = queue.peek().map_or(Time(u64::MAX), |Reverse((at, _))| *at);
        now = deadline.min(first);
        if now - begin >= time {
            return outcome;
        }
        let queued = if first <= deadline { queue.pop() } else { None };
        let input = queued.and_then(|Reverse((_, order))| inputs.remove(&order)).unwrap_or(Input::Tick);
        engine.handle(now, input, &mut out);
    }
}

fn test_address(nic: u8) -> IfAddr {
    IfAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10 + nic)), 24)
}

fn settings(fdt: Duration, confirm: Confirm) -> Settings {
    let interface = |n: u8| Interface {
        name: format!("eth{n}"),
        test_addresses: vec![TestAddress::Address(test_address(n))],
        standby: false,
    };
    let group = Group {
        name: "g".into(),
        failure_detection_time: fdt,
        failback: true,
        probe: Default::default(),
        targets: vec![IpAddr::V4(ROUTER)],
        adopt: Default::default(),
        confirm,
        thresholds: Thresholds::default(),
        interfaces: vec![interface(0), interface(1)],
        addresses: Vec::new(),
    };
    Settings { groups: vec![group], ..Settings::default() }
}

fn mac(index: IfIndex) -> Mac {
    Mac([2, 0, 0, 0, 1, index as u8])
}

fn inventory() -> Inventory {
    let link = |n: u8| {
        let index = IfIndex::from(n) + 2;
        Link::ethernet(index, format!("eth{n}"), mac(index))
    };
    let address = |n: u8| Address::plain(IfIndex::from(n) + 2, test_address(n));
    Inventory {
        links: vec![link(0), link(1)],
        addresses: vec![address(0), address(1)],
        ..Inventory::default()
    }
}

/// What the router says.
fn answer(what: &Transmit) -> Option<(IfIndex, Packet)> {
    match what {
        Transmit::Echo { index, source, target, ident, seq, payload } if *target == IpAddr::V4(ROUTER) => {
            let (from, to, payload) = (*target, *source, payload.clone());
            Some((*index, Packet::EchoReply { from, to, code: 0, ident: *ident, seq: *seq, payload }))
        }
        Transmit::Frame { index, bytes } => {
            let asked = ethernet::parse(bytes).ok().and_then(|(_, packet)| arp::parse(packet).ok())?;
            (asked.target_ip == ROUTER).then_some((
                *index,
                Packet::Arp {
                    reply: true,
                    sender_mac: ROUTER_MAC,
                    sender: ROUTER,
                    target_mac: asked.sender_mac,
                    target: asked.sender_ip,
                },
            ))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FDT: Duration = Duration::from_millis(100);
    const LOSS: Model = Model::Independent { loss: 200 };

    #[test]
    fn the_classic_rule_fails_and_confirmation_does_not() {
        let time = Duration::from_secs(600);
        assert!(run(1, FDT, Confirm::Off, LOSS, time).failures > 10);
        let calm = run(1, FDT, Confirm::All, LOSS, time);
        assert_eq!((calm.failures, calm.group_failures), (0, 0));
    }

    #[test]
    fn bursts_of_50_ms_fail_nothing_at_one_second() {
        let model = Model::Bursts { share: 100, mean: Duration::from_millis(50) };
        let calm = run(1, Duration::from_secs(1), Confirm::All, model, Duration::from_secs(3600 * 4));
        assert_eq!((calm.failures, calm.group_failures, calm.degraded), (0, 0, 0));
        assert!(calm.packets > 200_000);
    }

    /// A path that is known to lose is given the whole detection time.
    #[test]
    fn bursts_of_three_quarters_of_the_detection_time_fail_nothing_where_there_are_many() {
        let model = Model::Bursts { share: 200, mean: Duration::from_millis(60) };
        let calm = run(5, Duration::from_secs(1), Confirm::All, model, Duration::from_secs(3600 * 4));
        assert_eq!((calm.failures, calm.group_failures), (0, 0));
    }
}
