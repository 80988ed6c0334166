//! Reading fixed fields in network byte order (RFC 1700, "Data Notations"). Nothing here can panic.

use crate::Error;
use mpath_model::Mac;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Takes fields off the front of a slice.
pub(crate) struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader over `bytes`, which must have at least `need` of them.
    pub(crate) fn new(what: &'static str, bytes: &'a [u8], need: usize) -> Result<Reader<'a>, Error> {
        if bytes.len() < need {
            let have = bytes.len();
            Err(Error::Short { what, need, have })
        } else {
            Ok(Reader { what, rest: bytes })
        }
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        match self.rest.split_first_chunk::<N>() {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(*head)
            }
            None => {
                let (what, have) = (self.what, self.rest.len());
                Err(Error::Short { what, need: N, have })
            }
        }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(crate) fn mac(&mut self) -> Result<Mac, Error> {
        Ok(Mac(self.array()?))
    }

    pub(crate) fn ipv4(&mut self) -> Result<Ipv4Addr, Error> {
        Ok(Ipv4Addr::from(self.array::<4>()?))
    }

    pub(crate) fn ipv6(&mut self) -> Result<Ipv6Addr, Error> {
        Ok(Ipv6Addr::from(self.array::<16>()?))
    }

    /// What has not been taken yet.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }
}

/// `Ok` if `value` is one of `allowed`, else the error that names the field.
pub(crate) fn expect_field(what: &'static str, value: u64, allowed: &[u64]) -> Result<(), Error> {
    if allowed.contains(&value) { Ok(()) } else { Err(Error::Field { what, value }) }
}
