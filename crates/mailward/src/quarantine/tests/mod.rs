//! Tests of the whole tree, on a real file system.

mod attack;
mod crash;
mod expiry;
mod keeping;
mod reading;

use super::fixture::{copy, noon};
use super::{Entry, Filter, Quarantine, Reference};
use std::path::{Path, PathBuf};

/// The day that most tests stand on: day 212 of its year.
const DAY: &str = "2025-07-31";

/// All names below a directory, relative to it, sorted; links are not followed.
fn tree(root: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        for item in std::fs::read_dir(dir).unwrap() {
            let item = item.unwrap();
            names.push(item.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            if item.file_type().unwrap().is_dir() {
                todo.push(item.path());
            }
        }
    }
    names.sort();
    names
}

/// The message files of a Maildir's part.
fn files(root: &Path, part: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root.join(part))
        .map(|dir| dir.map(|item| item.unwrap().path()).collect())
        .unwrap_or_default();
    files.sort();
    files
}

fn store(quarantine: &Quarantine, date: &str) -> String {
    quarantine.store(&copy(), &noon(date)).unwrap().reference().to_string()
}

fn entries(quarantine: &Quarantine) -> Vec<Entry> {
    quarantine.list(&Filter::default(), &noon(DAY)).unwrap().entries
}

fn find(quarantine: &Quarantine, reference: &str) -> Vec<Entry> {
    quarantine
        .find(&Reference::parse(reference).unwrap(), &noon(DAY))
        .unwrap()
}

/// Makes everything below look as if it was last changed at noon of a day.
fn age(path: &Path, date: &str) {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
    let time = Timespec {
        tv_sec: noon(date).timestamp().as_second(),
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    for name in tree(path).iter().map(|name| path.join(name)).chain([path.to_owned()]) {
        utimensat(CWD, name, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}
