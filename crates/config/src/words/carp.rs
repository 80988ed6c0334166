//! The words about vhids (lagg-carp.md B.10).

use super::{Reader, VhidChange};
use std::net::{Ipv4Addr, Ipv6Addr};

impl Reader<'_> {
    /// A keyword about vhids; false if it is none.
    pub(super) fn carp_word(&mut self, word: &str) -> Result<bool, String> {
        match word {
            "vhid" => {
                let text = self.argument(word)?;
                let vhid = text.parse().ok().filter(|n| (1..=255).contains(n));
                let vhid = vhid.and_then(|n: u16| u8::try_from(n).ok());
                let vhid = vhid.ok_or("vhid must be greater than 0 and less than 256")?;
                if self.vhid.as_ref().is_some_and(|v| v.vhid != vhid) {
                    return Err("one vhid at a time".to_owned());
                }
                self.vhid.get_or_insert_with(|| VhidChange { vhid, ..VhidChange::default() });
            }
            "advbase" => {
                let value: u8 = self.number(word)?;
                if value == 0 {
                    return Err("'advbase': bad value '0'".to_owned());
                }
                self.vhid("advbase")?.advbase = Some(value);
            }
            "advskew" => {
                let value: u8 = self.number(word)?;
                if value == 255 {
                    return Err("'advskew': bad value '255'".to_owned());
                }
                self.vhid("advskew")?.advskew = Some(value);
            }
            "pass" => {
                let pass = self.argument(word)?.to_owned();
                self.vhid("passwd")?.passphrase = Some(pass);
            }
            "peer" => {
                let peer: Ipv4Addr = self.number(word)?;
                self.vhid("peer")?.peer = Some(Some(peer));
            }
            "peer6" => {
                let peer: Ipv6Addr = self.number(word)?;
                self.vhid("peer6")?.peer6 = Some(Some(peer));
            }
            "mcast" => self.vhid("mcast")?.peer = Some(None),
            "mcast6" => self.vhid("mcast6")?.peer6 = Some(None),
            "state" => {
                let state = self.argument(word)?.to_ascii_lowercase();
                self.vhid("state")?;
                return Err(match state.as_str() {
                    "init" | "backup" | "master" => {
                        "state: a vhid cannot be told its state; use mpathctl demote, or preempt and advskew"
                            .to_owned()
                    }
                    _ => "unknown state".to_owned(),
                });
            }
            "carpver" | "vrrpprio" | "vrrpinterval" => {
                return Err(format!("{word}: mpathd speaks CARP, not VRRP"));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn vhid(&mut self, word: &str) -> Result<&mut VhidChange, String> {
        self.vhid.as_mut().ok_or_else(|| format!("{word} requires vhid"))
    }
}
