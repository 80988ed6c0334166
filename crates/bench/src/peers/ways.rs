//! By which NIC a server's answers leave, as its switches see it.

use crate::stage::{FAMILIES, PATIENCE, Traffic};
use mpath_testkit::traffic::PORT;
use mpath_testkit::{Error, Lan, Sniffer, poll_until};
use mpath_wire::ethernet::{self, ethertype};
use mpath_wire::{ipv4, ipv6};
use std::time::{Duration, Instant};

/// Answers come by the first NIC alone for so long: then it is home.
const STEADY: Duration = Duration::from_millis(300);
/// Packets a second that show where home is.
const RATE: u32 = 100;
/// IPPROTO_UDP.
const UDP: u8 = 17;

/// Answers of both families at the switch ports of two NICs.
pub(super) struct Ways([Sniffer<usize>; 2]);

impl Ways {
    /// From now on.
    pub(super) fn watch(lan: &Lan) -> Result<Ways, Error> {
        let port = |name: &str| Sniffer::start(&lan.switch, name, answer);
        Ok(Ways([port("p0")?, port("p1")?]))
    }

    /// Waits until a client's answers come by the first NIC and by no other.
    pub(super) fn wait_home(&self, lan: &Lan) -> Result<(), Error> {
        let _traffic = Traffic::start(lan, RATE)?;
        let since = Instant::now();
        let home = || {
            let begin = Instant::now().checked_sub(STEADY).filter(|begin| *begin >= since)?;
            let seen = |nic: usize, family: usize| {
                let all = self.0[nic].seen();
                all.iter().rev().take_while(|(at, _)| *at >= begin).any(|(_, f)| *f == family)
            };
            let families = 0..FAMILIES.len();
            families.clone().all(|family| seen(0, family) && !seen(1, family)).then_some(())
        };
        poll_until(PATIENCE, home)
            .ok_or_else(|| Error::new("wait for answers by eth0", format!("not within {PATIENCE:?}")))
    }

    /// How often the answers of a family changed their NIC between two times, worse family.
    pub(super) fn moves(&self, from: Instant, to: Instant) -> usize {
        let mut all: Vec<(Instant, usize, usize)> = Vec::new();
        for (nic, sniffer) in self.0.iter().enumerate() {
            let seen = sniffer.seen();
            let within = seen.iter().filter(|(at, _)| (from..=to).contains(at));
            all.extend(within.map(|(at, family)| (*at, nic, *family)));
        }
        all.sort_unstable();
        (0..FAMILIES.len()).map(|family| changes(&all, family)).max().unwrap_or(0)
    }
}

/// How often the NIC of a family changes from one answer to the next.
fn changes(answers: &[(Instant, usize, usize)], family: usize) -> usize {
    let mut nics = answers.iter().filter(|(.., f)| *f == family).map(|(_, nic, _)| nic);
    let Some(mut last) = nics.next() else { return 0 };
    nics.filter(|nic| std::mem::replace(&mut last, nic) != *nic).count()
}

/// The family of an answer to a client: a UDP packet from the port of the echo service.
fn answer(frame: &[u8]) -> Option<usize> {
    let (header, packet) = ethernet::parse(frame).ok()?;
    let (family, protocol, payload) = match header.ethertype {
        ethertype::IPV4 => ipv4::parse(packet).ok().map(|(ip, rest)| (0, ip.protocol, rest))?,
        ethertype::IPV6 => ipv6::parse(packet).ok().map(|(ip, rest)| (1, ip.next_header, rest))?,
        _ => return None,
    };
    (protocol == UDP && payload.get(..2)? == PORT.to_be_bytes()).then_some(family)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_there_and_back_is_two_and_families_do_not_mix() {
        let zero = Instant::now();
        let all = |list: &[(usize, usize)]| -> Vec<(Instant, usize, usize)> {
            let at = |n: usize| zero + Duration::from_millis(n as u64);
            list.iter().enumerate().map(|(n, (nic, family))| (at(n), *nic, *family)).collect()
        };
        let answers = all(&[(0, 0), (0, 1), (1, 0), (0, 1), (1, 0), (0, 0), (0, 1)]);
        assert_eq!(changes(&answers, 0), 2);
        assert_eq!(changes(&answers, 1), 0);
        assert_eq!(changes(&[], 0), 0);
    }

    #[test]
    fn only_answers_count() {
        let mut frame = vec![0; 14 + 20 + 8];
        (frame[12], frame[13]) = (8, 0);
        frame[14..18].copy_from_slice(&[0x45, 0, 0, 28]);
        (frame[22], frame[23]) = (64, UDP);
        frame[34..36].copy_from_slice(&PORT.to_be_bytes());
        assert_eq!(answer(&frame), Some(0));
        frame[34..36].copy_from_slice(&(PORT + 1).to_be_bytes());
        assert_eq!(answer(&frame), None);
        assert_eq!(answer(&[]), None);
    }
}
