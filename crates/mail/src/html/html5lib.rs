//! The suite of html5lib, as `html5lib-tests.tar.zst` in the shared directory: what its tokens and trees show is what we
//! show. Without it these tests are passed over; under `CI=true` they fail.

use super::Page;
use super::tokens::{self, Attribute, Sink, Tag};
use html5gum::State;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The archive, where there is one.
fn archive(test: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("MAILWARD_SHARED").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let path = shared.unwrap_or_else(beside).join("html5lib-tests.tar.zst");
    if path.is_file() {
        return Some(path);
    }
    let is_ci = std::env::var("CI").is_ok_and(|v| v == "true");
    assert!(!is_ci, "{test}: there is no {}", path.display());
    // Nobody to tell is no reason to fail.
    let _ = writeln!(std::io::stderr(), "passed over: {test}: there is no {}", path.display());
    None
}

/// The files of a directory of the archive.
fn files(archive: &Path, dir: &str, ending: &str) -> Vec<(String, String)> {
    let tar = |arguments: &[&str]| {
        let output = Command::new("tar")
            .arg("--zstd")
            .arg("-f")
            .arg(archive)
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "tar cannot read {}", archive.display());
        String::from_utf8(output.stdout).unwrap()
    };
    let names = tar(&["-t"]);
    let dir = format!("html5lib-tests/{dir}/");
    let is_wanted = |name: &&str| {
        let file = name.strip_prefix(&dir);
        file.is_some_and(|file| file.ends_with(ending) && !file.contains('/'))
    };
    names
        .lines()
        .filter(is_wanted)
        .map(|name| (name.to_owned(), tar(&["-xO", name])))
        .collect()
}

#[derive(Default)]
struct Recorded(Vec<Value>);

impl Sink for Recorded {
    fn text(&mut self, text: &str) {
        if let Some(Value::Array(last)) = self.0.last_mut()
            && last[0] == "Character"
        {
            last[1] = [last[1].as_str().unwrap(), text].concat().into();
        } else {
            self.0.push(vec!["Character", text].into());
        }
    }

    fn start(&mut self, tag: &Tag) -> Option<State> {
        let name = std::str::from_utf8(tag.text()).unwrap();
        let attribute = |attribute| tag.get(attribute).map(str::to_owned);
        self.0.push(serde_json::json!([
            "StartTag",
            name,
            attribute(Attribute::Href),
            tag.is_self_closing
        ]));
        None
    }

    fn end(&mut self, tag: &Tag) {
        self.0
            .push(vec!["EndTag", std::str::from_utf8(tag.text()).unwrap()].into());
    }

    fn comment(&mut self, text: &str, _: bool) {
        self.0.push(vec!["Comment", text].into());
    }

    fn is_in_foreign_content(&self) -> bool {
        false
    }
}

/// `\uXXXX` as what it stands for, or nothing for half a character.
fn unescaped(text: &str) -> Option<String> {
    serde_json::from_str(&format!("\"{}\"", text.replace('"', "\\\""))).ok()
}

/// The tokens of a case. Doctypes mean nothing to us.
fn expected(case: &Value, is_escaped: bool) -> Option<Vec<Value>> {
    let mut recorded = Recorded::default();
    for token in case["output"].as_array()? {
        let text = |at: usize| match is_escaped {
            true => unescaped(token[at].as_str()?),
            false => Some(token[at].as_str()?.to_owned()),
        };
        match token[0].as_str()? {
            "Character" => recorded.text(&text(1)?),
            "EndTag" => recorded.0.push(vec!["EndTag", &text(1)?].into()),
            "Comment" => recorded.comment(&text(1)?, false),
            "StartTag" => {
                let is_self_closing = token.get(3).is_some_and(|value| value == true);
                recorded.0.push(serde_json::json!([
                    "StartTag",
                    text(1)?,
                    token[2].get("href"),
                    is_self_closing
                ]));
            }
            _ => {}
        }
    }
    Some(recorded.0)
}

#[test]
fn tokens_are_those_of_the_suite() {
    let Some(archive) = archive("tokens_are_those_of_the_suite") else {
        return;
    };
    let mut count = 0;
    for (file, text) in files(&archive, "tokenizer", ".test") {
        let suite: Value = match serde_json::from_str(&text) {
            Ok(suite) => suite,
            Err(error) => panic!("{file}: {error}"),
        };
        // `xmlViolationTests` are for other parsers.
        for case in suite["tests"].as_array().into_iter().flatten() {
            let is_escaped = case["doubleEscaped"] == true;
            let input = case["input"].as_str().unwrap();
            let input = if is_escaped {
                unescaped(input)
            } else {
                Some(input.to_owned())
            };
            // Half a character cannot come from a decoded mail.
            let (Some(input), Some(expected)) = (input, expected(case, is_escaped)) else {
                continue;
            };
            let states = case["initialStates"]
                .as_array()
                .cloned()
                .unwrap_or(vec!["Data state".into()]);
            for state in states {
                let begin = match state.as_str().unwrap() {
                    "Data state" => State::Data,
                    "RCDATA state" => State::RcData,
                    "RAWTEXT state" => State::RawText,
                    "Script data state" => State::ScriptData,
                    "PLAINTEXT state" => State::PlainText,
                    "CDATA section state" => State::CdataSection,
                    other => panic!("{other}"),
                };
                let mut recorded = Recorded::default();
                tokens::read_from(&input, &mut recorded, begin, case["lastStartTag"].as_str());
                assert_eq!(recorded.0, expected, "{file} {state}: {input:?}");
                count += 1;
            }
        }
    }
    assert!(count > 6_000, "{count}");
}

