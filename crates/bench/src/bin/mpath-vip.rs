//! `mpath-vip add|del INTERFACE ADDRESS/LENGTH`: what the scripts of ucarp do, which moves no address by itself.
//! `mpath-bench peers` makes such scripts.

#![forbid(unsafe_code)]

use mpath_linux::netlink::{Socket, create};
use mpath_model::IfAddr;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: mpath-vip add|del INTERFACE ADDRESS/LENGTH");
    let (deed, interface, address) = (next()?, next()?, next()?);
    let index = nix::net::if_::if_nametoindex(interface.as_str())?;
    let address: IfAddr = address.parse()?;
    let mut socket = Socket::open()?;
    match deed.as_str() {
        "add" => create::add_address(&mut socket, index, address)?,
        "del" => create::del_address(&mut socket, index, address)?,
        other => return Err(format!("'{other}' is neither add nor del").into()),
    }
    Ok(())
}
