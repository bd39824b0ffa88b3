//! Delivery into a program (`bsmtp:`): status 0 is the only acknowledgement, and whatever the program does instead of
//! reading and ending, the sender gets a 4xx in time.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::nexthop::{held, send};
use crate::support::PATIENCE;
use crate::support::boxes;
use crate::support::client::{Client, Mail, stuffed};
use crate::support::gateway::{Gateway, Setup};
use crate::support::private_exim::{self, PrivateExim};

/// A shell script as the program, and a directory for what it leaves.
struct Program {
    dir: TempDir,
}

impl Program {
    /// `$1` is the directory.
    fn new(script: &str) -> Self {
        let dir = TempDir::with_prefix("mailward-program-").expect("a temporary directory");
        fs::write(dir.path().join("script"), script).expect("a script");
        Self { dir }
    }

    /// The shell is the program, not the script: a file that was just written may still be busy.
    fn target(&self) -> String {
        let dir = self.dir.path().display();
        format!("bsmtp:/bin/sh {dir}/script {dir}")
    }

    fn gateway(&self) -> Gateway {
        self.setup().start()
    }

    fn setup(&self) -> Setup {
        Setup::new().srv(&["example.com/users/valid/*"]).before(&self.target())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8(fs::read(self.file(name)).expect("the program left it")).expect("text")
    }
}

fn mail() -> Mail {
    Mail::new("1@load.example", &["foo@example.com", "bar@example.com"])
}

#[test]
fn the_program_reads_a_whole_session_and_status_0_takes_the_message() {
    let program = Program::new("cat > $1/session");
    let gateway = program.gateway();
    let mut mail = mail().padded(200_000);
    mail.message.extend_from_slice(b".\r\n..\r\n.dots\r\nend\r\n");
    let reply = send(&gateway, &mail);
    assert_eq!(reply.code, 250, "{reply:?}");
    let session = program.text("session");
    let (envelope, message) = session.split_once("DATA\r\n").expect("DATA");
    assert_eq!(
        envelope,
        "HELO mx.example.com\r\nMAIL FROM:<alice@sender.example>\r\nRCPT TO:<foo@example.com>\r\n\
         RCPT TO:<bar@example.com>\r\n"
    );
    let body = String::from_utf8(stuffed(&mail.message)).expect("text");
    let (_, body) = body.split_once("\r\n\r\n").expect("a header");
    let (header, rest) = message.split_once("\r\n\r\n").expect("a header");
    assert!(header.contains("X-Mailward-Id: "), "{header}");
    assert_eq!(rest.strip_suffix("QUIT\r\n"), Some(body));
    assert_eq!(held(&gateway), [""; 0]);
}

#[test]
fn the_null_reverse_path_is_passed_on() {
    let program = Program::new("cat > $1/session");
    let gateway = program.gateway();
    let mail = Mail {
        from: String::new(),
        ..mail()
    };
    assert_eq!(send(&gateway, &mail).code, 250);
    assert!(program.text("session").contains("\r\nMAIL FROM:<>\r\n"));
}

#[test]
fn there_is_no_shell_and_no_environment_but_path() {
    let program = Program::new("");
    let target = format!(
        "bsmtp:/bin/sh -c env>{}/$0;cat>/dev/null x",
        program.dir.path().display()
    );
    // Divided at blanks only: what a shell would read as a redirection is one argument of the program `sh`, which
    // reads it; `$HOME` below is read by nobody.
    let gateway = Setup::new().srv(&["example.com/users/valid/*"]).before(&target).start();
    assert_eq!(send(&gateway, &mail()).code, 250);
    let environment = program.text("x");
    // `PWD`, `SHLVL` and `_` are the shell's own.
    let names: Vec<&str> = environment
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name))
        .collect();
    assert_eq!(names, ["PATH"], "{environment}");
    let target = "bsmtp:/usr/bin/test $HOME = ;";
    let gateway = Setup::new().srv(&["example.com/users/valid/*"]).before(target).start();
    assert_eq!(send(&gateway, &mail()).class(), 4);
}

#[test]
fn any_end_but_status_0_is_a_4xx_and_nothing_is_held() {
    for script in [
        "cat >/dev/null; exit 1",
        "cat >/dev/null; exit 75",
        "cat >/dev/null; kill -9 $$",
        "exit 1",
    ] {
        let program = Program::new(script);
        let gateway = program.gateway();
        let reply = send(&gateway, &mail());
        assert_eq!(reply.class(), 4, "{script}: {reply:?}");
        assert_eq!(held(&gateway), [""; 0], "{script}");
    }
}

