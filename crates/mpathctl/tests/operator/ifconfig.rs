//! The words of ifconfig, through the link of that name, on a daemon that began with an empty configuration.

use crate::tool::Tool;
use crate::{SOON, expect};
use mpath_testkit::{Daemon, Lan, LanOptions, poll_until, with_daemon};
use serde_json::Value;

fn world() -> (Lan, Daemon, Tool) {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let daemon = Daemon::start(&lan.server, "[detection]\nfailure_detection_time = \"1s\"\n").unwrap();
    let tool = Tool::new(&daemon, &lan.server);
    (lan, daemon, tool)
}

#[track_caller]
fn wait(what: &str, is: impl Fn() -> bool) {
    assert!(poll_until(SOON, || is().then_some(())).is_some(), "never: {what}");
}

#[test]
fn a_nic_is_probed_from_the_address_it_is_given() {
    with_daemon("ifconfig::a_nic_is_probed_from_the_address_it_is_given", || {
        let (lan, mut daemon, tool) = world();
        // What brings an address up brings up the NIC that it is on.
        tool.ifconfig("eth0 up");
        tool.ifconfig("eth1 down");
        for nic in ["eth0", "eth1"] {
            tool.ifconfig(&format!("{nic} group production"));
        }
        tool.ifconfig("eth0 addif 192.0.2.11/24 deprecated -failover up");
        tool.ifconfig("eth1 addif 192.0.2.12/24 deprecated -failover up");
        tool.ifconfig("eth0 addif 192.0.2.10/24 up");
        expect(&tool, &["why", "eth0"], "inet by icmp from 192.0.2.11");
        wait("the address is installed", || lan.server.holders("192.0.2.10") == ["eth0"]);
        // Both came to a running daemon, and have to prove themselves.
        expect(&tool, &["why", "eth0"], "eth0 of group production: ok");
        expect(&tool, &["why", "eth1"], "eth1 of group production: ok");
        let shown = tool.ifconfig("eth0");
        assert!(
            shown.contains("\tinet 192.0.2.10 netmask ffffff00") && shown.contains("groupname production"),
            "{shown}"
        );
        assert!(shown.contains("DEPRECATED,IPv4,NOFAILOVER"), "{shown}");
        let (of_inet, of_inet6) = (tool.ifconfig("eth0 inet"), tool.ifconfig("eth0 inet6"));
        assert!(of_inet.contains("\tinet 192.0.2.10") && !of_inet.contains("\tinet6"), "{of_inet}");
        assert!(!of_inet6.contains("\tinet 192.0.2.10") && of_inet6.contains("\tinet6 fe80"), "{of_inet6}");

        lan.cut(0).unwrap();
        wait("the data address moves", || lan.server.holders("192.0.2.10") == ["eth1"]);
        assert_eq!(lan.server.holders("192.0.2.11"), ["eth0"], "a test address never moves");
        assert!(tool.ifconfig("eth0").contains("FAILED"));

        // It becomes a data address, and leaves the failed NIC.
        tool.ifconfig("eth0:1 failover");
        wait("the former test address moves", || lan.server.holders("192.0.2.11") == ["eth1"]);
        tool.ifconfig("eth1 standby");
        lan.plug(0).unwrap();
        wait("both come home", || {
            lan.server.holders("192.0.2.10") == ["eth0"] && lan.server.holders("192.0.2.11") == ["eth0"]
        });
        expect(&tool, &["status"], "with changes that no file holds");

        // Kept over a crash, written by save, taken away again.
        daemon.kill9();
        daemon.restart().unwrap();
        let status: Value = serde_json::from_str(&tool.ctl(&["--json", "status"])).unwrap();
        assert_eq!((&status["unsaved"], &status["groups"][0]["name"]), (&true.into(), &"production".into()));
        tool.ctl(&["save"]);
        let saved = std::fs::read_to_string(daemon.directory().join("mpathd.toml")).unwrap();
        assert!(saved.contains("standby = true") && saved.contains("192.0.2.12/24"), "{saved}");
        tool.ifconfig("eth0 removeif 192.0.2.11");
        wait("it is deleted", || lan.server.holders("192.0.2.11").is_empty());
    });
}

