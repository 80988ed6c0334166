//! `cargo xtask deb`: the Debian package, from `packaging/`, `docs/` and the two programs, built by dpkg-deb.

use crate::metadata::{self, cargo};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Files of the repository, where they go, and their modes.
const FILES: &[(&str, &str, u32)] = &[
    ("packaging/systemd/mpathd.service", "lib/systemd/system/mpathd.service", 0o644),
    ("packaging/systemd/mpathd-wait-online.service", "lib/systemd/system/mpathd-wait-online.service", 0o644),
    ("packaging/sysusers.conf", "usr/lib/sysusers.d/mpathd.conf", 0o644),
    ("packaging/etc/default-mpathd", "etc/default/mpathd", 0o644),
    ("packaging/etc/rt_protos.conf", "etc/iproute2/rt_protos.d/mpathd.conf", 0o644),
    ("crates/ipc/src/org.mpathd.varlink", "usr/share/varlink/org.mpathd.varlink", 0o644),
    ("docs/man/mpathd.8", "usr/share/man/man8/mpathd.8", 0o644),
    ("docs/man/mpathctl.8", "usr/share/man/man8/mpathctl.8", 0o644),
    ("docs/man/mpathd.toml.5", "usr/share/man/man5/mpathd.toml.5", 0o644),
    ("LICENSE", "usr/share/doc/mpathd/copyright", 0o644),
    ("LICENSE-MIT", "usr/share/doc/mpathd/LICENSE-MIT", 0o644),
    ("LICENSE-APACHE", "usr/share/doc/mpathd/LICENSE-APACHE", 0o644),
    ("CHANGELOG.md", "usr/share/doc/mpathd/changelog", 0o644),
    ("README.md", "usr/share/doc/mpathd/README.md", 0o644),
];
/// Directories of the repository whose files go along.
const DIRECTORIES: &[(&str, &str)] =
    &[("docs", "usr/share/doc/mpathd"), ("docs/examples", "usr/share/doc/mpathd/examples")];
/// Links: where, and to what.
const LINKS: &[(&str, &str)] = &[
    ("usr/sbin/in.mpathd", "mpathd"),
    ("usr/sbin/ipmpstat", "../bin/mpathctl"),
    ("usr/sbin/if_mpadm", "../bin/mpathctl"),
    // Not in the way of net-tools: whoever wants it puts the directory into PATH.
    ("usr/lib/mpathd/compat/ifconfig", "../../../bin/mpathctl"),
    ("usr/share/man/man8/in.mpathd.8", "mpathd.8"),
    ("usr/share/man/man8/ipmpstat.8", "mpathctl.8"),
    ("usr/share/man/man8/if_mpadm.8", "mpathctl.8"),
];
const CONFFILES: &str = "/etc/default/mpathd\n/etc/iproute2/rt_protos.d/mpathd.conf\n";
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/mpathctl"),
    ("zsh", "usr/share/zsh/vendor-completions/_mpathctl"),
    ("fish", "usr/share/fish/vendor_completions.d/mpathctl.fish"),
];

/// Builds the package and prints its path. `--profile dev` takes the programs as tests build them.
pub(crate) fn run(args: &[OsString]) -> Result<(), String> {
    let (profile, version) = options(args)?;
    let metadata = metadata::read(&["--no-deps"])?;
    let own = metadata.packages.iter().find(|p| p.name == "mpathd").ok_or("no package mpathd")?;
    let version = version.unwrap_or_else(|| own.version.clone());
    build(&profile)?;
    let built = metadata.target_directory.join(if profile == "dev" { "debug" } else { &profile });
    let root = metadata.target_directory.join("deb/root");
    if root.exists() {
        fs::remove_dir_all(&root).map_err(|e| format!("cannot remove {}: {e}", root.display()))?;
    }
    programs(&built, &root)?;
    files(&metadata.workspace_root, &root)?;
    fs::create_dir_all(root.join("etc/mpathd")).map_err(|e| format!("cannot make etc/mpathd: {e}"))?;
    let architecture = said("dpkg", &["--print-architecture"])?;
    let size = said("du", &["-sk", &root.to_string_lossy()])?;
    let size = size.split_whitespace().next().unwrap_or("0").to_owned();
    control(&metadata.workspace_root, &root, &version, &architecture, &size)?;
    let deb = metadata.target_directory.join(format!("deb/mpathd_{version}_{architecture}.deb"));
    let mut command = Command::new("dpkg-deb");
    command.args(["--root-owner-group", "--build"]).arg(&root).arg(&deb).stdout(Stdio::null());
    succeed(&mut command)?;
    println!("{}", deb.display());
    Ok(())
}

fn options(args: &[OsString]) -> Result<(String, Option<String>), String> {
    let (mut profile, mut version) = ("release".to_owned(), None);
    let mut words = args.iter().map(|a| a.to_string_lossy().into_owned());
    while let Some(word) = words.next() {
        let value = words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--profile" => profile = value?,
            "--version" => version = Some(value?),
            _ => return Err(format!("deb does not know {word}")),
        }
    }
    Ok((profile, version))
}

