//! Programs that manage the same NICs (linux-failover.md, pitfalls 24 to 26): they take away what they do not know.

use super::Finding;
use super::host::Host;

pub(super) fn all(host: &Host, nics: &[String]) -> Vec<Finding> {
    let single = nics.iter().flat_map(|nic| of(host, nic));
    single.chain(network_manager(host, nics)).chain(cloud_init(host)).collect()
}

/// cloud-init writes the configuration of every NIC anew at each boot, unless told not to.
fn cloud_init(host: &Host) -> Option<Finding> {
    host.read("etc/cloud/cloud.cfg")?;
    let files = ["99-mpathd.cfg", "99-disable-network-config.cfg"];
    let told = |name: &str| {
        let text = host.read(&format!("etc/cloud/cloud.cfg.d/{name}")).unwrap_or_default();
        text.contains("network:") && text.contains("config: disabled")
    };
    (!files.into_iter().any(told)).then(|| {
        Finding::hint(
            "cloud-init",
            "it configures the network anew at each boot, over what was changed since",
            "write \"network: {config: disabled}\" to /etc/cloud/cloud.cfg.d/99-mpathd.cfg",
        )
    })
}

fn of(host: &Host, nic: &str) -> Vec<Finding> {
    let Some(link) = host.link(nic) else { return Vec::new() };
    [networkd(host, nic, link.index), dhcp(host, nic), ifupdown(host, nic)].into_iter().flatten().collect()
}

/// systemd-networkd tells in /run/systemd/netif/links/INDEX which file it applies.
fn networkd(host: &Host, nic: &str, index: u32) -> Option<Finding> {
    let text = host.read(&format!("run/systemd/netif/links/{index}"))?;
    let value = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='));
    if value("ADMIN_STATE").is_none_or(|state| state == "unmanaged") {
        return None;
    }
    let file = value("NETWORK_FILE").unwrap_or("/etc/systemd/network/50-mpathd.network");
    let name = file.rsplit('/').next().unwrap_or_default();
    // Those that it has read, and the one that is recommended below.
    let told = value("NETWORK_FILE_DROPINS").unwrap_or_default().trim_matches('"').split([':', ' ']);
    let recommended = format!("etc/systemd/network/{name}.d/mpathd.conf");
    let files = [file, recommended.as_str()].into_iter().chain(told.filter(|f| !f.is_empty()));
    let keeps = |line: &str| matches!(line.trim(), "KeepConfiguration=static" | "KeepConfiguration=yes");
    if files.filter_map(|f| host.read(f)).any(|text| text.lines().any(keeps)) {
        return None;
    }
    // netplan writes below /run and leaves drop-ins in /etc alone.
    let author = if name.contains("-netplan-") { " (written by netplan)" } else { "" };
    Some(Finding::obstacle(
        nic,
        format!(
            "systemd-networkd manages it by {file}{author} and removes foreign addresses and routes when it restarts"
        ),
        format!(
            "write \"[Network]\\nKeepConfiguration=static\" to /etc/systemd/network/{name}.d/mpathd.conf, and \
             \"[Network]\\nManageForeignRoutes=no\\nManageForeignRoutingPolicyRules=no\" to \
             /etc/systemd/networkd.conf.d/mpathd.conf; networkctl reload"
        ),
    ))
}

/// NetworkManager tells in /run/NetworkManager/devices/INDEX whether it manages the device. One key names all that it is to
/// keep off.
fn network_manager(host: &Host, nics: &[String]) -> Vec<Finding> {
    let managed = |nic: &&String| {
        let text = host.link(nic).and_then(|l| host.read(&format!("run/NetworkManager/devices/{}", l.index)));
        let yes = |l: &str| matches!(l.trim(), "managed=yes" | "managed=1" | "managed=true");
        text.is_some_and(|text| text.lines().any(yes))
    };
    let managed: Vec<&String> = nics.iter().filter(managed).collect();
    let names: Vec<String> = managed.iter().map(|nic| format!("interface-name:{nic}")).collect();
    let remedy = format!(
        "write \"[keyfile]\\nunmanaged-devices={}\" to /etc/NetworkManager/conf.d/mpathd.conf; nmcli general reload",
        names.join(";")
    );
    let what =
        "NetworkManager manages it and takes foreign addresses off when it brings a connection up or down";
    managed.into_iter().map(|nic| Finding::obstacle(nic, what, remedy.clone())).collect()
}

/// ifupdown keeps in /run/network/ifstate what it has set up. It takes away only what it has put there itself.
fn ifupdown(host: &Host, nic: &str) -> Option<Finding> {
    let state = host.read("run/network/ifstate")?;
    state.lines().any(|l| l == nic || l.starts_with(&format!("{nic}="))).then(|| {
        Finding::hint(
            nic,
            "ifupdown has set it up: `ifdown` takes its addresses away, which moves them to another NIC, and `ifup` \
             brings them home",
            "nothing to write; to take it out of service without that, `mpathctl offline` it first",
        )
    })
}

fn dhcp(host: &Host, nic: &str) -> Option<Finding> {
    let files = [
        format!("run/dhclient.{nic}.pid"),
        format!("run/dhclient-{nic}.pid"),
        format!("run/dhcpcd-{nic}.pid"),
        format!("run/dhcpcd/{nic}.pid"),
        format!("run/dhcpcd-{nic}-4.pid"),
    ];
    let file = files.iter().find(|f| host.read(f).is_some())?;
    Some(Finding::hint(
        nic,
        format!("a DHCP client runs on it (/{file}): its addresses and routes come and go by its own rules"),
        "use DHCP for test addresses only, or write adopt = \"all\" in the group",
    ))
}
