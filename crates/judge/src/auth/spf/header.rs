//! The value of a Received-SPF field (RFC 7208 §9.1).

use super::{Ask, Identity, Spf, SpfResult};
use mail::auth_results::Encoding;
use mail::{Line, ReversePath};
use std::borrow::Cow;
use std::fmt::Write;

/// Longest value of a key, in characters. Quoting doubles it at worst, which leaves a line of RFC 5322 room for it.
const VALUE_CHARS_MAX: usize = 320;

impl Spf {
    /// The value of a Received-SPF field without line breaks, all foreign text quoted. It may be folded at any blank; nothing
    /// in it is longer than a line may be. In a message of SMTPUTF8 it holds UTF-8 (RFC 6532 §3.2), so that an address stays
    /// the one it is.
    ///
    /// `ask` is what was asked, and `reverse_path` that of the message, whichever identity it was asked for.
    pub fn received(&self, ask: &Ask<'_>, reverse_path: &ReversePath, encoding: Encoding) -> String {
        let client = ask.client.to_canonical();
        let identity = match ask.identity {
            Identity::Helo => "helo",
            Identity::MailFrom(_) => "mailfrom",
        };
        let comment = format!("{}: {}", ask.receiver, self.comment(&client.to_string()));
        let mut out = format!("{} (", self.result);
        push_comment(&comment, encoding, &mut out);
        out.push(')');
        let (term, _) = self.matched();
        let mechanism = if term.is_empty() { "default" } else { term };
        let path = reverse_path.to_string();
        let mut separator = ' ';
        let mut push = |key: &str, value: &str| {
            let _ = write!(out, "{separator}{}{key}=", if separator == ';' { " " } else { "" });
            push_value(value, encoding, &mut out);
            separator = ';';
        };
        push("client-ip", &client.to_string());
        push("envelope-from", &path);
        push("helo", ask.helo);
        push("receiver", ask.receiver);
        push("identity", identity);
        match self.result {
            SpfResult::Pass | SpfResult::Fail | SpfResult::SoftFail | SpfResult::Neutral => {
                push("mechanism", mechanism);
            }
            SpfResult::TempError | SpfResult::PermError => push("problem", self.explanation.as_str()),
            SpfResult::None => {}
        }
        out
    }

    fn comment(&self, client: &str) -> String {
        let domain = &self.domain;
        match self.result {
            SpfResult::None => self.explanation.as_str().to_owned(),
            SpfResult::Neutral => format!("{client} is neither permitted nor denied by domain of {domain}"),
            SpfResult::Pass => format!("domain of {domain} designates {client} as permitted sender"),
            SpfResult::Fail => format!("domain of {domain} does not designate {client} as permitted sender"),
            SpfResult::SoftFail => format!("domain of {domain} does probably not permit {client} as sender"),
            SpfResult::TempError => format!("temporary error in processing domain of {domain}"),
            SpfResult::PermError => format!("permanent error in processing domain of {domain}"),
        }
    }
}

/// What can be written of a text.
fn written(line: &Line, encoding: Encoding) -> Cow<'_, str> {
    match encoding {
        Encoding::Ascii => line.to_ascii(),
        Encoding::Utf8 => Cow::Borrowed(line.as_str()),
    }
}

/// RFC 5322 §3.2.2 `ccontent`.
fn push_comment(text: &str, encoding: Encoding, out: &mut String) {
    let line = Line::clean(text.as_bytes(), VALUE_CHARS_MAX);
    for c in written(&line, encoding).chars() {
        if matches!(c, '(' | ')' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
}

/// A dot-atom where it is one, else a quoted-string (RFC 5322 §3.2.3, §3.2.4).
fn push_value(text: &str, encoding: Encoding, out: &mut String) {
    let line = Line::clean(text.as_bytes(), VALUE_CHARS_MAX);
    let text = written(&line, encoding);
    // Everything outside of ASCII is quoted: RFC 6532 would have it in atoms, but old readers know no such.
    let is_atext = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    if text
        .split('.')
        .all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
    {
        return out.push_str(&text);
    }
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}
