//! Verdicts for people: the same sentences for `why` and `scan`. Every text, foreign or not, becomes one harmless line.

mod content;
mod origin;

use super::harmless;
use judge::evidence::{AuthorField, ContentFacts, MessageFacts, RecipientFacts, UserStanding};
use judge::reason::Effect;
use judge::verdict::{Disposition, Rejection, Verdict};
use mail::Line;
use std::fmt::Write;

/// One aligned line: a label of up to nine characters, and a text, which may be foreign.
pub(super) fn line(out: &mut String, label: &str, text: impl std::fmt::Display) {
    let _ = writeln!(out, "  {label:<9} {}", harmless(text));
}

/// What was decided, and each reason in a sentence; then what was only noted. `is_foiled` says that mail which was to be
/// delivered was not.
pub(super) fn verdict(out: &mut String, verdict: &Verdict, is_foiled: bool) {
    line(out, "verdict", disposition(&verdict.disposition, is_foiled));
    let sentences = |wanted: fn(Effect) -> bool| -> Vec<String> {
        let reasons = verdict.reasons.iter().filter(|reason| wanted(reason.effect));
        reasons.map(|reason| reason.sentence()).collect()
    };
    let mut because = sentences(|effect| effect != Effect::Evidence);
    let evidence = sentences(|effect| effect == Effect::Evidence);
    if because.is_empty() {
        let nothing = match evidence.is_empty() {
            true => "Nothing speaks against it.",
            false => "Nothing that decides speaks against it.",
        };
        because.push(nothing.into());
    }
    for (label, texts) in [("because", because), ("evidence", evidence)] {
        for (n, text) in texts.iter().enumerate() {
            line(out, if n == 0 { label } else { "" }, text);
        }
    }
}

/// The disposition in words.
fn disposition(disposition: &Disposition, is_foiled: bool) -> String {
    match disposition {
        Disposition::Accept if is_foiled => "accept: to be delivered".into(),
        Disposition::Tag if is_foiled => "tag: to be delivered with a mark in the header".into(),
        Disposition::File(folder) if is_foiled => {
            format!("file: to be delivered into the folder `{}`", folder.as_str())
        }
        Disposition::Accept => "accept: delivered".into(),
        Disposition::Tag => "tag: delivered with a mark in the header".into(),
        Disposition::File(folder) => format!("file: delivered into the folder `{}`", folder.as_str()),
        Disposition::Hold => "hold: taken, and kept in the quarantine".into(),
        Disposition::Reject(Rejection::UnknownUser) => {
            "reject: refused (550 5.1.1), a copy kept in the quarantine".into()
        }
        Disposition::Reject(Rejection::Policy) => "reject: refused (550 5.7.1), a copy kept in the quarantine".into(),
        Disposition::Reject(Rejection::Unauthenticated) => {
            "reject: refused (550 5.7.26), a copy kept in the quarantine".into()
        }
        Disposition::Defer => "defer: the sender was asked to try again".into(),
        Disposition::Discard => "discard: taken, and kept only for the retention time".into(),
    }
}

/// What was known of the message.
pub(super) fn message(out: &mut String, facts: &MessageFacts) {
    let MessageFacts {
        received_s,
        client,
        helo,
        reverse_path,
        tls,
        login,
        conduct: _,
        passed_before,
        removed,
        content,
        origin,
        virus,
        links,
    } = facts;
    let time = jiff::Timestamp::from_second(*received_s).map(|t| t.to_zoned(jiff::tz::TimeZone::system()));
    if let Ok(time) = time {
        line(out, "received", time.strftime("%a %d %b %Y %H:%M:%S %:z"));
    }
    line(out, "client", format_args!("{client}, which called itself `{helo}`"));
    line(
        out,
        "sender",
        if reverse_path.is_null() {
            "<> (a notification)".into()
        } else {
            format!("<{reverse_path}>")
        },
    );
    if let Some(login) = login {
        line(out, "login", login);
    }
    match tls {
        Some(tls) => line(
            out,
            "transport",
            format_args!(
                "encrypted, {} with {}{}",
                tls.version,
                tls.cipher,
                tls.sni
                    .as_ref()
                    .map_or(String::new(), |sni| format!(", asking for {sni}"))
            ),
        ),
        None => line(out, "transport", "not encrypted"),
    }
    origin::origin(out, origin, reverse_path);
    origin::virus(out, virus);
    origin::links(out, links);
    if let Some(facts) = content {
        self::content(out, facts);
    }
    if let Some(id) = passed_before {
        line(out, "came before", format_args!("through this gateway, as {id}"));
    }
    for field in removed {
        line(out, "removed", field);
    }
}

/// What its header and body say.
fn content(out: &mut String, content: &ContentFacts) {
    let ContentFacts {
        size_octets,
        message_id,
        subject,
        asks_moderation: _,
        has_date,
        author,
        mailer,
        is_junk_mailer: _,
        has_signature,
        body_is_blank,
    } = content;
    line(
        out,
        "from",
        match author {
            AuthorField::Missing => "missing or empty".into(),
            AuthorField::Plain(text) | AuthorField::BogusInitial(text) | AuthorField::TwoAts(text) => decoded(text),
        },
    );
    // Older versions recorded it as it stood in the header.
    line(out, "subject", subject.as_ref().map_or("none".into(), decoded));
    if let Some(id) = message_id {
        line(out, "msg-id", id);
    }
    if let Some(mailer) = mailer {
        line(out, "mailer", mailer);
    }
    let mut traits = vec![format!("{size_octets} octets")];
    traits.push(if *has_date { "dated" } else { "no Date field" }.into());
    traits.push(
        if *has_signature {
            "carries a DKIM signature"
        } else {
            "no DKIM signature"
        }
        .into(),
    );
    if *body_is_blank {
        traits.push("empty body".into());
    }
    line(out, "form", traits.join(", "));
}

/// A header's text with its encoded words decoded.
fn decoded(text: &Line) -> String {
    mail::mime::readable(text.as_str().as_bytes(), usize::MAX / 8).to_string()
}

/// What was known of a recipient.
pub(super) fn recipient(out: &mut String, facts: &RecipientFacts) {
    let RecipientFacts {
        address,
        mailbox,
        user,
        blacklisted: _,
        has_host_blacklist: _,
        whitelisted: _,
        passes_forged: _,
        whitelist_needs_spf: _,
        forwarder,
        zones,
        listed,
        rates,
        standing,
        greylist,
        junk,
    } = facts;
    let user = match user {
        UserStanding::Valid => "a listed user",
        UserStanding::Anyone => "not listed, but the domain takes mail for anyone",
        UserStanding::Invalid => "listed as invalid",
        UserStanding::Unknown => "not listed",
        UserStanding::NotFromClient => "a listed user, but not for this client",
    };
    line(out, "to", format_args!("<{address}>, {user}; mailbox {mailbox}"));
    if let Some(hit) = forwarder {
        let proof = if hit.is_proven {
            "proven"
        } else {
            "by its HELO name only"
        };
        line(out, "forwarder", format_args!("{}, {proof}", hit.name));
    }
    if let Some(hit) = listed {
        line(
            out,
            "list",
            format_args!("{}, which may write to this domain", hit.domain),
        );
    }
    origin::zones(out, zones);
    origin::rates(out, rates);
    origin::standing(out, standing);
    origin::greylist(out, greylist);
    content::junk(out, junk);
}
