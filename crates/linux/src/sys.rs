//! All `unsafe` of the product: the few system calls that neither std nor nix offers in safe form.
//! Nothing here knows what the calls are for.

#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::sys::socket::{LinkAddr, SockaddrLike};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// setsockopt(2) with the option's value as bytes.
pub fn set_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    let length = libc::socklen_t::try_from(value.len()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the pointer and the length describe `value`, which lives through the call; the kernel only
    // reads from it.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), length) };
    Errno::result(result).map(drop)
}

/// setsockopt(2) of an `int` option.
pub fn set_int_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> Result<(), Errno> {
    set_option(fd, level, name, &value.to_ne_bytes())
}

/// sched_setscheduler(2) of the calling thread. Children do not inherit a real-time policy.
pub fn set_scheduler(policy: i32, priority: i32) -> Result<(), Errno> {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the kernel only reads from `parameters`, which lives through the call; 0 is the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, policy | libc::SCHED_RESET_ON_FORK, &parameters) };
    Errno::result(result).map(drop)
}

/// mlockall(2) of what is and what will be touched, or munlockall(2).
pub fn lock_memory(lock: bool) -> Result<(), Errno> {
    let all = libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT;
    // SAFETY: neither call takes a pointer; they change where pages may live, not what is in them.
    let result = unsafe { if lock { libc::mlockall(all) } else { libc::munlockall() } };
    Errno::result(result).map(drop)
}

/// Attaches a classic BPF program to a socket (SO_ATTACH_FILTER, packet(7)): what it refuses is never queued.
pub fn attach_filter(fd: BorrowedFd<'_>, program: &[libc::sock_filter]) -> Result<(), Errno> {
    let filter = libc::sock_fprog {
        len: program.len().try_into().map_err(|_| Errno::EINVAL)?,
        filter: program.as_ptr().cast_mut(),
    };
    let length = size_of::<libc::sock_fprog>() as libc::socklen_t;
    // SAFETY: the pointers and lengths describe `filter` and `program`, which live through the call; the kernel only
    // reads from both.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            length,
        )
    };
    Errno::result(result).map(drop)
}

/// Whether an interface is up and has a carrier, as its driver says at this moment (ETHTOOL_GLINK): the cheapest call that shows it
/// (linux-failover.md, 1). Any socket will do.
pub fn has_carrier(fd: BorrowedFd<'_>, name: &str) -> Result<bool, Errno> {
    /// ETHTOOL_GLINK (linux/ethtool.h).
    const GLINK: u32 = 0x0a;
    /// struct ethtool_value
    #[repr(C)]
    struct Value {
        command: u32,
        data: u32,
    }
    let mut value = Value { command: GLINK, data: 0 };
    let mut request = interface_request(name)?;
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: SIOCETHTOOL takes a pointer to an ifreq that points to what the command wants; both live through the call.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) })?;
    Ok(value.data != 0)
}

/// A request for the interface of this name.
fn interface_request(name: &str) -> Result<libc::ifreq, Errno> {
    // SAFETY: ifreq is plain data for which zeroes are a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The name ends in a zero.
    if name.len() >= request.ifr_name.len() {
        return Err(Errno::ENAMETOOLONG);
    }
    request.ifr_name.iter_mut().zip(name.bytes()).for_each(|(to, byte)| *to = byte as libc::c_char);
    Ok(request)
}

/// Makes a tun(4) device of this name and kind (IFF_TUN or IFF_TAP, with IFF_NO_PI) behind an open `/dev/net/tun`.
pub fn make_tun(fd: BorrowedFd<'_>, name: &str, flags: i32) -> Result<(), Errno> {
    let mut request = interface_request(name)?;
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: TUNSETIFF takes a pointer to an ifreq, which lives through the call and ends in a zero.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF, &raw mut request) }).map(drop)
}