#[test]
fn a_program_that_cannot_be_started_is_a_4xx() {
    for target in ["bsmtp:/nonexistent/program -bS", "bsmtp:/etc/passwd", "bsmtp:/"] {
        let gateway = Setup::new().srv(&["example.com/users/valid/*"]).before(target).start();
        let reply = send(&gateway, &mail());
        assert_eq!(reply.class(), 4, "{target}: {reply:?}");
    }
}

#[test]
fn what_it_prints_is_for_the_log_and_not_for_the_sender() {
    let program = Program::new("cat >/dev/null; echo 'out\u{1b}[2J'; echo disk on fire >&2; exit 3");
    let gateway = program.gateway();
    let reply = send(&gateway, &mail());
    assert!(
        !reply.text().contains("fire") && reply.text().contains("status 3"),
        "{reply:?}"
    );
    gateway.await_log("disk on fire");
    let log = gateway.log();
    assert!(log.contains("disk on fire") && !log.contains('\u{1b}'), "{log}");
}

#[test]
fn a_program_that_prints_without_end_holds_nobody_up() {
    let program = Program::new("yes | head -c 30000000; yes | head -c 30000000 >&2; cat > $1/session");
    let gateway = program.gateway();
    assert_eq!(send(&gateway, &mail().padded(500_000)).code, 250);
    let octets = resident_octets(&gateway);
    assert!(octets < 60_000_000, "{octets} octets of memory");
    let endless = Program::new("echo $$ > $1/pid; exec yes");
    let gateway = endless.setup().set("limits.next_hop_reply_s", "1").start();
    assert_eq!(send(&gateway, &mail()).class(), 4);
    assert!(is_gone(&endless.text("pid")));
}

/// The most memory that the gateway ever had.
fn resident_octets(gateway: &Gateway) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.expect("a number") * 1024
}

/// Killed, and not left as a zombie either.
fn is_gone(pid: &str) -> bool {
    let process = PathBuf::from(format!("/proc/{}", pid.trim()));
    let deadline = Instant::now() + PATIENCE;
    while process.exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    !process.exists()
}

#[test]
fn a_program_that_does_not_end_is_killed_and_reaped() {
    for script in [
        "echo $$ > $1/pid; exec sleep 1000",
        "echo $$ > $1/pid; cat >/dev/null; exec sleep 1000",
    ] {
        let program = Program::new(script);
        let gateway = program.setup().set("limits.next_hop_reply_s", "1").start();
        // Far more than a pipe holds.
        let reply = send(&gateway, &mail().padded(2_000_000));
        assert_eq!(reply.class(), 4, "{script}: {reply:?}");
        assert!(is_gone(&program.text("pid")), "{script}");
        assert_eq!(held(&gateway), [""; 0], "{script}");
    }
}

#[test]
fn a_program_that_has_not_read_the_message_has_not_taken_it() {
    // Status 0 without the message: what it did not read, it cannot have stored.
    for script in ["exit 0", "exec 0<&-; exit 0", "head -c 100 >/dev/null; exit 0"] {
        let program = Program::new(script);
        let gateway = program.gateway();
        // A small one stands whole in the pipe when the program ends.
        for octets in [0, 2_000_000] {
            let reply = send(&gateway, &mail().padded(octets));
            assert_eq!(reply.class(), 4, "{script}, {octets}: {reply:?}");
        }
    }
}

#[test]
fn a_program_may_end_at_the_end_of_the_message_without_reading_quit() {
    // A shell reads octet by octet from a pipe.
    let program =
        Program::new("e=$(printf '.\\r'); while IFS= read -r l; do [ \"$l\" = \"$e\" ] && exit 0; done; exit 1");
    let gateway = program.gateway();
    let reply = send(&gateway, &mail());
    assert_eq!(reply.code, 250, "{reply:?}");
}

#[test]
fn a_child_that_the_program_leaves_behind_is_not_waited_for() {
    let program = Program::new("cat > $1/session; (echo $$; exec sleep 30) & echo $! > $1/child");
    let gateway = program.gateway();
    let begun = Instant::now();
    assert_eq!(send(&gateway, &mail()).code, 250);
    assert!(begun.elapsed() < Duration::from_secs(15));
    let child = program.text("child").trim().parse().ok();
    let child = child.and_then(rustix::process::Pid::from_raw).expect("a process");
    // It was not ours to kill before.
    rustix::process::kill_process(child, rustix::process::Signal::KILL).expect("it is still there");
}

