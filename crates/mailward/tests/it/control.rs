//! Commands beside a running daemon: the same answers as without it, and to each user only what is theirs.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::PATIENCE;
use crate::support::client::{Client, Mail};
use crate::support::daemon::{Daemon, mailward, mailward_as, open_to_all, output, refused, said, start};
use crate::support::gateway::{Gateway, Setup};
use crate::support::outside;
use crate::support::sink::{Act, Script, Sink, Stage};

fn setup(sink: &Sink) -> Setup {
    Setup::new()
        .srv(&["example.com/users/valid/*", "example.com/checks/helo"])
        .before_sink(sink)
}

/// Sends a message; its id.
fn send(gateway: &Gateway, name: &str, rcpts: &[&str], helo: &str) -> String {
    let mut mail = Mail::new(name, rcpts);
    mail.helo = helo.into();
    let answers = Client::deliver(gateway.addr(), &mail).expect("a session");
    answers.decisive().id().expect("an id")
}

/// Waits until the store says what became of a message, which is written soon after the answer.
fn settle(gateway: &Gateway, id: &str) {
    let started = std::time::Instant::now();
    while said(gateway, &["why", id]).contains("not recorded") {
        assert!(started.elapsed() < PATIENCE, "the outcome of {id} is never recorded");
    }
}

fn knock(gateway: &Gateway) -> UnixStream {
    let stream = UnixStream::connect(gateway.state().join("control.sock")).expect("the daemon answers");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

/// The lines that a request is answered with.
fn ask(gateway: &Gateway, request: &[u8]) -> Vec<Value> {
    let mut stream = knock(gateway);
    // One that is refused at once may break.
    let _ = stream.write_all(request);
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.map(|line| serde_json::from_str(&line).expect("JSON")).collect()
}

/// What a request writes, where it succeeds.
fn text(gateway: &Gateway, command: Value) -> String {
    let request = json!({"mailward": 1, "columns": 100, "ask": command});
    let mut lines = ask(gateway, format!("{request}\n").as_bytes());
    assert_eq!(lines.pop(), Some(json!({"exit": 0})), "{lines:?}");
    lines.iter().map(|line| line["text"].as_str().expect("text")).collect()
}

#[test]
fn status_tells_how_the_daemon_fares() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    send(&gateway, "1@load.example", &["ann@example.com"], "mx.sender.example");
    send(
        &gateway,
        "2@load.example",
        &["ann@example.com", "bob@example.com"],
        "nodot",
    );
    let _visitor = Client::greeted(gateway.addr());
    let status: Value = serde_json::from_str(&said(&gateway, &["status", "--json"])).expect("JSON");
    assert_eq!(status["pid"], gateway.pid());
    assert_eq!(status["parts"], json!(["smtp", "quarantine", "metrics", "control"]));
    assert_eq!(status["messages"], json!({"accept": 1, "reject": 2}));
    assert_eq!(status["connections"]["now"], 1);
    assert_eq!(status["store"]["recorded"], 2);
    assert_eq!(status["next_hops"][0]["next_hop"], sink.target());
    assert_eq!(
        (&status["next_hops"][0]["is_well"], &status["next_hops"][0]["taken"]),
        (&json!(true), &json!(1))
    );
    assert!(status["quarantine"]["octets"].is_u64());
    let text = said(&gateway, &["status"]);
    assert!(
        text.starts_with("mailward ") && text.contains("accept 1, reject 2"),
        "{text}"
    );

    drop(sink);
    let mail = Mail::new("3@load.example", &["ann@example.com"]);
    Client::deliver(gateway.addr(), &mail).expect("a session");
    let text = said(&gateway, &["status"]);
    assert!(text.contains("IN TROUBLE, last "), "{text}");
}

