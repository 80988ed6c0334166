//! The lines that every FreeBSD handbook shows, as typed: through the link named ifconfig, and from rc.conf.

use crate::SOON;
use crate::tool::Tool;
use mpath_testkit::lan::ROUTER4;
use mpath_testkit::traffic::PORT;
use mpath_testkit::{Daemon, Echo, Lan, LanOptions, UdpStream, poll_until, with_daemon};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const TEXT: &str = include_str!("../../../../docs/reference/lagg-quickstart.txt");
const ADDRESS: &str = "192.0.2.5";

/// A host whose NICs are called em0 and em1, with a daemon whose configuration is this.
fn host(config: &str) -> (Lan, Daemon, Tool) {
    let mut lan = Lan::new(LanOptions { configured: false, ..LanOptions::default() }).unwrap();
    for n in 0..2 {
        lan.admin_down(n).unwrap();
        lan.rename(n, &format!("em{n}")).unwrap();
    }
    let daemon = Daemon::start(&lan.server, config).unwrap();
    let tool = Tool::new(&daemon, &lan.server);
    (lan, daemon, tool)
}

fn lagg(tool: &Tool) -> Value {
    let status: Value = serde_json::from_str(&tool.ctl(&["--json", "status"])).unwrap();
    status["laggs"][0].clone()
}

/// A port that comes back proves itself by ten answers in a row: with the default detection time that takes over ten seconds.
const DETECTION: &str = "[detection]\nfailure_detection_time = \"2s\"\n";

/// Generous for those ten answers.
const PROVEN: Duration = Duration::from_secs(60);

/// Waits until the lagg answers on its address by this port.
#[track_caller]
fn expect_traffic(stream: &UdpStream, daemon: &Daemon, tool: &Tool, port: &str) {
    let told = || format!("{}\n{}", tool.ctl(&["status"]), daemon.log_text());
    let active = poll_until(PROVEN, || (lagg(tool)["active"] == port).then_some(()));
    assert!(active.is_some(), "{port} is not active: {}", told());
    let since = Instant::now();
    let flows = poll_until(SOON, || stream.alive_since(since).then_some(()));
    assert!(flows.is_some(), "no answers by {port}: {}", told());
}

/// The lagg of the quick start: it answers, survives the loss of its first port, and looks as on FreeBSD.
#[track_caller]
fn expect_lagg(lan: &Lan, daemon: &Daemon, tool: &Tool) {
    let holds = || (lan.server.holders(ADDRESS) == ["lagg0"]).then_some(());
    assert!(poll_until(SOON, holds).is_some(), "{:?}", lan.server.addresses());
    lan.server.add_route("lagg0", "0.0.0.0/0", ROUTER4).unwrap();
    let _echo = Echo::start(&lan.server, PORT).unwrap();
    let target = SocketAddr::new(ADDRESS.parse().unwrap(), PORT);
    let stream = UdpStream::start(&lan.far, target, 100).unwrap();
    expect_traffic(&stream, daemon, tool, "em0");

    let shown = tool.ifconfig("lagg0");
    assert!(shown.starts_with("lagg0: flags=") && shown.contains(",RUNNING,"), "{shown}");
    for line in [
        "\tinet 192.0.2.5 netmask 0xffffff00 broadcast 192.0.2.255\n",
        "\tlaggproto failover lagghash l2,l3,l4\n",
        "\tlaggport: em0 flags=5<MASTER,ACTIVE>\n",
        "\tlaggport: em1 flags=0<>\n",
        "\tgroups: lagg\n",
        "\tstatus: active\n",
    ] {
        assert!(shown.contains(line), "{line:?} is not in\n{shown}");
    }

    lan.cut(0).unwrap();
    expect_traffic(&stream, daemon, tool, "em1");
    let shown = tool.ifconfig("lagg0");
    assert!(shown.contains("\tlaggport: em0 flags=1<MASTER>\n\tlaggport: em1 flags=4<ACTIVE>\n"), "{shown}");
    lan.plug(0).unwrap();
    expect_traffic(&stream, daemon, tool, "em0");
}

#[test]
fn every_line_of_the_quick_start_does_what_it_says() {
    with_daemon("quickstart::every_line_of_the_quick_start_does_what_it_says", || {
        let (lan, daemon, tool) = host(DETECTION);
        let lines: Vec<&str> = TEXT.lines().filter_map(|l| l.strip_prefix("ifconfig ")).collect();
        assert_eq!(lines.len(), 4, "{TEXT}");
        for line in &lines {
            assert_eq!(tool.ifconfig(line), "", "{line}");
        }
        expect_lagg(&lan, &daemon, &tool);

        // The line that circulates with its end cut off.
        let before = tool.ctl(&["--json", "status"]);
        let (cut, _) = lines[3].rsplit_once(' ').unwrap();
        let words: Vec<&str> = cut.split_whitespace().collect();
        let run = tool.run("ifconfig", &words);
        assert_eq!((run.code, run.err.as_str()), (1, "ifconfig: 'netmask' requires argument\n"));
        let ports = |text: &str| serde_json::from_str::<Value>(text).unwrap()["laggs"][0]["ports"].clone();
        assert_eq!(ports(&tool.ctl(&["--json", "status"])), ports(&before));

        assert_eq!(tool.ifconfig("lagg0 destroy"), "");
        let gone = poll_until(SOON, || lan.server.holders(ADDRESS).is_empty().then_some(()));
        assert!(gone.is_some(), "{:?}", lan.server.addresses());
        assert_eq!(tool.run("ifconfig", &["lagg0"]).err, "ifconfig: interface lagg0 does not exist\n");
    });
}

#[test]
fn rc_conf_gives_the_same_lagg_and_the_vhid_above_it() {
    with_daemon("quickstart::rc_conf_gives_the_same_lagg_and_the_vhid_above_it", || {
        let (lan, daemon, tool) = host(DETECTION);
        // ifconfig_em0="up" is left to the system.
        for n in 0..2 {
            lan.admin_up(n).unwrap();
        }
        let rc_conf = tool.dir().join("rc.conf");
        let lines: Vec<&str> = TEXT.lines().filter(|l| l.contains("=\"")).collect();
        assert_eq!(lines.len(), 5, "{TEXT}");
        std::fs::write(&rc_conf, lines.join("\n")).unwrap();
        let keys = tool.dir().join("keys");
        let (file, keys) = (rc_conf.to_str().unwrap(), keys.to_str().unwrap());
        let toml = tool.ctl(&["import", file, "--keys", keys]);
        assert!(!toml.contains("s3cret"), "{toml}");
        daemon.set_config(&format!("{DETECTION}{toml}")).unwrap();
        tool.ctl(&["reload"]);
        expect_lagg(&lan, &daemon, &tool);
        // Nobody else answers for the address of the vhid.
        let master = poll_until(SOON, || {
            let shown = tool.ifconfig("lagg0");
            (shown.contains("\tcarp: MASTER vhid 1 advbase 1 advskew 100\n")
                && shown.contains("\tinet 192.0.2.10 netmask 0xffffffff broadcast 192.0.2.10 vhid 1\n"))
            .then_some(())
        });
        assert!(master.is_some(), "{}", tool.ifconfig("lagg0"));

        let cut: Vec<String> = lines.iter().map(|l| l.replace(" 255.255.255.0\"", "\"")).collect();
        std::fs::write(&rc_conf, cut.join("\n")).unwrap();
        let run = tool.run("mpathctl", &["import", file, "--keys", keys]);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{run:?}");
        assert!(run.err.contains("'netmask' requires argument") && run.err.contains("rc.conf:4:"), "{run:?}");
    });
}
