//! `mailward scan` and `mailward check`, as a person or a script runs them: what is said, and the exit code.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::support::client::Mail;
use crate::support::gateway::{Gateway, Setup, mailward};

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).expect("UTF-8")
}

/// Standard output, standard error and exit code.
fn parts(output: &Output) -> (String, String, i32) {
    let code = output.status.code().expect("it ended by itself");
    (text(&output.stdout), text(&output.stderr), code)
}

fn good(n: u32) -> Vec<u8> {
    Mail::new(&format!("{n}@load.example"), &[]).message
}

/// Fails `checks/date` and `checks/address`.
const BAD: &[u8] = b"From: |x\r\nSubject: bad\r\n\r\nx\r\n";

fn tree() -> Gateway {
    Setup::new()
        .srv(&[
            "example.com/users/valid/foo",
            "example.com/checks/all",
            "example.com/blacklisted/ips/192.0.2.66",
        ])
        .file("tag.example/checks/date", "action = \"tag\"")
        .srv(&["tag.example/users/valid/*"])
        .before("smtp:127.0.0.1:9")
        .stopped()
}

fn scan(dir: &Path, args: &[&str], input: &[u8]) -> (String, String, i32) {
    parts(&mailward(dir, &[&["scan"], args].concat(), input))
}

#[test]
fn scan_of_one_message_is_a_whole_report_and_its_verdict_the_exit_code() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (said, errors, code) = scan(dir.path(), &[], &good(1));
    assert_eq!((code, &*errors), (0, ""), "{said}");
    assert!(
        said.starts_with("standard input\n") && said.contains("accept: delivered"),
        "{said}"
    );
    for args in [&[][..], &["-"]] {
        let (said, errors, code) = scan(dir.path(), args, BAD);
        assert_eq!((code, &*errors), (1, ""), "{said}");
        assert!(said.contains("reject: refused (550 5.7.1)"), "{said}");
        assert!(
            said.contains("Missing header - Date:") && said.contains("Bogus initial character"),
            "{said}"
        );
    }
    assert_eq!(
        fs::read_dir(dir.path()).expect("a directory").count(),
        0,
        "it leaves nothing behind"
    );
}

#[test]
fn scan_reads_files_folders_mboxes_and_maildirs_and_sums_up() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| dir.path().join(name);
    fs::write(path("one.eml"), good(1)).expect("a file");
    for sub in ["box/cur", "box/new", "box/tmp", "folder/deep"] {
        fs::create_dir_all(path(sub)).expect("directories");
    }
    fs::write(path("box/new/1"), good(2)).expect("a file");
    fs::write(path("box/cur/2:2,S"), BAD).expect("a file");
    fs::write(path("box/tmp/3"), BAD).expect("a file");
    fs::write(path("folder/deep/4"), good(3)).expect("a file");
    let mbox = [
        b"From a Mon\n",
        &*good(4),
        b"\nFrom b Tue\n",
        BAD,
        b"\nFrom c Wed\n",
        &good(5),
    ]
    .concat();
    fs::write(path("mbox"), mbox).expect("a file");
    let (said, errors, code) = scan(dir.path(), &["one.eml", "box", "folder", "mbox"], b"");
    assert_eq!((code, &*errors), (1, ""), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines.iter().filter(|line| line.starts_with("accept ")).count(),
        5,
        "{said}"
    );
    assert_eq!(
        lines.iter().filter(|line| line.starts_with("reject ")).count(),
        2,
        "{said}"
    );
    assert!(said.contains("mbox#2  Missing header - Date:"), "{said}");
    assert!(
        said.contains("7 messages in ") && said.contains("5 accept, 2 reject"),
        "{said}"
    );
    assert!(said.contains("checks/date"), "{said}");
    assert!(!said.contains("tmp/3"), "{said}");
    let (_, _, code) = scan(dir.path(), &["one.eml", "folder"], b"");
    assert_eq!(code, 0);
    let (said, _, code) = scan(dir.path(), &["-"], &fs::read(path("mbox")).expect("the file"));
    assert_eq!(code, 1);
    assert!(said.contains("standard input#3"), "{said}");
}

#[test]
fn scan_in_json_is_one_object_a_message() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mbox = [b"From a Mon\n", &*good(4), b"\nFrom b Tue\n", BAD].concat();
    let (said, errors, code) = scan(dir.path(), &["--json"], &mbox);
    assert_eq!((code, &*errors), (1, ""));
    let found: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let words: Vec<&Value> = found.iter().map(|one| &one["disposition"]).collect();
    assert_eq!(words, ["accept", "reject"]);
    assert_eq!(found[1]["reason"], "Missing header - Date:");
    assert!(
        found
            .iter()
            .all(|one| one["facts"].is_object() && one["verdict"]["reasons"].is_array())
    );
}

