//! Who advertises and who answers for a virtual address: a sniffer at the switch port of each of two hosts, and a third
//! host that keeps asking by broadcast, so that both hear every question. Each question can be told from the others by
//! the address that asks.

use crate::error::{Context, Error};
use crate::pair::{Pair, Side};
use crate::sniffer::Sniffer;
use crate::traffic::Stop;
use mpath_linux::packet::Sender;
use mpath_model::Mac;
use mpath_model::carp::Advert;
use mpath_wire::arp::{self, Operation};
use mpath_wire::ethernet::{self, ethertype};
use mpath_wire::{carp, ipv4};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Addresses that ask in turns: 10.77.0.128 and on.
const ASKERS: usize = 64;
/// Time from one question to the next. A question's address comes again after 320 ms.
const PAUSE: Duration = Duration::from_millis(5);
const BROADCAST: Mac = Mac([0xff; 6]);
/// Of the client; nobody answers to it.
const SOURCE: Mac = Mac([2, 0, 0, 77, 9, 9]);

/// What a host was seen to send.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Said {
    Advert(Advert),
    /// An answer to the question that this number's address asked.
    Answer(usize),
}

/// See the module.
pub struct Witness {
    sniffers: [Sniffer<Said>; 2],
    /// When each question was asked.
    asked: Arc<Mutex<Vec<Instant>>>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Witness {
    /// Watches the first NICs of both hosts, and asks for `vip`.
    pub fn start(pair: &Pair, vip: Ipv4Addr) -> Result<Witness, Error> {
        let sniffer = |port: &str| Sniffer::start(&pair.switch, port, move |frame| pick(frame, vip));
        let sniffers = [sniffer("a0")?, sniffer("b0")?];
        let (asked, stop) = (Arc::new(Mutex::new(Vec::new())), Stop::default());
        let index = pair.client.index_of("eth0")?;
        let sender = pair.client.run(Sender::open).context(|| "open the asker's socket")?;
        let (record, end) = (Arc::clone(&asked), stop.clone());
        let ask = move || {
            for number in (0..ASKERS).cycle() {
                if end.asked() {
                    return;
                }
                record.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
                let _ = sender.send(index, &arp::request_frame(SOURCE, BROADCAST, asker(number), vip));
                std::thread::sleep(PAUSE);
            }
        };
        let thread = Some(pair.client.spawn_thread("asker", ask)?);
        Ok(Witness { sniffers, asked, stop, thread })
    }

    /// When a host advertised from `since` on, IPv4.
    pub fn adverts(&self, side: Side, since: Instant) -> Vec<(Instant, Advert)> {
        let seen = self.sniffers[side as usize].seen();
        let from = seen.partition_point(|(at, _)| *at < since);
        let advert = |(at, said): &(Instant, Said)| match said {
            Said::Advert(advert) => Some((*at, *advert)),
            Said::Answer(_) => None,
        };
        seen[from..].iter().filter_map(advert).collect()
    }

    /// The first answer of a host from `since` on.
    pub fn first_answer(&self, side: Side, since: Instant) -> Option<Instant> {
        let seen = self.sniffers[side as usize].seen();
        let from = seen.partition_point(|(at, _)| *at < since);
        seen[from..].iter().find(|(_, said)| matches!(said, Said::Answer(_))).map(|(at, _)| *at)
    }

    /// Questions asked and answered so far, and those that both hosts answered.
    pub fn tally(&self) -> Tally {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let [a, b] = [0, 1].map(|n| answered(&asked, &self.sniffers[n].seen()));
        Tally { asked: asked.len(), answered: a.union(&b).count(), by_both: a.intersection(&b).count() }
    }
}

/// What became of the questions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Questions.
    pub asked: usize,
    /// Of those, answered by anybody.
    pub answered: usize,
    /// Of those, answered by both hosts.
    pub by_both: usize,
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.stop.now();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn asker(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, 128 + (number % ASKERS) as u8)
}

/// The questions that a host answered: each answer belongs to the last one that its asker had asked by then.
fn answered(asked: &[Instant], seen: &[(Instant, Said)]) -> BTreeSet<usize> {
    let question = |(at, said): &(Instant, Said)| {
        let Said::Answer(number) = said else { return None };
        let last = asked.partition_point(|t| t <= at).checked_sub(1)?;
        last.checked_sub((last + ASKERS - number) % ASKERS)
    };
    seen.iter().filter_map(question).collect()
}

fn pick(frame: &[u8], vip: Ipv4Addr) -> Option<Said> {
    let (header, packet) = ethernet::parse(frame).ok()?;
    match header.ethertype {
        ethertype::ARP => {
            let reply = arp::parse(packet).ok().filter(|a| a.operation == Operation::Reply)?;
            let number = (0..ASKERS).find(|n| asker(*n) == reply.target_ip)?;
            (reply.sender_ip == vip).then_some(Said::Answer(number))
        }
        ethertype::IPV4 => {
            let (ip, payload) = ipv4::parse(packet).ok()?;
            let pdu = (ip.protocol == carp::PROTOCOL).then(|| carp::parse(payload).ok())??;
            Some(Said::Advert(pdu.advert))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_belongs_to_the_last_question_of_its_asker() {
        let zero = Instant::now();
        let asked: Vec<Instant> = (0..200).map(|n| zero + PAUSE * n).collect();
        let at = |n: u32, late: u64| zero + PAUSE * n + Duration::from_millis(late);
        let seen =
            [(at(0, 1), Said::Answer(0)), (at(64, 40), Said::Answer(0)), (at(130, 2), Said::Answer(2))];
        assert_eq!(answered(&asked, &seen), BTreeSet::from([0, 64, 130]));
        // Somebody answers before he is asked: nobody's business.
        assert_eq!(answered(&asked, &[(at(0, 1), Said::Answer(5))]), BTreeSet::new());
    }

    #[test]
    fn answers_for_the_address_count_and_nothing_else() {
        let vip = Ipv4Addr::new(10, 77, 0, 100);
        let reply = |sender_ip, target_ip| {
            let mac = Mac([2, 0, 0, 0, 0, 1]);
            let operation = Operation::Reply;
            arp::Arp { operation, sender_mac: mac, sender_ip, target_mac: SOURCE, target_ip }.frame(SOURCE)
        };
        assert_eq!(pick(&reply(vip, asker(7)), vip), Some(Said::Answer(7)));
        assert_eq!(pick(&reply(asker(1), asker(7)), vip), None);
        assert_eq!(pick(&reply(vip, Ipv4Addr::new(10, 77, 0, 9)), vip), None);
        assert_eq!(pick(&arp::gratuitous_frame(SOURCE, vip), vip), None);
        assert_eq!(pick(&[], vip), None);
    }
}
