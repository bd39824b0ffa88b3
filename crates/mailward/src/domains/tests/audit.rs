//! What `mailward check` says of a tree.

use super::super::audit::{Finding, Severity, audit};
use super::*;
use crate::relay::next_hop::NextHop;

/// The findings as text, with the tree's own place cut away.
fn findings(site: &Site) -> Vec<String> {
    let place = format!("{}/", site.dir.path().display());
    let text = |finding: &Finding| finding.to_string().replace(&place, "");
    audit(&site.roots(), &is_ourselves).iter().map(text).collect()
}

fn is_ourselves(hop: &NextHop) -> bool {
    hop.to_string() == "smtp:127.0.0.1:2525"
}

fn only(site: &Site) -> String {
    let all = findings(site);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.into_iter().next().unwrap()
}

/// A tree in which nothing is wrong.
fn sound() -> Site {
    let site = Site::new(Mode::Watches);
    site.touch(&["srv/d.example/users/valid/ann"]);
    site
}

#[test]
fn a_sound_tree_has_no_findings() {
    let site = sound();
    site.touch(&[
        "srv/d.example/users/valid/*",
        "srv/d.example/users/invalid/bob",
        "srv/d.example/shadow",
    ]);
    site.touch(&[
        "srv/d.example/users/valid/acl/192.0.2.1",
        "srv/d.example/checks/recommended",
    ]);
    site.write(
        "srv/d.example/checks/dkim",
        "action = \"file\"\nfolder = \"Bulk\"\ndomains = [\"a.example\"]",
    );
    site.write("srv/d.example/checks/helo", "yes");
    site.write("srv/d.example/deliver", "smtp:127.0.0.1:25");
    site.write("srv/d.example/mailboxes/sales", "ann@d.example");
    site.touch(&[
        "srv/_global_/blacklisted/tld/unknown",
        "srv/_global_/whitelisted/senders/a@a.example",
    ]);
    site.touch(&["blacklist.d/2001:db8::1"]);
    site.write("srv/_global_/zones", "# for all\nzen.example score\n");
    site.touch(&["srv/d.example/zones", "srv/_global_/forwarders/192.0.2.1"]);
    site.touch(&[
        "srv/d.example/forwarders/.f.example",
        "srv/d.example/forwarders/F.example",
    ]);
    site.link("d.example", "srv/e.example");
    assert_eq!(findings(&site), [""; 0]);
}