#[test]
fn commands_say_the_same_with_the_daemon_and_without() {
    let sink = Sink::start();
    let mut gateway = setup(&sink).start();
    let good = send(&gateway, "1@load.example", &["ann@example.com"], "mx.sender.example");
    let held = send(&gateway, "2@load.example", &["ann@example.com"], "nodot");
    settle(&gateway, &held);
    let commands = [
        vec!["why"],
        vec!["why", &good],
        vec!["why", &held, "--json"],
        vec!["quarantine", "list"],
        vec!["quarantine", "list", "--json", "--to", "ann@example.com"],
        vec!["quarantine", "search", "HELO"],
        vec!["quarantine", "show", &held],
        vec!["quarantine", "show", "--raw", &held],
        vec!["quarantine", "expire", "--dry-run"],
    ];
    let with: Vec<String> = commands.iter().map(|args| said(&gateway, args)).collect();
    // That was the daemon indeed: what the socket says is what the commands said.
    assert_eq!(text(&gateway, json!({"why": {"id": good, "json": false}})), with[1]);
    let errors = [["why", "nonsense"], ["quarantine", "nonsense"], ["why", "000000000000"]];
    let fault = |gateway: &Gateway, args: &[&str]| refused(mailward(gateway, args), 2);
    let faults_with: Vec<String> = errors.iter().map(|args| fault(&gateway, args)).collect();
    gateway.stop();
    assert!(
        !gateway.state().join("control.sock").exists(),
        "a daemon takes its socket away"
    );
    for (args, with) in commands.iter().zip(&with) {
        assert_eq!(&said(&gateway, args), with, "{args:?}");
    }
    let faults: Vec<String> = errors.iter().map(|args| fault(&gateway, args)).collect();
    assert_eq!(faults, faults_with);
    let error = refused(mailward(&gateway, &["status"]), 2);
    assert!(
        error.contains("no daemon answers at ") && error.contains("hint: start `mailward serve`"),
        "{error}"
    );
}

#[test]
fn raw_octets_pass_the_socket_as_they_are() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let mut mail = Mail::new("1@load.example", &["ann@example.com"]);
    mail.helo = "nodot".into();
    let octets: Vec<u8> = (1..=255_u8).filter(|b| ![b'\r', b'\n'].contains(b)).collect();
    for _ in 0..200 {
        mail.message.extend_from_slice(&octets);
        mail.message.extend_from_slice(b"\r\n");
    }
    let answers = Client::deliver(gateway.addr(), &mail).expect("a session");
    let id = answers.decisive().id().expect("an id");
    let shown = output(mailward(&gateway, &["quarantine", "show", "--raw", &id])).stdout;
    let sent = &mail.message[mail.message.len() - 200 * (octets.len() + 2)..];
    assert!(shown.ends_with(sent), "{} octets", shown.len());
}

#[test]
fn a_release_uses_the_daemons_connections() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    send(&gateway, "1@load.example", &["ann@example.com"], "mx.sender.example");
    let id = send(&gateway, "2@load.example", &["ann@example.com"], "nodot");
    let released = said(&gateway, &["quarantine", "release", &id]);
    assert!(
        released.starts_with(&format!("{id} delivered to ann@example.com")),
        "{released}"
    );
    let taken = sink.taken();
    assert_eq!(taken.iter().map(|t| t.connection).collect::<Vec<_>>(), [0, 0]);
    let again = said(&gateway, &["quarantine", "release", &id]);
    assert!(again.contains("was released before"), "{again}");

    drop(sink);
    let id = send(&gateway, "3@load.example", &["ann@example.com"], "nodot");
    let error = refused(mailward(&gateway, &["quarantine", "release", &id]), 1);
    assert!(error.contains("was not delivered"), "{error}");
}

#[test]
fn a_reload_through_the_socket_says_what_came_of_it() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    assert_eq!(said(&gateway, &["reload"]), "configuration reloaded\n");
    let good = fs::read_to_string(gateway.config()).expect("the configuration");
    // The command reads the same file to find the socket; so it asks over the wire.
    fs::write(gateway.config(), good.clone() + "[limit]\n").expect("the configuration");
    let lines = ask(&gateway, b"{\"mailward\":1,\"columns\":80,\"ask\":\"reload\"}\n");
    let failed = lines[0]["failed"].as_str().expect("it fails");
    assert!(
        failed.contains("unknown section: `[limit]`") && failed.contains("did you mean"),
        "{failed}"
    );
    fs::write(gateway.config(), good.replace("127.0.0.1:0", "127.0.0.1:1")).expect("the configuration");
    assert!(said(&gateway, &["reload"]).contains("change only with a restart"));
}

