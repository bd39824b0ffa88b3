//! The house rules that a program can check: sizes, documentation, and which way imports may go.
//!
//! Code is read as rustfmt writes it: a function ends at the first line that closes its brace at its own depth.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Longest function and file, in lines.
const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 800;

/// Functions and files that may be longer, and why.
const EXCUSED: [(&str, &str); 4] = [
    ("verdict/tests.rs::ranks_follow_one_another", TABLE),
    ("verdict/tests.rs::trouble_passes_or_waits", TABLE),
    (
        "verdict/tests.rs::a_whitelist_by_name_does_not_cover_a_forged_one",
        TABLE,
    ),
    ("verdict/tests.rs::no_more_is_asked_than_the_verdict_needs", TABLE),
];
const TABLE: &str = "one table of cases, which need the same few names";

fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Every Rust file of our crates, tests, benches and fuzz targets included, with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let fuzz = ["fuzz_targets", "targets"].map(|dir| workspace().join("fuzz").join(dir));
    let mut left = vec![workspace().join("crates")];
    left.extend(fuzz);
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).expect("our own directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("our own file");
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 50, "only {} files", found.len());
    found.sort();
    found
}

fn excused(name: &str) -> bool {
    EXCUSED.iter().any(|(excused, _)| name.ends_with(excused))
}

/// Name and length of each function.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = &line[..line.len() - code.len()];
        let Some(name) = function_name(code) else { continue };
        let closes = |line: &&str| {
            let same_depth = line.strip_prefix(indent).is_some_and(|rest| !rest.starts_with(' '));
            same_depth && (line.trim_start() == "}" || line.ends_with(';') || line.ends_with("{}"))
        };
        let one_line = line.ends_with('}') || line.ends_with(';');
        let more = lines[start + 1..].iter().position(closes);
        let length = match one_line {
            true => 1,
            false => more.unwrap_or_else(|| panic!("`{name}` has no end")) + 2,
        };
        found.push((name.to_owned(), length));
    }
    found
}

/// The name, where a line of code begins a function.
fn function_name(code: &str) -> Option<&str> {
    let (before, after) = code.split_once("fn ")?;
    let words = ["pub", "async", "const", "unsafe", "default"];
    let is_item = before
        .split_whitespace()
        .all(|word| words.contains(&word) || word.starts_with("pub("));
    let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    (is_item && end > 0).then(|| &after[..end])
}

#[test]
fn functions_are_measured_as_rustfmt_writes_them() {
    let text = "fn a() {}\n\npub(super) async fn b(\n    x: u8,\n) -> u8 {\n    if x > 0 {\n    }\n    x\n}\n\
        impl A {\n    fn c(&self) {\n        x\n    }\n    fn d(\n        a: u8,\n    );\n}\nlet f = |fn_like| fn_like;\n";
    let expected = [("a", 1), ("b", 7), ("c", 3), ("d", 3)];
    assert_eq!(functions(text), expected.map(|(name, lines)| (name.to_owned(), lines)));
}

