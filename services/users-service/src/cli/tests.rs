//! What `--help` says, by its content; how it is laid out is clap's.

use clap::CommandFactory as _;

use super::*;

/// The help of a command: of the program itself for an empty path.
fn help(path: &str) -> String {
    let mut program = Arguments::command();
    program.build();
    let mut command = &mut program;
    for name in path.split_whitespace() {
        command = command.find_subcommand_mut(name).unwrap_or_else(|| panic!("no command {path}"));
    }
    command.render_long_help().to_string()
}

/// The paths of all commands but `help`.
fn commands(command: &clap::Command, path: &str, all: &mut Vec<String>) {
    for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
        let path = format!("{path} {}", command.get_name()).trim().to_owned();
        all.push(path.clone());
        commands(command, &path, all);
    }
}

/// What each command has to tell.
const TOLD: [(&str, &[&str]); 9] = [
    ("serve", &["SIGTERM", "SIGINT", "second signal", "migrate", "auto_migrate"]),
    ("migrate", &["up to date", "by many at once", "direct_url"]),
    ("config", &["check", "print", "[identity_provider]", "timeout = \"2s\""]),
    ("config check", &["without touching the database", "everything that is wrong at once", "exits with 1"]),
    ("config print", &["masked", "where that came from", "********"]),
    ("healthcheck", &["/readyz", "ops_listen", "exits with 0", "containers"]),
    (
        "bootstrap-super-admin",
        &[
            "always a new account",
            "resumed",
            "--username",
            "--password-file",
            "--password-out",
            "--force",
            "a terminal only",
            "mode 0600",
        ],
    ),
    ("demote-super-admin", &["--username", "ends its sessions", "the last active one stays"]),
    (
        "reset-super-admin-password",
        &["--username", "--password-file", "--password-out", "lost", "ends its sessions"],
    ),
];

#[test]
fn every_command_tells_what_it_is_for() {
    let mut all = Vec::new();
    commands(&Arguments::command(), "", &mut all);
    assert_eq!(all, TOLD.map(|(path, _)| path), "every command has a row above");
    for (path, words) in TOLD {
        let help = help(path);
        for word in words {
            assert!(help.contains(word), "{path} does not speak of {word}:\n{help}");
        }
        assert!(help.contains("--config"), "{path} takes settings");
    }
}

#[test]
fn the_program_tells_how_to_begin() {
    let help = help("");
    for word in [
        "auth-service, which owns accounts",
        "USERS__IDENTITY_PROVIDER__TIMEOUT=1s",
        "_FILE",
        "bootstrap-super-admin --username",
        "config check",
        "grpcurl -plaintext",
        "tandem.users.v1.UsersService/GetCurrentUser",
        "127.0.0.1:50053",
        "127.0.0.1:9053",
        "SIGTERM, SIGINT",
        "Exit codes",
        "130",
    ] {
        assert!(help.contains(word), "no {word} in:\n{help}");
    }
}

#[test]
fn the_program_names_every_section_and_what_must_be_given() {
    let help = help("");
    let sections = help.lines().find_map(|line| line.trim().strip_prefix("Sections: ")).expect("sections");
    let named: Vec<&str> = sections.trim_end_matches('.').split(", ").collect();
    let mut in_file: Vec<&str> = help::EVERY_KEY
        .lines()
        .filter_map(|line| line.strip_prefix('[')?.strip_suffix(']'))
        .filter(|section| !section.starts_with('['))
        .collect();
    in_file.dedup();
    assert_eq!(named, in_file);
    let problems = Config::read(Layers::new("USERS")).expect_err("nothing is given");
    for problem in problems.iter() {
        let key = problem.key().expect("a key");
        assert!(help.contains(key), "{key} must be given");
    }
}
