use super::*;
use proptest::prelude::*;

fn cut(chunks: &[&[u8]], limit: usize) -> Result<Vec<Vec<u8>>, TooLong> {
    let mut framer = Framer::new(limit);
    let mut messages = Vec::new();
    for chunk in chunks {
        framer.feed(chunk);
        while let Some(message) = framer.next_message()? {
            messages.push(message.to_vec());
        }
    }
    Ok(messages)
}

#[test]
fn messages_end_with_nul() {
    assert_eq!(cut(&[b"ab\0c"], 10), Ok(vec![b"ab".to_vec()]));
    assert_eq!(cut(&[b"ab", b"\0c\0\0"], 10), Ok(vec![b"ab".to_vec(), b"c".to_vec(), vec![]]));
}

#[test]
fn limit_holds_with_and_without_terminator() {
    assert_eq!(cut(&[b"abc\0"], 3), Ok(vec![b"abc".to_vec()]));
    assert_eq!(cut(&[b"abcd"], 3), Err(TooLong { limit: 3 }));
    assert_eq!(cut(&[b"abcd\0"], 3), Err(TooLong { limit: 3 }));
}

#[test]
fn pending_counts_what_waits() {
    let mut framer = Framer::new(100);
    framer.feed(b"one\0tw");
    assert_eq!(framer.pending(), 6);
    assert_eq!(framer.next_message(), Ok(Some(&b"one"[..])));
    assert_eq!(framer.pending(), 2);
    assert_eq!(framer.next_message(), Ok(None));
    framer.feed(b"o\0");
    assert_eq!(framer.next_message(), Ok(Some(&b"two"[..])));
    assert_eq!(framer.pending(), 0);
}

proptest! {
    #[test]
    fn framing_does_not_depend_on_chunks(
        bytes in proptest::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(0u8)], 0..300),
        cuts in proptest::collection::vec(0usize..300, 0..8),
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
        prop_assert_eq!(cut(&chunks, 1000), cut(&[&bytes], 1000));
    }

    #[test]
    fn nothing_longer_than_the_limit_comes_out(bytes in proptest::collection::vec(0u8..4, 0..200)) {
        if let Ok(messages) = cut(&[&bytes], 5) {
            prop_assert!(messages.iter().all(|m| m.len() <= 5));
        }
    }
}
