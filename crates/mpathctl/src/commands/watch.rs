//! `mpathctl watch`: events as they happen, one line each, until the daemon stops or nobody reads.

use crate::cli::Cli;
use crate::exit::{Error, Exit};
use crate::output::{self, Style};
use mpath_ipc::TimedEvent;
use mpath_model::EventKind;

pub(crate) fn run(cli: &Cli) -> Result<Exit, Error> {
    let mut watch = super::connect(cli)?.watch()?;
    let colour = output::colour();
    loop {
        let event = watch.next_event()?;
        if cli.json {
            output::json_line(&event)?;
        } else {
            output::text(&line(&event, colour))?;
        }
    }
}

fn line(event: &TimedEvent, colour: bool) -> String {
    let kind = serde_json::to_value(event.event.event).unwrap_or_default();
    let name = format!("{:<14}", kind.as_str().unwrap_or_default());
    let style = match event.event.event {
        EventKind::LinkDown | EventKind::NicFailed | EventKind::GroupFailed | EventKind::Alarm => Style::Bad,
        EventKind::LinkUp | EventKind::NicRepaired | EventKind::Failback | EventKind::GroupRepaired => {
            Style::Good
        }
        _ => Style::Bold,
    };
    format!("{}  {}  {}\n", event.time, style.paint(&name, colour), event.event.message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpath_model::Event;

    #[test]
    fn one_line_each() {
        let event = TimedEvent {
            time: "2026-11-22T01:41:36.007+00:00".to_owned(),
            event: Event {
                event: EventKind::NicFailed,
                interface: Some("eth0".to_owned()),
                group: Some("production".to_owned()),
                message: "NIC failure detected on eth0 of group production".to_owned(),
            },
        };
        assert_eq!(
            line(&event, false),
            "2026-11-22T01:41:36.007+00:00  nic_failed      NIC failure detected on eth0 of group production\n"
        );
        assert!(line(&event, true).contains("\x1b[1;31mnic_failed    \x1b[0m"));
    }
}