#[test]
fn scan_judges_as_the_door_would_for_a_recipient() {
    let tree = tree();
    let run = |args: &[&str]| parts(&tree.command_with(&[&["scan"], args].concat(), &good(1)));
    let (said, _, code) = run(&["--rcpt", "foo@example.com", "--helo", "mx.sender.example"]);
    assert_eq!(code, 0, "{said}");
    for (args, why) in [
        (
            &["--rcpt", "nobody@example.com"][..],
            "Mail for nobody not accepted at example.com",
        ),
        (
            &["--rcpt", "foo@example.com", "--helo", "localhost"],
            "HELO should be qualified",
        ),
        (
            &["--rcpt", "foo@example.com", "--client-ip", "192.0.2.66"],
            "IP address 192.0.2.66 locally blacklisted",
        ),
        (
            &["--rcpt", "foo@example.com", "--client-ip", "::ffff:192.0.2.66"],
            "IP address 192.0.2.66 locally blacklisted",
        ),
        (
            &["--rcpt", "foo@example.com", "--from", "root@localhost"],
            "Sender seems bogus: root@localhost",
        ),
        (
            &["--rcpt", "foo@example.com", "--from", "a@gmail.com"],
            "Missing DKIM signature on mail from a@gmail.com",
        ),
    ] {
        let (said, errors, code) = run(args);
        assert_eq!((code, &*errors), (1, ""), "{args:?}: {said}");
        assert!(said.contains(why), "{args:?}: {said}");
    }
    let bad = parts(&tree.command_with(&["scan", "--rcpt", "x@tag.example", "--from", "<>"], BAD));
    assert_eq!(bad.2, 0, "what is tagged is accepted: {}", bad.0);
    assert!(bad.0.contains("tag: delivered with a mark"), "{}", bad.0);
}

/// Without DNS nobody knows the client's name; the other checks are made all the same.
#[test]
fn scan_without_dns_judges_by_the_rest_where_host_names_are_blacklisted() {
    let tree = Setup::new()
        .srv(&[
            "example.com/users/valid/foo",
            "example.com/checks/all",
            "example.com/blacklisted/hosts/junk.example",
        ])
        .before("smtp:127.0.0.1:9")
        .stopped();
    let args = ["scan", "--rcpt", "foo@example.com", "--helo", "localhost"];
    let (said, errors, code) = parts(&tree.command_with(&args, &good(1)));
    assert_eq!((code, &*errors), (1, ""), "{said}");
    assert!(said.contains("HELO should be qualified"), "{said}");
}

#[test]
fn scan_that_cannot_read_is_trouble_and_still_reads_the_rest() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::write(dir.path().join("good"), good(1)).expect("a file");
    let tree = tree();
    for (args, input) in [
        (&["--rcpt", "not an address"][..], &b""[..]),
        (&["--rcpt", "x@foreign.example"], b""),
        (&["--from", "<a@@b>"], b""),
        (&["/nowhere/at/all"], b""),
    ] {
        let (said, errors, code) = parts(&tree.command_with(&[&["scan"], args].concat(), input));
        assert_eq!((code, &*said), (2, ""), "{args:?}");
        assert!(errors.starts_with("error: "), "{args:?}: {errors}");
    }
    // A file that is there and cannot be read.
    std::os::unix::fs::symlink("circle", dir.path().join("circle")).expect("a link");
    let (said, errors, code) = scan(dir.path(), &["--client-ip", "nonsense"], b"");
    assert_eq!((code, &*said), (2, ""), "{errors}");
    let (_, errors, code) = scan(dir.path(), &["good", "circle"], b"");
    assert_eq!(code, 2);
    assert!(errors.contains("circle"), "{errors}");
}

#[test]
fn scan_bears_any_octets() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let inputs: [&[u8]; 6] = [
        b"",
        b"\0\xff\r\n",
        b"From ",
        b"From x\nFrom y\n",
        b"\n\n\n",
        &[b':'; 70_000],
    ];
    for input in inputs {
        let (said, errors, code) = scan(dir.path(), &["--json"], input);
        assert!(matches!(code, 0 | 1), "{input:?}: {code} {errors}");
        assert!(
            said.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()),
            "{said}"
        );
    }
    let lines = b"X-Line: y\n".repeat(100_000);
    let (said, _, code) = scan(dir.path(), &[], &lines);
    assert_eq!(code, 1);
    assert!(said.contains("554 5.6.0"), "{said}");
    let large = good(1).repeat(400_000);
    let (said, _, code) = scan(dir.path(), &[], &large);
    assert_eq!(code, 1);
    assert!(said.contains("552 5.3.4"), "{said}");
}

#[test]
fn scan_shows_foreign_text_without_control_characters() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let bad = "From: |\x1b[31mred\x07\r\nSubject: \x1b]0;t\x07\u{202e}x\r\n\r\nx\r\n";
    for args in [&[][..], &["--json"]] {
        let (said, _, _) = scan(dir.path(), args, bad.as_bytes());
        assert!(!said.contains(|c: char| c.is_control() && c != '\n'), "{said:?}");
        assert!(!said.contains('\u{202e}'), "{said:?}");
    }
}

#[test]
fn check_of_a_sound_tree_says_so() {
    let (said, errors, code) = parts(&tree().command(&["check"]));
    assert_eq!((code, &*errors), (0, ""), "{said}");
    assert!(said.starts_with("nothing wrong in "), "{said}");
}

