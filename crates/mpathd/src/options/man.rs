//! mpathd(8), from the command line; `cargo xtask man` writes the page, the test here holds it in step.

use super::Options;
use clap::CommandFactory;
use std::path::Path;

const TAIL: &str = r#".SH SIGNALS
.TP
HUP
Reads the configuration again. Probe history, verdicts and moved addresses stay; a bad file is refused and the old configuration stays.
.TP
TERM, INT, QUIT
Stops and changes nothing that carries traffic: the next start adopts what it finds. Only CARP resigns and withdraws its addresses,
because another host is about to answer for them.
.TP
USR1
Logs the probe statistics.
.TP
USR2
Runs the program file again in place, state and CARP mastership kept. The sandbox stays that of the first image.
.SH "EXIT STATUS"
0 stopped; 1 could not start (another instance in this network namespace, no permission); 2 usage or configuration.
.SH "LOG"
To stderr, one line each: time, level, text, key=value. To the journal when systemd owns stderr: fields MPATHD_EVENT,
MPATHD_INTERFACE, MPATHD_GROUP and MPATHD_ with the name of each key, and a MESSAGE_ID for each kind of event
(docs/operations.md lists them). To syslog, facility daemon, in the background. The same text more than 20 times in a minute
(5000 times if only informative) is counted instead, and dropped lines are told of.
.SH SANDBOX
The daemon may write only beside its state, socket, configuration, last good configuration and recording, and to /proc/sys/net/ipv4/conf and
ipv6/conf (Landlock), and may make only the system calls that it knows (seccomp; others fail with ENOSYS), as far as the kernel
has these. Event programs are run by a helper process outside of it.
.SH ENVIRONMENT
.TP
MPATHD_SANDBOX
.I off
leaves the sandbox out, for debuggers;
.I strict
lets a system call that is not known kill the daemon, for tests.
.SH FILES
.TP
/etc/mpathd/mpathd.toml
Configuration, mpathd.toml(5).
.TP
/etc/default/mpathd
The three variables of in.mpathd.
.TP
/run/mpathd/mpathd.sock
Control socket: varlink, interface org.mpathd, described in /usr/share/varlink/org.mpathd.varlink.
.TP
/run/mpathd/state.json, unsaved.toml, keys
What survives the process and not the boot: homes, verdicts, original sysctls; changes that no file holds.
.SH "SEE ALSO"
.BR mpathctl (8),
.BR mpathd.toml (5),
.BR ip (8)
"#;

fn page() -> String {
    let man = clap_mangen::Man::new(Options::command())
        .section("8")
        .source("mpathd")
        .manual("System Administration")
        .date("");
    let mut page = Vec::new();
    let write = |page: &mut Vec<u8>| -> std::io::Result<()> {
        man.render_title(page)?;
        man.render_name_section(page)?;
        man.render_synopsis_section(page)?;
        man.render_description_section(page)?;
        man.render_options_section(page)
    };
    write(&mut page).expect("memory takes everything");
    String::from_utf8(page).expect("texts are UTF-8") + TAIL
}

#[test]
fn the_manual_page_is_in_step() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/man/mpathd.8");
    if std::env::var_os("MPATHD_WRITE_MAN").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), page(), "run `cargo xtask man`");
}
