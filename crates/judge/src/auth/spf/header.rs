//! The value of a Received-SPF field (RFC 7208 §9.1).

use super::{Ask, Identity, Spf, SpfResult};
use mail::{Line, ReversePath};
use std::fmt::Write;

/// Longest value of a key, in characters. Quoting doubles it at worst, which leaves a line of RFC 5322 room for it.
const VALUE_CHARS_MAX: usize = 320;

impl Spf {
    /// The value of a Received-SPF field: ASCII without line breaks, all foreign text quoted. It may be folded at any
    /// blank; nothing in it is longer than a line may be.
    ///
    /// `ask` is what was asked, and `reverse_path` that of the message, whichever identity it was asked for.
    pub fn received(&self, ask: &Ask<'_>, reverse_path: &ReversePath) -> String {
        let client = ask.client.to_canonical();
        let identity = match ask.identity {
            Identity::Helo => "helo",
            Identity::MailFrom(_) => "mailfrom",
        };
        let comment = format!("{}: {}", ask.receiver, self.comment(&client.to_string()));
        let mut out = format!("{} (", self.result);
        push_comment(&comment, &mut out);
        out.push(')');
        let (term, _) = self.matched();
        let mechanism = if term.is_empty() { "default" } else { term };
        let path = reverse_path.to_string();
        let mut separator = ' ';
        let mut push = |key: &str, value: &str| {
            let _ = write!(out, "{separator}{}{key}=", if separator == ';' { " " } else { "" });
            push_value(value, &mut out);
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

/// RFC 5322 §3.2.2 `ccontent`.
fn push_comment(text: &str, out: &mut String) {
    for c in Line::clean(text.as_bytes(), VALUE_CHARS_MAX).to_ascii().chars() {
        if matches!(c, '(' | ')' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
}

/// A dot-atom where it is one, else a quoted-string (RFC 5322 §3.2.3, §3.2.4).
fn push_value(text: &str, out: &mut String) {
    let line = Line::clean(text.as_bytes(), VALUE_CHARS_MAX);
    let text = line.to_ascii();
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
