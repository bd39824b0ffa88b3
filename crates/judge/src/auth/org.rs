//! Which names belong to one organization, by the public suffix list (<https://publicsuffix.org>).
//!
//! RFC 7489 §3.2: an organizational domain is a public suffix and one label more. The list of the ICANN section (`com`,
//! `co.uk`) and that of the private section (`github.io`) count alike. A list is built in; an operator may put a file in
//! its place, which is newer or has suffixes of his own.

use mail::{Domain, Line};
use psl::Psl;
use std::collections::HashSet;
use std::fmt;

/// The published list has about ten thousand rules.
const RULES_MAX: usize = 200_000;

/// A list of public suffixes.
#[derive(Debug, Clone)]
pub enum PublicSuffixes {
    /// The one that was published when this program was built.
    BuiltIn,
    /// One that was read from a file.
    File(SuffixRules),
}

/// The rules of a file.
#[derive(Debug, Clone, Default)]
pub struct SuffixRules {
    /// `co.uk`.
    exact: HashSet<Box<str>>,
    /// `ck` for the rule `*.ck`.
    wildcards: HashSet<Box<str>>,
    /// `www.ck` for the rule `!www.ck`.
    exceptions: HashSet<Box<str>>,
}

/// Why a file is no list of public suffixes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SuffixError {
    /// A line is no rule.
    Rule {
        /// Counted from 1.
        line: usize,
        /// What stands there.
        text: Line,
    },
    /// More than 200,000 rules.
    TooMany,
    /// No rule at all. Such a list would make one organization of all of `co.uk`.
    Empty,
}

impl PublicSuffixes {
    /// Reads a list in the format of <https://publicsuffix.org>: a rule a line, read up to the first white space, and
    /// comments from `//`. A wildcard may stand as the first label only; the published list has no others.
    ///
    /// # Errors
    /// The first line that is no rule; too many rules or none.
    pub fn parse(text: &str) -> Result<PublicSuffixes, SuffixError> {
        let mut rules = SuffixRules::default();
        let mut count = 0_usize;
        // Editors of Windows begin a file with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (n, line) in text.lines().enumerate() {
            let Some(rule) = line.split_whitespace().next().filter(|rule| !rule.starts_with("//")) else {
                continue;
            };
            rules.add(rule).ok_or_else(|| SuffixError::Rule {
                line: n + 1,
                text: Line::reason(rule.as_bytes()),
            })?;
            count += 1;
            if count > RULES_MAX {
                return Err(SuffixError::TooMany);
            }
        }
        match count {
            0 => Err(SuffixError::Empty),
            _ => Ok(PublicSuffixes::File(rules)),
        }
    }

    /// The organizational domain: the public suffix and one label more. A public suffix is its own; so is a name whose
    /// organizational domain no host could be called (`a._x.example`).
    pub fn organizational(&self, domain: &Domain) -> Domain {
        let labels = self.suffix_labels(domain) + 1;
        let found = last_labels(domain.as_str(), labels).and_then(|name| Domain::parse(name).ok());
        found.unwrap_or_else(|| domain.clone())
    }

    /// Whether names below it may belong to anyone: `com`, `co.uk`, and any name of one label (the list's rule `*`).
    pub fn is_public_suffix(&self, domain: &Domain) -> bool {
        domain.as_str().split('.').count() == self.suffix_labels(domain)
    }

    /// How many labels the public suffix of a name has, at least one.
    fn suffix_labels(&self, domain: &Domain) -> usize {
        match self {
            PublicSuffixes::BuiltIn => {
                let suffix = psl::List.suffix(domain.as_str().as_bytes());
                let dots = suffix.map_or(0, |s| s.as_bytes().iter().filter(|&&b| b == b'.').count());
                dots + 1
            }
            PublicSuffixes::File(rules) => rules.suffix_labels(domain.as_str()),
        }
    }
}

impl SuffixRules {
    /// Nothing if it is no rule.
    fn add(&mut self, rule: &str) -> Option<()> {
        let (set, name) = if let Some(name) = rule.strip_prefix('!') {
            (&mut self.exceptions, name)
        } else if let Some(name) = rule.strip_prefix("*.") {
            (&mut self.wildcards, name)
        } else if rule == "*" {
            // It always holds.
            return Some(());
        } else {
            (&mut self.exact, rule)
        };
        let name = String::from(Domain::parse(name).ok()?);
        // An exception says that its parent is the suffix, so there must be one.
        if rule.starts_with('!') && !name.contains('.') {
            return None;
        }
        set.insert(name.into());
        Some(())
    }

    /// An exception prevails; otherwise the longest rule; otherwise the rule `*`.
    fn suffix_labels(&self, domain: &str) -> usize {
        let labels = domain.split('.').count();
        let with_count = || std::iter::successors(Some(domain), |name| parent(name)).zip((1..=labels).rev());
        if let Some((_, labels)) = with_count().find(|(name, _)| self.exceptions.contains(*name)) {
            return labels - 1;
        }
        let is_rule =
            |name: &str| self.exact.contains(name) || parent(name).is_some_and(|above| self.wildcards.contains(above));
        with_count()
            .find(|(name, _)| is_rule(name))
            .map_or(1, |(_, labels)| labels)
    }
}