/// Gives such a device its carrier, or takes it (TUNSETCARRIER, Linux 5.0).
pub fn set_tun_carrier(fd: BorrowedFd<'_>, on: bool) -> Result<(), Errno> {
    let on = i32::from(on);
    // SAFETY: TUNSETCARRIER takes a pointer to an int, which lives through the call.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETCARRIER, &raw const on) }).map(drop)
}

/// The socket address of an interface for AF_PACKET, to bind or to send to.
///
/// `protocol` is an Ethernet type in host byte order, 0 to receive nothing.
pub fn link_address(index: u32, protocol: u16) -> Option<LinkAddr> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol.to_be(),
        sll_ifindex: i32::try_from(index).ok()?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [0; 8],
    };
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the pointer is to a valid sockaddr_ll of that length, whose family says AF_PACKET; from_raw
    // copies it.
    unsafe { LinkAddr::from_raw((&raw const address).cast(), Some(length)) }
}

/// A descriptor that the program image before this one has left open, whose number is known by other means. It is taken
/// once, and not passed on to children.
pub fn inherited(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: fcntl with F_SETFD takes no pointer; a number that is no descriptor is refused.
    let result = unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    // SAFETY: the descriptor is open, and nobody else in this image knows of it: it was opened by the one before.
    (result == 0 && fd > 2).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The supplementary groups of the process at the other end of a unix socket, as they were when it connected
/// (SO_PEERGROUPS, Linux 4.13).
pub fn peer_groups(fd: BorrowedFd<'_>) -> Result<Vec<u32>, Errno> {
    let mut groups = vec![0_u32; 64];
    loop {
        let mut length = libc::socklen_t::try_from(size_of_val(&groups[..])).map_err(|_| Errno::E2BIG)?;
        // SAFETY: the pointer and the length describe `groups`, which the kernel may fill; `length` lives through the call.
        let result = unsafe {
            libc::getsockopt(
                fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let number = length as usize / size_of::<u32>();
        match Errno::result(result) {
            Ok(_) => {
                groups.truncate(number);
                return Ok(groups);
            }
            // The kernel has said how many there are; a process has at most 65536.
            Err(Errno::ERANGE) if number > groups.len() => groups.resize(number, 0),
            Err(e) => return Err(e),
        }
    }
}

/// Has `command` run as root of user, network and mount namespaces of its own, in which only the caller's
/// user and group exist. Needs no privilege where unprivileged user namespaces are allowed.
pub fn unshare_before_exec(command: &mut Command) {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let files: [(&'static CStr, CString); 3] = [
        (c"/proc/self/setgroups", c"deny".to_owned()),
        (c"/proc/self/uid_map", map(uid.as_raw())),
        (c"/proc/self/gid_map", map(gid.as_raw())),
    ];
    let enter = move || {
        // SAFETY: unshare takes no pointers; after fork this process has one thread.
        let result = unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET | libc::CLONE_NEWNS) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        files.iter().try_for_each(|(path, text)| write_file(path, text))
    };
    // SAFETY: between fork and exec the closure makes only async-signal-safe calls (unshare, open, write,
    // close) on memory prepared before the fork, and allocates nothing.
    unsafe { command.pre_exec(enter) };
}

/// Starts `command` in a session of its own: no terminal, no process group of the caller (setsid(2)).
pub fn new_session(command: &mut Command) {
    let detach = || {
        // SAFETY: setsid takes no arguments and touches no memory.
        let result = unsafe { libc::setsid() };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: setsid is async-signal-safe and the closure allocates nothing.
    unsafe { command.pre_exec(detach) };
}

/// Has the kernel kill `command` when the thread that started it ends.
pub fn die_with_parent(command: &mut Command) {
    let arm = || {
        // SAFETY: PR_SET_PDEATHSIG takes a signal number and no pointers.
        let result = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: prctl is async-signal-safe and the closure allocates nothing.
    unsafe { command.pre_exec(arm) };
}

/// A system call that waits for an answer (seccomp_unotify(2)).
#[derive(Clone, Copy, Debug)]
pub struct ReportedCall {
    /// To answer it by.
    pub id: u64,
    /// The thread that makes it.
    pub thread: u32,
    /// Its first argument, a descriptor of that thread's process.
    pub descriptor: RawFd,
}

/// Has the calls with these two numbers, by `command` and whatever it becomes, wait for an answer of whoever holds the
/// listener, which is left open there as descriptor `at`.
pub fn report_calls(command: &mut Command, [one, other]: [libc::c_long; 2], at: RawFd) {
    const fn step(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
        libc::sock_filter { code: code as u16, jt, jf, k }
    }
    const NOTHING: libc::c_ulong = 0;
    let number = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let mut filter = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0), // seccomp_data.nr
        step(number, 1, 0, one as u32),
        step(number, 0, 1, other as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_USER_NOTIF),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let install = move || {
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        // SAFETY: neither prctl nor dup3 takes a pointer; seccomp reads `program` and `filter`, which live through the call.
        let result = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1 as libc::c_ulong, NOTHING, NOTHING, NOTHING);
            let mode = libc::c_ulong::from(libc::SECCOMP_SET_MODE_FILTER);
            let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
            match libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) {
                listener if listener >= 0 => libc::dup3(listener as RawFd, at, 0),
                _ => -1,
            }
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: between fork and exec the closure makes system calls on memory of its own, and allocates nothing.
    unsafe { command.pre_exec(install) };
}

/// A duplicate of another process's descriptor (pidfd_getfd(2), Linux 5.6).
pub fn descriptor_of(process: u32, fd: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: no pointers; what the kernel returns is a new descriptor that nobody else knows of.
    let owned = |number: libc::c_long| unsafe { OwnedFd::from_raw_fd(number as RawFd) };
    // SAFETY: pidfd_open takes a number and flags.
    let process =
        Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, libc::c_long::from(process), 0_usize) })
            .map(owned)?;
    // SAFETY: pidfd_getfd takes two descriptors and flags.
    let number = unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), fd, 0_usize) };
    Errno::result(number).map(owned)
}

