//! The names of the tree: day directories, message files, and what people type to name an entry.
//!
//! Whatever becomes part of a path here is a type whose only way in proves it harmless: no slash, no backslash,
//! no `..`, no control character, never empty.

use super::error::ReferenceError;
use jiff::civil::Date;
use mail::Domain;
use std::fmt;

/// Longest file name that we make, in octets. File systems allow 255; mail programs append flags (`:2,FRS`).
const FILE_NAME_OCTETS_MAX: usize = 230;
/// Longest part of our own host name within a file name, in octets.
const HOST_OCTETS_MAX: usize = 64;
/// Longest id that is looked for, in octets.
const ID_OCTETS_MAX: usize = 64;
/// How directories begin that were set aside because their number came round again before they expired.
const ASIDE: &str = ".aside-";

/// The name of a day directory: the number of the day in its year, or `.aside-DATE-NUMBER` for one whose number
/// was needed for another year before it had expired.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DayName(Box<str>);

/// The name of a message file, without Maildir flags.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileName(Box<str>);

/// How days are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Numbering {
    /// 1 January is `1`.
    #[default]
    FromOne,
    /// 1 January is `0`, as in the original program.
    FromZero,
}

/// What a person types to name an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// Mailward's id of the message; it names one entry for each of its recipients.
    Id(String),
    /// `DAY/DOMAIN/FILENAME`: one entry.
    Path {
        /// The day directory.
        day: DayName,
        /// The recipient's domain.
        domain: Domain,
        /// The message file.
        file: FileName,
    },
}

impl DayName {
    /// The directory of a date.
    pub fn of(date: Date, numbering: Numbering) -> DayName {
        let number = match numbering {
            Numbering::FromOne => date.day_of_year(),
            Numbering::FromZero => date.day_of_year() - 1,
        };
        DayName(number.to_string().into())
    }

    /// The name for a directory of `date` that must make room; `attempt` tells several apart.
    pub(super) fn aside(&self, date: Date, attempt: u32) -> DayName {
        let suffix = if attempt == 0 {
            String::new()
        } else {
            format!("-{attempt}")
        };
        DayName(format!("{ASIDE}{date}-{}{suffix}", self.0).into())
    }

    /// Reads a name: digits only, 0 to 366, not padded; or the form of a directory that was set aside.
    pub fn parse(text: &str) -> Option<DayName> {
        let fits = match text.strip_prefix(ASIDE) {
            None => is_day_number(text),
            Some(rest) => {
                let (date, tail) = (rest.get(..10)?, rest.get(10..)?.strip_prefix('-')?);
                let (number, attempt) = tail.split_once('-').unwrap_or((tail, "0"));
                date.parse::<Date>().is_ok_and(|d| d.to_string() == date)
                    && is_day_number(number)
                    && attempt.len() <= 4
                    && is_digits(attempt)
            }
        };
        fits.then(|| DayName(text.into()))
    }

