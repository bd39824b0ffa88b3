//! The greylist: who tried, when first, and who came back in time. When that is, the caller knows.

/// What is greylisted: a hash over domain or network and reverse-path, and the recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GreylistKey(pub(crate) [u8; 16]);

impl GreylistKey {
    /// Takes a hash that the caller computed; it shall be one that senders cannot make collide.
    pub fn new(hash: [u8; 16]) -> GreylistKey {
        GreylistKey(hash)
    }
}

/// When an entry is touched, and how long it lives then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GreylistTimes {
    pub(crate) now_s: i64,
    pub(crate) expires_s: i64,
}

/// An entry of the greylist. All times are seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Greylisted {
    /// The first try.
    pub first_s: i64,
    /// The last try; not before the first, though the clock be set back.
    pub last_s: i64,
    /// How many tries there were.
    pub tries: u32,
    /// When it last passed.
    pub passed_s: Option<i64>,
    /// The entry lives until before this time.
    pub expires_s: i64,
}

impl Greylisted {
    /// At the first try.
    pub(crate) fn new(times: GreylistTimes) -> Greylisted {
        Greylisted {
            first_s: times.now_s,
            last_s: times.now_s,
            tries: 1,
            passed_s: None,
            expires_s: times.expires_s,
        }
    }

    /// At a later try.
    pub(crate) fn seen(&mut self, now_s: i64) {
        self.last_s = self.last_s.max(now_s);
        self.tries = self.tries.saturating_add(1);
    }

    /// When a try passes. The entry never ends earlier by it.
    pub(crate) fn passed(&mut self, times: GreylistTimes) {
        self.passed_s = self.passed_s.max(Some(times.now_s));
        self.expires_s = self.expires_s.max(times.expires_s);
    }
}
