//! What must survive the process: homes, verdicts, OFFLINE, routes on loan, original sysctls. Plain data;
//! the daemon writes it to the state directory as the engine hands it out.

use mpath_model::kernel::{Address, LaggBackend, Route, Sysctl};
use mpath_model::{IfAddr, IfIndex, Mac, Settings, Time, settings};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

/// Version of the format. A file with a newer one is moved aside, never guessed at.
pub const VERSION: u32 = 1;

/// Everything worth remembering.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Persistent {
    /// [`VERSION`] at the time of writing.
    pub version: u32,
    /// Settings under which the rest is to be understood; none if another version of mpathd wrote them in words unknown
    /// to this one.
    #[serde(default, deserialize_with = "if_understood")]
    pub settings: Option<Box<Settings>>,
    /// Data addresses with their homes.
    pub addresses: Vec<HomedAddress>,
    /// Routes that follow their NIC.
    pub routes: Vec<HomedRoute>,
    /// Members with a memory.
    pub nics: Vec<NicMemory>,
    /// Addresses that mpathd has put on interfaces, where the kernel does not keep that in mind (before Linux 5.18).
    #[serde(default)]
    pub unmarked: Vec<(IfIndex, IfAddr)>,
    /// Sysctls as they were before mpathd changed them.
    pub sysctls: Vec<(String, Sysctl, i32)>,
    /// The operator's part of the CARP demotion counter.
    #[serde(default)]
    pub demotion: i32,
    /// Interfaces that mpathd made as laggs, and their ports as they were found.
    #[serde(default)]
    pub laggs: Vec<LaggMemory>,
    /// Verdicts of probes move nothing.
    #[serde(default)]
    pub frozen: Option<Freeze>,
}

/// An operator wants verdicts of probes to move nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// Until then; none: until told otherwise.
    pub until: Option<Time>,
}

/// A lagg that mpathd made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaggMemory {
    /// Name.
    pub name: String,
    /// How it was made.
    pub backend: LaggBackend,
    /// Port whose own link-layer address the lagg has.
    pub primary: Option<String>,
    /// Addresses that mpathd put on it.
    pub installed: Vec<IfAddr>,
    /// Its ports, and those that have left it and are not yet as they were.
    pub ports: Vec<PortMemory>,
}

/// A port as it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMemory {
    /// Name.
    pub name: String,
    /// Index: another one is another interface.
    pub index: IfIndex,
    /// Its own link-layer address.
    pub mac: Mac,
    /// Its own MTU in bytes.
    pub mtu: u32,
    /// It took every frame.
    pub promisc: bool,
}

/// A data address and where it belongs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HomedAddress {
    /// The address.
    pub addr: IfAddr,
    /// Group.
    pub group: String,
    /// NIC it belongs to.
    pub home: String,
    /// NIC it was last assigned to.
    pub host: String,
    /// How it was found at home, for an adopted one.
    pub found: Option<Address>,
    /// It has not been on this host yet: somebody else may have it.
    #[serde(default)]
    pub fresh: bool,
}

/// A route and the NIC it belongs to. The interface index in `route` is that of the NIC when it was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HomedRoute {
    /// The route as found.
    pub route: Route,
    /// Index of the NIC when the route was found.
    pub index: IfIndex,
    /// NIC it belongs to.
    pub home: String,
    /// NIC it was last assigned to.
    pub host: String,
}

/// What is remembered of a NIC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NicMemory {
    /// Name.
    pub name: String,
    /// Index when last seen.
    pub index: Option<IfIndex>,
    /// It had failed.
    pub failed: bool,
    /// An operator took it offline.
    pub offline: bool,
    /// Test addresses that mpathd installed on it.
    pub installed: Vec<IfAddr>,
}

/// The rest is worth having without the settings, which change from version to version.
fn if_understood<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<Settings>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Lenient {
        Known(Option<Box<Settings>>),
        Unknown(IgnoredAny),
    }
    Ok(match Lenient::deserialize(from)? {
        Lenient::Known(settings) => settings.filter(|s| s.groups.iter().all(homes_are_members)),
        Lenient::Unknown(_) => None,
    })
}

/// What the engine relies on, and a damaged file may not hold.
fn homes_are_members(group: &settings::Group) -> bool {
    group.addresses.iter().all(|a| group.interfaces.iter().any(|i| i.name == a.home))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_be_are_not_taken_and_the_rest_is() {
        let interface = |name: &str| settings::Interface {
            name: name.to_owned(),
            test_addresses: Vec::new(),
            standby: false,
        };
        let group = settings::Group {
            name: "g".to_owned(),
            failure_detection_time: std::time::Duration::from_secs(10),
            failback: true,
            probe: settings::ProbeMode::Auto,
            targets: Vec::new(),
            adopt: settings::Adopt::Static,
            confirm: settings::Confirm::All,
            thresholds: Default::default(),
            interfaces: vec![interface("eth0"), interface("eth1")],
            addresses: vec![settings::DataAddress {
                address: "192.0.2.10/24".parse().unwrap(),
                home: "eth0".to_owned(),
            }],
        };
        let settings = Settings { groups: vec![group], ..Settings::default() };
        let kept = Persistent { demotion: 3, settings: Some(Box::new(settings)), ..Persistent::default() };
        let text = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<Persistent>(&text).unwrap(), kept);
        let damaged = text.replace(r#""home":"eth0""#, r#""home":"eth`""#);
        assert_eq!(
            serde_json::from_str::<Persistent>(&damaged).unwrap(),
            Persistent { settings: None, ..kept }
        );
    }
}
