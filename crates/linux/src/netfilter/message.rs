//! The bytes of nf_tables messages for the netdev family: tables, chains on the ingress and egress of a device, and the few
//! rules that mpathd needs. Numbers are those of linux/netfilter/nfnetlink.h and nf_tables.h.

use mpath_model::{IfIndex, Mac};
use std::net::Ipv4Addr;

/// Length of struct nlmsghdr.
pub(super) const HEADER: usize = 16;

const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 16;
const NFNL_MSG_BATCH_END: u16 = 17;
const NFPROTO_NETDEV: u8 = 5;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_APPEND: u16 = 0x800;
const NLA_F_NESTED: u16 = 0x8000;
const NLA_TYPE_MASK: u16 = 0x3fff;

/// NFT_MSG_*
mod msg {
    pub(super) const NEWTABLE: u16 = 0;
    pub(super) const DELTABLE: u16 = 2;
    pub(super) const NEWCHAIN: u16 = 3;
    pub(super) const NEWRULE: u16 = 6;
    pub(super) const GETRULE: u16 = 7;
    pub(super) const DELRULE: u16 = 8;
}

/// NFTA_*: the same number often means something else in another nest.
mod nfta {
    pub(super) const TABLE_NAME: u16 = 1;
    pub(super) const TABLE_FLAGS: u16 = 2;
    pub(super) const CHAIN_TABLE: u16 = 1;
    pub(super) const CHAIN_NAME: u16 = 3;
    pub(super) const CHAIN_HOOK: u16 = 4;
    pub(super) const CHAIN_TYPE: u16 = 7;
    pub(super) const HOOK_HOOKNUM: u16 = 1;
    pub(super) const HOOK_PRIORITY: u16 = 2;
    pub(super) const HOOK_DEV: u16 = 3;
    pub(super) const RULE_TABLE: u16 = 1;
    pub(super) const RULE_CHAIN: u16 = 2;
    pub(super) const RULE_EXPRESSIONS: u16 = 4;
    pub(super) const LIST_ELEM: u16 = 1;
    pub(super) const EXPR_NAME: u16 = 1;
    pub(super) const EXPR_DATA: u16 = 2;
    pub(super) const IMMEDIATE_DREG: u16 = 1;
    pub(super) const IMMEDIATE_DATA: u16 = 2;
    pub(super) const DATA_VALUE: u16 = 1;
    pub(super) const DATA_VERDICT: u16 = 2;
    pub(super) const VERDICT_CODE: u16 = 1;
    pub(super) const FWD_SREG_DEV: u16 = 1;
    pub(super) const PAYLOAD_DREG: u16 = 1;
    pub(super) const PAYLOAD_BASE: u16 = 2;
    pub(super) const PAYLOAD_OFFSET: u16 = 3;
    pub(super) const PAYLOAD_LEN: u16 = 4;
    pub(super) const CMP_SREG: u16 = 1;
    pub(super) const CMP_OP: u16 = 2;
    pub(super) const CMP_DATA: u16 = 3;
    pub(super) const NG_DREG: u16 = 1;
    pub(super) const NG_MODULUS: u16 = 2;
    pub(super) const NG_TYPE: u16 = 3;
    pub(super) const BYTEORDER_SREG: u16 = 1;
    pub(super) const BYTEORDER_DREG: u16 = 2;
    pub(super) const BYTEORDER_OP: u16 = 3;
    pub(super) const BYTEORDER_LEN: u16 = 4;
    pub(super) const BYTEORDER_SIZE: u16 = 5;
}

const NFT_REG_VERDICT: u32 = 0;
const NFT_REG_1: u32 = 1;
const NFT_PAYLOAD_LL_HEADER: u32 = 0;
const NFT_CMP_EQ: u32 = 0;
const NFT_CMP_LT: u32 = 2;
const NFT_NG_RANDOM: u32 = 1;
const NFT_BYTEORDER_HTON: u32 = 1;
const NF_DROP: u32 = 0;
const ETHERTYPE_AT: u32 = 12;
const ETHERTYPE_ARP: [u8; 2] = [8, 6];
/// ar$spa in a frame (RFC 826).
const ARP_SENDER_AT: u32 = 28;