/// What is made, below the root of a sound tree, and what is said of it.
const MISTAKES: &[(&str, &str)] = &[
    (
        "d.example/checks/hello",
        "warning: srv/d.example/checks/hello: unknown check: `hello`\nhint: did you mean `helo`?",
    ),
    (
        "d.example/blacklist/ips/192.0.2.1",
        "warning: srv/d.example/blacklist: unknown name: `blacklist`\nhint: did you mean `blacklisted`?",
    ),
    (
        "d.example/user/valid/ann",
        "warning: srv/d.example/user: unknown name: `user`\nhint: did you mean `users`?",
    ),
    (
        "d.example/users/ann",
        "warning: srv/d.example/users/ann: unknown name: `ann`\nhint: users stand in `srv/d.example/users/valid`",
    ),
    (
        "d.example/users/invlaid/ann",
        "warning: srv/d.example/users/invlaid: unknown name: `invlaid`\nhint: did you mean `invalid`?",
    ),
    (
        "d.example/blacklisted/sender/x",
        "warning: srv/d.example/blacklisted/sender: unknown list: `sender`\nhint: did you mean `senders`?",
    ),
    (
        "d.example/whitelisted/ips/192.0.2.0-24",
        "warning: srv/d.example/whitelisted/ips/192.0.2.0-24: not an IP address: matches nothing",
    ),
    (
        "d.example/blacklisted/tld/co.example",
        "warning: srv/d.example/blacklisted/tld/co.example: not one last label, like `example`: matches nothing",
    ),
    (
        "_globl_/x",
        "warning: srv/_globl_: not the name of a domain: has no effect\nhint: did you mean `_global_`?",
    ),
    ("README", "note: srv/README: a file among domains: has no effect"),
    (
        "_global_/checks/all",
        "warning: srv/_global_/checks: has no effect: only lists hold for all domains",
    ),
    (
        "d.example/lists/some list",
        "warning: srv/d.example/lists/some list: not a domain: matches nothing",
    ),
    (
        "_global_/list/l.example",
        "warning: srv/_global_/list: has no effect: only lists hold for all domains\nhint: did you mean `lists`?",
    ),
    (
        "d.example/zones",
        "note: srv/d.example/zones: names no zone, and `_global_/zones` names none either: has no effect",
    ),
    (
        "d.example/zones/zen.example",
        "warning: srv/d.example/zones: not a file: names no zone",
    ),
    (
        "d.example/zone",
        "warning: srv/d.example/zone: unknown name: `zone`\nhint: did you mean `zones`?",
    ),
    (
        "d.example/forwarder/f.example",
        "warning: srv/d.example/forwarder: unknown name: `forwarder`\nhint: did you mean `forwarders`?",
    ),
    (
        "_global_/forward/f.example",
        "warning: srv/_global_/forward: has no effect: only lists hold for all domains\nhint: did you mean `forwarders`?",
    ),
    (
        "_global_/forwarders/.example",
        "note: srv/_global_/forwarders/.example: looks like a leftover: has no effect",
    ),
    (
        "d.example/forwarders/*.f.example",
        "warning: srv/d.example/forwarders/*.f.example: not an IP address, a host, or what hosts end in (`.example.com`): matches nothing",
    ),
    (
        "d.example/forwarders",
        "warning: srv/d.example/forwarders: not a directory: has no effect",
    ),
    (
        "d.example/checks/helo~",
        "note: srv/d.example/checks/helo~: looks like a leftover: has no effect",
    ),
    (
        "d.example/users/valid/_others_",
        "warning: srv/d.example/users/valid/_others_: cannot be the name of a Maildir: mail for it cannot be filed",
    ),
    (
        "d.example/users/valid/Ann",
        "note: srv/d.example/users/valid/ann: stands here twice, as `ann`",
    ),
    (
        "d.example/users/invalid/ann",
        "warning: srv/d.example/users/invalid/ann: is in `valid` too; `invalid` counts",
    ),
    (
        "d.example/users/invalid/*",
        "warning: srv/d.example/users/invalid/*: has no effect: nobody is called `*`, and who is listed nowhere is refused anyway",
    ),
];

#[test]
fn each_mistake_is_named_with_the_nearest_right_word() {
    for (path, expected) in MISTAKES {
        let site = sound();
        site.touch(&[&format!("srv/{path}")]);
        assert_eq!(only(&site), *expected, "{path}");
    }
}

#[test]
fn bad_keys_of_links_are_named() {
    let site = sound();
    let at = "srv/d.example/checks/links";
    site.write(
        at,
        "treshold = 5\nthreshold = 0\nshorteners = \"go.example\"\nignore = [\"a b\"]\n",
    );
    let mut found = findings(&site);
    found.sort();
    assert_eq!(
        found,
        [
            format!("warning: {at}:1: unknown key: `treshold`\nhint: did you mean `threshold`?"),
            format!("warning: {at}:2: `threshold` is not a number from 1 to 4294967295"),
            format!("warning: {at}:3: `shorteners` is not a list: write `shorteners = [\"a.example\"]`"),
            format!("warning: {at}:4: not a domain in quotes, so it is left out"),
        ]
    );
}

#[test]
fn a_greylist_that_nobody_could_pass_is_a_mistake() {
    let site = sound();
    let at = "srv/d.example/checks/greylisting";
    site.write(
        at,
        "delay_s = 7200\naction = \"reject\"\nwindow_s = 3600\nlifetime_s = 0\n",
    );
    let mut found = findings(&site);
    found.sort();
    assert_eq!(
        found,
        [
            format!("warning: {at}:1: nobody could ever pass: `delay_s` (7200) is not less than `window_s` (3600)"),
            format!("warning: {at}:2: `action` has no effect: strangers are asked to come again"),
            format!("warning: {at}:4: `lifetime_s` is not a number from 1 to 4294967295"),
        ]
    );
}

#[test]
fn a_bad_key_is_named_with_its_line() {
    let site = sound();
    site.write(
        "srv/d.example/checks/helo",
        "# first\nacton = \"tag\"\naction = \"rejct\"\nsoft = 1\nfolder = \"Junk\"\nknown = \"yes\"\n",
    );
    let mut found = findings(&site);
    found.sort();
    let at = "srv/d.example/checks/helo";
    assert_eq!(
        found,
        [
            format!("warning: {at}:2: unknown key: `acton`\nhint: did you mean `action`?"),
            format!("warning: {at}:3: unknown action: `rejct`\nhint: did you mean `reject`?"),
            format!("warning: {at}:4: `soft` is neither `true` nor `false`"),
            format!("warning: {at}:5: `folder` has no effect without `action = \"file\"`"),
            format!("warning: {at}:6: `known` can only be `\"pass\"`"),
        ]
    );
}

