//! What can be broken in a [`Lan`], and mended. Each gives the time just before the kernel was told, from which an
//! outage is counted.

use super::{End, Lan, PortState};
use crate::error::{Context, Error};
use mpath_linux::netfilter::Netfilter;
use mpath_linux::netfilter::message::{Deed, Hook, Message, Rule};
use std::net::Ipv4Addr;
use std::time::Instant;

/// Table of nf_tables on the switch that loses frames.
const LOSS: &str = "loss";

/// Share of frames lost by chance in each direction, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// Of what the server sends.
    pub outbound: u32,
    /// Of what is sent to it.
    pub inbound: u32,
}

impl Loss {
    /// The same in both directions.
    pub fn both(permille: u32) -> Loss {
        Loss { outbound: permille, inbound: permille }
    }
}

impl Lan {
    /// Pulls the cable of NIC `n`: its carrier is gone.
    pub fn cut(&self, n: usize) -> Result<Instant, Error> {
        let port = self.switch.index_of(&format!("p{n}"))?;
        let at = Instant::now();
        self.switch.set_admin(port, false)?;
        Ok(at)
    }

    /// Plugs the cable of NIC `n` back in.
    pub fn plug(&self, n: usize) -> Result<Instant, Error> {
        let port = self.switch.index_of(&format!("p{n}"))?;
        let at = Instant::now();
        self.switch.set_admin(port, true)?;
        Ok(at)
    }

    /// Makes the path behind the switch port of NIC `n` silent: the carrier stays, no frame passes either way.
    pub fn blackhole(&self, n: usize) -> Result<Instant, Error> {
        self.set_path(n, PortState::Disabled)
    }

    /// Lets nothing that NIC `n` sends get past its switch; what others send still arrives.
    pub fn blackhole_outbound(&self, n: usize) -> Result<Instant, Error> {
        let at = Instant::now();
        self.switch.set_port_locked(self.nics[n].core, true)?;
        Ok(at)
    }

    /// Lets nothing that others send arrive at NIC `n`; what it sends still gets out.
    pub fn blackhole_inbound(&self, n: usize) -> Result<Instant, Error> {
        let at = Instant::now();
        self.switch.set_port_locked(self.nics[n].uplink, true)?;
        Ok(at)
    }

    /// Opens the path of NIC `n` again, in both directions.
    pub fn heal(&self, n: usize) -> Result<Instant, Error> {
        let at = self.set_path(n, PortState::Forwarding)?;
        self.switch.set_port_locked(self.nics[n].core, false)?;
        self.switch.set_port_locked(self.nics[n].uplink, false)?;
        Ok(at)
    }

    fn set_path(&self, n: usize, state: PortState) -> Result<Instant, Error> {
        let nic = &self.nics[n];
        let at = Instant::now();
        self.switch.set_port_state(nic.core, state)?;
        self.switch.set_port_state(nic.uplink, state)?;
        Ok(at)
    }

    /// Lets the paths behind the switch ports of these NICs lose frames by chance, each by itself and all from the same moment;
    /// by none they are sound again. The packet filter does it; where the kernel's cannot, queues do.
    pub fn lose(&self, nics: &[usize], loss: Loss) -> Result<Instant, Error> {
        let mut batch = vec![Message::new_table(LOSS, 0)];
        let ways = |n: &usize| [(format!("c{n}"), loss.outbound), (format!("u{n}"), loss.inbound)];
        for (device, permille) in nics.iter().flat_map(ways) {
            batch.push(Message::new_chain(LOSS, &device, Hook::Ingress, 0, &device));
            batch.push(Message::flush_chain(LOSS, &device));
            if permille > 0 {
                let rule = Rule { only: None, deed: Deed::Lose(permille) };
                batch.push(Message::new_rule(LOSS, &device, &rule));
            }
        }
        let names = || nics.iter().map(|n| self.nics[*n].name.as_str()).collect::<Vec<_>>().join(" and ");
        let what = || format!("let the path of {} lose {loss:?}", names());
        self.filter(&batch, what).or_else(|cause| {
            let at = Instant::now();
            let queue = |device: String, permille| self.switch.lossy(&device, permille);
            let both = |n: &usize| {
                queue(format!("u{n}"), loss.outbound).and_then(|()| queue(format!("c{n}"), loss.inbound))
            };
            let all = nics.iter().try_for_each(both);
            all.map(|()| at).map_err(|e| Error::new(cause.to_string(), e))
        })
    }

