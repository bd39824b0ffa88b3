//! To whom our own users write: whoever is written to is welcome to answer.
//!
//! Mail from `relay_networks` counts only when its sender is the login that a trusted proxy named, or when its network may
//! speak for the address; never what programs send by themselves, or to lists. Otherwise a vacation reply would give a
//! spammer good standing.

use super::{Envelope, Gateway, Runtime};
use crate::domains::Found;
use judge::evidence::UserStanding;
use mail::{Address, MailboxId, Message, ReversePath};

impl Gateway {
    /// Remembers to whom a relayed message was sent. Only `why` and reputation say less if that fails.
    pub(super) async fn remember_sent(
        &self,
        runtime: &Runtime,
        envelope: &Envelope,
        message: &Message<'_>,
        sent_s: i64,
    ) {
        if is_automatic(message) {
            return;
        }
        let Some(mailbox) = author(runtime, envelope) else {
            return;
        };
        let to = envelope.foreign().iter();
        let sent: Vec<_> = to
            .filter_map(|address| runtime.judgement.sent_to(&mailbox, address, sent_s))
            .collect();
        if let Err(error) = self.store.sent(sent).await {
            tracing::warn!(%mailbox, %error, "it was not remembered to whom this mailbox wrote");
        }
    }
}

/// Whose mail it is, if that is certain.
fn author(runtime: &Runtime, envelope: &Envelope) -> Option<MailboxId> {
    let ReversePath::Address(address) = envelope.reverse_path() else {
        return None;
    };
    let domain = address.domain()?;
    let is_login = envelope.login().is_some_and(|login| is_same(login.as_str(), address));
    if !is_login && !runtime.config.speaks_for.contains(domain) {
        return None;
    }
    let Found::Local(view) = runtime.domains.find(domain) else {
        return None;
    };
    // Nobody whom an outsider could invent.
    let standing = view.user(address.local(), envelope.client());
    let mailbox = view.mailbox(address.local());
    let is_listed = matches!(standing, UserStanding::Valid | UserStanding::NotFromClient);
    (is_listed && !mailbox.is_others()).then_some(mailbox)
}

fn is_same(login: &str, address: &Address) -> bool {
    Address::parse(login).is_ok_and(|login| login.folded() == address.folded())
}

/// Written by a program (RFC 3834 §5), or to or by a list (RFC 2369, RFC 2919).
pub fn is_automatic(message: &Message<'_>) -> bool {
    let value = |name: &str| {
        let field = message.first(name)?;
        Some(String::from_utf8_lossy(&field.value()).trim().to_ascii_lowercase())
    };
    let is_auto = value("Auto-Submitted").is_some_and(|text| text.split(';').next().unwrap_or("").trim() != "no");
    let is_bulk = value("Precedence").is_some_and(|text| matches!(&*text, "bulk" | "list" | "junk" | "auto_reply"));
    let is_list = ["List-Id", "List-Post", "List-Unsubscribe"]
        .iter()
        .any(|name| message.first(name).is_some());
    is_auto || is_bulk || is_list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_and_lists_send_is_not_correspondence() {
        let is = |header: &str| is_automatic(&Message::parse(format!("{header}\r\n\r\nx").as_bytes()));
        for header in [
            "Auto-Submitted: auto-replied",
            "auto-submitted: AUTO-GENERATED; x=y",
            "Auto-Submitted:",
            "Precedence: Bulk",
            "List-Id: <a.example>",
        ] {
            assert!(is(header), "{header}");
        }
        for header in [
            "Subject: hello",
            "Auto-Submitted: no",
            "Auto-Submitted: No ; a=b",
            "Precedence: first",
        ] {
            assert!(!is(header), "{header}");
        }
    }
}
