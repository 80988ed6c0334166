//! Taking everything back (`mpathctl release`, `mpathd --release`): what is released leaves the settings in force, and goes the
//! way of everything that leaves them.

use super::Engine;
use mpath_model::settings::{Group, Lagg, Settings};

impl Engine {
    /// Takes a NIC, a group or everything out of the settings, until the next reload.
    pub(super) fn release(&mut self, name: Option<&str>) -> Result<(), (&'static str, String)> {
        let settings = Engine::settings_without(&self.settings, name)?;
        self.configure(settings);
        Ok(())
    }

    /// The settings without a NIC, a group, a lagg or what lies over it; without all of that where no name is given. An error:
    /// they have nothing of that name.
    pub fn settings_without(
        settings: &Settings,
        name: Option<&str>,
    ) -> Result<Settings, (&'static str, String)> {
        let mut settings = settings.clone();
        let Some(name) = name else {
            settings.groups.clear();
            settings.carps.clear();
            settings.laggs.clear();
            return Ok(settings);
        };
        let count = |s: &Settings| s.groups.len() + s.carps.len() + s.laggs.len();
        let before = count(&settings);
        settings.groups.retain(|g| g.name != name);
        settings.carps.retain(|c| c.over.name() != name);
        settings.laggs.retain(|l| l.name != name);
        let left = settings.groups.iter_mut().any(|g| leave(g, name));
        let freed = settings.laggs.iter_mut().any(|l| leave_lagg(l, name));
        if count(&settings) == before && !left && !freed {
            let text = format!("{name} is neither a group or lagg nor a member of one, and has no vhid");
            return Err(("unknown_interface", text));
        }
        settings.groups.retain(|g| !g.interfaces.is_empty());
        Ok(settings)
    }

    /// Whether nothing is left of what is not in the settings any more.
    pub fn released(&self) -> bool {
        let parents = self.carp_parents();
        let lagg_of = |g: &crate::group::Group, port: &str| {
            g.lagg.is_some() && !g.retiring && g.nic_named(port).is_some()
        };
        let port = |interface: &str| self.groups.iter().any(|g| lagg_of(g, interface));
        let kept =
            |interface: &String| self.is_member(interface) || port(interface) || parents.contains(interface);
        let restored = self.originals.keys().all(|(interface, _)| kept(interface)) && self.carp_released();
        self.started && self.batches.is_empty() && restored && !self.groups.iter().any(|g| g.retiring)
    }
}

/// The NIC leaves the group. Declared addresses that had their home there stay reachable on the first of those that
/// remain, by the rule for addresses without a home. False if it is no member.
fn leave(group: &mut Group, nic: &str) -> bool {
    let count = group.interfaces.len();
    group.interfaces.retain(|i| i.name != nic);
    let home = group.interfaces.iter().find(|i| !i.standby).or(group.interfaces.first());
    if let Some(home) = home.map(|i| i.name.clone()) {
        group.addresses.iter_mut().filter(|a| a.home == nic).for_each(|a| a.home = home.clone());
    }
    group.interfaces.len() != count
}

fn leave_lagg(lagg: &mut Lagg, port: &str) -> bool {
    let count = lagg.ports.len();
    lagg.ports.retain(|p| p != port);
    lagg.ports.len() != count
}