fn parent(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, rest)| rest)
}

/// The last `count` labels; nothing if there are fewer.
pub(super) fn last_labels(name: &str, count: usize) -> Option<&str> {
    let labels = name.split('.').count();
    let drop = labels.checked_sub(count)?;
    std::iter::successors(Some(name), |name| parent(name)).nth(drop)
}

impl fmt::Display for SuffixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SuffixError::Rule { line, text } => write!(f, "line {line} is no rule for public suffixes: `{text}`"),
            SuffixError::TooMany => write!(f, "there are more than {RULES_MAX} rules"),
            SuffixError::Empty => f.write_str("there is no rule"),
        }
    }
}

impl std::error::Error for SuffixError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rules that have been in the published list for many years, with all others of their top-level domains.
    const RULES: &str = "\u{feff}// ===BEGIN ICANN DOMAINS===\n\
        biz\n*.ck   and what follows is no part of it\n!www.ck\n\n  \n\
        co.mw\nmw\nac.mw\nbiz.mw\ncom.mw\ncoop.mw\nedu.mw\ngov.mw\nint.mw\nnet.mw\norg.mw\r\n\
        // xn--90ais\n\u{431}\u{435}\u{43b}\n*.er\n*.fk\n*.jm\n*.np\n";

    fn domain(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    #[test]
    fn an_organization_is_one_label_below_a_public_suffix() {
        let list = PublicSuffixes::parse(RULES).unwrap();
        for (name, organization, is_suffix) in [
            ("biz", "biz", true),
            ("a.biz", "a.biz", false),
            ("c.b.a.biz", "a.biz", false),
            ("ck", "ck", true),
            ("x.ck", "x.ck", true),
            ("b.a.x.ck", "a.x.ck", false),
            ("www.ck", "www.ck", false),
            ("a.www.ck", "www.ck", false),
            ("b.a.co.mw", "a.co.mw", false),
            ("b.a.mw", "a.mw", false),
            ("unlisted", "unlisted", true),
            ("c.b.unlisted", "b.unlisted", false),
            ("c.b.xn--90ais", "b.xn--90ais", false),
            ("a._b.biz", "a._b.biz", false),
        ] {
            for list in [&list, &PublicSuffixes::BuiltIn] {
                assert_eq!(list.organizational(&domain(name)), domain(organization), "{name}");
                assert_eq!(list.is_public_suffix(&domain(name)), is_suffix, "{name}");
            }
        }
    }

    #[test]
    fn both_sections_of_the_built_in_list_count() {
        let list = PublicSuffixes::BuiltIn;
        assert_eq!(list.organizational(&domain("x.a.co.uk")), domain("a.co.uk"));
        assert_eq!(list.organizational(&domain("x.a.github.io")), domain("a.github.io"));
        assert!(list.is_public_suffix(&domain("github.io")));
    }

    #[test]
    fn a_file_with_a_bad_line_is_refused() {
        for (text, line, rule) in [
            ("com\n\n-x.example", 3, "-x.example"),
            ("a.*.example", 1, "a.*.example"),
            ("// x\n!com", 2, "!com"),
            ("!", 1, "!"),
            ("*.", 1, "*."),
            ("a..b", 1, "a..b"),
        ] {
            let expected = SuffixError::Rule {
                line,
                text: Line::literal(rule),
            };
            assert_eq!(PublicSuffixes::parse(text).unwrap_err(), expected);
        }
        assert_eq!(PublicSuffixes::parse("// x\n\n").unwrap_err(), SuffixError::Empty);
        let many = "com\n".repeat(RULES_MAX + 1);
        assert_eq!(PublicSuffixes::parse(&many).unwrap_err(), SuffixError::TooMany);
    }

    proptest! {
        #[test]
        fn built_in_and_file_agree(name in "([a-c]{1,2}\\.){0,4}(www\\.|com\\.|co\\.)?(biz|ck|mw|er|fk|jm|np|xn--90ais)") {
            let name = domain(&name);
            let file = PublicSuffixes::parse(RULES).unwrap();
            prop_assert_eq!(file.organizational(&name), PublicSuffixes::BuiltIn.organizational(&name));
            prop_assert_eq!(file.is_public_suffix(&name), PublicSuffixes::BuiltIn.is_public_suffix(&name));
        }

        #[test]
        fn an_organization_is_its_own(name in "([a-z0-9_]{1,3}\\.){0,6}(com|uk|co\\.uk|ck|jp|kobe\\.jp|github\\.io|x)") {
            if let Ok(name) = Domain::parse(&name) {
                let organization = PublicSuffixes::BuiltIn.organizational(&name);
                prop_assert!(name.as_str().ends_with(organization.as_str()));
                prop_assert_eq!(PublicSuffixes::BuiltIn.organizational(&organization), organization.clone());
                let is_suffix = PublicSuffixes::BuiltIn.is_public_suffix(&organization);
                prop_assert!(!is_suffix || organization == name);
            }
        }

        #[test]
        fn any_text_is_a_list_or_refused(text in "[a-z*!./\\n \\PC]{0,80}") {
            let _ = PublicSuffixes::parse(&text);
        }
    }
}