#[test]
fn a_bad_line_of_zones_is_named_with_its_number() {
    for at in ["srv/d.example/zones", "srv/_global_/zones"] {
        let site = sound();
        site.write(
            at,
            "zen.example scor\n\nzen.example\n# comment\nZEN.example.\nscore zen.example\n",
        );
        assert_eq!(
            findings(&site),
            [
                format!("warning: {at}:1: unknown word: `scor`\nhint: did you mean `score`?"),
                format!("warning: {at}:5: `zen.example` stands here twice: the first line counts"),
                format!("warning: {at}:6: begins with `score`, where the zone's name should stand"),
            ]
        );
        fs::write(site.path(at), b"zen.example # \xfcber\nz\xfc.example\n").unwrap();
        assert_eq!(
            only(&site),
            format!("warning: {at}:2: not the name of a zone: `z\u{fffd}.example`")
        );
        site.write(at, &"zen.example score # and so on\n".repeat(3000));
        let found = findings(&site);
        assert_eq!(
            found[0],
            format!("warning: {at}: longer than 64 KiB: what is past that is left out")
        );
    }
}

#[test]
fn text_that_was_meant_as_toml_is_named() {
    let site = sound();
    site.write("srv/d.example/checks/helo", "\naction = reject\n");
    let found = only(&site);
    assert!(
        found.starts_with("warning: srv/d.example/checks/helo:2: not TOML, so it counts as empty: "),
        "{found}"
    );
}

#[test]
fn bad_next_hops_and_owners_are_errors() {
    let site = sound();
    site.write("srv/d.example/deliver", "smtp:mx.example");
    assert_eq!(
        only(&site),
        "error: srv/d.example/deliver: the next hop has no port: `mx.example`\nhint: write `smtp:mx.example:25`"
    );
    site.write("srv/d.example/deliver", "smtp:127.0.0.1:2525");
    assert_eq!(
        only(&site),
        "error: srv/d.example/deliver: leads back to `[smtp] listen`, so mail would go in circles: `smtp:127.0.0.1:2525`\n\
         hint: name the mail server behind the gateway, at another address or port"
    );
    site.remove("srv/d.example/deliver");
    site.write("srv/d.example/mailboxes/sales", "ann");
    assert_eq!(
        only(&site),
        "error: srv/d.example/mailboxes/sales: its line is no mail address\nhint: write the owner's address, `ann@example.com`"
    );
}

#[test]
fn an_owner_in_another_domain_is_noted_but_not_one_in_another_name_of_the_domain() {
    let site = sound();
    site.link("d.example", "srv/d2.example");
    site.write("srv/d.example/mailboxes/sales", "ann@d2.example");
    assert_eq!(findings(&site), [""; 0]);
    site.remove("srv/d2.example");
    site.touch(&["srv/d2.example/users/valid/ann"]);
    assert_eq!(
        only(&site),
        "note: srv/d.example/mailboxes/sales: the owner is of another domain, whose box gets this mail: `ann@d2.example`"
    );
}

#[test]
fn two_directories_for_one_domain_are_an_error() {
    let site = sound();
    site.touch(&["srv/D.example/users/valid/ann"]);
    assert_eq!(
        only(&site),
        "error: srv/d.example: stands for `d.example`, as does `D.example`, which counts\nhint: remove one of them"
    );
}

/// A mount point whose file system is not mounted was said to be in order, while all mail was refused for good.
#[test]
fn a_tree_without_a_domain_is_an_error() {
    let site = Site::new(Mode::Watches);
    site.mkdir("srv/lost+found");
    let found = only(&site);
    assert!(
        found.starts_with("error: srv: no domain in it: all mail is deferred\nhint: mount what belongs there"),
        "{found}"
    );
}