#[test]
fn a_living_daemon_keeps_its_socket_and_a_dead_ones_is_replaced() {
    let sink = Sink::start();
    let mut gateway = setup(&sink).start();
    let path = gateway.state().join("control.sock");
    let mode = fs::metadata(&path).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let error = refused(mailward(&gateway, &["serve", "--only", "control"]), 2);
    assert!(error.contains("another daemon answers at "), "{error}");
    assert!(
        said(&gateway, &["status"]).starts_with("mailward "),
        "the first one still answers"
    );
    gateway.kill();
    assert!(path.exists(), "a crash leaves the socket");
    // Nobody answers there, so commands open the files themselves.
    said(&gateway, &["why"]);
    gateway.start_again();
    assert!(said(&gateway, &["status"]).starts_with("mailward "));
    gateway.stop();
    fs::write(&path, "mine").expect("a file in the way");
    let error = refused(mailward(&gateway, &["serve"]), 2);
    assert!(error.contains("something else is there"), "{error}");
    assert_eq!(fs::read_to_string(&path).expect("the file"), "mine");
}

#[test]
fn no_request_hurts_the_daemon_or_whoever_comes_after() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let failed = |request: &[u8]| {
        let lines = ask(&gateway, request);
        let text = lines[0]["failed"].as_str().expect("it fails").to_owned();
        assert!(text.starts_with("error: ") && lines.len() == 1, "{lines:?}");
        text
    };
    assert!(failed(b"\n").contains("not understood"));
    assert!(failed(b"{\"mailward\":2,\"ask\":{\"future\":{}}}\n").contains("restart it"));
    assert!(failed(b"{\"mailward\":1,\"columns\":80,\"ask\":\"fly\"}\n").contains("not understood"));
    assert!(failed(&[0xff, b'\n']).contains("not understood"));
    // More than a request may have: refused, or cut off before the answer could be read.
    let lines = ask(&gateway, &vec![b'x'; 1 << 20]);
    assert!(lines.iter().all(|line| line.get("failed").is_some()), "{lines:?}");
    // As many silent ones as there are places: the next one is answered when their time is over.
    let silent: Vec<UnixStream> = (0..16).map(|_| knock(&gateway)).collect();
    assert!(said(&gateway, &["status"]).starts_with("mailward "));
    drop(silent);
    // One that asks and goes away.
    let mut gone = knock(&gateway);
    gone.write_all(b"{\"mailward\":1,\"columns\":80,\"ask\":{\"report\":")
        .expect("it reads");
    drop(gone);
    assert!(said(&gateway, &["status"]).starts_with("mailward "));
}

/// Logins of Debian's base system: uid and name.
pub const NOBODY: u32 = 65534;
const DAEMON: u32 = 1;

/// A gateway whose socket every user may connect to, and a binary that they may run. Mail for `nobody`, `daemon`,
/// `webmaster` (who is `nobody`) and others is held.
pub fn for_users(test: &str, user_domain: bool) -> Option<(Sink, Gateway, Daemon, PathBuf)> {
    if !rustix::process::geteuid().is_root() {
        outside::say(&format!("passed over: {test}: other users need root"));
        return None;
    }
    let sink = Sink::start();
    let mut setup = setup(&sink).srv(&["example.com/users/valid/nobody", "example.com/users/valid/daemon"]);
    setup = setup.file("example.com/mailboxes/webmaster", "nobody@example.com\n");
    if user_domain {
        setup = setup.set("control.user_domain", "\"example.com\"");
    }
    let gateway = setup.stopped();
    let daemon = Daemon::start(mailward(&gateway, &["serve"]));
    let binary = open_to_all(&gateway);
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own");
    open(&gateway.state(), 0o711);
    open(&gateway.state().join("control.sock"), 0o666);
    Some((sink, gateway, daemon, binary))
}

