//! The control protocol: frames, calls and replies.

use crate::CASES;
use mpath_ipc::{Call, Framer, ReplyMessage};

/// Small, so that a fuzzer meets it.
const LIMIT: usize = 4096;

/// Whatever the pieces in which it arrives, the same messages come out, and one that is read can be written.
#[test]
fn calls() {
    bolero::check!().with_iterations(CASES).for_each(|bytes: &[u8]| {
        let piece = usize::from(bytes.first().copied().unwrap_or(0)).max(1);
        let mut framer = Framer::new(LIMIT);
        let mut messages = Vec::new();
        'fed: for piece in bytes.chunks(piece) {
            framer.feed(piece);
            loop {
                match framer.next_message() {
                    Ok(Some(message)) => messages.push(message.to_vec()),
                    Ok(None) => break,
                    Err(_) => break 'fed,
                }
            }
            assert!(framer.pending() <= LIMIT);
        }
        let whole: Vec<&[u8]> = bytes.split(|b| *b == 0).collect();
        assert!(messages.iter().zip(whole).all(|(framed, split)| framed == split));
        for message in messages {
            let Ok(call) = Call::decode(&message) else { continue };
            let written = call.encode();
            let read = Call::decode(written.strip_suffix(&[0]).expect("a terminator follows"));
            assert_eq!(read.ok(), Some(call));
        }
    });
}

#[test]
fn replies() {
    bolero::check!().with_iterations(CASES).for_each(|bytes: &[u8]| {
        let _ = ReplyMessage::decode(bytes);
    });
}