/// Whether frames are seen as they come in on a device, or before they leave it (Linux 5.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// NF_NETDEV_INGRESS
    Ingress,
    /// NF_NETDEV_EGRESS
    Egress,
}

/// Which address of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The destination.
    To,
    /// The source.
    From,
}

/// What a rule does with the frames that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Out of this device.
    Forward(IfIndex),
    /// Nowhere.
    Drop,
    /// So many of a thousand, each by chance, nowhere: a bad cable.
    Lose(u32),
    /// ARP in the name of this address, nowhere: a switch that inspects ARP.
    Silence(Ipv4Addr),
}

/// A rule: for all frames, or those with this address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which frames.
    pub only: Option<(Side, Mac)>,
    /// What with them.
    pub deed: Deed,
}

/// A message without its nlmsghdr.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    kind: u16,
    flags: u16,
    payload: Vec<u8>,
}

impl Message {
    fn new(kind: u16, flags: u16) -> Message {
        // struct nfgenmsg: family, version 0, res_id 0.
        Message { kind: NFNL_SUBSYS_NFTABLES << 8 | kind, flags, payload: vec![NFPROTO_NETDEV, 0, 0, 0] }
    }

    fn batch(kind: u16) -> Message {
        let [high, low] = NFNL_SUBSYS_NFTABLES.to_be_bytes();
        Message { kind, flags: 0, payload: vec![0, 0, high, low] }
    }

    /// Opens a batch.
    pub fn batch_begin() -> Message {
        Message::batch(NFNL_MSG_BATCH_BEGIN)
    }

    /// Ends a batch.
    pub fn batch_end() -> Message {
        Message::batch(NFNL_MSG_BATCH_END)
    }

    /// Makes a table unless it is there, with these NFT_TABLE_F_* flags.
    pub fn new_table(table: &str, flags: u32) -> Message {
        let mut m = Message::new(msg::NEWTABLE, NLM_F_CREATE);
        put_text(&mut m.payload, nfta::TABLE_NAME, table);
        put_word(&mut m.payload, nfta::TABLE_FLAGS, flags);
        m
    }

    /// Deletes a table and all in it.
    pub fn del_table(table: &str) -> Message {
        let mut m = Message::new(msg::DELTABLE, 0);
        put_text(&mut m.payload, nfta::TABLE_NAME, table);
        m
    }

    /// Makes a chain on a device, which lets pass what no rule stops.
    pub fn new_chain(table: &str, chain: &str, hook: Hook, priority: i32, device: &str) -> Message {
        let mut m = Message::new(msg::NEWCHAIN, NLM_F_CREATE);
        let out = &mut m.payload;
        put_text(out, nfta::CHAIN_TABLE, table);
        put_text(out, nfta::CHAIN_NAME, chain);
        nest(out, nfta::CHAIN_HOOK, |out| {
            put_word(out, nfta::HOOK_HOOKNUM, u32::from(hook == Hook::Egress));
            put_word(out, nfta::HOOK_PRIORITY, priority as u32);
            put_text(out, nfta::HOOK_DEV, device);
        });
        put_text(out, nfta::CHAIN_TYPE, "filter");
        m
    }

    /// Deletes the rules of a chain.
    pub fn flush_chain(table: &str, chain: &str) -> Message {
        let mut m = Message::new(msg::DELRULE, 0);
        put_text(&mut m.payload, nfta::RULE_TABLE, table);
        put_text(&mut m.payload, nfta::RULE_CHAIN, chain);
        m
    }

