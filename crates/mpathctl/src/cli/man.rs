//! mpathctl(8), from the command line; `cargo xtask man` writes the page, the test here holds it in step.

use super::Cli;
use clap::CommandFactory;
use clap_mangen::Man;
use std::path::Path;

const TAIL: &str = r#".SH "OTHER NAMES"
Called
.BR ipmpstat ", " if_mpadm " or " ifconfig
it takes the arguments of those programs of Solaris and FreeBSD and prints their output; exit status 0 or 1. ifconfig lies in
/usr/lib/mpathd/compat.
.SH "EXIT STATUS"
0 done; 1 refused, failed, or not as it should be; 2 usage or configuration; 3 no daemon answers.
.SH "SEE ALSO"
.BR mpathd (8),
.BR mpathd.toml (5)
"#;

fn text(render: impl Fn(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut page = Vec::new();
    render(&mut page).expect("memory takes everything");
    String::from_utf8(page).expect("texts are UTF-8")
}

/// What a page says from its second line on: clap_mangen begins each part with a definition of its own.
fn part(of: &str) -> &str {
    of.strip_prefix(".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n").unwrap_or(of)
}

fn page() -> String {
    let mut cli = Cli::command();
    cli.build();
    let man = Man::new(cli.clone()).section("8").source("mpathd").manual("System Administration").date("");
    let mut page = text(|page| {
        man.render_title(page)?;
        man.render_name_section(page)?;
        man.render_synopsis_section(page)?;
        man.render_description_section(page)?;
        man.render_options_section(page)
    });
    page.push_str(".SH COMMANDS\n");
    for command in cli.get_subcommands().filter(|c| c.get_name() != "help") {
        let command = command.clone().mut_args(|arg| {
            let shared = ["socket", "json", "help"].contains(&arg.get_id().as_str());
            arg.hide(shared)
        });
        page.push_str(&format!(".SS \"{}\"\n", command.get_name()));
        let man = Man::new(command);
        let parts = [
            text(|page| man.render_synopsis_section(page)),
            text(|page| man.render_description_section(page)),
            text(|page| man.render_options_section(page)),
            text(|page| man.render_extra_section(page)),
        ];
        for rendered in &parts {
            // One heading for a command is enough.
            let lines = part(rendered).lines().filter(|l| !l.starts_with(".SH"));
            page.extend(lines.flat_map(|l| [l, "\n"]));
            page.push_str(".PP\n");
        }
    }
    page + TAIL
}

#[test]
fn the_manual_page_is_in_step() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/man/mpathctl.8");
    if std::env::var_os("MPATHD_WRITE_MAN").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), page(), "run `cargo xtask man`");
}
