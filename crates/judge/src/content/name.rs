//! Features in words, as a postmaster reads them: what stands in a message and where, the message's own words in
//! backticks. Made only if somebody asks why.

use super::sink::hash_of;
use super::words::is_dense;
use crate::auth::org::PublicSuffixes;
use mail::Domain;

/// A name is not longer than this, in characters.
const CHARS_MAX: usize = 120;

/// One feature in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    text: String,
    about: [u64; 2],
}

impl Name {
    /// For people.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it speaks of, one or two numbers: a word wherever it stands, an organization by whichever of its names. Of
    /// two names that share one the second tells little.
    pub fn about(&self) -> impl Iterator<Item = u64> + use<> {
        self.about.into_iter().filter(|about| *about != 0)
    }

    fn new(text: String, about: [u64; 2]) -> Name {
        Name {
            text: text.chars().take(CHARS_MAX).collect(),
            about,
        }
    }

    /// Of a word in a place; the empty place is the text.
    pub(super) fn word(place: &str, word: &str) -> Name {
        let about = [hash_of("", &subject_matter(place, word)), 0];
        let host = word
            .strip_prefix("@@")
            .or_else(|| word.strip_prefix('@'))
            .filter(|host| !host.is_empty());
        let text = match (place, host) {
            ("link", Some(host)) => format!("link to `{host}`"),
            ("image", Some(host)) => format!("image from `{host}`"),
            ("form", Some(host)) => format!("form sent to `{host}`"),
            ("other", Some(host)) => format!("content from `{host}`"),
            ("helo", Some(host)) => format!("client that calls itself `{host}`"),
            ("client", _) => format!("client in `{word}`"),
            ("reverse name", Some(host)) => format!("client whose name is `{host}`"),
            ("by", Some(host)) => format!("received by `{host}`"),
            ("signed by", Some(host)) => format!("signed by `{host}`"),
            ("selector", _) => format!("signed with the key `{word}`"),
            ("link" | "image" | "form" | "other", None) => {
                format!("`{}` in the address of {}", shown(word), whose(place))
            }
            ("file", _) => format!("attachment with `{}` in its name", shown(word)),
            ("", _) => format!("word `{}`", shown(word)),
            ("hidden", _) => format!("hidden word `{}`", shown(word)),
            (_, Some(host)) => format!("`{host}` in {}", title(place)),
            _ => format!("`{}` in {}", shown(word), title(place)),
        };
        Name::new(text, about)
    }

    /// Of two words that stand together.
    pub(super) fn pair(place: &str, before: &str, word: &str, is_apart: bool) -> Name {
        let dense = before.chars().last().filter(|c| is_dense(*c) && !is_apart);
        // Without blanks each character but the last begins a word of two, so these overlap.
        let words = match dense.and_then(|last| word.strip_prefix(last)) {
            Some(rest) => [before, rest].concat(),
            None => {
                let between = if is_apart { " … " } else { " " };
                [shown(before), between.to_owned(), shown(word)].concat()
            }
        };
        let mut text = format!("words `{words}`");
        if !place.is_empty() {
            text = format!("{text} in {}", title(place));
        }
        Name::new(text, [hash_of("", before), hash_of("", word)])
    }

    /// Of how a message is made: each header field is one matter, and each sort of thing else.
    pub(super) fn shape(what: &str, value: &str) -> Name {
        let matter = match what {
            "header" => value.to_ascii_lowercase(),
            "tag" => ["tag ", value].concat(),
            "image" | "form" | "other" => "link".to_owned(),
            _ => what.split(' ').next().unwrap_or_default().to_ascii_lowercase(),
        };
        // Of a value of one word, that word is told too.
        let is_field = !matches!(what, "header" | "tag" | "order" | "part" | "parts");
        let word = is_field && value.chars().all(|c| c.is_alphanumeric() || ".-".contains(c));
        let word = if word { hash_of("", value) } else { 0 };
        Name::new(shape_text(what, value), [hash_of("shape", &matter), word])
    }
}

