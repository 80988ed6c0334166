//! A server with many NICs, two on each link, and on each link a host that answers. Nothing else is on the way: each
//! link is one bridge, and the host that answers is the bridge itself. Few links share a network namespace: what one with
//! hundreds of interfaces takes to answer would be charged to the server, whose packets run the whole way.

use mpath_linux::echo::{EchoSocket, Request};
use mpath_linux::netlink::create::End;
use mpath_model::{Family, Mac};
use mpath_testkit::{Error, Host, counters, poll_until};
use mpath_wire::icmp;
use nix::time::{ClockId, clock_gettime};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// Links whose hosts are one network namespace.
const TOGETHER: u32 = 8;
/// Echoes of which the cost of one is the mean.
const ECHOES: u16 = 2000;
/// On every link.
const TARGET6: &str = "fe80::1";
/// Longest wait for an answer on a cable within the machine.
const PATIENCE: Duration = Duration::from_secs(2);

/// A host whose addresses are in force at once.
fn plain(name: &str) -> Result<Host, Error> {
    let host = Host::new(name)?;
    for scope in ["all", "default"] {
        host.sysctl(&format!("net/ipv6/conf/{scope}/accept_dad"), "0")?;
        host.sysctl(&format!("net/ipv6/conf/{scope}/accept_ra"), "0")?;
        host.sysctl(&format!("net/ipv4/conf/{scope}/rp_filter"), "0")?;
    }
    Ok(host)
}

pub(super) struct Network {
    pub(super) server: Arc<Host>,
    _links: Vec<Host>,
    nics: u32,
}

/// IPv4 address of a host on the link of a pair of NICs.
fn address(pair: u32, last: u32) -> String {
    format!("10.{}.{}.{last}", 100 + pair / 256, pair % 256)
}

impl Network {
    /// `nics` is even.
    pub(super) fn build(nics: u32) -> Result<Network, Error> {
        let server = plain("server")?;
        let pairs = nics / 2;
        let links = (0..pairs.div_ceil(TOGETHER)).map(|_| plain("links")).collect::<Result<Vec<_>, _>>()?;
        for (pair, links) in (0..pairs).map(|pair| (pair, &links[(pair / TOGETHER) as usize])) {
            let link = format!("link{pair}");
            let bridge = links.bridge(&link)?;
            links.add_address(&link, &format!("{}/24", address(pair, 1)))?;
            links.add_address(&link, &format!("{TARGET6}/64"))?;
            for n in [2 * pair, 2 * pair + 1] {
                let (nic, port) = (format!("eth{n}"), format!("p{n}"));
                let [.., high, low] = n.to_be_bytes();
                let mac = Some(Mac([2, 0, 0, 1, high, low]));
                let end = |name: &str, mac| End { name: name.to_owned(), mac, ..End::default() };
                server.veth(end(&nic, mac), links, end(&port, None))?;
                links.plug_port(&port, bridge)?;
                server.set_up(&nic)?;
                server.add_address(&nic, &format!("{}/24", address(pair, 11 + n % 2)))?;
            }
        }
        Ok(Network { server: Arc::new(server), _links: links, nics })
    }

    /// A group for each link, with an address of each family.
    pub(super) fn config(&self, fdt: Duration) -> String {
        let mut text = String::new();
        for pair in 0..self.nics / 2 {
            let target = address(pair, 1);
            let _ = writeln!(
                text,
                "[[group]]\nname = \"g{pair}\"\nfailure_detection_time = \"{}ms\"\ntargets = [\"{target}\", \"{TARGET6}\"]",
                fdt.as_millis()
            );
            for n in [2 * pair, 2 * pair + 1] {
                let test = address(pair, 11 + n % 2);
                let _ = writeln!(
                    text,
                    "[[group.interface]]\nname = \"eth{n}\"\ntest_addresses = [\"{test}/24\", \"link-local\"]"
                );
            }
            for data in [format!("{}/24", address(pair, 10)), format!("2001:db8:{pair:x}::10/64")] {
                let _ = writeln!(text, "[[group.address]]\naddress = \"{data}\"\nhome = \"eth{}\"", 2 * pair);
            }
        }
        text
    }

    /// Echo requests that the server has sent, both families.
    pub(super) fn echoes(&self) -> Result<f64, Error> {
        let four = counters::snmp(&self.server, "Icmp", "OutEchos")?;
        Ok((four + counters::snmp6(&self.server, "Icmp6OutEchos")?) as f64)
    }

    /// Processor time of one echo on the first NIC, of a thread that does nothing else, us.
    pub(super) fn floor_us(&self) -> Result<f64, Error> {
        let index = self.server.index_of("eth0")?;
        let (source, target) = (address(0, 11), address(0, 1));
        let parse = |text: &str| text.parse().map_err(|e| Error::new(format!("parse {text}"), e));
        let (source, target) = (parse(&source)?, parse(&target)?);
        let fail = |why: String| Error::new("measure the floor of an echo", why);
        self.server.run(|| {
            let socket = EchoSocket::open(index, Family::Inet).map_err(|e| fail(e.to_string()))?;
            let used = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from);
            let mut before = used().map_err(|e| fail(e.to_string()))?;
            for seq in 0..=ECHOES {
                if seq == 1 {
                    // The first one had to find the neighbour.
                    before = used().map_err(|e| fail(e.to_string()))?;
                }
                let echo = icmp::Echo { ident: 1, seq, payload: &[0; 32] };
                let sent = socket.send(Request { source, target, echo });
                sent.map_err(|e| fail(e.to_string()))?;
                let mut heard = Vec::new();
                let answered = || {
                    socket.receive(&mut heard);
                    (!heard.is_empty()).then_some(())
                };
                poll_until(PATIENCE, answered).ok_or_else(|| fail(format!("no answer to echo {seq}")))?;
            }
            let spent = used().map_err(|e| fail(e.to_string()))?.saturating_sub(before);
            Ok(spent.as_secs_f64() * 1e6 / f64::from(ECHOES))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_is_a_network() {
        assert_eq!((address(0, 1), address(255, 11)), ("10.100.0.1".into(), "10.100.255.11".into()));
        assert_eq!(address(256, 1), "10.101.0.1");
    }
}
