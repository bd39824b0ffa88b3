//! The record (RFC 9989 §4.7, §4.8; RFC 7489 §6.3 for `pct`).

use super::Wish;

/// What a record says, as far as a receiver that sends no reports needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// What it asks; nothing where it cannot be read (see [`Record::parse`]).
    pub policies: Option<Policies>,
    /// `psd=`.
    pub psd: Psd,
    /// `adkim=s`.
    pub is_dkim_strict: bool,
    /// `aspf=s`.
    pub is_spf_strict: bool,
    /// `t=y`.
    pub is_testing: bool,
    /// `pct=`, 0 to 100. RFC 9989 §A.6 dropped it, but it is published and means what RFC 7489 §6.6.4 says.
    pub percent: u8,
}

/// What is asked for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Policies {
    /// `p=`, for the domain itself.
    pub own: Wish,
    /// `sp=`, or `p=` without it, for names below.
    pub below: Wish,
    /// `np=`, or that of `below`, for names below that do not exist.
    pub absent: Wish,
}

/// RFC 9989 §4.7 `psd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Psd {
    /// Names below belong to others.
    Yes,
    /// All names below are of one organization.
    No,
    /// Not said.
    Unknown,
}

impl Record {
    /// Reads a record; `None` if the text is none, because it does not begin with `v=DMARC1`.
    ///
    /// RFC 9989 §4.10.1: with a `p` that is missing or wrong, or an `sp` or `np` that is wrong, it counts as `p=none` if
    /// reports are asked for, and otherwise asks nothing at all. Other tags that are wrong have their defaults (§4.8). A
    /// tag that is there twice is wrong, since RFC 6376 §3.2 forbids it.
    pub(super) fn parse(text: &[u8]) -> Option<Record> {
        let tags = Tags(after_version(text)?);
        let flag =
            |name, on: &str| matches!(tags.find(name), Tag::Value(value) if value.eq_ignore_ascii_case(on.as_bytes()));
        let psd = match (flag("psd", "y"), flag("psd", "n")) {
            (true, _) => Psd::Yes,
            (_, true) => Psd::No,
            _ => Psd::Unknown,
        };
        Some(Record {
            policies: policies(&tags),
            psd,
            is_dkim_strict: flag("adkim", "s"),
            is_spf_strict: flag("aspf", "s"),
            is_testing: flag("t", "y"),
            percent: percent(&tags).unwrap_or(100),
        })
    }

    /// What `asked` comes to for a message of this lot (0 to 99): one step milder in testing mode (RFC 9989 §4.7), or
    /// if `pct` leaves the lot out (RFC 7489 §6.6.4).
    pub(super) fn applied(&self, asked: Wish, lot: u8) -> Wish {
        match (asked, self.is_testing || lot >= self.percent) {
            (Wish::Reject, true) => Wish::Quarantine,
            (Wish::Quarantine | Wish::None, true) => Wish::None,
            (asked, false) => asked,
        }
    }
}

/// RFC 9989 §4.8 `dmarc-version`: `v` in any case, white space around the `=`, `DMARC1` in this case only.
fn after_version(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(b"v").or_else(|| text.strip_prefix(b"V"))?;
    let rest = rest.trim_ascii_start().strip_prefix(b"=")?;
    let rest = rest.trim_ascii_start().strip_prefix(b"DMARC1")?;
    let rest = rest.trim_ascii_start();
    match rest.is_empty() {
        true => Some(rest),
        false => rest.strip_prefix(b";"),
    }
}

/// Tags and values behind the version.
struct Tags<'a>(&'a [u8]);

enum Tag<'a> {
    Missing,
    Value(&'a [u8]),
    Twice,
}

