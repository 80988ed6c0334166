//! A recording of the real daemon, played again.

use crate::tool::Tool;
use crate::{SOON, expect, words};
use mpath_testkit::lan::DATA4;
use mpath_testkit::{Daemon, DaemonOptions, GroupConfig, Lan, LanOptions, poll_until, with_daemon};

#[test]
fn a_recording_tells_again_what_happened_and_why() {
    with_daemon("replay::a_recording_tells_again_what_happened_and_why", || {
        let lan = Lan::new(LanOptions::default()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("recording");
        let file = file.to_str().unwrap();
        let mut daemon = Daemon::launch(
            &lan.server,
            DaemonOptions {
                config: GroupConfig::default().text(),
                arguments: vec!["--record".to_owned(), file.to_owned()],
                ..DaemonOptions::default()
            },
        )
        .unwrap();
        daemon.wait_ready().unwrap();
        let tool = Tool::new(&daemon, &lan.server);
        let home = poll_until(SOON, || (lan.server.holders(DATA4) == ["eth0"]).then_some(()));
        assert!(home.is_some(), "{:?}", lan.server.addresses());
        lan.cut(0).unwrap();
        expect(&tool, &["why", "eth0"], "because its link is down");
        let moved = poll_until(SOON, || (lan.server.holders(DATA4) == ["eth1"]).then_some(()));
        assert!(moved.is_some(), "{:?}", lan.server.addresses());
        daemon.term().unwrap();

        let run = tool.run("mpathctl", &["replay", file, "--requests"]);
        let text = words(&run.out);
        assert_eq!(run.code, 0, "{run:?}");
        for part in [
            "The link has gone down on eth0",
            "NIC failure detected on eth0 of group production",
            "because eth0: its link is down",
            "every decision is as it was",
            "request: AddAddress",
        ] {
            assert!(text.contains(part), "'{part}' is not in {}", run.out);
        }
        let json = tool.ctl(&["--json", "replay", file]);
        assert!(
            json.lines().any(|l| l.contains("\"nic_failed\"") && l.contains("its link is down")),
            "{json}"
        );

        // A line that somebody has touched, and one that is cut off.
        let whole = std::fs::read_to_string(file).unwrap();
        std::fs::write(file, whole.replacen("\"Tick\"", "\"Tock\"", 1)).unwrap();
        let run = tool.run("mpathctl", &["replay", file]);
        assert!(run.code == 2 && run.err.contains("this is no line of a recording"), "{run:?}");
        std::fs::write(file, &whole[..whole.len() - 5]).unwrap();
        assert_eq!(tool.run("mpathctl", &["replay", file]).code, 0);
        std::fs::write(file, "").unwrap();
        assert_eq!(tool.run("mpathctl", &["replay", file]).code, 2);
    });
}
