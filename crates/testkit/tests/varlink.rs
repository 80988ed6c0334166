//! Somebody else's varlink implementation (zlink) speaks to the daemon: what it says and how it describes itself.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use futures_util::{Stream, StreamExt, pin_mut};
use mpath_testkit::{Daemon, GroupConfig, Lan, LanOptions, with_daemon};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use zlink::tokio::unix::connect;
use zlink::varlink_service::Proxy as _;

const SOON: Duration = Duration::from_secs(15);

#[derive(Debug, Deserialize, Serialize)]
struct StatusReply {
    status: Value,
}

#[derive(Debug, Deserialize, Serialize)]
struct WatchReply {
    event: Value,
}

#[derive(Debug, Deserialize, Serialize)]
struct Nothing {}

#[derive(Debug, PartialEq, zlink::ReplyError)]
#[zlink(interface = "org.mpathd")]
enum MpathdError {
    Refused { reason: String, message: String },
    PermissionDenied { message: String },
}

#[zlink::proxy("org.mpathd")]
trait MpathdProxy {
    async fn status(&mut self) -> zlink::Result<Result<StatusReply, MpathdError>>;
    async fn offline(&mut self, interface: &str) -> zlink::Result<Result<Nothing, MpathdError>>;
    async fn online(&mut self, interface: &str) -> zlink::Result<Result<Nothing, MpathdError>>;
    #[zlink(more)]
    async fn watch(
        &mut self,
    ) -> zlink::Result<impl Stream<Item = zlink::Result<Result<WatchReply, MpathdError>>>>;
}

async fn talk(socket: &std::path::Path) {
    let mut connection = connect(socket).await.unwrap();
    let info = connection.get_info().await.unwrap().unwrap();
    let interfaces: Vec<String> = info.interfaces.iter().map(ToString::to_string).collect();
    assert!(interfaces.contains(&"org.mpathd".to_owned()), "{interfaces:?}");

    let described =
        connection.get_interface_description("org.mpathd".try_into().unwrap()).await.unwrap().unwrap();
    let interface = described.parse().unwrap();
    let methods: BTreeSet<String> = interface.methods().map(|m| m.name().to_string()).collect();
    for method in ["Status", "Watch", "Offline", "Online", "Reload", "Explain", "Release"] {
        assert!(methods.contains(method), "{methods:?}");
    }

    let status = connection.status().await.unwrap().unwrap().status;
    assert_eq!(status["groups"][0]["name"], "production");
    let refused = connection.offline("eth9").await.unwrap().unwrap_err();
    let MpathdError::Refused { reason, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(reason, "unknown_interface");

    let mut watcher = connect(socket).await.unwrap();
    let events = watcher.watch().await.unwrap();
    pin_mut!(events);
    // The daemon may hear of the watcher later than of the commands.
    let event = loop {
        connection.offline("eth0").await.unwrap().unwrap();
        connection.online("eth0").await.unwrap().unwrap();
        let next = tokio::time::timeout(Duration::from_millis(100), events.next()).await;
        if let Ok(Some(reply)) = next {
            break reply.unwrap().unwrap().event;
        }
    };
    assert!(
        event["time"].is_string() && event["message"].is_string() && event["event"].is_string(),
        "{event}"
    );
    assert_eq!((&event["interface"], &event["group"]), (&"eth0".into(), &"production".into()), "{event}");
}

#[test]
fn a_foreign_client_is_understood() {
    with_daemon("a_foreign_client_is_understood", || {
        let lan = Lan::new(LanOptions { configured: true, ..LanOptions::default() }).unwrap();
        let daemon = Daemon::start(&lan.server, &GroupConfig::default().text()).unwrap();
        let ok = |s: &mpath_model::Status| s.groups[0].interfaces.iter().all(|i| i.active);
        daemon.wait_status(SOON, "both NICs are usable", ok).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let talk = async { tokio::time::timeout(SOON, talk(&daemon.socket())).await };
        runtime.block_on(talk).unwrap();
    });
}
