//! Key records (RFC 6376 §3.6.1), and asking for them (§6.1.2).

use super::crypto::{PublicKey, RSA_BITS_MAX, RSA_BITS_MIN};
use super::signature::{Algorithm, Refusal};
use super::tags::{TagError, Tags, base64, colon_list, shown, without_fws};
use futures_util::future::join_all;
use judge::auth::dkim::DkimResult;
use judge::resolver::{Answer, Kind, Name, Outcome, Question, Resolver};

/// More records at one name are somebody's joke.
const RECORDS_MAX: usize = 10;
/// A record with an RSA key of 8192 bits has 1,400 octets.
const RECORD_OCTETS_MAX: usize = 8192;

/// A key that is fit for a signature's algorithm.
pub(crate) struct Key {
    pub public: PublicKey,
    /// `t=y`.
    pub is_testing: bool,
    /// `t=s`: `i=` must name the very domain of `d=`.
    pub is_strict: bool,
}

/// Answers for the names of keys, each asked once.
pub(crate) struct Keys(Vec<(Name, Answer)>);

impl Keys {
    /// Asks for all names at the same time.
    pub async fn fetch(mut names: Vec<Name>, resolver: &dyn Resolver) -> Keys {
        names.sort_unstable();
        names.dedup();
        let ask = |name: &Name| {
            resolver.ask(Question {
                name: name.clone(),
                kind: Kind::Txt,
            })
        };
        let answers = join_all(names.iter().map(ask)).await;
        Keys(names.into_iter().zip(answers).collect())
    }

    /// The answer for a name that was asked for.
    pub fn answer(&self, name: &Name) -> Option<&Answer> {
        let found = self.0.binary_search_by(|(other, _)| other.cmp(name)).ok()?;
        self.0.get(found).map(|(_, answer)| answer)
    }

    /// The key at a name, fit for an algorithm.
    pub fn find(&self, name: &Name, algorithm: Algorithm) -> Result<Key, Refusal> {
        let shown_name = shown(name.as_str().as_bytes());
        let answer = self.answer(name).map(|answer| &answer.outcome);
        match answer {
            Some(Outcome::Records(_)) => {}
            Some(Outcome::Unavailable(trouble)) => {
                let why = format!("its key at {shown_name} could not be had: {trouble}");
                return Err(Refusal::new(DkimResult::TempError, why));
            }
            Some(Outcome::NoRecords | Outcome::NoName) | None => {
                return Err(Refusal::permanent(format!("there is no key at {shown_name}")));
            }
        }
        // RFC 6376 §3.6.2.2 leaves open what several records mean. The first that fits is taken, in the order of their
        // text, since servers change the order.
        let mut texts: Vec<&[u8]> = self.answer(name).iter().flat_map(|answer| answer.texts()).collect();
        texts.sort_unstable();
        let mut first = None;
        for text in texts.into_iter().take(RECORDS_MAX) {
            match read(text, algorithm) {
                Ok(key) => return Ok(key),
                Err(why) => first = first.or(Some(why)),
            }
        }
        let why = first.unwrap_or_else(|| "holds no text".to_owned());
        Err(Refusal::permanent(format!("the key record at {shown_name} {why}")))
    }
}

/// Reads a record; the error is the end of a sentence that begins with "the key record at N".
fn read(text: &[u8], algorithm: Algorithm) -> Result<Key, String> {
    if text.len() > RECORD_OCTETS_MAX {
        return Err(format!("is longer than {RECORD_OCTETS_MAX} octets"));
    }
    let tags = Tags::parse(text).map_err(|error| match error {
        TagError::Syntax(text) => format!("is no list of tags: `{text}`"),
        TagError::Twice(name) => format!("has the tag {name}= twice"),
        TagError::TooMany => "has too many tags".to_owned(),
    })?;
    // RFC 6376 §3.6.1: v= is first if it is there, and nothing else but DKIM1.
    if let Some(version) = tags.value("v")
        && (version != b"DKIM1" || !tags.begins_with("v"))
    {
        return Err(format!("is of another version: `{}`", shown(version)));
    }
    let wanted: &[u8] = match algorithm {
        Algorithm::RsaSha256 => b"rsa",
        Algorithm::Ed25519Sha256 => b"ed25519",
    };
    let kind = tags.value("k").unwrap_or(b"rsa");
    if kind != wanted {
        let wanted = String::from_utf8_lossy(wanted);
        return Err(format!("is for `{}`, not for {wanted}", shown(kind)));
    }
    let lists = |name: &str, words: &[&[u8]]| match tags.value(name) {
        Some(list) => colon_list(list).any(|word| words.contains(&word)),
        None => false,
    };
    if tags.get("h").is_some() && !lists("h", &[b"sha256"]) {
        return Err("does not allow SHA-256 (h=)".to_owned());
    }
    if tags.get("s").is_some() && !lists("s", &[b"*", b"email"]) {
        return Err("is not for mail (s=)".to_owned());
    }
    let data = tags.value("p").ok_or_else(|| "has no key (p=)".to_owned())?;
    if without_fws(data).is_empty() {
        return Err("says that the key is revoked (p=)".to_owned());
    }
    let data = base64(data).ok_or_else(|| "has a key that is no base64 (p=)".to_owned())?;
    let public = match algorithm {
        Algorithm::RsaSha256 => PublicKey::rsa(&data).ok_or("holds no RSA key (p=)")?,
        Algorithm::Ed25519Sha256 => PublicKey::ed25519(&data).ok_or("holds no Ed25519 key of 32 octets (p=)")?,
    };
    Ok(Key {
        public,
        is_testing: lists("t", &[b"y"]),
        is_strict: lists("t", &[b"s"]),
    })
}

impl Key {
    /// RFC 8301 §3.2: a short RSA key never makes a signature valid. A very long one is not tried.
    pub fn check_size(&self) -> Result<(), Refusal> {
        let policy = |why: String| Err(Refusal::new(DkimResult::Policy, why));
        match self.public.bits() {
            Some(bits) if bits < RSA_BITS_MIN => policy(format!(
                "its RSA key has only {bits} bits, and {RSA_BITS_MIN} are needed"
            )),
            Some(bits) if bits > RSA_BITS_MAX => policy(format!(
                "its RSA key has {bits} bits, and more than {RSA_BITS_MAX} are not tried"
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// `2048-bit RSA key`.
    pub fn kind(&self) -> String {
        match self.public.bits() {
            Some(bits) => format!("{bits}-bit RSA key"),
            None => "Ed25519 key".to_owned(),
        }
    }
}