#[test]
fn no_function_is_longer_than_a_page() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        for (name, lines) in functions(&text) {
            let name = format!("{}::{name}", path.display());
            if lines > FUNCTION_LINES_MAX && !excused(&name) {
                faults.push(format!("{name}: {lines} lines"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_file_is_longer_than_can_be_read_at_once() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX && !excused(&path.to_string_lossy()) {
            faults.push(format!("{}: {lines} lines", path.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_file_opens_by_saying_what_it_is_for() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert!(silent.is_empty(), "no `//!`: {}", silent.join("\n"));
}

#[test]
fn no_test_is_ignored_and_none_is_called_test() {
    // Put together here, so that this file does not find itself.
    let wrong = [
        format!("#[{}]", "ignore"),
        format!("#[{} ", "ignore"),
        format!("fn {}_", "test"),
    ];
    let mut faults = Vec::new();
    for (path, text) in sources() {
        let found = wrong.iter().filter(|wrong| text.contains(*wrong));
        faults.extend(found.map(|wrong| format!("{}: {wrong}", path.display())));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Our crates, and which of ours each may use.
const MAY_USE: [(&str, &[&str]); 6] = [
    ("mail", &[]),
    ("judge", &["mail"]),
    ("pictures", &[]),
    ("signatures", &["mail", "judge"]),
    ("store", &["mail", "judge"]),
    ("mailward", &["mail", "judge", "pictures", "signatures", "store"]),
];

#[test]
fn imports_between_crates_go_one_way() {
    let ours: Vec<&str> = MAY_USE.iter().map(|(name, _)| *name).collect();
    for (name, may_use) in MAY_USE {
        let path = workspace().join("crates").join(name).join("Cargo.toml");
        let manifest: toml::Table = fs::read_to_string(&path)
            .expect("a manifest")
            .parse()
            .expect("a manifest is TOML");
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(table) = manifest.get(section).and_then(toml::Value::as_table) else {
                continue;
            };
            let used: Vec<&String> = table.keys().filter(|used| ours.contains(&used.as_str())).collect();
            let stray = used.iter().find(|used| !may_use.contains(&used.as_str()));
            assert!(stray.is_none(), "{name} uses {}", stray.expect("it is there"));
        }
    }
    let crates: Vec<_> = fs::read_dir(workspace().join("crates"))
        .expect("our own directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| !ours.contains(&name.as_str()))
        .collect();
    assert!(crates.is_empty(), "say in `MAY_USE` what they may use: {crates:?}");
}

/// What `judge` is built of, by the lock file: its tests, too.
#[test]
fn what_decides_needs_no_c_compiler_no_cryptography_and_no_decoders() {
    let lock = fs::read_to_string(workspace().join("Cargo.lock")).expect("our own lock file");
    let lock: toml::Table = lock.parse().expect("a lock file is TOML");
    let packages = lock["package"].as_array().expect("packages");
    let (mut left, mut below) = (vec!["judge"], Vec::new());
    while let Some(name) = left.pop() {
        if below.contains(&name) {
            continue;
        }
        below.push(name);
        // Of packages of one name, all: more are looked at than there are below it, and none is passed over.
        let same = packages.iter().filter(|package| package["name"].as_str() == Some(name));
        let used = same.filter_map(|package| package.get("dependencies")?.as_array());
        let used = used.flatten().filter_map(|used| used.as_str()?.split(' ').next());
        left.extend(used);
    }
    assert!(below.contains(&"mail") && below.len() > 20, "{below:?}");
    let foreign = ["cc", "cmake", "aws-lc-rs", "gif", "png", "rqrr", "zune-jpeg"];
    let found: Vec<_> = foreign.iter().filter(|foreign| below.contains(foreign)).collect();
    assert!(found.is_empty(), "below `judge`: {found:?}");
}

/// Crates whose files import each other in one direction.
const ONE_WAY: [&str; 4] = ["judge", "signatures", "pictures", "store"];

/// The module that a file is: `checks/mod.rs` and `checks.rs` are both `checks`. A file below a module belongs to it, so it
/// may use what its module defines, and the module what it defines; everything else is an import.
fn module_of(root: &Path, path: &Path) -> Vec<String> {
    let relative = path.strip_prefix(root).expect("below the crate").with_extension("");
    let mut parts: Vec<String> = relative
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib")) {
        parts.pop();
    }
    parts
}

/// The paths that code imports or names, from `crate::` or `super::` on, braces taken apart.
fn paths(code: &str, own: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for (at, start) in code.match_indices("crate::").chain(code.match_indices("super::")) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| is_word(c) || c == ':') {
            continue;
        }
        let mut rest = &code[at + start.len()..];
        let mut path: Vec<String> = match start {
            "crate::" => Vec::new(),
            _ => own[..own.len().saturating_sub(1)].to_vec(),
        };
        while let Some(above) = rest.strip_prefix("super::") {
            (path, rest) = (path[..path.len().saturating_sub(1)].to_vec(), above);
        }
        let mut push = |rest: &str| {
            let parts = rest.split("::").map(|part| part.trim().to_owned());
            found.push(path.iter().cloned().chain(parts).collect());
        };
        let words: String = rest.chars().take_while(|c| is_word(*c) || *c == ':').collect();
        match rest[words.len()..].strip_prefix('{') {
            Some(inside) => {
                let inside = inside.split('}').next().unwrap_or_default();
                inside
                    .split(',')
                    .for_each(|item| push(&[words.as_str(), item].concat()));
            }
            None => push(&words),
        }
    }
    found
}

/// Files of one crate, each with those it imports from.
fn imports(name: &str) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let root = workspace().join("crates").join(name).join("src");
    let is_test = |module: &[String]| module.iter().any(|part| part.ends_with("tests") || part == "vectors");
    let files: Vec<(Vec<String>, String)> = sources()
        .into_iter()
        .filter(|(path, _)| path.starts_with(&root))
        .map(|(path, text)| (module_of(&root, &path), text))
        .filter(|(module, _)| !is_test(module))
        .collect();
    let known: BTreeSet<&Vec<String>> = files.iter().map(|(module, _)| module).collect();
    let owner = |path: &Vec<String>| {
        let longest = (0..=path.len()).rev().map(|len| path[..len].to_vec());
        longest
            .into_iter()
            .find(|path| known.contains(path))
            .unwrap_or_default()
    };
    let graph = files.iter().map(|(module, text)| {
        let code = text.split("#[cfg(test)]\nmod").next().unwrap_or_default();
        let code: String = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        let imported = paths(&code, module).iter().map(owner).collect::<BTreeSet<_>>();
        let is_foreign = |other: &&Vec<String>| !other.starts_with(module) && !module.starts_with(other.as_slice());
        (module.clone(), imported.iter().filter(is_foreign).cloned().collect())
    });
    graph.collect()
}

/// A way from a file back to itself. A module's own files go with it.
fn circle(graph: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>, start: &Vec<String>) -> Option<Vec<String>> {
    let mut ways = vec![vec![start.clone()]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        let last = way.last().expect("a way has a start");
        for next in graph.get(last).into_iter().flatten() {
            if next == start {
                return Some(way.iter().map(|module| module.join("::")).collect());
            }
            if seen.insert(next.clone()) {
                ways.push([way.clone(), vec![next.clone()]].concat());
            }
        }
    }
    None
}

#[test]
fn a_circle_of_imports_is_found() {
    let own = ["a".to_owned(), "b".to_owned()];
    let found = paths(
        "use super::c::{D, e::F}; let x = crate::g::h(); supercrate::no();",
        &own,
    );
    let text: Vec<String> = found.iter().map(|path| path.join("::")).collect();
    assert_eq!(text, ["g::h", "a::c::D", "a::c::e::F"]);
    let module = |name: &str| vec![name.to_owned()];
    let mut graph = BTreeMap::from([
        (module("a"), BTreeSet::from([module("b")])),
        (module("b"), BTreeSet::from([module("c")])),
    ]);
    assert_eq!(circle(&graph, &module("a")), None);
    graph.insert(module("c"), BTreeSet::from([module("a")]));
    assert_eq!(
        circle(&graph, &module("a")),
        Some(vec!["a".into(), "b".into(), "c".into()])
    );
}

#[test]
fn files_of_the_deciding_crates_import_one_way() {
    for name in ONE_WAY {
        let graph = imports(name);
        assert!(graph.len() > 1, "{name} has no files");
        // The same once more by whole modules of the crate.
        let mut coarse: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
        for (module, imported) in &graph {
            let top = |path: &Vec<String>| path.iter().take(1).cloned().collect::<Vec<_>>();
            let others = imported
                .iter()
                .map(top)
                .filter(|other| *other != top(module) && !other.is_empty());
            coarse.entry(top(module)).or_default().extend(others);
        }
        for graph in [&graph, &coarse] {
            let found = graph.keys().find_map(|module| circle(graph, module));
            assert_eq!(found, None, "{name}");
        }
    }
}

#[test]
fn standards_and_judgement_know_no_sockets_no_clock_and_no_runtime() {
    let pure =
        ["mail", "judge", "pictures", "signatures"].map(|name| workspace().join("crates").join(name).join("src"));
    let foreign = [
        "tokio",
        "std::net::Tcp",
        "std::net::Udp",
        "SystemTime::now",
        "Instant::now",
        "std::fs",
        "std::env",
    ];
    let mut faults = Vec::new();
    for (path, text) in sources() {
        if !pure.iter().any(|pure| path.starts_with(pure)) {
            continue;
        }
        // Tests read their fixtures.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let is_test = [
            "transcripts.rs",
            "stories.rs",
            "html5lib.rs",
            "tests.rs",
            "tests",
            "vectors",
        ]
        .iter()
        .any(|name| path.ends_with(name) || path.parent().is_some_and(|dir| dir.ends_with(name)));
        let found = foreign.iter().filter(|foreign| !is_test && code.contains(**foreign));
        faults.extend(found.map(|foreign| format!("{}: {foreign}", path.display())));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
