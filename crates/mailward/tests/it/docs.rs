//! What the documentation says is what the program does.

use std::path::Path;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_page_of_configuration_keys_is_the_table_of_keys() {
    let page = read("docs/configuration.md");
    let table = mailward::config::documentation();
    assert!(
        page.ends_with(&table),
        "docs/configuration.md should end with:\n{table}"
    );
}

/// Each clause of the promises names tests in backticks, as `crate::module::test` or `module::test` of this binary.
#[test]
fn every_test_that_a_promise_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut sources = String::new();
    collect(&root.join("crates"), &mut sources);
    let page = read("docs/promises.md");
    let names: Vec<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.contains('_') && !name.contains(' '))
        .collect();
    assert!(names.len() > 20, "the promises name only {} tests", names.len());
    let missing: Vec<_> = names
        .iter()
        .filter(|name| {
            let function = name.rsplit("::").next().unwrap_or(name);
            !sources.contains(&format!("fn {function}("))
        })
        .collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}

/// A page of two versions at once was published once, marks and all.
#[test]
fn no_page_holds_the_marks_of_a_merge() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for dir in [root.clone(), root.join("docs")] {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|e| e == "md") {
                let text = std::fs::read_to_string(&path).unwrap();
                let marks = ["<<<<<<< ", ">>>>>>> "];
                assert!(
                    !text.lines().any(|l| marks.iter().any(|m| l.starts_with(m))),
                    "{}",
                    path.display()
                );
            }
        }
    }
}

fn collect(dir: &Path, sources: &mut String) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|e| e == "rs") {
            sources.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}