impl<'a> Tags<'a> {
    /// RFC 9989 §4.8: names in any case.
    fn find(&self, name: &str) -> Tag<'a> {
        let mut found = Tag::Missing;
        for tag in self.0.split(|&b| b == b';') {
            let Some(equals) = tag.iter().position(|&b| b == b'=') else {
                continue;
            };
            let (this, value) = tag.split_at_checked(equals).unwrap_or((tag, &[]));
            if !this.trim_ascii().eq_ignore_ascii_case(name.as_bytes()) {
                continue;
            }
            if matches!(found, Tag::Value(_)) {
                return Tag::Twice;
            }
            found = Tag::Value(value.get(1..).unwrap_or_default().trim_ascii());
        }
        found
    }

    /// A policy; `Err` if it is wrong.
    fn wish(&self, name: &str) -> Result<Option<Wish>, ()> {
        let value = match self.find(name) {
            Tag::Missing => return Ok(None),
            Tag::Twice => return Err(()),
            Tag::Value(value) => value,
        };
        let is = |wish: &Wish| value.eq_ignore_ascii_case(wish.word().as_bytes());
        let wishes = [Wish::None, Wish::Quarantine, Wish::Reject];
        wishes.into_iter().find(is).map(Some).ok_or(())
    }
}

fn policies(tags: &Tags<'_>) -> Option<Policies> {
    match (tags.wish("p"), tags.wish("sp"), tags.wish("np")) {
        (Ok(Some(own)), Ok(sp), Ok(np)) => {
            let below = sp.unwrap_or(own);
            Some(Policies {
                own,
                below,
                absent: np.unwrap_or(below),
            })
        }
        _ if asks_for_reports(tags) => Some(Policies {
            own: Wish::None,
            below: Wish::None,
            absent: Wish::None,
        }),
        _ => None,
    }
}

/// `rua` has at least one URI (RFC 3986 §3): `mailto:` an address, or a scheme with something behind it.
fn asks_for_reports(tags: &Tags<'_>) -> bool {
    let Tag::Value(list) = tags.find("rua") else {
        return false;
    };
    list.split(|&b| b == b',').any(|uri| {
        let uri = uri.trim_ascii();
        let colon = uri.iter().position(|&b| b == b':').unwrap_or(0);
        let (scheme, rest) = uri.split_at_checked(colon).unwrap_or((&[], &[]));
        let is_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic)
            && scheme.iter().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b));
        let is_mailto = scheme.eq_ignore_ascii_case(b"mailto");
        is_scheme && rest.len() > 1 && uri.iter().all(u8::is_ascii_graphic) && (!is_mailto || rest.contains(&b'@'))
    })
}

