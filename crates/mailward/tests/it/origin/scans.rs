//! `mailward scan` asks as the door does, and tells each proof with what it rests on.

use std::fs;

use super::{BANK, World, bank, reverse, signed_mail_from};
use crate::support::daemon;
use crate::support::dkim;
use crate::support::gateway::Setup;
use crate::support::private_dns::is_there;

#[test]
fn a_scan_online_proves_what_the_door_proves() {
    if !is_there("a_scan_online_proves_what_the_door_proves") {
        return;
    }
    let world = World::start(
        &[bank("v=DMARC1; p=reject").signed(), reverse()],
        &["example.com/checks/dmarc", "example.com/checks/spf"],
    );
    let mail = signed_mail_from("ann@bank.example");
    let reply = world.send(BANK, &mail);
    let at_the_door = world.facts(&reply)["origin"].clone();
    let file = world.gateway.dir().join("message");
    fs::write(&file, &mail.message).expect("our own directory");
    let args = [
        "scan",
        "--online",
        "--json",
        "--client-ip",
        BANK,
        "--helo",
        "mx.bank.example",
        "--from",
        "ann@bank.example",
        "--rcpt",
        "foo@example.com",
        &file.to_string_lossy(),
    ];
    let said = daemon::said(&world.gateway, &args);
    let json: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(json["disposition"], "accept", "{json}");
    assert_eq!(json["facts"]["origin"], at_the_door);
    // Who asks nobody proves nothing, and refuses nothing for it.
    let offline: Vec<&str> = args.into_iter().filter(|arg| *arg != "--online").collect();
    let json: serde_json::Value = serde_json::from_str(&daemon::said(&world.gateway, &offline)).expect("JSON");
    assert_eq!(json["disposition"], "accept", "{json}");
    assert_eq!(json["facts"]["origin"]["spf_mail_from"], "NotAsked", "{json}");
}

#[test]
fn each_proof_is_told_with_what_it_rests_on() {
    let gateway = Setup::new()
        .srv(&["example.com/users/valid/foo", "example.com/checks/dmarc"])
        .file("example.com/zones", "bl.example score\n")
        .stopped();
    let zone = format!(
        "$SECURE bank.example.\n$ORIGIN bank.example.\n@ TXT \"v=spf1 ip4:{BANK} -all\"\n@ MX 1 mx\nmx A {BANK}\n\
         _dmarc TXT \"v=DMARC1; p=reject\"\n{}25.2.0.192.in-addr.arpa. PTR mx.bank.example.\n\
         25.2.0.192.bl.example. A 127.0.0.2\n25.2.0.192.bl.example. TXT \"seen in a trap\"\n\
         2.0.0.127.bl.example. A 127.0.0.2\n",
        dkim::key_record("s1")
    );
    let write = |name: &str, octets: &[u8]| {
        let path = gateway.dir().join(name);
        fs::write(&path, octets).expect("our own directory");
        path.to_string_lossy().into_owned()
    };
    let zone = write("zone", zone.as_bytes());
    let message = write("message", &signed_mail_from("ann@bank.example").message);
    let said = daemon::said(
        &gateway,
        &[
            "scan",
            "--dns",
            &zone,
            "--client-ip",
            BANK,
            "--helo",
            "mx.bank.example",
            "--from",
            "ann@bank.example",
            "--rcpt",
            "foo@example.com",
            "--time",
            "1800000000",
            &message,
        ],
    );
    for proof in [
        "reverse   pass: 192.0.2.25 is called mx.bank.example, which leads back to it (not signed by DNSSEC)",
        "`ip4:192.0.2.25`",
        "_dmarc.bank.example",
        "s1",
        "mx        bank.example takes mail (signed by DNSSEC)",
        "bl.example lists 192.0.2.25 (127.0.0.2): seen in a trap",
    ] {
        assert!(said.contains(proof), "no {proof:?} in\n{said}");
    }
}