/// A case of a tree: the page, and the lines of the tree that it makes.
struct Case {
    data: String,
    tree: Vec<String>,
}

fn cases(text: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for case in format!("\n{text}").split("\n#data\n").skip(1) {
        let (data, rest) = case
            .split_once("\n#errors")
            .unwrap_or_else(|| case.split_once("#errors").unwrap());
        let (head, tree) = rest.split_once("\n#document\n").unwrap_or((rest, ""));
        // Parts of pages are not what comes by mail, and scripts do not run.
        if head.contains("#document-fragment") || head.contains("#script-on") || !tree.starts_with("| ") {
            continue;
        }
        let tree = tree
            .split("\n| ")
            .map(|line| line.trim_start_matches("| ").trim_end_matches('\n').to_owned());
        cases.push(Case {
            data: data.to_owned(),
            tree: tree.collect(),
        });
    }
    cases
}

/// The text and the targets of a tree.
fn shown(tree: &[String]) -> (String, BTreeSet<String>) {
    let (mut text, mut targets) = (String::new(), BTreeSet::new());
    let mut open: Vec<String> = Vec::new();
    for line in tree {
        let content = line.trim_start_matches(' ');
        let depth = (line.len() - content.len()) / 2;
        open.truncate(depth);
        let is_left_out = |name: &String| {
            [
                "script",
                "style",
                "title",
                "template",
                "iframe",
                "noembed",
                "noframes",
                "svg script",
                "svg style",
            ]
            .contains(&name.as_str())
        };
        if let Some(quoted) = content.strip_prefix('"') {
            if !open.iter().any(is_left_out) {
                text.push_str(quoted.strip_suffix('"').unwrap_or(quoted));
            }
        } else if let Some(name) = content.strip_prefix('<').filter(|name| !name.starts_with('!')) {
            open.push(name.trim_end_matches('>').to_owned());
        } else if let Some((name, value)) = content.split_once("=\"") {
            let element = open.last().map_or("", String::as_str);
            if matches!((element, name), ("a", "href") | ("img", "src") | ("form", "action"))
                && !open.iter().any(is_left_out)
            {
                targets.insert(value.trim_end_matches('"').to_owned());
            }
        }
    }
    (text, targets)
}

fn letters(text: &str) -> BTreeMap<char, usize> {
    let mut letters = BTreeMap::new();
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        *letters.entry(c).or_default() += 1;
    }
    letters
}

/// Why we show more than a tree does: the page has one of these.
const MORE: [(&str, &str); 6] = [
    (
        "<frame",
        "mail programs have no frames, so what stands beside them is shown",
    ),
    ("<noframes", "the same"),
    ("<noembed", "what a program shows that does not load what is embedded"),
    ("<iframe", "the same"),
    ("<select", "two readings are told of"),
    ("<!--", "of a comment that never ends programs differ in what they show"),
];

#[test]
fn what_trees_of_the_suite_show_is_shown() {
    let Some(archive) = archive("what_trees_of_the_suite_show_is_shown") else {
        return;
    };
    let (mut count, mut more, mut faults) = (0, 0, Vec::new());
    for (file, text) in files(&archive, "tree-construction", ".dat") {
        for case in cases(&text) {
            count += 1;
            let (text, targets) = shown(&case.tree);
            let page = Page::read(&case.data);
            let told: BTreeSet<String> = page.links.iter().map(|link| link.target.clone()).collect();
            let (wanted, ours) = (letters(&text), letters(&page.text));
            let is_less = wanted
                .iter()
                .any(|(c, count)| ours.get(c).is_none_or(|found| found < count));
            let lower = case.data.to_ascii_lowercase();
            // It shows the chosen option once more, whose text is told already.
            if lower.contains("<selectedcontent>") {
                continue;
            }
            let is_known = wanted == ours || MORE.iter().any(|(tag, _)| lower.contains(tag));
            more += usize::from(wanted != ours);
            if is_less || !is_known || !targets.is_subset(&told) {
                faults.push(format!("{file}: {:?}: {text:?} {targets:?}, not {page:?}", case.data));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
    assert!(count > 1_000 && more < 100, "{count} cases, {more} of them show more");
}