fn percent(tags: &Tags<'_>) -> Option<u8> {
    let Tag::Value(value) = tags.find("pct") else {
        return None;
    };
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(value).ok()?.parse().ok()?;
    (is_number && number <= 100).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Wish::{None as Nothing, Quarantine, Reject};
    use proptest::prelude::*;

    fn record(text: &str) -> Record {
        Record::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_record_begins_with_its_version() {
        for text in [
            "v=DMARC1",
            "v=DMARC1;",
            "v=DMARC1; p=none",
            "v = DMARC1 ; p=none",
            "V=DMARC1;p=none",
        ] {
            assert!(Record::parse(text.as_bytes()).is_some(), "{text}");
        }
        for text in [
            "",
            " v=DMARC1; p=none",
            "v=dmarc1; p=none",
            "v=DMARC2; p=none",
            "v=DMARC1.0; p=none",
            "v=DMARC12; p=none",
            "v=DMARC1 p=none",
            "v=DMARC1, p=none",
            "p=none; v=DMARC1",
            "DMARC1; p=none",
            "v=spf1 -all",
            "\"v=DMARC1; p=none\"",
        ] {
            assert!(Record::parse(text.as_bytes()).is_none(), "{text}");
        }
    }

    /// Own, below, absent.
    type Wishes = (Wish, Wish, Wish);

    /// Behind `v=DMARC1;`.
    const POLICIES: [(&str, Option<Wishes>); 26] = [
        ("p=none", Some((Nothing, Nothing, Nothing))),
        ("p=quarantine;", Some((Quarantine, Quarantine, Quarantine))),
        (" P = Reject ;", Some((Reject, Reject, Reject))),
        ("p=reject; sp=none", Some((Reject, Nothing, Nothing))),
        ("p=none; sp=quarantine; np=reject", Some((Nothing, Quarantine, Reject))),
        ("np=none; p=reject", Some((Reject, Reject, Nothing))),
        ("x=y; p=reject; ; q; unknown=p=none", Some((Reject, Reject, Reject))),
        (
            "p=reject; adkim=x; aspf=; pct=200; t=maybe; psd=x; fo=z; rua=!",
            Some((Reject, Reject, Reject)),
        ),
        ("pp=none; p=reject", Some((Reject, Reject, Reject))),
        ("", None),
        ("p=", None),
        ("p=rejected", None),
        ("p=reject; p=none", None),
        ("p=reject; sp=bad", None),
        ("p=reject; np=bad", None),
        ("p=reject; sp=none; sp=none", None),
        ("sp=reject", None),
        ("rua=mailto:a@x.example", Some((Nothing, Nothing, Nothing))),
        ("p=bad; rua=mailto:a@x.example!10m", Some((Nothing, Nothing, Nothing))),
        (
            "p=reject; sp=bad; rua=x, https://x.example/r",
            Some((Nothing, Nothing, Nothing)),
        ),
        ("rua=mailto:", None),
        ("rua=mailto:x", None),
        ("rua=a@x.example", None),
        ("rua=:x", None),
        ("rua=ma ilto:a@x.example", None),
        ("rua=", None),
    ];

    #[test]
    fn policies_are_as_rfc9989_4_10_1_says() {
        for (text, expected) in POLICIES {
            let found = record(&format!("v=DMARC1;{text}"));
            let found = found.policies.map(|p| (p.own, p.below, p.absent));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn other_tags_are_read_or_have_their_defaults() {
        let plain = record("v=DMARC1; p=reject");
        assert_eq!((plain.psd, plain.percent, plain.is_testing), (Psd::Unknown, 100, false));
        assert!(!plain.is_dkim_strict && !plain.is_spf_strict);
        let full = record("v=DMARC1; p=reject; adkim=S; aspf=s; t=Y; pct=7; psd=y; rua=mailto:a@x.example");
        assert_eq!((full.psd, full.percent, full.is_testing), (Psd::Yes, 7, true));
        assert!(full.is_dkim_strict && full.is_spf_strict);
        assert_eq!(record("v=DMARC1; p=reject; psd=N").psd, Psd::No);
        for (text, percent) in [
            ("0", 0),
            ("100", 100),
            ("101", 100),
            ("-1", 100),
            ("+5", 100),
            ("", 100),
            ("5%", 100),
        ] {
            assert_eq!(
                record(&format!("v=DMARC1; p=reject; pct={text}")).percent,
                percent,
                "{text}"
            );
        }
        assert_eq!(record("v=DMARC1; p=reject; pct=5; pct=6").percent, 100);
    }

    #[test]
    fn testing_and_sampling_make_one_step() {
        let applied = |tags: &str, asked, lot| record(&format!("v=DMARC1; p=reject; {tags}")).applied(asked, lot);
        assert_eq!(applied("", Reject, 99), Reject);
        assert_eq!(applied("t=y", Reject, 0), Quarantine);
        assert_eq!(applied("t=y", Quarantine, 0), Nothing);
        assert_eq!(applied("t=y; pct=0", Reject, 0), Quarantine);
        assert_eq!(applied("pct=20", Reject, 19), Reject);
        assert_eq!(applied("pct=20", Reject, 20), Quarantine);
        assert_eq!(applied("pct=0", Reject, 0), Quarantine);
        assert_eq!(applied("pct=0", Nothing, 0), Nothing);
    }

    proptest! {
        #[test]
        fn any_octets_are_a_record_or_none(text in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Record::parse(&text);
            let whole = [b"v=DMARC1;".as_slice(), &text].concat();
            prop_assert!(Record::parse(&whole).is_some_and(|record| record.percent <= 100));
        }
    }
}
