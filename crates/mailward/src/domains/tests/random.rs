//! Whatever is done to a tree, the tree that watched it says the same as one that is read for the first time.

use super::*;
use proptest::prelude::*;

/// Few enough that they meet often, in every role: directory, file, link, target, domain, root.
const PATHS: [&str; 30] = [
    "srv",
    "aside",
    "srv/_global_",
    "srv/_global_/blacklisted",
    "srv/_global_/blacklisted/senders/s@s.example",
    "srv/_global_/zones",
    "srv/_global_/forwarders",
    "srv/d.example",
    "srv/e.example",
    "srv/d.example/users",
    "srv/d.example/users/valid",
    "srv/d.example/users/valid/ann",
    "srv/d.example/users/valid/ann/192.0.2.1",
    "srv/d.example/users/invalid/ann",
    "srv/d.example/users/valid/*",
    "srv/d.example/checks",
    "srv/d.example/checks/helo",
    "srv/d.example/checks/all",
    "srv/d.example/blacklisted/senders/s@s.example",
    "srv/d.example/mailboxes/sales",
    "srv/d.example/deliver",
    "srv/d.example/zones",
    "srv/d.example/forwarders/.f.example",
    "srv/d.example/shadow",
    "srv/e.example/users/valid/ann",
    "srv/e.example/checks/helo",
    "srv/e.example/zones",
    "aside/users/valid/ann",
    "aside/checks/helo",
    "blacklist.d/192.0.2.1",
];
const TEXTS: [&str; 6] = [
    "",
    "soft = true",
    "action = \"tag\"",
    "smtp:mx.example:25",
    "ann@d.example",
    "a.example score\nb.example",
];

#[derive(Debug, Clone)]
enum Step {
    Write(usize, usize),
    Mkdir(usize),
    Remove(usize),
    Rename(usize, usize),
    Link(usize, usize),
    HardLink(usize, usize),
}

impl Step {
    /// Does what can be done; what cannot, has no effect.
    fn run(&self, site: &Site) {
        let make_room = |path: &PathBuf| drop(fs::create_dir_all(path.parent().unwrap()));
        let path = |at: usize| site.path(PATHS[at]);
        match *self {
            Step::Write(at, text) => {
                make_room(&path(at));
                drop(fs::write(path(at), TEXTS[text]));
            }
            Step::Mkdir(at) => drop(fs::create_dir_all(path(at))),
            Step::Remove(at) => {
                drop(fs::remove_file(path(at)));
                drop(fs::remove_dir_all(path(at)));
            }
            Step::Rename(from, to) => {
                make_room(&path(to));
                drop(fs::rename(path(from), path(to)));
            }
            Step::Link(target, at) => {
                make_room(&path(at));
                drop(std::os::unix::fs::symlink(path(target), path(at)));
            }
            Step::HardLink(target, at) => {
                make_room(&path(at));
                drop(fs::hard_link(path(target), path(at)));
            }
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let path = 0..PATHS.len();
    prop_oneof![
        4 => (path.clone(), 0..TEXTS.len()).prop_map(|(at, text)| Step::Write(at, text)),
        1 => path.clone().prop_map(Step::Mkdir),
        2 => path.clone().prop_map(Step::Remove),
        2 => (path.clone(), path.clone()).prop_map(|(from, to)| Step::Rename(from, to)),
        2 => (path.clone(), path.clone()).prop_map(|(target, at)| Step::Link(target, at)),
        1 => (path.clone(), path).prop_map(|(target, at)| Step::HardLink(target, at)),
    ]
}

/// All that can be asked, as text.
fn said(domains: &Domains) -> String {
    let mut said = format!("{:?}\n", domains.names());
    for name in ["d.example", "e.example"] {
        let view = match domains.find(&domain(name)) {
            Found::Local(view) => view,
            Found::Dangling { .. } => {
                said += "dangling\n";
                continue;
            }
            Found::NotLocal | Found::NoDomains => {
                said += "not local\n";
                continue;
            }
            Found::Unreadable { .. } => {
                said += "unreadable\n";
                continue;
            }
        };
        let sender = ReversePath::parse("s@s.example").unwrap();
        let (ann, sales) = (local("ann"), local("sales"));
        said += &format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {}{}\n",
            view.user(&ann, ip(CLIENT)),
            view.user(&ann, ip("192.0.2.2")),
            view.user(&sales, ip(CLIENT)),
            view.mailbox(&sales).to_string(),
            view.blacklisted(&probe(&sender)),
            view.next_hop(),
            view.policy(),
            view.zones(),
            view.forwarders().matches_name("a.f.example"),
            view.forwarders().matches_name("a.iki.fi"),
        );
    }
    said
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_watched_tree_says_what_a_fresh_one_says(
        steps in prop::collection::vec(prop::collection::vec(step(), 1..4), 1..25),
        few in 1usize..12,
    ) {
        let site = Site::new(Mode::Watches);
        let watched = [Mode::Watches, Mode::Timestamps, Mode::Few(few)].map(|mode| (mode, unread(mode, site.roots())));
        for (at, some) in steps.iter().enumerate() {
            some.iter().for_each(|step| step.run(&site));
            let fresh = said(&unread(Mode::Timestamps, site.roots()));
            for (mode, domains) in &watched {
                prop_assert_eq!(&said(domains), &fresh, "{:?} after {}", mode, at);
            }
        }
    }
}
