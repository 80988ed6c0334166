//! One NETLINK_ROUTE socket: requests with their acks, batches, dumps, and notifications. What the
//! messages mean is decided elsewhere.
//!
//! Only messages sent by the kernel itself (port 0) are believed. Nothing waits longer than [`PATIENCE`].

use super::message::{HEADER, Header, code, frame, name, refusal, split};
use crate::Error;
use crate::sys;
use netlink_packet_core::{
    DecodeError, Emitable, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR,
    ParseableParametrized,
};
use netlink_packet_route::RouteNetlinkMessage;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket as net;
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, sockopt};
use nix::sys::time::TimeVal;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

/// Longest wait for an answer.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Receive buffer that is asked for, in bytes.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Largest datagram read: the kernel's dumps stay at or below 32 KiB.
const DATAGRAM: usize = 64 * 1024;
/// Notifications are read ahead up to so many bytes.
const INBOX: usize = 256 * 1024;
/// A batch goes out in pieces of at most so many bytes ...
const BATCH_BYTES: usize = 32 * 1024;
/// ... and messages, so that the acks of a piece fit the smallest receive buffer.
const BATCH_MESSAGES: usize = 64;
/// How often a dump is tried that was interrupted, or met one before it that was not read to its end.
const DUMP_TRIES: usize = 5;
/// Losses that the kernel reports while one thing is read, before that is taken for an error.
const LOSSES: usize = 64;

/// What draining the notifications came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Nothing is left to read.
    Empty,
    /// The kernel dropped notifications: only a dump shows the truth now.
    Overflowed,
}

/// Messages ready to be sent with one system call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    bytes: Vec<u8>,
    count: usize,
}

/// A NETLINK_ROUTE socket.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
    /// Notifications that were read and not yet handed out.
    inbox: Vec<u8>,
    /// Somebody has looked at them: whether they were all that waited then.
    ahead: Option<bool>,
    overflowed: bool,
    undecodable: u64,
    foreign: u64,
}

