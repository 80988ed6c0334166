//! Configurations on trial, reloads and what no file holds.

use crate::{SOON, expect, world};
use mpath_testkit::lan::{DATA4, DATA6};
use mpath_testkit::{GroupConfig, poll_until, with_daemon};

/// The group without its IPv4 data address: whoever came in by that is cut off.
fn without_ipv4() -> String {
    GroupConfig { data: vec![(format!("{DATA6}/64"), 0)], ..GroupConfig::default() }.text()
}

#[test]
fn a_trial_that_cuts_the_own_session_comes_back_by_itself() {
    with_daemon("trial::a_trial_that_cuts_the_own_session_comes_back_by_itself", || {
        let (lan, _daemon, tool) = world();
        let file = tool.dir().join("new.toml");
        std::fs::write(&file, without_ipv4()).unwrap();
        let file = file.to_str().unwrap();
        let plan = tool.ctl(&["plan", "--config", file]);
        assert!(plan.contains(&format!("{DATA4}/24")) && plan.contains("(removed)"), "{plan}");

        let mut command = tool.command("mpathctl", &["try", file, "--for", "2s"]);
        command.env("SSH_CONNECTION", format!("198.51.100.7 50000 {DATA4} 22"));
        let output = lan.server.run(|| command.output()).unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("you will lose this session"), "{text}");
        let gone = poll_until(SOON, || lan.server.holders(DATA4).is_empty().then_some(()));
        assert!(gone.is_some(), "the trial is in force");
        let second = tool.run("mpathctl", &["try", file]);
        assert!(second.code == 1 && second.err.contains("a trial is under way"), "{second:?}");
        let back = poll_until(SOON, || (lan.server.holders(DATA4) == ["eth0"]).then_some(()));
        assert!(back.is_some(), "nobody confirmed: the address is back");
        assert_eq!(tool.run("mpathctl", &["confirm"]).code, 1);
        assert!(!tool.ctl(&["status"]).contains("no file holds"));
    });
}

#[test]
fn a_confirmed_trial_stays_and_reload_does_not_lose_it_unasked() {
    with_daemon("trial::a_confirmed_trial_stays_and_reload_does_not_lose_it_unasked", || {
        let (lan, daemon, tool) = world();
        let file = tool.dir().join("new.toml");
        std::fs::write(&file, format!("# by hand\n{}", without_ipv4())).unwrap();
        let begun = tool.ctl(&["--json", "try", file.to_str().unwrap()]);
        let begun: serde_json::Value = serde_json::from_str(&begun).unwrap();
        assert_eq!(begun["trial_ms"], 60_000);
        assert_eq!(begun["plan"]["addresses"][0]["address"], format!("{DATA4}/24"));
        tool.ctl(&["confirm"]);
        expect(&tool, &["status"], "with changes that no file holds");
        let reload = tool.run("mpathctl", &["reload"]);
        assert!(reload.code == 1 && reload.err.contains("reload --discard"), "{reload:?}");
        daemon.signal(nix::sys::signal::Signal::SIGHUP).unwrap();
        daemon.wait_log(SOON, "configuration not reread").unwrap();
        assert!(lan.server.holders(DATA4).is_empty());

        let config = daemon.directory().join("mpathd.toml");
        let original = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, "# somebody else\n").unwrap();
        let save = tool.run("mpathctl", &["save"]);
        assert!(save.code == 1 && save.err.contains("has changed since it was read"), "{save:?}");
        std::fs::write(&config, &original).unwrap();
        tool.ctl(&["save"]);
        let saved = std::fs::read_to_string(&config).unwrap();
        assert!(saved.starts_with("# by hand\n"), "what somebody wrote is saved as it is: {saved}");
        let old = std::fs::read_to_string(daemon.directory().join("mpathd.toml~")).unwrap();
        assert_eq!(old, original);
        tool.ctl(&["reload"]);
        assert!(!tool.ctl(&["status"]).contains("no file holds"));
        std::fs::write(&config, original).unwrap();
        tool.ctl(&["reload", "--discard"]);
        let back = poll_until(SOON, || (lan.server.holders(DATA4) == ["eth0"]).then_some(()));
        assert!(back.is_some());
    });
}

/// The next program image knows of no trial, and of nothing that was released.
#[test]
fn an_upgrade_ends_a_trial_and_what_was_released_stays_so_until_a_reload() {
    with_daemon("trial::an_upgrade_ends_a_trial_and_what_was_released_stays_so_until_a_reload", || {
        let (lan, daemon, tool) = world();
        let file = tool.dir().join("new.toml");
        std::fs::write(&file, without_ipv4()).unwrap();
        tool.ctl(&["try", file.to_str().unwrap(), "--for", "60s"]);
        let gone = poll_until(SOON, || lan.server.holders(DATA4).is_empty().then_some(()));
        assert!(gone.is_some(), "the trial is in force");
        let before = daemon.log().len();
        daemon.signal(nix::sys::signal::Signal::SIGUSR2).unwrap();
        daemon.wait_log_after(before, SOON, "mpathd is running").unwrap();
        daemon.wait_ready().unwrap();
        let back = poll_until(SOON, || (lan.server.holders(DATA4) == ["eth0"]).then_some(()));
        assert!(back.is_some(), "nobody has confirmed it");

        tool.ctl(&["release", "eth1"]);
        let members = || tool.ctl(&["--json", "status"]).matches("\"eth1\"").count();
        assert_eq!(members(), 0);
        tool.ifconfig("eth0 standby");
        expect(&tool, &["status"], "with changes that no file holds");
        assert_eq!(members(), 0, "somebody else's change is none of eth1");
        tool.ctl(&["reload", "--discard"]);
        assert!(members() > 0);
    });
}
