//! In a process of its own: whoever is in the sandbox stays in it.

use super::*;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::process::Command;

const MARK: &str = "MPATH_SANDBOX_TEST";

#[test]
fn what_it_forbids_and_allows() {
    let Some(dir) = std::env::var_os(MARK) else {
        let dir = std::env::temp_dir().join(format!("mpath-sandbox-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("mine")).unwrap();
        let test = std::env::current_exe().unwrap();
        let name = "sandbox::tests::what_it_forbids_and_allows";
        let output =
            Command::new(test).args([name, "--exact", "--nocapture"]).env(MARK, &dir).output().unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    };
    let dir = PathBuf::from(dir);
    let mine = dir.join("mine");
    let (sandbox, landlock, seccomp) =
        Sandbox::enter(&[mine.clone(), dir.join("absent")], Offence::Fails).unwrap();
    assert!(sandbox.leave().count() <= SYSCTLS.len());
    if seccomp == Held::Fully {
        assert_eq!(unshare(CloneFlags::CLONE_NEWUSER), Err(Errno::ENOSYS));
        let alg = socket(AddressFamily::Alg, SockType::SeqPacket, SockFlag::empty(), None);
        assert_eq!(alg.err(), Some(Errno::ENOSYS));
        socket(AddressFamily::Inet, SockType::Datagram, SockFlag::empty(), None).unwrap();
        std::thread::spawn(|| {}).join().unwrap();
    }
    std::fs::write(mine.join("a"), "x").unwrap();
    std::fs::rename(mine.join("a"), mine.join("b")).unwrap();
    std::fs::remove_file(mine.join("b")).unwrap();
    std::fs::read("/proc/self/status").unwrap();
    if landlock != Held::Not {
        for other in [dir.join("other"), "/tmp/mpath-sandbox-other".into()] {
            let refused = std::fs::write(&other, "x").unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::EACCES), "{}", other.display());
        }
    }
}