#[test]
fn words_that_cannot_be_used_change_nothing() {
    with_daemon("ifconfig::words_that_cannot_be_used_change_nothing", || {
        let (lan, _daemon, tool) = world();
        let before = (tool.ctl(&["--json", "status"]), lan.server.addresses().unwrap().len());
        for (words, says) in [
            (
                &["lagg0", "laggproto", "failover", "laggport", "eth0", "laggport", "eth1", "netmask"][..],
                "ifconfig: 'netmask' requires argument\n",
            ),
            (&["eth0", "group", "a/b"], "ifconfig: the group name \"a/b\" contains '/'\n"),
            (
                &["lo", "group", "g"],
                "ifconfig: lo is the loopback interface and cannot be in a group or lagg\n",
            ),
            (
                &["eth0", "group", "g", "addif", "2001:db8::5/64"],
                "ifconfig: 2001:db8::5 is an IPv6 address: write inet6 in front of it\n",
            ),
            (
                &["eth0", "group", "g", "inet6", "2001:db8::5/64", "-failover"],
                "ifconfig: IPv6 test address 2001:db8::5/64 is not a link-local address\n",
            ),
            (&["eth9"], "ifconfig: interface eth9 does not exist\n"),
            (&["eth9", "up"], "ifconfig: interface eth9 does not exist\n"),
            (&["eth9", "inet"], "ifconfig: interface eth9 does not exist\n"),
            (&["eth9", "plumb"], "ifconfig: interface eth9 does not exist\n"),
            (&["lagg0", "laggproto", "failover"], "ifconfig: interface lagg0 does not exist\n"),
        ] {
            let run = tool.run("ifconfig", words);
            assert_eq!((run.code, run.err.as_str()), (1, says), "{words:?}");
        }
        assert_eq!((tool.ctl(&["--json", "status"]), lan.server.addresses().unwrap().len()), before);
        let list = tool.ifconfig("-l");
        assert!(list.contains("lo") && list.contains("eth0"), "{list}");
        assert!(tool.ifconfig("-a").contains("eth1: flags="));
    });
}

#[test]
fn a_vhid_is_made_by_the_words_of_freebsd() {
    with_daemon("ifconfig::a_vhid_is_made_by_the_words_of_freebsd", || {
        let (lan, mut daemon, tool) = world();
        let words = ["eth0", "vhid", "1", "advskew", "100", "pass", "s3cret", "alias", "192.0.2.30/32"];
        let run = tool.run("ifconfig", &words);
        assert_eq!((run.code, run.out.as_str()), (0, ""), "{run:?}");
        assert!(
            run.err.contains("ps shows the passphrase to everybody") && !run.err.contains("s3cret"),
            "{run:?}"
        );
        // Nobody else answers for it.
        wait("it is master", || {
            tool.ifconfig("eth0").contains("\tcarp: MASTER vhid 1 advbase 1 advskew 100\n")
        });
        let shown = tool.ifconfig("eth0");
        assert!(
            shown.contains("\tinet 192.0.2.30 netmask 0xffffffff broadcast 192.0.2.30 vhid 1\n"),
            "{shown}"
        );

        let mut command =
            tool.command("ifconfig", &["eth1", "vhid", "2", "pass", "-", "alias", "192.0.2.31/32"]);
        command.stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let output = lan.server.run(|| {
            let mut child = command.spawn().unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"0ther\n").unwrap();
            child.wait_with_output().unwrap()
        });
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        wait("both are masters", || {
            tool.ifconfig("eth1").contains("\tcarp: MASTER vhid 2 advbase 1 advskew 0\n")
        });

        // Kept over a crash, passphrases too, and shown to nobody.
        daemon.kill9();
        daemon.restart().unwrap();
        wait("it is master again", || tool.ifconfig("eth1").contains("\tcarp: MASTER vhid 2 "));
        let told = daemon.log_text() + &tool.ctl(&["--json", "status"]);
        assert!(!told.contains("s3cret") && !told.contains("0ther"), "{told}");
        tool.ifconfig("eth1 vhid 2 -alias 192.0.2.31/32");
        wait("it is gone", || !tool.ifconfig("eth1").contains("192.0.2.31"));
    });
}
