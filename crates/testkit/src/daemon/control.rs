//! The few calls that the kit makes on the daemon's control socket: one varlink message each way, NUL-terminated
//! JSON. The real client is another crate's, and is tested against the daemon elsewhere.

use crate::error::{Context, Error};
use mpath_model::Status;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long the daemon may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Longest answer, bytes.
const MAX_REPLY: u64 = 16 << 20;

pub(super) fn status(socket: &Path) -> Result<Status, Error> {
    let mut parameters = call(socket, "org.mpathd.Status", json!({}))?;
    serde_json::from_value(parameters["status"].take()).context(|| "read the status that mpathd sent")
}

pub(super) fn on_interface(socket: &Path, method: &str, interface: &str) -> Result<(), Error> {
    call(socket, method, json!({ "interface": interface })).map(drop)
}

pub(super) fn demote(socket: &Path, by: i32) -> Result<(), Error> {
    call(socket, "org.mpathd.Demote", json!({ "by": by })).map(drop)
}

fn call(socket: &Path, method: &str, parameters: Value) -> Result<Value, Error> {
    let what = || format!("call {method} on {}", socket.display());
    let mut stream = UnixStream::connect(socket).context(what)?;
    stream.set_read_timeout(Some(TIMEOUT)).context(what)?;
    stream.set_write_timeout(Some(TIMEOUT)).context(what)?;
    let mut request = json!({ "method": method, "parameters": parameters }).to_string().into_bytes();
    request.push(0);
    stream.write_all(&request).context(what)?;
    let mut reply = Vec::new();
    BufReader::new(stream.take(MAX_REPLY)).read_until(0, &mut reply).context(what)?;
    if reply.pop() != Some(0) {
        return Err(Error::new(what(), "the daemon closed the connection"));
    }
    let mut reply: Value = serde_json::from_slice(&reply).context(what)?;
    match reply.get("error") {
        Some(error) => Err(Error::new(what(), format!("{error} {}", reply["parameters"]))),
        None => Ok(reply["parameters"].take()),
    }
}
