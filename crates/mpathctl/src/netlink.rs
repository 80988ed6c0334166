//! The little that the tool itself asks of the kernel: interfaces, addresses and packet filter rules for `ifconfig` and
//! `doctor`, which must work without a daemon; and up, down and MTU for `ifconfig`. Everything else is the daemon's.

pub(crate) mod link;

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// NLM_F_REQUEST
const REQUEST: u16 = 0x01;
/// NLM_F_ACK
const ACK: u16 = 0x04;
/// NLM_F_DUMP
const DUMP: u16 = 0x300;
/// NLMSG_ERROR and NLMSG_DONE
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Bytes of a message header (struct nlmsghdr).
const HEADER: usize = 16;
/// Longest answer that is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes that one dump may have.
const MOST: usize = 64 << 20;

/// A netlink socket.
pub(crate) struct Netlink(OwnedFd);

impl Netlink {
    /// Opens one of the protocol.
    pub(crate) fn open(protocol: SockProtocol) -> io::Result<Netlink> {
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        let timeout = nix::sys::time::TimeVal::new(PATIENCE.as_secs().cast_signed(), 0);
        nix::sys::socket::setsockopt(&fd, nix::sys::socket::sockopt::ReceiveTimeout, &timeout)?;
        Ok(Netlink(fd))
    }

    /// Sends a request and waits for its acknowledgement.
    pub(crate) fn change(&self, kind: u16, body: &[u8]) -> io::Result<()> {
        self.send(kind, REQUEST | ACK, body)?;
        self.messages(|_, _| {})
    }

    /// Sends a dump request and gives each message's kind and body.
    pub(crate) fn dump(&self, kind: u16, body: &[u8], each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        self.send(kind, REQUEST | DUMP, body)?;
        self.messages(each)
    }

    fn send(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(HEADER + body.len()).map_err(io::Error::other)?;
        let mut message = length.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend(1u32.to_ne_bytes());
        message.extend(0u32.to_ne_bytes());
        message.extend(body);
        sendto(self.0.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        Ok(())
    }

    fn messages(&self, mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        let mut buffer = vec![0; 256 * 1024];
        let mut taken = 0;
        loop {
            let n = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            taken += n;
            if taken > MOST {
                return Err(io::Error::other("the kernel's answer is too long"));
            }
            let mut rest = &buffer[..n];
            while let (Some(length), Some(kind)) = (u32_at(rest, 0), u16_at(rest, 4)) {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let Some(body) = rest.get(HEADER..length) else { return Ok(()) };
                match kind {
                    DONE => return Ok(()),
                    ERROR => {
                        let errno = u32_at(body, 0).unwrap_or(0).cast_signed();
                        return if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-errno)) };
                    }
                    kind => each(kind, body),
                }
                rest = rest.get(aligned(length)..).unwrap_or_default();
            }
        }
    }
}

/// A native number in a message.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

/// A native number in a message.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// The attributes of a message from this offset on: kind without flags, and value. What is cut short is left out.
pub(crate) fn attributes(bytes: &[u8], from: usize) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    let mut rest = bytes.get(from..).unwrap_or_default();
    while let (Some(length), Some(kind)) = (u16_at(rest, 0), u16_at(rest, 2)) {
        let length = usize::from(length);
        let Some(value) = rest.get(4..length) else { break };
        found.push((kind & 0x3fff, value));
        rest = rest.get(aligned(length)..).unwrap_or_default();
    }
    found
}

/// A text in an attribute, which ends with a NUL.
pub(crate) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn attributes_are_found() {
        let bytes = [9, 9, 8, 0, 3, 0, b'e', b't', b'h', 0, 5, 0, 4, 0x80, 7, 0, 0, 0];
        let found = attributes(&bytes, 2);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].0, text(found[0].1).as_str()), (3, "eth"));
        assert_eq!(found[1], (4, &[7][..]));
    }

    proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>, from in 0usize..40) {
            let _ = attributes(&bytes, from);
        }
    }
}
