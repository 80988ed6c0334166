//! Waiting for a condition with a deadline; nothing in the kit sleeps and hopes.

use std::time::{Duration, Instant};

/// Pause between two looks at a condition.
const POLL: Duration = Duration::from_millis(2);

/// Looks at `condition` until it yields a value; `None` at the deadline.
pub fn poll_until<T>(deadline: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(POLL);
    }
}

/// Waits until `condition` holds; returns how long that took.
///
/// # Panics
/// At the deadline, naming `what`.
#[track_caller]
pub fn wait_until(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    match poll_until(deadline, || condition().then_some(())) {
        Some(()) => start.elapsed(),
        None => panic!("not within {deadline:?}: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_as_soon_as_it_holds() {
        let mut looks = 0;
        let took = wait_until(Duration::from_secs(60), "third look", || {
            looks += 1;
            looks == 3
        });
        assert_eq!(looks, 3);
        assert!(took < Duration::from_secs(60));
    }

    #[test]
    fn looks_at_least_once_and_gives_up() {
        assert_eq!(poll_until(Duration::ZERO, || Some(7)), Some(7));
        assert_eq!(poll_until(Duration::from_millis(5), || None::<u8>), None);
    }

    #[test]
    #[should_panic(expected = "the cows")]
    fn names_what_did_not_happen() {
        wait_until(Duration::ZERO, "the cows come home", || false);
    }
}