fn foreign_mail_is_as_if_it_were_not_there(gateway: &Gateway, binary: &Path, other: &str) {
    let run = |args: &[&str]| output(mailward_as(NOBODY, binary, gateway, args));
    for args in [
        ["why", other].as_slice(),
        &["quarantine", "show", other],
        &["quarantine", "release", other],
    ] {
        let error = String::from_utf8(run(args).stderr).expect("text");
        let unknown: Vec<String> = args.iter().map(|arg| arg.replace(other, "000000000000")).collect();
        let unknown: Vec<&str> = unknown.iter().map(String::as_str).collect();
        let of_unknown = String::from_utf8(run(&unknown).stderr).expect("text");
        assert_eq!(error.replace(other, "000000000000"), of_unknown, "{args:?}");
    }
}

#[test]
fn a_user_sees_and_releases_their_own_mail_and_nobody_elses() {
    const TEST: &str = "a_user_sees_and_releases_their_own_mail_and_nobody_elses";
    let Some((sink, gateway, daemon, binary)) = for_users(TEST, true) else {
        return;
    };
    let send = |name: &str, rcpts: &[&str], helo: &str| {
        let mut mail = Mail::new(name, rcpts);
        mail.helo = helo.into();
        let answers = Client::deliver(daemon.addr("smtp"), &mail).expect("a session");
        answers.decisive().id().expect("an id")
    };
    let both = send("1@load.example", &["nobody@example.com", "daemon@example.com"], "nodot");
    let alias = send("2@load.example", &["Webmaster+x@example.com"], "nodot");
    let other = send("3@load.example", &["daemon@example.com"], "nodot");
    let good = send("4@load.example", &["nobody@example.com"], "mx.sender.example");
    settle(&gateway, &good);
    let run = |args: &[&str]| output(mailward_as(NOBODY, &binary, &gateway, args));
    let text = |args: &[&str]| {
        let output = run(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let list = text(&["quarantine", "list", "--json"]);
    let ids: Vec<Value> = list
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).expect("JSON")["id"].clone())
        .collect();
    assert_eq!(ids.len(), 2, "{list}");
    assert!(ids.contains(&json!(both)) && ids.contains(&json!(alias)), "{list}");
    assert!(!text(&["quarantine", "search", "daemon@"]).contains("daemon@"));
    assert_eq!(text(&["why"]).matches("@example.com>").count(), 3);

    // A message for two: of the other recipient, not even the reason or the reply.
    let why = text(&["why", &both]);
    assert!(why.contains("nobody@example.com") && !why.contains("daemon@"), "{why}");
    assert!(
        why.contains("one for all its recipients") && !why.contains(" ms)"),
        "{why}"
    );
    let why: Value = serde_json::from_str(&text(&["why", &both, "--json"])).expect("JSON");
    assert_eq!(
        (why["recipients"].as_array().map(Vec::len), &why["reply"]),
        (Some(1), &Value::Null)
    );
    assert!(text(&["why", &good]).contains("250"));

    foreign_mail_is_as_if_it_were_not_there(&gateway, &binary, &other);
    assert_eq!(sink.taken().len(), 1);
    let released = text(&["quarantine", "release", &both]);
    assert_eq!(released.lines().count(), 1, "{released}");
    assert_eq!(sink.taken()[1].rcpts, ["nobody@example.com"]);
    for args in [
        ["status"].as_slice(),
        &["reload"],
        &["domains", "list"],
        &["domains", "forget", "example.com"],
        &["quarantine", "expire"],
        &["report", "shadow"],
    ] {
        let error = refused(mailward_as(NOBODY, &binary, &gateway, args), 2);
        assert!(
            error.contains("you may ask about mail for nobody@example.com"),
            "{args:?}: {error}"
        );
    }
    // Root sees all of it.
    assert_eq!(said(&gateway, &["quarantine", "list", "--json"]).lines().count(), 4);
}