#[test]
fn check_names_the_file_the_line_and_the_nearest_word() {
    let tree = Setup::new()
        .srv(&[
            "example.com/checks/hello",
            "example.com/blacklist/ips/192.0.2.1",
            "example.com/user/valid/foo",
        ])
        .srv(&[
            "example.com/users/valid/foo",
            "example.com/blacklisted/ips/192.0.2.0-24",
        ])
        .file("example.com/checks/date", "soft = true\naction = \"rejekt\"\n")
        .file("example.com/deliver", "smtp:mx.example\n")
        .before("smtp:127.0.0.1:9")
        .stopped();
    let (said, errors, code) = parts(&tree.command(&["check"]));
    assert_eq!((code, &*errors), (1, ""), "{said}");
    for (file, word) in [
        ("example.com/checks/hello", "did you mean `helo`?"),
        ("example.com/blacklist", "did you mean `blacklisted`?"),
        ("example.com/user", "did you mean `users`?"),
        ("example.com/checks/date:2", "did you mean `reject`?"),
        ("example.com/deliver", "write `smtp:mx.example:25`"),
        ("example.com/blacklisted/ips/192.0.2.0-24", "an IP address"),
    ] {
        let at = said.find(file).unwrap_or_else(|| panic!("{file} is not in\n{said}"));
        let entry: String = said[at..].lines().take(2).collect();
        assert!(entry.contains(word), "{file}: {entry}\n{said}");
    }
    let (said, _, code) = parts(&tree.command(&["check", "--json"]));
    assert_eq!(code, 1);
    let found: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let date = found
        .iter()
        .find(|one| one["path"].as_str().is_some_and(|path| path.ends_with("checks/date")));
    assert_eq!(date.expect("the check file")["line"], 2, "{said}");
}

#[test]
fn check_names_every_fault_of_the_configuration_at_once() {
    let tree = tree();
    tree.write_config(
        "[smpt]\n\n[smtp]\nhostnam = \"mx.example\"\n[deliver]\nto = \"smtp:mx.example\"\n[limits]\nload = \"x\"\n",
    );
    for command in [&["check"][..], &["serve"], &["scan"], &["why"], &["quarantine", "list"]] {
        let (said, errors, code) = parts(&tree.command(command));
        assert_eq!((code, &*said), (2, ""), "{command:?}");
        let file = tree.config().display();
        for line in [
            format!("error: {file}:1: unknown section: `[smpt]`\nhint: did you mean `[smtp]`?\n"),
            format!("error: {file}:4: unknown key in `[smtp]`: `hostnam`\nhint: did you mean `hostname`?\n"),
            format!(
                "error: {file}:6: `to`: the next hop has no port: `mx.example`\nhint: write `smtp:mx.example:25`\n"
            ),
            format!("error: {file}:8: `load`: a whole number is wanted\n"),
        ] {
            assert!(errors.contains(&line), "{command:?}: {line} is not in\n{errors}");
        }
    }
    let (_, errors, code) = parts(&mailward(tree.dir(), &["check", "--config", "absent.toml"], b""));
    assert_eq!(code, 2);
    assert!(
        errors.starts_with("error: absent.toml: cannot read the configuration"),
        "{errors}"
    );
}

#[test]
fn the_printed_configuration_reads_back_as_the_same() {
    let tree = Setup::new()
        .before("smtp:127.0.0.1:9")
        .set("limits.message_size", "123456")
        .set("smtp.relay_networks", r#"["192.0.2.0/24"]"#)
        .stopped();
    let (first, errors, code) = parts(&tree.command(&["check", "--print"]));
    assert_eq!((code, &*errors), (0, ""));
    assert!(first.contains("\nmessage_size = 123456\n"), "{first}");
    tree.write_config(&first);
    let (second, _, code) = parts(&tree.command(&["check", "--print"]));
    assert_eq!((code, second), (0, first));
    // And what holds without a file.
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (printed, _, code) = parts(&mailward(dir.path(), &["check", "--print"], b""));
    assert_eq!(code, 0);
    tree.write_config(&printed);
    assert_eq!(parts(&tree.command(&["check", "--print"])).0, printed);
    assert_eq!(
        fs::read_dir(dir.path()).expect("a directory").count(),
        0,
        "it makes nothing"
    );
}

#[test]
fn a_wrong_command_line_is_trouble() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for args in [
        &[][..],
        &["sreve"],
        &["scan", "--jsno"],
        &["why", "a", "b"],
        &["quarantine"],
    ] {
        let (said, errors, code) = parts(&mailward(dir.path(), args, b""));
        assert_eq!((code, &*said), (2, ""), "{args:?}");
        assert!(errors.contains("Usage: mailward"), "{args:?}: {errors}");
    }
    let (said, _, code) = parts(&mailward(dir.path(), &["--help"], b""));
    assert_eq!(code, 0);
    assert!(said.contains("serve") && said.contains("quarantine"), "{said}");
}