#[test]
fn no_more_programs_run_at_one_time_than_the_limit_says() {
    let program = Program::new("mkdir $1/lock || exit 1; cat >/dev/null; sleep 0.05; rmdir $1/lock");
    let gateway = program.setup().set("limits.next_hop_connections", "1").start();
    let addr = gateway.addr();
    std::thread::scope(|scope| {
        for n in 0..6 {
            scope.spawn(move || {
                let mail = Mail::new(&format!("{n}@load.example"), &["foo@example.com"]);
                let answers = Client::deliver(addr, &mail).expect("a session");
                assert_eq!(answers.decisive().code, 250, "{answers:?}");
            });
        }
    });
}

#[test]
fn internationalised_addresses_are_refused_since_a_program_offers_nothing() {
    let program = Program::new("cat > $1/session");
    let gateway = program.gateway();
    let mut client = Client::greeted(gateway.addr());
    let reply = client
        .command("MAIL FROM:<\u{e4}@sender.example> SMTPUTF8")
        .expect("a reply");
    assert_eq!(reply.code, 250, "{reply:?}");
    client.command("RCPT TO:<foo@example.com>").expect("a reply");
    assert_eq!(client.command("DATA").expect("a reply").code, 354);
    let reply = client.data(&mail().message).expect("a reply");
    assert_eq!(reply.class(), 5, "{reply:?}");
    assert!(!program.file("session").exists());
}

#[test]
fn a_domains_own_deliver_file_runs_no_program() {
    let program = Program::new("cat > $1/session");
    let gateway = Setup::new()
        .srv(&["example.com/users/valid/*"])
        .file("example.com/deliver", &program.target())
        .before("smtp:127.0.0.1:1")
        .start();
    let reply = send(&gateway, &mail());
    assert_eq!(reply.class(), 4, "{reply:?}");
    assert!(!program.file("session").exists());
}

#[test]
fn exim_takes_batches_as_the_originals_did() {
    const TEST: &str = "exim_takes_batches_as_the_originals_did";
    if !private_exim::is_there(TEST) {
        return;
    }
    let exim = PrivateExim::start(TEST, &["foo", "bar"]);
    let gateway = before_exim(&exim.batch_target());
    arrives_whole(&exim, &gateway);
    assert!(exim.log().contains("P=local-bsmtp"), "{}", exim.log());
}

#[test]
fn exim_takes_mail_by_smtp_and_what_it_refuses_is_held() {
    const TEST: &str = "exim_takes_mail_by_smtp_and_what_it_refuses_is_held";
    if !private_exim::is_there(TEST) {
        return;
    }
    let exim = PrivateExim::start(TEST, &["foo", "bar"]);
    let gateway = before_exim(&exim.target());
    arrives_whole(&exim, &gateway);
    let rcpts = ["foo@example.com", "nobody@example.com"];
    assert_eq!(send(&gateway, &Mail::new("2@load.example", &rcpts)).code, 250);
    assert_eq!(exim.await_mail("foo", 2).len(), 2);
    assert_eq!(held(&gateway), ["nobody@example.com"]);
    let reply = send(&gateway, &Mail::new("3@load.example", &["nobody@example.com"]));
    assert_eq!(reply.class(), 5, "{reply:?}");
}

#[test]
fn exim_delivers_at_once_however_many_messages_come() {
    // By its default it leaves what comes after the tenth message of a connection to its queue runner.
    const TEST: &str = "exim_delivers_at_once_however_many_messages_come";
    if !private_exim::is_there(TEST) {
        return;
    }
    let exim = PrivateExim::start(TEST, &["foo", "bar"]);
    let gateway = before_exim(&exim.target());
    for n in 0..15 {
        let mail = Mail::new(&format!("{n}@load.example"), &["foo@example.com"]);
        assert_eq!(send(&gateway, &mail).code, 250);
    }
    assert_eq!(exim.await_mail("foo", 15).len(), 15);
}

fn before_exim(target: &str) -> Gateway {
    Setup::new().srv(&["example.com/users/valid/*"]).before(target).start()
}

fn arrives_whole(exim: &PrivateExim, gateway: &Gateway) {
    let mut mail = mail().padded(200_000);
    mail.message.extend_from_slice(b".\r\n..\r\n.dots\r\n");
    let reply = send(gateway, &mail);
    assert_eq!(reply.code, 250, "{reply:?}");
    for local in ["foo", "bar"] {
        let found = exim.await_mail(local, 1);
        assert_eq!(found.len(), 1);
        let path = boxes::header(&found[0], "Return-path").expect("Exim's Return-path");
        assert_eq!(path, "<alice@sender.example>");
        let text = String::from_utf8_lossy(&found[0]).replace("\r\n", "\n");
        assert!(text.ends_with("\n.\n..\n.dots\n"), "{local}");
    }
}
