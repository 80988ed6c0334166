//! nf_tables over nfnetlink: batches that take effect as one, and dumps. What the tables are for is decided elsewhere;
//! the bytes of tables, chains and rules are in [`message`].

pub mod message;

use crate::Error;
use message::{HEADER, Message};
use nix::errno::Errno;
use nix::sys::socket as net;
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, sockopt};
use nix::sys::time::TimeVal;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Longest wait for an answer, in seconds.
const PATIENCE: i64 = 5;
/// Largest datagram read: the kernel's dumps stay at or below 32 KiB.
const DATAGRAM: usize = 64 * 1024;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// How often an interrupted dump is tried.
const DUMP_TRIES: usize = 5;

/// A NETLINK_NETFILTER socket. Tables that it owns are safe from `flush ruleset`.
#[derive(Debug)]
pub struct Netfilter {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

/// A message of the kernel.
struct Received<'b> {
    kind: u16,
    flags: u16,
    sequence: u32,
    payload: &'b [u8],
}

impl Netfilter {
    /// Opens a socket.
    pub fn open() -> Result<Netfilter, Error> {
        let fail = |what: &'static str| move |e| Error::system(format!("{what} nfnetlink socket"), e);
        let protocol = SockProtocol::NetlinkNetFilter;
        let fd = net::socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)
            .map_err(fail("open"))?;
        net::bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0)).map_err(fail("bind"))?;
        net::setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::new(PATIENCE, 0))
            .map_err(fail("set SO_RCVTIMEO of"))?;
        for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
            let _ = crate::sys::set_int_option(fd.as_fd(), libc::SOL_NETLINK, option, 1);
        }
        Ok(Netfilter { fd, sequence: 0, buffer: vec![0; DATAGRAM] })
    }

    /// Carries out all messages or none: packets see the state before or the state after.
    pub fn commit(&mut self, messages: &[Message]) -> Result<(), Errno> {
        let Some((last, before)) = messages.split_last() else { return Ok(()) };
        let mut bytes = Vec::new();
        let first = self.frame(&mut bytes, &Message::batch_begin(), 0);
        for message in before {
            self.frame(&mut bytes, message, 0);
        }
        let end = self.frame(&mut bytes, last, NLM_F_ACK);
        self.frame(&mut bytes, &Message::batch_end(), 0);
        self.transmit(&bytes)?;
        // A refusal of any message comes before the answer to the last one.
        let mut answer = Ok(());
        let mut over = false;
        while !over {
            self.receive(|received| {
                let ours = received.kind == NLMSG_ERROR
                    && received.sequence.wrapping_sub(first) <= end.wrapping_sub(first);
                if ours {
                    let errno = code(received.payload);
                    answer = answer.and(if errno == 0 { Ok(()) } else { Err(Errno::from_raw(errno)) });
                    // Begun wrong, the batch gets no further answer.
                    over |= received.sequence == end || received.sequence == first;
                }
            })?;
        }
        answer
    }

    /// Everything that answers a dump request: the payloads, behind their nfgenmsg.
    pub fn dump(&mut self, request: &Message) -> Result<Vec<Vec<u8>>, Errno> {
        for _ in 0..DUMP_TRIES {
            let mut bytes = Vec::new();
            let sequence = self.frame(&mut bytes, request, NLM_F_DUMP);
            self.transmit(&bytes)?;
            let (mut found, mut end, mut torn) = (Vec::new(), None, false);
            while end.is_none() {
                self.receive(|received| {
                    if received.sequence != sequence {
                        return;
                    }
                    torn |= received.flags & NLM_F_DUMP_INTR != 0;
                    match received.kind {
                        NLMSG_ERROR | NLMSG_DONE => end = Some(code(received.payload)),
                        _ => found.extend(received.payload.get(4..).map(<[u8]>::to_vec)),
                    }
                })?;
            }
            match end {
                Some(0) | None if !torn => return Ok(found),
                Some(0) | None => {}
                Some(errno) => return Err(Errno::from_raw(errno)),
            }
        }
        Err(Errno::EINTR)
    }

    fn frame(&mut self, bytes: &mut Vec<u8>, message: &Message, flags: u16) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        message.frame(bytes, flags | NLM_F_REQUEST, self.sequence);
        self.sequence
    }

    fn transmit(&self, bytes: &[u8]) -> Result<(), Errno> {
        let kernel = NetlinkAddr::new(0, 0);
        let fd = self.fd.as_raw_fd();
        loop {
            match net::sendmsg(fd, &[IoSlice::new(bytes)], &[], MsgFlags::empty(), Some(&kernel)) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Reads one datagram and hands out its messages. Only the kernel (port 0) is believed.
    fn receive(&mut self, mut each: impl FnMut(&Received<'_>)) -> Result<(), Errno> {
        let fd = self.fd.as_raw_fd();
        let (length, sender) = loop {
            let mut slices = [IoSliceMut::new(&mut self.buffer)];
            match net::recvmsg::<NetlinkAddr>(fd, &mut slices, None, MsgFlags::empty()) {
                Ok(got) if got.flags.contains(MsgFlags::MSG_TRUNC) => return Err(Errno::ENOBUFS),
                Ok(got) => break (got.bytes, got.address),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Err(Errno::ETIMEDOUT),
                Err(errno) => return Err(errno),
            }
        };
        if sender.is_none_or(|a| a.pid() != 0) {
            return Ok(());
        }
        let mut rest = &self.buffer[..length];
        while let Some(header) = rest.first_chunk::<HEADER>() {
            let half = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
            let word =
                |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
            let size = word(0) as usize;
            let Some(payload) = rest.get(HEADER..size) else { break };
            each(&Received { kind: half(4), flags: half(6), sequence: word(8), payload });
            rest = rest.get(size.next_multiple_of(4)..).unwrap_or(&[]);
        }
        Ok(())
    }
}

/// errno of an NLMSG_ERROR or NLMSG_DONE, 0 for success.
fn code(payload: &[u8]) -> i32 {
    payload.first_chunk().map_or(0, |b| i32::from_ne_bytes(*b).saturating_neg())
}