impl Socket {
    /// Opens and binds a socket with the largest receive buffer the kernel grants.
    pub fn open() -> Result<Socket, Error> {
        let fd = net::socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )
        .map_err(|e| Error::system("open netlink socket", e))?;
        net::bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))
            .map_err(|e| Error::system("bind netlink socket", e))?;
        let patience = TimeVal::new(PATIENCE.as_secs() as libc::time_t, 0);
        net::setsockopt(&fd, sockopt::ReceiveTimeout, &patience)
            .map_err(|e| Error::system("set SO_RCVTIMEO of netlink socket", e))?;
        let socket = Socket {
            fd,
            sequence: 0,
            buffer: vec![0; DATAGRAM],
            inbox: Vec::with_capacity(INBOX),
            ahead: None,
            overflowed: false,
            undecodable: 0,
            foreign: 0,
        };
        // Refinements, all of them: an older kernel without one of these still serves.
        for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK, libc::NETLINK_GET_STRICT_CHK] {
            let _ = sys::set_int_option(socket.fd.as_fd(), libc::SOL_NETLINK, option, 1);
        }
        let _ = socket.set_receive_buffer(RECEIVE_BUFFER);
        Ok(socket)
    }

    /// Sets SO_RCVBUF in bytes, beyond the system's limit where privilege allows.
    pub fn set_receive_buffer(&self, bytes: usize) -> Result<(), Error> {
        net::setsockopt(&self.fd, sockopt::RcvBufForce, &bytes)
            .or_else(|_| net::setsockopt(&self.fd, sockopt::RcvBuf, &bytes))
            .map_err(|e| Error::system("set SO_RCVBUF of netlink socket", e))
    }

    /// Joins a multicast group (RTNLGRP_*).
    pub fn join(&self, group: u32) -> Result<(), Error> {
        sys::set_option(
            self.fd.as_fd(),
            libc::SOL_NETLINK,
            libc::NETLINK_ADD_MEMBERSHIP,
            &group.to_ne_bytes(),
        )
        .map_err(|e| Error::system(format!("join rtnetlink group {group}"), e))
    }

    /// The descriptor, to wait on.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Waits until something can be read, or `patience` is over. Whether something can.
    pub fn wait(&self, patience: Duration) -> bool {
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, timeout).is_ok_and(|n| n > 0)
    }

    /// Messages that could not be decoded since the socket was opened.
    pub fn undecodable(&self) -> u64 {
        self.undecodable
    }

    /// Messages that did not come from the kernel since the socket was opened.
    pub fn foreign(&self) -> u64 {
        self.foreign
    }

    /// Sends one request and waits for its ack. `flags` (NLM_F_*) go beside NLM_F_REQUEST and NLM_F_ACK.
    pub fn request(&mut self, message: RouteNetlinkMessage, flags: u16) -> Result<(), Error> {
        let request = name(message.message_type());
        let sequence = self.send(&message, flags | NLM_F_REQUEST | NLM_F_ACK)?;
        let mut answer = None;
        while answer.is_none() {
            self.receive(request, MsgFlags::empty(), |header, payload| {
                if header.kind == NLMSG_ERROR && header.sequence == sequence {
                    answer = Some(refusal(request, header, payload));
                }
            })?;
        }
        match answer.flatten() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Sends many requests, as few system calls as possible, and waits for all acks. One errno for each,
    /// 0 for success; a refusal does not stop the ones behind it.
    pub fn batch(&mut self, requests: Vec<(RouteNetlinkMessage, u16)>) -> Vec<i32> {
        let mut pieces = Socket::encode(requests);
        pieces.iter_mut().flat_map(|piece| self.commit_piece(piece)).collect()
    }

    /// Asks for everything that `message` describes. Interrupted dumps are repeated.
    pub fn dump(&mut self, message: RouteNetlinkMessage) -> Result<Vec<RouteNetlinkMessage>, Error> {
        self.dump_with(message, |kind, payload| {
            RouteNetlinkMessage::parse_with_param(payload, kind).map(Some)
        })
    }

    /// Like [`Socket::dump`], with a decoder (message type, payload) of the caller's; what it gives `None`
    /// for is left out, what it fails on is left out and counted.
    pub fn dump_with<T>(
        &mut self,
        message: RouteNetlinkMessage,
        decode: impl Fn(u16, &[u8]) -> Result<Option<T>, DecodeError>,
    ) -> Result<Vec<T>, Error> {
        let request = name(message.message_type());
        let mut refused = Error::Interrupted { request };
        for _ in 0..DUMP_TRIES {
            match self.dump_once(request, &message, &decode) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                // What was left of the one before has been read by now.
                Err(error) if error.errno() == libc::EBUSY => refused = error,
                Err(error) => return Err(error),
            }
        }
        Err(refused)
    }

    /// Asks for one object. `None` where the decoder does not want it.
    pub fn query_with<T>(
        &mut self,
        message: RouteNetlinkMessage,
        decode: impl Fn(u16, &[u8]) -> Result<Option<T>, DecodeError>,
    ) -> Result<Option<T>, Error> {
        let request = name(message.message_type());
        let sequence = self.send(&message, NLM_F_REQUEST)?;
        let mut answer = None;
        let mut undecodable = 0;
        while answer.is_none() {
            self.receive(request, MsgFlags::empty(), |header, payload| {
                if header.sequence != sequence {
                    return;
                }
                answer = Some(match header.kind {
                    NLMSG_ERROR => refusal(request, header, payload).map_or(Ok(None), Err),
                    kind => Ok(decode(kind, payload).unwrap_or_else(|_| {
                        undecodable += 1;
                        None
                    })),
                });
            })?;
        }
        self.undecodable += undecodable;
        answer.expect("the loop ends with an answer")
    }

    /// Hands every waiting notification (message type, NLM_F_* flags, port of whose request caused it, payload) to `each`,
    /// without waiting. What it fails on is counted. After [`Socket::read_ahead`] has read to the end, nothing that came since: who
    /// looks at notifications first has to see all of them.
    pub fn drain(
        &mut self,
        mut each: impl FnMut(u16, u16, u32, &[u8]) -> Result<(), DecodeError>,
    ) -> Result<Drained, Error> {
        loop {
            let all = match self.ahead {
                Some(all) => all,
                None => self.read_ahead()?,
            };
            self.hand_out(&mut each);
            if all {
                let overflowed = std::mem::take(&mut self.overflowed);
                return Ok(if overflowed { Drained::Overflowed } else { Drained::Empty });
            }
        }
    }

    /// Hands out what has been read ahead, and nothing that came after it.
    pub fn hand_out(&mut self, mut each: impl FnMut(u16, u16, u32, &[u8]) -> Result<(), DecodeError>) {
        let mut rest = &self.inbox[..];
        while let Some((header, payload, next)) = split(rest) {
            if each(header.kind, header.flags, header.port, payload).is_err() {
                self.undecodable += 1;
            }
            rest = next;
        }
        self.inbox.clear();
        self.ahead = None;
    }

    /// Reads waiting notifications without handing them out: [`Socket::waiting`] shows them. Whether those are all.
    /// Allocates nothing while they fit the inbox.
    pub fn read_ahead(&mut self) -> Result<bool, Error> {
        let mut inbox = std::mem::take(&mut self.inbox);
        let mut losses = 0;
        let all = loop {
            if inbox.len() >= INBOX {
                break Ok(false);
            }
            match self.receive_bytes("notification", MsgFlags::MSG_DONTWAIT) {
                Ok(length) => {
                    inbox.extend_from_slice(&self.buffer[..length.next_multiple_of(4)]);
                    losses = 0;
                }
                Err(Error::Unanswered { .. }) => break Ok(true),
                Err(error) if error.errno() == libc::ENOBUFS && losses < LOSSES => {
                    (self.overflowed, losses) = (true, losses + 1);
                }
                Err(error) => break Err(error),
            }
        };
        self.inbox = inbox;
        self.ahead = all.as_ref().ok().copied();
        all
    }

    /// Notifications that have been read ahead: message type and payload. None if some were lost.
    pub fn waiting(&self) -> Option<impl Iterator<Item = (u16, &[u8])>> {
        let mut rest = &self.inbox[..];
        let next = move || {
            let (header, payload, next) = split(rest)?;
            rest = next;
            Some((header.kind, payload))
        };
        (!self.overflowed).then(|| std::iter::from_fn(next))
    }

    /// Messages ready to be sent, each a piece of at most so many that their acks fit the receive buffer.
    pub fn encode(requests: Vec<(RouteNetlinkMessage, u16)>) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        for (message, flags) in &requests {
            let length = HEADER + message.buffer_len();
            let full = |p: &Piece| p.bytes.len() + length > BATCH_BYTES || p.count == BATCH_MESSAGES;
            if pieces.last().is_none_or(full) {
                pieces.push(Piece::default());
            }
            let piece = pieces.last_mut().expect("one has just been pushed");
            frame(&mut piece.bytes, message, flags | NLM_F_REQUEST | NLM_F_ACK, 0);
            piece.count += 1;
        }
        pieces
    }

    /// Sends a piece with one system call, and collects the acks: one errno for each message.
    pub fn commit_piece(&mut self, piece: &mut Piece) -> Vec<i32> {
        let mut at = 0;
        while at + HEADER <= piece.bytes.len() {
            self.sequence = self.sequence.wrapping_add(1);
            let length = piece.bytes[at..at + 4].try_into().map_or(0, u32::from_ne_bytes) as usize;
            piece.bytes[at + 8..at + 12].copy_from_slice(&self.sequence.to_ne_bytes());
            at += length.next_multiple_of(4).max(HEADER);
        }
        self.commit(&piece.bytes, piece.count)
    }

    fn send(&mut self, message: &RouteNetlinkMessage, flags: u16) -> Result<u32, Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        frame(&mut bytes, message, flags, self.sequence);
        self.transmit(&bytes)
            .map_err(|e| Error::system(format!("send {}", name(message.message_type())), e))?;
        Ok(self.sequence)
    }

    fn transmit(&self, bytes: &[u8]) -> Result<(), Errno> {
        let kernel = NetlinkAddr::new(0, 0);
        loop {
            let slices = [IoSlice::new(bytes)];
            match net::sendmsg(self.fd(), &slices, &[], MsgFlags::empty(), Some(&kernel)) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends `count` framed requests, the last of which has the present sequence number, and collects
    /// their acks.
    fn commit(&mut self, bytes: &[u8], count: usize) -> Vec<i32> {
        if let Err(errno) = self.transmit(bytes) {
            return vec![errno as i32; count];
        }
        let first = self.sequence.wrapping_sub(count as u32 - 1);
        let mut errors: Vec<Option<i32>> = vec![None; count];
        let mut flags = MsgFlags::empty();
        let (mut missing, mut losses) = (libc::ETIMEDOUT, 0);
        while errors.iter().any(Option::is_none) {
            let result = self.receive("batch", flags, |header, payload| {
                let place = header.sequence.wrapping_sub(first) as usize;
                if header.kind == NLMSG_ERROR && place < count {
                    errors[place] = Some(code(payload));
                }
            });
            match result {
                Ok(()) => {}
                // Some acks are lost; what is still queued is read without waiting for the rest.
                Err(error) if error.errno() == libc::ENOBUFS && losses < LOSSES => {
                    flags = MsgFlags::MSG_DONTWAIT;
                    (missing, losses) = (libc::ENOBUFS, losses + 1);
                }
                Err(Error::Unanswered { .. }) => break,
                Err(error) => {
                    missing = error.errno();
                    break;
                }
            }
        }
        errors.into_iter().map(|e| e.unwrap_or(missing)).collect()
    }

    /// One attempt at a dump; `None` if it was interrupted.
    fn dump_once<T>(
        &mut self,
        request: &'static str,
        message: &RouteNetlinkMessage,
        decode: &impl Fn(u16, &[u8]) -> Result<Option<T>, DecodeError>,
    ) -> Result<Option<Vec<T>>, Error> {
        let sequence = self.send(message, NLM_F_REQUEST | NLM_F_DUMP)?;
        let mut found = Vec::new();
        let mut interrupted = false;
        let mut undecodable = 0;
        let mut end = None;
        let (mut lost, mut losses) = (None, 0);
        while end.is_none() {
            let received = self.receive(request, MsgFlags::empty(), |header, payload| {
                if header.sequence != sequence {
                    return;
                }
                interrupted |= header.flags & NLM_F_DUMP_INTR != 0;
                match header.kind {
                    NLMSG_DONE | NLMSG_ERROR => end = Some(refusal(request, header, payload)),
                    kind => match decode(kind, payload) {
                        Ok(object) => found.extend(object),
                        Err(_) => undecodable += 1,
                    },
                }
            });
            match received {
                Ok(()) => {}
                // A dump has to be read to its end, or the kernel refuses the next one.
                Err(error) if error.errno() == libc::ENOBUFS && losses < LOSSES => {
                    (lost, losses) = (Some(error), losses + 1);
                }
                Err(error) => return Err(error),
            }
        }
        self.undecodable += undecodable;
        match end.flatten().or(lost) {
            Some(error) => Err(error),
            None if interrupted => Ok(None),
            None => Ok(Some(found)),
        }
    }

    /// Reads one datagram and hands out its messages.
    fn receive(
        &mut self,
        request: &'static str,
        flags: MsgFlags,
        mut each: impl FnMut(Header, &[u8]),
    ) -> Result<(), Error> {
        let length = self.receive_bytes(request, flags)?;
        let mut rest = &self.buffer[..length];
        while let Some((header, payload, next)) = split(rest) {
            each(header, payload);
            rest = next;
        }
        Ok(())
    }

    /// Reads one datagram into the buffer; gives its length, 0 for that of a foreign sender, which is dropped.
    fn receive_bytes(&mut self, request: &'static str, flags: MsgFlags) -> Result<usize, Error> {
        let (length, sender, truncated) = loop {
            let fd = self.fd.as_raw_fd();
            let mut slices = [IoSliceMut::new(&mut self.buffer)];
            match net::recvmsg::<NetlinkAddr>(fd, &mut slices, None, flags) {
                Ok(got) => break (got.bytes, got.address, got.flags.contains(MsgFlags::MSG_TRUNC)),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Err(Error::Unanswered { request }),
                Err(error) => return Err(Error::system(format!("receive answer to {request}"), error)),
            }
        };
        if sender.is_none_or(|a| a.pid() != 0) {
            self.foreign += 1;
            return Ok(0);
        }
        if truncated {
            // As good as lost.
            return Err(Error::system(format!("receive answer to {request}"), Errno::ENOBUFS));
        }
        Ok(length)
    }
}
