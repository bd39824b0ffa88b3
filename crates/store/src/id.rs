//! The name of a message: short enough to read over the telephone, and ordered by time.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// 2026-01-01 00:00 UTC, in seconds since 1970. Ids count minutes from here.
const EPOCH_S: i64 = 1_767_225_600;
/// Minutes take 25 bits, which last until 2089.
const MINUTE_BITS: u32 = 25;
/// What chance fills: of a million messages in one minute, about fifteen pairs collide and are numbered anew.
const CHANCE_BITS: u32 = 35;
/// Characters of an id, of five bits each.
const CHARS: usize = 12;
/// Crockford's base 32: no `I`, `L`, `O` or `U`. In the order of ASCII, so ids sort as text as they do as numbers.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// One message's id: 25 bits of minutes since 2026 and 35 of chance, shown as twelve characters.
///
/// The minute stands first, so that new rows are appended to the store and old ones are a range of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MailwardId(u64);

/// Why a text is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdError {
    /// Not twelve characters.
    Length,
    /// A character that no id has.
    Character(char),
}

impl MailwardId {
    /// The id of a message that came at `now_s` (seconds since 1970). The low 35 bits of `chance` are used; they
    /// shall come from the system's source of randomness. A time before 2026 counts as its first minute, one past
    /// 2089 as the last.
    pub fn new(now_s: i64, chance: u64) -> MailwardId {
        MailwardId(MailwardId::first_of(now_s).0 | (chance & ((1 << CHANCE_BITS) - 1)))
    }

    /// The id of a message that came before there was a gateway: a hash of what it is known by, of which 59 bits are used.
    /// It lies among the minutes from 2057 on, so that no message that comes before then has it.
    pub fn learnt(hash: u64) -> MailwardId {
        const FIRST: u64 = 1 << (MINUTE_BITS + CHANCE_BITS - 1);
        MailwardId(FIRST | hash & (FIRST - 1))
    }

    /// The lowest id of the minute in which `at_s` lies.
    pub(crate) fn first_of(at_s: i64) -> MailwardId {
        let minutes = at_s.saturating_sub(EPOCH_S).div_euclid(60);
        MailwardId((minutes.clamp(0, (1 << MINUTE_BITS) - 1).cast_unsigned()) << CHANCE_BITS)
    }

    /// The day since 2026 on which it was made.
    pub(crate) fn day(self) -> i64 {
        self.minute() / (24 * 60)
    }

    /// The lowest id of its minute.
    pub(crate) fn first_of_minute(self) -> MailwardId {
        MailwardId(self.0 >> CHANCE_BITS << CHANCE_BITS)
    }

    fn minute(self) -> i64 {
        (self.0 >> CHANCE_BITS).cast_signed()
    }

    /// As stored: never negative.
    pub(crate) fn number(self) -> i64 {
        self.0.cast_signed()
    }

    /// From what was stored; bits that no id has are dropped.
    pub(crate) fn from_number(number: i64) -> MailwardId {
        MailwardId(number.cast_unsigned() & ((1 << (MINUTE_BITS + CHANCE_BITS)) - 1))
    }
}

/// Twelve upper-case characters.
impl fmt::Display for MailwardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(CHARS);
        for place in (0..CHARS).rev() {
            let digit = (self.0 >> (5 * place)) & 31;
            text.extend(ALPHABET.get(digit as usize).map(|&b| char::from(b)));
        }
        f.pad(&text)
    }
}

/// Forgiving, as people copy ids by hand: case does not matter, `O` is `0`, `I` and `L` are `1`.
impl FromStr for MailwardId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<MailwardId, IdError> {
        if text.chars().count() != CHARS {
            return Err(IdError::Length);
        }
        let mut number = 0;
        for c in text.chars() {
            let plain = match c.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                upper => upper,
            };
            let digit = ALPHABET.iter().position(|&b| char::from(b) == plain);
            number = number << 5 | digit.ok_or(IdError::Character(c))? as u64;
        }
        Ok(MailwardId(number))
    }
}

impl TryFrom<String> for MailwardId {
    type Error = IdError;
    fn try_from(text: String) -> Result<MailwardId, IdError> {
        text.parse()
    }
}

impl From<MailwardId> for String {
    fn from(id: MailwardId) -> String {
        id.to_string()
    }
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdError::Length => write!(f, "an id has {CHARS} characters"),
            IdError::Character(c) => write!(f, "no id has this character: `{}`", c.escape_default()),
        }
    }
}

impl std::error::Error for IdError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learnt_is_told_apart_from_what_came() {
        let last = MailwardId::new(EPOCH_S + (1 << 24) * 60 - 1, u64::MAX);
        for hash in [0, 1, u64::MAX] {
            let id = MailwardId::learnt(hash);
            assert!(id > last, "{id}");
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(MailwardId::from_number(id.number()), id);
        }
        assert_ne!(MailwardId::learnt(1 << 40), MailwardId::learnt(0));
    }
    use proptest::prelude::*;

    #[test]
    fn an_id_is_twelve_characters_from_the_first_minute_to_the_last() {
        assert_eq!(MailwardId::new(EPOCH_S, 0).to_string(), "000000000000");
        assert_eq!(MailwardId::new(EPOCH_S + 60, 1).to_string(), "000010000001");
        assert_eq!(MailwardId::new(i64::MAX, u64::MAX).to_string(), "ZZZZZZZZZZZZ");
        assert_eq!(MailwardId::new(i64::MIN, 0).to_string(), "000000000000");
    }

    #[test]
    fn characters_that_look_alike_are_one() {
        let id: MailwardId = "10ABCDEFGHJK".parse().unwrap();
        for spelling in ["10abcdefghjk", "loAbCdEfGhJk", "IOABCDEFGHJK"] {
            assert_eq!(spelling.parse(), Ok(id));
        }
    }

    #[test]
    fn what_is_no_id_says_why() {
        let parse = str::parse::<MailwardId>;
        assert_eq!(parse(""), Err(IdError::Length));
        assert_eq!(parse("0123456789ABC"), Err(IdError::Length));
        assert_eq!(parse("0123456789AU"), Err(IdError::Character('U')));
        assert_eq!(parse("0123456789Aß"), Err(IdError::Character('ß')));
        assert_eq!(IdError::Character('\n').to_string(), "no id has this character: `\\n`");
    }

    proptest! {
        #[test]
        fn an_id_reads_back_from_its_text_and_its_number(now_s in any::<i64>(), chance in any::<u64>()) {
            let id = MailwardId::new(now_s, chance);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert_eq!(MailwardId::from_number(id.number()), id);
        }

        #[test]
        fn ids_sort_by_minute_as_numbers_and_as_text(
            now_s in EPOCH_S..EPOCH_S + 60 * (1 << MINUTE_BITS) - 60, chance in any::<[u64; 2]>(),
        ) {
            let (early, late) = (MailwardId::new(now_s, chance[0]), MailwardId::new(now_s + 60, chance[1]));
            prop_assert!(early < late && early.to_string() < late.to_string() && early.number() < late.number());
            prop_assert!(MailwardId::first_of(now_s) <= early && early < MailwardId::first_of(now_s + 60));
        }

        #[test]
        fn any_text_is_an_id_or_an_error(text in "\\PC{0,14}") {
            if let Ok(id) = text.parse::<MailwardId>() {
                prop_assert_eq!(id.to_string().len(), CHARS);
            }
        }
    }
}
