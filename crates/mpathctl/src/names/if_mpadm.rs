//! `if_mpadm -d|-r IF`, in the words of mpathd-behaviour.md 7.5.

use super::{Trouble, connect};
use mpath_ipc::{ClientError, Failure, Request};
use std::path::Path;

const USAGE: &str = "Usage : if_mpadm [-d | -r] <interface_name>";

pub(crate) fn run(socket: &Path, args: &[String]) -> Result<(), Trouble> {
    let request = match args {
        [option, name] if option == "-d" => Request::Offline { interface: name.clone() },
        [option, name] if option == "-r" => Request::Online { interface: name.clone() },
        _ => return Err(Trouble::Say(USAGE.to_owned())),
    };
    let outcome = connect(socket).and_then(|mut client| client.call(request));
    outcome.map(|_| ()).map_err(|error| Trouble::Say(words(&error)))
}

fn words(error: &ClientError) -> String {
    let ClientError::Failed(failure) = error else {
        return match error {
            ClientError::Forbidden(_) => format!("if_mpadm: Permission denied: {error}"),
            ClientError::Silent(..) | ClientError::Closed(_) => {
                format!("Failed to successfully read result from in.mpathd.\n{error}")
            }
            _ => format!("Cannot establish communication with in.mpathd.\n{error}"),
        };
    };
    match failure {
        Failure::Refused { reason, message } => match reason.as_str() {
            "already_offline" => "Interface already offlined".to_owned(),
            "not_offline" => "Interface not offlined".to_owned(),
            "no_other_interface" => {
                "Offline failed as there is no other functional interface available in the \
                multipathing group for failing over the network access."
                    .to_owned()
            }
            "unknown_interface" => format!("if_mpadm: Invalid argument\n{message}"),
            "busy" => format!("Device busy. Retry the operation later.\n{message}"),
            other => format!("Operation returned an unrecognized error: {other}\n{message}"),
        },
        Failure::PermissionDenied { message } => format!("if_mpadm: Permission denied\n{message}"),
        other => format!("Operation returned an unrecognized error: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_manual() {
        let refused = |reason: &str| {
            let (reason, message) = (reason.to_owned(), "m".to_owned());
            words(&ClientError::Failed(Failure::Refused { reason, message }))
        };
        assert_eq!(refused("already_offline"), "Interface already offlined");
        assert_eq!(refused("not_offline"), "Interface not offlined");
        assert_eq!(
            refused("no_other_interface"),
            "Offline failed as there is no other functional interface available in the multipathing group for \
             failing over the network access."
        );
        assert!(refused("unknown_interface").starts_with("if_mpadm: Invalid argument"));
        let missing = words(&ClientError::Missing("/s".into()));
        assert!(missing.starts_with("Cannot establish communication with in.mpathd."));
    }
}