fn shape_text(what: &str, value: &str) -> String {
    match (what, value) {
        ("header", _) => format!("header field `{value}`"),
        ("order", _) => match value.split_once('>').unwrap_or_default() {
            ("", first) => format!("header that begins with `{}`", title(first)),
            (last, "") => format!("header that ends with `{}`", title(last)),
            (before, after) => format!("header order: `{}` after `{}`", title(after), title(before)),
        },
        ("part", _) => format!("part `{}`", value.to_lowercase()),
        ("parts", _) => {
            let tree: String = value.chars().filter(|c| !c.is_ascii_digit()).collect();
            format!("parts `{}`", tree.trim_end_matches(';').replace(';', ", "))
        }
        ("size", _) => format!("size of a part: `{value}` KiB"),
        ("tag", _) => format!("tag `<{value}>`"),
        ("page", "hides text") => "text that nobody sees".to_owned(),
        ("page", _) => format!("share of text in the page: `{value}`"),
        ("images" | "links" | "hops", _) => {
            format!(
                "number of {}: `{value}`",
                if what == "hops" { "servers passed" } else { what }
            )
        }
        ("text", _) => format!("length of the text: `{value}`"),
        ("link hosts", _) => format!("hosts of links: `{value}`"),
        ("link shows", _) => format!("link whose text names {value}"),
        ("scheme", _) => match value.split_once(' ').unwrap_or_default() {
            (place, "") => format!("{} without `http:`", whose(place)),
            (place, scheme) => format!("{} with `{scheme}:`", whose(place)),
        },
        ("link" | "image" | "form" | "other", _) => match value.split_once(' ') {
            Some((part, build)) => format!("{} whose {part} is built as `{build}`", whose(what)),
            None => format!("{} with a {value}", whose(what)),
        },
        ("file", _) => match value.split_once(" as ") {
            Some((ending, media)) => format!("attachment `.{ending}` sent as `{media}`"),
            None => format!("attachment whose name is built as `{value}`"),
        },
        ("hop", _) => "what Received fields tell of the client".to_owned(),
        ("reverse name", "none") => "client without a name".to_owned(),
        ("helo" | "reverse name", _) => format!("client's name built as `{value}`"),
        ("protocol", _) => format!("received by `{value}`"),
        ("zone", _) => format!("time zone `{value}`"),
        ("subject", _) => format!("Subject with {value}"),
        (_, "quoted") => format!("{}: a name in quotes", title(what)),
        (_, "named") => format!("{}: a name without quotes", title(what)),
        (_, "bare") => format!("{}: an address without a name", title(what)),
        (_, "of the author" | "of others" | "missing" | "as from" | "other than from" | "no domain") => {
            format!("{}: {}", title(what), value.replace("from", "From"))
        }
        _ => match value.split_once(' ') {
            Some(("local", build)) => format!("{}: address built as `{build}`", title(what)),
            Some(("host", build)) => format!("{}: host built as `{build}`", title(what)),
            Some(("count", count)) => format!("{}: number of addresses `{count}`", title(what)),
            _ => format!("{}: `{value}`", title(what)),
        },
    }
}

/// What a word speaks of: an organization by any of its hosts and addresses, a network by any of its sizes.
fn subject_matter(place: &str, word: &str) -> String {
    let host = word.rsplit_once('@').map_or("", |(_, host)| host);
    if let Some(domain) = Domain::parse(host).ok().filter(|_| !host.is_empty()) {
        return PublicSuffixes::BuiltIn.organizational(&domain).as_str().to_owned();
    }
    let is_host = matches!(place, "client" | "helo" | "by" | "link" | "image" | "form" | "other");
    let is_network = is_host && word.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let cut = word.split_once('.').map_or(word, |(first, _)| first);
    if is_network { cut } else { word }.to_owned()
}

/// A word as it is shown: those that stand for something else are in brackets.
fn shown(word: &str) -> String {
    match word.strip_prefix('\u{fffd}') {
        Some("mixed") => "[letters of two alphabets]".to_owned(),
        Some("long" | "very-long") => "[a long word]".to_owned(),
        Some(what) => format!("[{what}]"),
        None => word.to_owned(),
    }
}

fn whose(place: &str) -> &str {
    match place {
        "link" => "a link",
        "image" => "an image",
        "form" => "a form",
        _ => "linked content",
    }
}

/// A header field's name as it is usually written.
fn title(name: &str) -> String {
    let piece = |piece: &str| match piece {
        "id" | "mime" | "dkim" => piece.to_uppercase(),
        _ => {
            let (first, rest) = piece.split_at_checked(1).unwrap_or((piece, ""));
            [&first.to_uppercase(), rest].concat()
        }
    };
    name.split('-').map(piece).collect::<Vec<_>>().join("-")
}