    /// Lets the switch of NIC `n` drop all ARP that speaks in the name of an address, announcements and questions alike.
    pub fn silence_arp(&self, n: usize, of: Ipv4Addr) -> Result<Instant, Error> {
        let device = format!("c{n}");
        let rule = Rule { only: None, deed: Deed::Silence(of) };
        let batch = [
            Message::new_table(LOSS, 0),
            Message::new_chain(LOSS, &device, Hook::Ingress, 0, &device),
            Message::new_rule(LOSS, &device, &rule),
        ];
        self.filter(&batch, || format!("silence the ARP of {of} on {}", self.nics[n].name))
    }

    fn filter(&self, batch: &[Message], what: impl Fn() -> String) -> Result<Instant, Error> {
        let mut netfilter = self.switch.run(Netfilter::open).context(&what)?;
        let at = Instant::now();
        netfilter.commit(batch).context(&what)?;
        Ok(at)
    }

    /// Sets NIC `n` administratively down on the server.
    pub fn admin_down(&self, n: usize) -> Result<Instant, Error> {
        let index = self.server.index_of(&self.nics[n].name)?;
        let at = Instant::now();
        self.server.set_admin(index, false)?;
        Ok(at)
    }

    /// Sets NIC `n` administratively up on the server.
    pub fn admin_up(&self, n: usize) -> Result<Instant, Error> {
        let index = self.server.index_of(&self.nics[n].name)?;
        let at = Instant::now();
        self.server.set_admin(index, true)?;
        Ok(at)
    }

    /// Takes NIC `n` out of the server, cable and all.
    pub fn remove(&self, n: usize) -> Result<Instant, Error> {
        let at = Instant::now();
        self.server.delete(&self.nics[n].name)?;
        Ok(at)
    }

    /// Puts NIC `n` back: same name and link-layer address, a new interface index, admin up, no addresses.
    pub fn recreate(&self, n: usize) -> Result<Instant, Error> {
        let at = Instant::now();
        self.attach(n)?;
        self.server.set_up(&self.nics[n].name)?;
        Ok(at)
    }

    /// Makes a pair of interfaces that [`Lan::make_noise`] can use. Both have the same index, so that the kernel does not
    /// take their events for urgent.
    pub fn make_noise_source(&self) -> Result<(), Error> {
        let end = |name: &str| End { name: name.to_owned(), index: Some(1999), ..End::default() };
        self.server.veth(end("noise0"), &self.switch, end("noise1"))?;
        self.server.set_up("noise0")?;
        self.switch.set_up("noise1")
    }

    /// Another interface of the server loses its carrier and gets it back: carrier events of plain NICs within the next
    /// second are held back by the kernel (linux-failover.md, pitfall 23).
    pub fn make_noise(&self) -> Result<Instant, Error> {
        let at = Instant::now();
        let noise = self.switch.index_of("noise1")?;
        self.switch.set_admin(noise, false)?;
        self.switch.set_admin(noise, true)?;
        // An event of its own may be held back, too. This one is not: the server knows that there was one.
        let here = self.server.index_of("noise0")?;
        self.server.set_admin(here, false)?;
        self.server.set_admin(here, true)?;
        Ok(at)
    }

    /// Renames NIC `n`.
    pub fn rename(&mut self, n: usize, new: &str) -> Result<Instant, Error> {
        let at = Instant::now();
        self.server.rename(&self.nics[n].name, new)?;
        self.nics[n].name = new.to_owned();
        Ok(at)
    }
}
