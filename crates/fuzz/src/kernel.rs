//! Netlink messages: of routing, and of the packet filter.

use crate::CASES;
use mpath_linux::netfilter::message;
use mpath_linux::netlink::decode;

/// RTM_NEWLINK to RTM_GETRULE: the only kinds that are told of.
const FIRST: u16 = 16;
const KINDS: u16 = 19;

/// The first byte is the kind, the second the flags.
#[test]
fn netlink() {
    bolero::check!().with_iterations(CASES).for_each(|bytes: &[u8]| {
        let [kind, flags, payload @ ..] = bytes else { return };
        let kind = FIRST + u16::from(*kind) % KINDS;
        let _ = decode::event(kind, u16::from(*flags) << 4, payload);
        let _ = decode::carrier(kind, payload);
        let _ = decode::own_address(payload);
        let _ = message::parse_rule(payload);
    });
}