#[test]
fn a_user_without_a_mailbox_and_any_user_without_a_domain_is_refused() {
    const TEST: &str = "a_user_without_a_mailbox_and_any_user_without_a_domain_is_refused";
    let Some((_sink, gateway, _daemon, binary)) = for_users(TEST, true) else {
        return;
    };
    // `mail` is listed nowhere: mail for it falls into the box that all such share.
    let error = refused(mailward_as(8, &binary, &gateway, &["why"]), 2);
    assert!(
        error.contains("no mailbox of example.com belongs to the login `mail`"),
        "{error}"
    );
    let error = refused(mailward_as(4_000_000, &binary, &gateway, &["why"]), 2);
    assert!(error.contains("no login has the user id 4000000"), "{error}");
    let Some((_sink, gateway, _daemon, binary)) = for_users(TEST, false) else {
        return;
    };
    let error = refused(mailward_as(DAEMON, &binary, &gateway, &["quarantine", "list"]), 2);
    assert!(error.contains("only root and the daemon's user may ask"), "{error}");
    assert!(
        error.contains("hint: to let users ask about their own mail, set `[control] user_domain`"),
        "{error}"
    );
}

#[test]
fn users_cannot_take_the_operators_place() {
    const TEST: &str = "users_cannot_take_the_operators_place";
    let Some((_sink, gateway, _daemon, binary)) = for_users(TEST, true) else {
        return;
    };
    // Each user's command takes a place while it is being answered; the operator is answered in between.
    let users: Vec<_> = (0..24)
        .map(|_| {
            let mut command = mailward_as(NOBODY, &binary, &gateway, &["quarantine", "list"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            start(command)
        })
        .collect();
    assert!(said(&gateway, &["status"]).starts_with("mailward "));
    for user in users {
        let output = user.wait_with_output().expect("it ends");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success() || error.contains("too many users ask at this time"),
            "{error}"
        );
    }
}

#[test]
fn an_answer_is_cut_into_lines_of_bounded_size() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let mut mail = Mail::new("1@load.example", &["ann@example.com"]).padded(300_000);
    mail.helo = "nodot".into();
    let answers = Client::deliver(gateway.addr(), &mail).expect("a session");
    let id = answers.decisive().id().expect("an id");
    let show = json!({"quarantine": {"action": {"show": {"message": id, "raw": true, "json": false}}}});
    let mut stream = knock(&gateway);
    let request = json!({"mailward": 1, "columns": 80, "ask": show});
    stream.write_all(format!("{request}\n").as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let longest = answer.split(|b| *b == b'\n').map(<[u8]>::len).max();
    assert!(
        longest <= Some(128 * 1024) && answer.len() > 300_000,
        "{longest:?} of {}",
        answer.len()
    );
}

#[test]
fn what_is_not_yet_released_stays_when_whoever_asked_goes_away() {
    let sink = Sink::start();
    let mut gateway = setup(&sink).start();
    let ids: Vec<String> = (0..6)
        .map(|n| {
            let name = format!("{n}@load.example");
            send(&gateway, &name, &["ann@example.com"], "nodot")
        })
        .collect();
    sink.play(Script::default().at(Stage::Greeting, Act::Stall));
    let command = json!({"quarantine": {"action": {"release": {"messages": ids, "again": false, "json": false}}}});
    let mut stream = knock(&gateway);
    let request = json!({"mailward": 1, "columns": 100, "ask": command});
    stream.write_all(format!("{request}\n").as_bytes()).expect("a request");
    let started = std::time::Instant::now();
    while sink.open_connections() == 0 {
        assert!(started.elapsed() < PATIENCE, "nothing is released");
    }
    drop(stream);
    sink.play(Script::default());
    sink.hang_up();
    // Waits for questions that are worked on.
    assert!(gateway.stop().success());
    assert!(sink.taken().len() < ids.len() - 1, "{}", sink.taken().len());
}
