//! Framing: messages are JSON texts, each ended by one NUL byte. What is inside them is [`crate::message`]'s
//! affair.

use serde::Serialize;
use std::fmt;

/// Cuts a byte stream into messages. How the bytes arrive in pieces makes no difference to what comes out.
#[derive(Debug)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Bytes at the front that have been handed out already.
    consumed: usize,
    /// No terminator stands before this position.
    scanned: usize,
    limit: usize,
}

/// A message was longer than the limit. The stream cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// The limit, bytes.
    pub limit: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message longer than {} bytes", self.limit)
    }
}

impl std::error::Error for TooLong {}

impl Framer {
    /// A framer for messages of at most `limit` bytes, terminator not counted.
    pub fn new(limit: usize) -> Framer {
        Framer { buffer: Vec::new(), consumed: 0, scanned: 0, limit }
    }

    /// Takes in what the socket gave. The caller bounds how much it feeds before it takes messages out.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.consumed > 0 {
            self.buffer.drain(..self.consumed);
            self.scanned -= self.consumed;
            self.consumed = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete message, without its terminator.
    pub fn next_message(&mut self) -> Result<Option<&[u8]>, TooLong> {
        let too_long = TooLong { limit: self.limit };
        match self.buffer[self.scanned..].iter().position(|b| *b == 0) {
            Some(offset) => {
                let (start, end) = (self.consumed, self.scanned + offset);
                if end - start > self.limit {
                    return Err(too_long);
                }
                self.consumed = end + 1;
                self.scanned = self.consumed;
                Ok(Some(&self.buffer[start..end]))
            }
            None => {
                self.scanned = self.buffer.len();
                if self.pending() > self.limit { Err(too_long) } else { Ok(None) }
            }
        }
    }

    /// Bytes taken in and not yet handed out: an incomplete message, or messages that wait.
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.consumed
    }
}

/// A message as it goes over the wire, terminator included.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(message)
        .expect("messages are plain data with string keys, which JSON can express");
    bytes.push(0);
    bytes
}

#[cfg(test)]
mod tests;
