//! The checks that look at header fields and the body: `date`, `mailman`, `address`, `mailers`, `empty_body`.

use super::{Answer, Evidence};
use crate::evidence::{AuthorField, ContentFacts};
use mail::Line;

/// `checks/date`: RFC 5322 §3.6 requires the field. What it says is not looked at.
pub fn no_date(content: &ContentFacts) -> Option<Line> {
    (!content.has_date).then(|| Line::literal("Missing header - Date:"))
}

/// `checks/mailman`: a list manager that asks somebody to moderate a post, or reminds of it.
pub fn moderation_request(content: &ContentFacts) -> Option<Line> {
    content
        .asks_moderation
        .then(|| Line::literal("mailman posts not accepted here"))
}

/// `checks/address`: the From field holds something that no address looks like. Some servers send notifications without the
/// field, so `recommended` refuses none for that.
pub fn bogus_author(known: &Evidence<'_>) -> Answer {
    let Some(content) = &known.message.content else {
        return Answer::default();
    };
    let text = match &content.author {
        AuthorField::Plain(_) => return Answer::default(),
        AuthorField::Missing => {
            let why = Line::literal("From: missing or empty.");
            let is_spared = known.as_recommended && known.message.reverse_path.is_null();
            return if is_spared {
                Answer::evidence(why)
            } else {
                Some(why).into()
            };
        }
        AuthorField::BogusInitial(term) => format!("Bogus initial character From header : {term}"),
        AuthorField::TwoAts(term) => format!("From: contains two '@' signs : {term}"),
    };
    Some(Line::reason(text.as_bytes())).into()
}

/// `checks/mailers`: programs that only junk was seen from.
pub fn bad_mailer(content: &ContentFacts) -> Option<Line> {
    let mailer = content.mailer.as_ref().map_or("", Line::as_str);
    content
        .is_junk_mailer
        .then(|| Line::reason(format!("Bad mailer: {mailer}").as_bytes()))
}

/// `checks/empty_body`.
pub fn blank_body(content: &ContentFacts) -> Option<Line> {
    content.body_is_blank.then(|| Line::literal("Empty body"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::Message;

    #[test]
    fn recommended_spares_notifications_without_from_and_nothing_else() {
        let is_evidence = |path: &str, header: &str, as_recommended| {
            let (mut message, recipient) = crate::evidence::unasked();
            let text = format!("{header}\r\n\r\nx");
            message.reverse_path = mail::ReversePath::parse(path).unwrap();
            message.content = Some(ContentFacts::gather(
                &Message::parse(text.as_bytes()),
                text.len() as u64,
            ));
            let answer = bogus_author(&Evidence {
                message: &message,
                recipient: &recipient,
                settings: &crate::settings::CheckSettings::default(),
                zones: &[],
                trusted_sealers: &[],
                as_recommended,
            });
            assert!(matches!(answer.opinion, super::super::Opinion::Fails(_)), "{header}");
            answer.terms.is_evidence
        };
        assert!(is_evidence("", "Date: x", true));
        assert!(is_evidence("", "From:", true));
        for (path, header, as_recommended) in [
            ("", "Date: x", false),
            ("ann@a.example", "Date: x", true),
            ("", "From: |x", true),
            ("", "From: a@@b.example", true),
        ] {
            assert!(!is_evidence(path, header, as_recommended), "{path} {header}");
        }
    }

    #[test]
    fn a_bad_mailer_is_named() {
        let text = b"X-Mailer: The Bat! 1.0\r\n\r\n";
        let mut content = ContentFacts::gather(&Message::parse(text), text.len() as u64);
        assert_eq!(bad_mailer(&content), Some(Line::literal("Bad mailer: The Bat! 1.0")));
        content.is_junk_mailer = false;
        assert_eq!(bad_mailer(&content), None);
    }
}
