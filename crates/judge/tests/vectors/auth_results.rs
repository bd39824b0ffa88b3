//! Authentication-Results fields of the suites: real ones and broken ones.

use crate::support::vectors;
use mail::Message;
use mail::auth_results::{claims_authserv_id, parse, parse_arc};
use std::path::{Path, PathBuf};

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn fields_of_all_suites_are_read_or_refused() {
    let Some(dir) = vectors("fields_of_all_suites_are_read_or_refused") else {
        return;
    };
    let (mut read, mut refused) = (0, Vec::new());
    for path in files(dir) {
        let octets = std::fs::read(&path).unwrap();
        for field in Message::parse(&octets).fields() {
            let value = field.value();
            let parsed = if field.is("Authentication-Results") {
                parse(&value)
            } else if field.is("ARC-Authentication-Results") {
                parse_arc(&value).map(|(_, parsed)| parsed)
            } else {
                continue;
            };
            match parsed {
                Ok(parsed) => {
                    read += 1;
                    let id = parsed.authserv_id.as_str();
                    let is_plain = field.is("Authentication-Results") && mail::Domain::parse(id).is_ok();
                    assert!(!is_plain || claims_authserv_id(&value, id), "{id}");
                }
                Err(why) => refused.push(format!("{why}: {}", String::from_utf8_lossy(&value))),
            }
        }
    }
    // What is refused are fields without an authserv-id, and some with parts that are no results.
    assert!(read >= 280 && refused.len() <= 50, "{read} read, refused: {refused:#?}");
}