#[test]
fn links_that_lead_nowhere_are_named() {
    let site = sound();
    site.link("nowhere", "srv/e.example");
    assert_eq!(
        only(&site),
        "error: srv/e.example: the link leads nowhere: the domain's mail is deferred\n\
         hint: point it to the domain's directory; or remove it, and `mailward domains forget` the domain"
    );
    site.remove("srv/e.example");
    site.touch(&["file"]);
    site.link("../file", "srv/e.example");
    assert_eq!(only(&site), "warning: srv/e.example: the link leads to no directory");
    for path in [
        "users/valid/bob",
        "whitelisted",
        "mailboxes",
        "lists",
        "forwarders",
        "deliver",
    ] {
        let site = sound();
        site.link("nowhere", &format!("srv/d.example/{path}"));
        assert_eq!(
            only(&site),
            format!(
                "error: srv/d.example/{path}: the link leads nowhere: mail is deferred\n\
                 hint: point it to what it stands for, or remove it"
            )
        );
    }
    site.remove("srv/e.example");
    site.link("nowhere", "srv/d.example/checks");
    assert_eq!(
        only(&site),
        "warning: srv/d.example/checks: the link leads nowhere: has no effect"
    );
    site.remove("srv/d.example/checks");
    site.link("nowhere", "srv/d.example/blacklisted/ips/192.0.2.1");
    assert_eq!(
        only(&site),
        "warning: srv/d.example/blacklisted/ips/192.0.2.1: the link leads nowhere: has no effect"
    );
    site.remove("srv/d.example/blacklisted");
    site.link("checks", "srv/d.example/checks");
    assert_eq!(audit(&site.roots(), &is_ourselves)[0].severity, Severity::Error);
}

#[test]
fn a_domain_of_a_foreign_owner_is_an_error() {
    let site = sound();
    site.mkdir("outside");
    // Only root can give a directory away.
    if std::os::unix::fs::chown(site.path("outside"), Some(12_345), None).is_ok() {
        site.link("../outside", "srv/e.example");
        assert!(only(&site).starts_with("error: srv/e.example: leads out of the tree"));
    }
}

#[test]
fn a_domain_that_accepts_nothing_is_noted() {
    let site = sound();
    site.mkdir("srv/e.example/users/valid");
    assert!(only(&site).starts_with("note: srv/e.example: has no users, so it accepts no mail\nhint: "));
    site.mkdir("srv/e.example/users/valid/ann");
    assert!(only(&site).contains("accepts mail from nobody"));
}

#[test]
fn a_tree_that_anybody_may_write_to_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let site = sound();
    let open = |path: &str, mode| fs::set_permissions(site.path(path), fs::Permissions::from_mode(mode)).unwrap();
    open("srv", 0o1777);
    assert!(only(&site).starts_with("warning: srv: any user of this machine may write here\nhint: `chmod o-w "));
    open("srv", 0o755);
    site.touch(&["srv/d.example/checks/helo"]);
    open("srv/d.example/checks/helo", 0o666);
    assert!(only(&site).starts_with("warning: srv/d.example/checks/helo: any user of this machine may write here"));
}

#[test]
fn a_missing_root_is_an_error() {
    let site = Site::new(Mode::Watches);
    site.remove("srv");
    assert!(only(&site).starts_with("error: srv: no such directory\nhint: `mkdir -p "));
}

#[test]
fn the_name_of_a_file_cannot_forge_a_line() {
    let site = sound();
    site.touch(&["srv/d.example/checks/x\nerror: y"]);
    let found = only(&site);
    assert_eq!(found.lines().count(), 1, "{found}");
}

#[test]
fn what_whitelist_entries_say_besides_their_names_is_looked_at() {
    for (path, content, expected) in [
        ("senders/a@b.example", "forged = \"pass\"", None),
        ("senders/a@b.example", "yes", None),
        (
            "senders/a@b.example",
            "forged = pass",
            Some("warning: {}: not TOML, so it counts as empty\nhint: write `forged = \"pass\"`"),
        ),
        (
            "domains/b.example",
            "forgd = \"pass\"",
            Some("warning: {}: unknown key: `forgd`\nhint: did you mean `forged`?"),
        ),
        (
            "domains/b.example",
            "forged = \"yes\"",
            Some("warning: {}: `forged` can only be `\"pass\"`"),
        ),
        (
            "ips/192.0.2.1",
            "forged = \"pass\"",
            Some("note: {}: `forged` has no effect here: the entry goes by no sender's name"),
        ),
    ] {
        let site = sound();
        let file = format!("srv/d.example/whitelisted/{path}");
        site.write(&file, content);
        let expected: Vec<String> = expected.iter().map(|text| text.replace("{}", &file)).collect();
        assert_eq!(findings(&site), expected, "{path}: {content}");
    }
}