    /// Adds a rule at the end of a chain.
    pub fn new_rule(table: &str, chain: &str, rule: &Rule) -> Message {
        let mut m = Message::new(msg::NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
        let out = &mut m.payload;
        put_text(out, nfta::RULE_TABLE, table);
        put_text(out, nfta::RULE_CHAIN, chain);
        nest(out, nfta::RULE_EXPRESSIONS, |out| {
            if let Some((side, mac)) = rule.only {
                compare(out, if side == Side::To { 0 } else { 6 }, &mac.0);
            }
            match rule.deed {
                Deed::Forward(index) => forward(out, index),
                Deed::Drop => drop_frame(out),
                Deed::Lose(permille) => {
                    chance(out, permille);
                    drop_frame(out);
                }
                Deed::Silence(address) => {
                    compare(out, ETHERTYPE_AT, &ETHERTYPE_ARP);
                    compare(out, ARP_SENDER_AT, &address.octets());
                    drop_frame(out);
                }
            }
        });
        m
    }

    /// Asks for the rules of a table of the netdev family.
    pub fn get_rules(table: &str) -> Message {
        let mut m = Message::new(msg::GETRULE, 0);
        put_text(&mut m.payload, nfta::RULE_TABLE, table);
        m
    }

    /// Appends the message with its header.
    pub(super) fn frame(&self, bytes: &mut Vec<u8>, flags: u16, sequence: u32) {
        let length = (HEADER + self.payload.len()) as u32;
        bytes.extend(length.to_ne_bytes());
        bytes.extend(self.kind.to_ne_bytes());
        bytes.extend((self.flags | flags).to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(&self.payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
}

/// Goes on if these bytes are in the frame, so far from its beginning.
fn compare(out: &mut Vec<u8>, offset: u32, bytes: &[u8]) {
    expression(out, "payload", |out| {
        put_word(out, nfta::PAYLOAD_DREG, NFT_REG_1);
        put_word(out, nfta::PAYLOAD_BASE, NFT_PAYLOAD_LL_HEADER);
        put_word(out, nfta::PAYLOAD_OFFSET, offset);
        put_word(out, nfta::PAYLOAD_LEN, bytes.len() as u32);
    });
    expression(out, "cmp", |out| {
        put_word(out, nfta::CMP_SREG, NFT_REG_1);
        put_word(out, nfta::CMP_OP, NFT_CMP_EQ);
        nest(out, nfta::CMP_DATA, |out| put(out, nfta::DATA_VALUE, bytes));
    });
}

/// Goes on for so many frames of a thousand. Registers are compared byte by byte, so the number is turned first.
fn chance(out: &mut Vec<u8>, permille: u32) {
    expression(out, "numgen", |out| {
        put_word(out, nfta::NG_DREG, NFT_REG_1);
        put_word(out, nfta::NG_MODULUS, 1000);
        put_word(out, nfta::NG_TYPE, NFT_NG_RANDOM);
    });
    expression(out, "byteorder", |out| {
        put_word(out, nfta::BYTEORDER_SREG, NFT_REG_1);
        put_word(out, nfta::BYTEORDER_DREG, NFT_REG_1);
        put_word(out, nfta::BYTEORDER_OP, NFT_BYTEORDER_HTON);
        put_word(out, nfta::BYTEORDER_LEN, 4);
        put_word(out, nfta::BYTEORDER_SIZE, 4);
    });
    expression(out, "cmp", |out| {
        put_word(out, nfta::CMP_SREG, NFT_REG_1);
        put_word(out, nfta::CMP_OP, NFT_CMP_LT);
        nest(out, nfta::CMP_DATA, |out| put_word(out, nfta::DATA_VALUE, permille));
    });
}

fn forward(out: &mut Vec<u8>, index: IfIndex) {
    expression(out, "immediate", |out| {
        put_word(out, nfta::IMMEDIATE_DREG, NFT_REG_1);
        // A register holds the index as the kernel does: in the host's order.
        nest(out, nfta::IMMEDIATE_DATA, |out| put(out, nfta::DATA_VALUE, &index.to_ne_bytes()));
    });
    expression(out, "fwd", |out| put_word(out, nfta::FWD_SREG_DEV, NFT_REG_1));
}

fn drop_frame(out: &mut Vec<u8>) {
    expression(out, "immediate", |out| {
        put_word(out, nfta::IMMEDIATE_DREG, NFT_REG_VERDICT);
        nest(out, nfta::IMMEDIATE_DATA, |out| {
            nest(out, nfta::DATA_VERDICT, |out| put_word(out, nfta::VERDICT_CODE, NF_DROP));
        });
    });
}

fn expression(out: &mut Vec<u8>, name: &str, data: impl FnOnce(&mut Vec<u8>)) {
    nest(out, nfta::LIST_ELEM, |out| {
        put_text(out, nfta::EXPR_NAME, name);
        nest(out, nfta::EXPR_DATA, data);
    });
}

fn nest(out: &mut Vec<u8>, kind: u16, inside: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; 4]);
    inside(out);
    let length = (out.len() - start) as u16;
    out[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    out[start + 2..start + 4].copy_from_slice(&(kind | NLA_F_NESTED).to_ne_bytes());
}

fn put(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend(((4 + value.len()) as u16).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

fn put_word(out: &mut Vec<u8>, kind: u16, value: u32) {
    put(out, kind, &value.to_be_bytes());
}

fn put_text(out: &mut Vec<u8>, kind: u16, text: &str) {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    put(out, kind, &bytes);
}

/// Table, chain and rule of a message that answers [`Message::get_rules`]; no rule where it is none of ours.
pub fn parse_rule(payload: &[u8]) -> Option<(String, String, Option<Rule>)> {
    let (mut table, mut chain, mut rule) = (None, None, None);
    for (kind, value) in attributes(payload) {
        match kind {
            nfta::RULE_TABLE => table = text(value),
            nfta::RULE_CHAIN => chain = text(value),
            nfta::RULE_EXPRESSIONS => rule = parse_expressions(value),
            _ => {}
        }
    }
    Some((table?, chain?, rule))
}

fn parse_expressions(nested: &[u8]) -> Option<Rule> {
    let mut side = None;
    let (mut only, mut target, mut deed) = (None, None, None);
    for (_, element) in attributes(nested) {
        let name = find(element, nfta::EXPR_NAME).and_then(text)?;
        let data = find(element, nfta::EXPR_DATA).unwrap_or_default();
        match name.as_str() {
            "payload" => {
                side = match find(data, nfta::PAYLOAD_OFFSET).and_then(word)? {
                    0 => Some(Side::To),
                    6 => Some(Side::From),
                    _ => return None,
                }
            }
            "cmp" => {
                let mac = find(find(data, nfta::CMP_DATA)?, nfta::DATA_VALUE)?;
                only = Some((side?, Mac(mac.try_into().ok()?)));
            }
            "immediate" => {
                let data = find(data, nfta::IMMEDIATE_DATA)?;
                match find(data, nfta::DATA_VERDICT).and_then(|v| find(v, nfta::VERDICT_CODE)) {
                    Some(code) => deed = (word(code)? == NF_DROP).then_some(Deed::Drop),
                    None => target = find(data, nfta::DATA_VALUE)?.first_chunk().copied(),
                }
            }
            "fwd" => deed = target.map(|t| Deed::Forward(IfIndex::from_ne_bytes(t))),
            _ => return None,
        }
    }
    Some(Rule { only, deed: deed? })
}

fn find(nested: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(nested).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let head = rest.first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]) & NLA_TYPE_MASK;
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

fn text(value: &[u8]) -> Option<String> {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    String::from_utf8(value[..end].to_vec()).ok()
}

fn word(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|b| u32::from_be_bytes(*b))
}

#[cfg(test)]
mod tests;