    /// Whether the directory was set aside.
    pub fn is_aside(&self) -> bool {
        self.0.starts_with(ASIDE)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_day_number(text: &str) -> bool {
    is_digits(text)
        && text.len() <= 3
        && (text.len() == 1 || !text.starts_with('0'))
        && text.parse::<u16>().is_ok_and(|n| n <= 366)
}

impl FileName {
    /// `SECONDS.P<pid>M<microseconds>Q<counter>.HOSTNAME.RCPTDOMAIN`, with long names cut.
    pub(super) fn new(stamp: &Stamp, hostname: &HostName, domain: &Domain) -> FileName {
        let Stamp {
            seconds,
            micros,
            pid,
            counter,
        } = stamp;
        let mut name = format!("{seconds}.P{pid}M{micros}Q{counter}.{}.{domain}", hostname.0);
        name.truncate(FILE_NAME_OCTETS_MAX);
        FileName(name.trim_end_matches('.').into())
    }

    /// Reads the name of a message file; `None` for names that we, or the original program, never made.
    pub fn parse(text: &str) -> Option<FileName> {
        let harmless = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if text.len() > FILE_NAME_OCTETS_MAX || text.contains("..") || !text.bytes().all(harmless) {
            return None;
        }
        let (seconds, rest) = text.split_once('.')?;
        let (pid, rest) = rest.strip_prefix('P')?.split_once('M')?;
        let (micros, rest) = rest.split_once('Q')?;
        let (counter, host) = rest.split_once('.')?;
        let fits = [seconds, pid, micros, counter].into_iter().all(is_digits) && !host.is_empty();
        fits.then(|| FileName(text.into()))
    }

    /// Reads a name as it stands in a directory, where flags may follow (`:2,S`).
    pub(super) fn parse_flagged(text: &str) -> Option<(FileName, &str)> {
        let (base, flags) = text.split_once(':').unwrap_or((text, ""));
        Some((FileName::parse(base)?, flags))
    }

    /// When the file was made, in seconds since 1970, as the name says.
    pub fn seconds(&self) -> Option<i64> {
        self.0.split('.').next()?.parse().ok()
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What makes a file name unique: the time, the process, and a count within it.
pub(super) struct Stamp {
    pub seconds: i64,
    pub micros: u32,
    pub pid: u32,
    pub counter: u64,
}

/// The gateway's host name, harmless within a file name.
#[derive(Debug, Clone)]
pub(super) struct HostName(Box<str>);

impl HostName {
    /// What a host name cannot have becomes `_`, and so does a dot behind a dot.
    pub fn escape(text: &str) -> HostName {
        let mut name = String::new();
        for c in text.chars().take(HOST_OCTETS_MAX) {
            let dot = c == '.' && !name.is_empty() && !name.ends_with('.');
            name.push(if c.is_ascii_alphanumeric() || c == '-' || dot {
                c
            } else {
                '_'
            });
        }
        if name.is_empty() {
            name.push_str("localhost");
        }
        HostName(name.trim_end_matches('.').into())
    }
}

impl Reference {
    /// Reads an id or `DAY/DOMAIN/FILENAME`. Flags behind the file's name are passed over.
    pub fn parse(text: &str) -> Result<Reference, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if text.contains('\\') || text.contains("..") || text.chars().any(char::is_control) {
            return Err(ReferenceError::Character);
        }
        if !text.contains('/') {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            return if text.len() <= ID_OCTETS_MAX && text.bytes().all(plain) {
                Ok(Reference::Id(text.to_owned()))
            } else {
                Err(ReferenceError::Character)
            };
        }
        let mut parts = text.split('/');
        let (Some(day), Some(domain), Some(file), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(ReferenceError::Form);
        };
        Ok(Reference::Path {
            day: DayName::parse(day).ok_or(ReferenceError::Form)?,
            domain: Domain::parse(domain).map_err(|_| ReferenceError::Form)?,
            file: FileName::parse_flagged(file).ok_or(ReferenceError::Form)?.0,
        })
    }
}

impl fmt::Display for DayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Id(id) => f.write_str(id),
            Reference::Path { day, domain, file } => write!(f, "{day}/{domain}/{file}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn days_are_numbered_from_one_and_on_demand_from_zero() {
        let name = |text, numbering| DayName::of(date(text), numbering).to_string();
        assert_eq!(name("2025-07-31", Numbering::FromOne), "212");
        assert_eq!(name("2025-01-01", Numbering::FromOne), "1");
        assert_eq!(name("2025-01-01", Numbering::FromZero), "0");
        assert_eq!(name("2025-12-31", Numbering::FromOne), "365");
        assert_eq!(name("2024-12-31", Numbering::FromOne), "366");
        assert_eq!(name("2024-12-31", Numbering::FromZero), "365");
    }

    #[test]
    fn only_day_numbers_and_what_was_set_aside_are_day_names() {
        for text in ["0", "1", "366", ".aside-2024-11-21-326", ".aside-2024-11-21-0-12"] {
            assert_eq!(DayName::parse(text).unwrap().as_str(), text);
        }
        for text in [
            "",
            "367",
            "007",
            "+1",
            "-1",
            "1 ",
            "1/2",
            "..",
            "today",
            "212.old",
            ".aside-2024-13-01-3",
            ".aside-2024-11-21-",
            ".aside-2024-11-21-3-",
            ".aside-2024-11-21-3-1-1",
            ".aside-2024-11-21/3",
            ".aside-ä024-11-2-3",
        ] {
            assert_eq!(DayName::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn file_names_are_escaped_and_cut() {
        let stamp = Stamp {
            seconds: 1,
            micros: 2,
            pid: 3,
            counter: 4,
        };
        let domain = Domain::parse("example.com").unwrap();
        let name = |host| FileName::new(&stamp, &HostName::escape(host), &domain).to_string();
        assert_eq!(name("mx.example"), "1.P3M2Q4.mx.example.example.com");
        assert_eq!(name("../a\\b:c\n"), "1.P3M2Q4._._a_b_c_.example.com");
        assert_eq!(name("mx.example."), "1.P3M2Q4.mx.example.example.com");
        assert_eq!(name(""), "1.P3M2Q4.localhost.example.com");
        let long = Domain::parse(&["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".")).unwrap();
        let name = FileName::new(&stamp, &HostName::escape(&"h".repeat(300)), &long);
        assert!(name.as_str().len() <= FILE_NAME_OCTETS_MAX);
        assert_eq!(FileName::parse(name.as_str()).unwrap(), name);
    }

    #[test]
    fn references_that_could_leave_the_tree_are_refused() {
        assert_eq!(Reference::parse("7QK2M9"), Ok(Reference::Id("7QK2M9".into())));
        let path = "212/example.com/1.P3M2Q4.mx.example.com";
        assert_eq!(Reference::parse(path).unwrap().to_string(), path);
        assert_eq!(Reference::parse(&format!("{path}:2,S")).unwrap().to_string(), path);
        for text in [
            "",
            "..",
            "a\\b",
            "/",
            "//",
            "../../etc/passwd",
            "212/../x",
            "212/example.com/..",
            "/212/example.com/x",
            "212/example.com/notes.txt",
            "212/example.com",
            "212/example.com/new/1.P3M2Q4.a.b",
            "x\0",
            "a b",
            "ä",
            "212/_global_/1.P3M2Q4.mx.example.com",
            ".",
            "212/example.com/1.P3M2Q4.a..b",
        ] {
            assert!(Reference::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_parses_is_one_harmless_component(text in "[0-9PMQ./:a-z\\\\]{0,40}") {
            let day = DayName::parse(&text).map(|name| name.to_string());
            let file = FileName::parse(&text).map(|name| name.to_string());
            for name in day.into_iter().chain(file) {
                prop_assert!(!name.is_empty() && !name.contains(['/', '\\', '\0']) && name != "." && name != "..");
            }
        }

        #[test]
        fn any_host_name_gives_a_name_that_reads_back(host in "\\PC{0,100}") {
            let stamp = Stamp { seconds: 1_763_758_800, micros: 999_999, pid: 4_194_304, counter: u64::MAX };
            let name = FileName::new(&stamp, &HostName::escape(&host), &Domain::parse("example.com").unwrap());
            prop_assert_eq!(FileName::parse(name.as_str()), Some(name));
        }
    }
}
