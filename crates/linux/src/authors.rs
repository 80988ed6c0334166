//! Who is behind a change, as far as the kernel tells. Notifications carry the netlink port of the request that caused them,
//! and by habit that is the process id of who opened the socket. The name is a hint for people, nothing to decide upon.

use mpath_model::{KernelEvent, PROTO_MPATHD};

/// Names by port; the last one is remembered, because changes come in bursts.
#[derive(Debug, Default)]
pub(crate) struct Authors {
    last: Option<(u32, Option<String>)>,
}

impl Authors {
    /// Whether anybody wants to know who is behind this event: something may have been taken from us.
    pub(crate) fn matter(&self, event: &KernelEvent) -> bool {
        match event {
            KernelEvent::AddressGone(_) => true,
            KernelEvent::RouteGone(r) => r.protocol == PROTO_MPATHD,
            KernelEvent::RouteReplaced(r) => r.protocol != PROTO_MPATHD,
            _ => false,
        }
    }

    /// Words for the program behind a port: none for the kernel itself, and for this process.
    pub(crate) fn of(&mut self, port: u32) -> Option<String> {
        match &self.last {
            Some((last, name)) if *last == port => name.clone(),
            _ => {
                let name = named(port);
                self.last = Some((port, name.clone()));
                name
            }
        }
    }
}

fn named(port: u32) -> Option<String> {
    // The second socket of a process gets a number beyond all process ids.
    let pid = i32::try_from(port).ok().filter(|p| *p > 0 && port != std::process::id())?;
    Some(match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("{} (process {pid})", name.trim_end()),
        Err(_) => format!("process {pid}, which has ended"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_processes_at_most() {
        let mut authors = Authors::default();
        assert_eq!(authors.of(0), None);
        assert_eq!(authors.of(std::process::id()), None);
        assert_eq!(authors.of(u32::MAX - 4000), None);
        assert!(authors.of(1).is_some_and(|n| n.contains("process 1")));
        assert!(authors.of(i32::MAX as u32).is_some_and(|n| n.contains("has ended")));
    }
}