fn build(profile: &str) -> Result<(), String> {
    let mut build = cargo();
    build.args(["build", "--quiet", "--profile", profile, "--package", "mpathd", "--package", "mpathctl"]);
    build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    succeed(&mut build)
}

/// The two programs, what one of them prints about itself, and links.
fn programs(built: &Path, root: &Path) -> Result<(), String> {
    for (name, to) in [("mpathd", "usr/sbin/mpathd"), ("mpathctl", "usr/bin/mpathctl")] {
        let to = put(&built.join(name), &root.join(to), 0o755)?;
        succeed(Command::new("strip").arg("--strip-unneeded").arg(&to))?;
    }
    for (shell, to) in COMPLETIONS {
        let text = said(&built.join("mpathctl").to_string_lossy(), &["completions", shell])?;
        write(&root.join(to), &(text + "\n"), 0o644)?;
    }
    for (link, target) in LINKS {
        let link = root.join(link);
        make_parent(&link)?;
        symlink(target, &link).map_err(|e| format!("cannot link {}: {e}", link.display()))?;
    }
    Ok(())
}

fn files(from: &Path, root: &Path) -> Result<(), String> {
    for (file, to, mode) in FILES {
        put(&from.join(file), &root.join(to), *mode)?;
    }
    for (directory, to) in DIRECTORIES {
        let entries =
            fs::read_dir(from.join(directory)).map_err(|e| format!("cannot read {directory}: {e}"))?;
        for entry in entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_file())) {
            put(&entry.path(), &root.join(to).join(entry.file_name()), 0o644)?;
        }
    }
    Ok(())
}

fn control(from: &Path, root: &Path, version: &str, architecture: &str, size: &str) -> Result<(), String> {
    let libc = glibc(&root.join("usr/sbin/mpathd"))?.max(glibc(&root.join("usr/bin/mpathctl"))?);
    let mut text = String::new();
    let _ = write!(
        text,
        "Package: mpathd\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: The mpathd developers <mpathd@localhost>\n\
         Installed-Size: {size}\nSection: net\nPriority: optional\n\
         Depends: libc6 (>= 2.{libc}), libgcc-s1, systemd | systemd-standalone-sysusers | systemd-sysusers\n\
         Recommends: iproute2\n\
         Description: IP multipathing: addresses that survive NICs, switch ports and hosts\n \
         Moves the IP addresses and routes of a failed NIC to another one, as in.mpathd\n \
         of Solaris does, bundles ports as lagg(4) failover does, and shares addresses\n \
         with other hosts as carp(4) does.\n"
    );
    write(&root.join("DEBIAN/control"), &text, 0o644)?;
    write(&root.join("DEBIAN/conffiles"), CONFFILES, 0o644)?;
    for script in SCRIPTS {
        put(&from.join("packaging/debian").join(script), &root.join("DEBIAN").join(script), 0o755)?;
    }
    Ok(())
}

/// The newest glibc 2.x whose symbols the program asks for: their names stand in it as text.
fn glibc(program: &Path) -> Result<u32, String> {
    let bytes = fs::read(program).map_err(|e| format!("cannot read {}: {e}", program.display()))?;
    let mark = b"GLIBC_2.";
    let number = |at: usize| -> Option<u32> {
        let rest = &bytes[at + mark.len()..];
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
    };
    let found = bytes.windows(mark.len()).enumerate().filter(|(_, w)| *w == mark);
    found
        .filter_map(|(at, _)| number(at))
        .max()
        .ok_or(format!("{} is not linked with glibc", program.display()))
}

fn put(from: &Path, to: &Path, mode: u32) -> Result<PathBuf, String> {
    make_parent(to)?;
    fs::copy(from, to).map_err(|e| format!("cannot copy {} to {}: {e}", from.display(), to.display()))?;
    chmod(to, mode)?;
    Ok(to.to_owned())
}

fn write(to: &Path, text: &str, mode: u32) -> Result<(), String> {
    make_parent(to)?;
    fs::write(to, text).map_err(|e| format!("cannot write {}: {e}", to.display()))?;
    chmod(to, mode)
}

fn chmod(path: &Path, mode: u32) -> Result<(), String> {
    let mode = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, mode).map_err(|e| format!("cannot chmod {}: {e}", path.display()))
}

/// Directories of a package are for everybody, whatever the umask.
fn make_parent(path: &Path) -> Result<(), String> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    if parent.is_dir() {
        return Ok(());
    }
    make_parent(parent)?;
    fs::create_dir(parent).map_err(|e| format!("cannot make {}: {e}", parent.display()))?;
    chmod(parent, 0o755)
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name} failed: {status}")),
        Err(e) => Err(format!("cannot run {name}: {e} (on Debian: apt-get install dpkg binutils)")),
    }
}

fn said(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).stderr(Stdio::inherit()).output();
    let output = output.map_err(|e| format!("cannot run {program}: {e}"))?;
    if !output.status.success() {
        return Err(format!("{program} failed: {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}