/// The next call that waits for an answer; waits for one.
pub fn reported_call(listener: BorrowedFd<'_>) -> Result<ReportedCall, Errno> {
    // SAFETY: plain data, for which zeroes are what the kernel wants to find.
    let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes a seccomp_notif into `call`, which lives through the call.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut call) };
    Errno::result(result)?;
    Ok(ReportedCall { id: call.id, thread: call.pid, descriptor: call.data.args[0] as RawFd })
}

/// Lets a call that waits go on, or fail with this error. ENOENT: it has been interrupted, and will come again.
pub fn answer_call(listener: BorrowedFd<'_>, id: u64, refusal: Option<Errno>) -> Result<(), Errno> {
    let (error, flags) = match refusal {
        Some(errno) => (-(errno as i32), 0),
        None => (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
    };
    let mut answer = libc::seccomp_notif_resp { id, val: 0, error, flags };
    // SAFETY: the kernel reads a seccomp_notif_resp from `answer`, which lives through the call.
    let result =
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) };
    Errno::result(result).map(drop)
}

fn map(id: u32) -> CString {
    CString::new(format!("0 {id} 1")).expect("digits and spaces hold no NUL")
}

/// Writes a /proc file between fork and exec.
fn write_file(path: &CStr, text: &CStr) -> io::Result<()> {
    let bytes = text.to_bytes();
    // SAFETY: `path` is NUL-terminated and lives through the call.
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the pointer and the length describe `bytes`, which lives through the call.
    let written = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    let error = io::Error::last_os_error();
    // SAFETY: `fd` was opened above and is closed nowhere else.
    unsafe { libc::close(fd) };
    if usize::try_from(written) == Ok(bytes.len()) { Ok(()) } else { Err(error) }
}
