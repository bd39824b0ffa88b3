//! The checks that look at header fields and the body: `date`, `mailman`, `address`, `mailers`, `empty_body`.

use crate::evidence::AuthorField;
use mail::Line;

/// `checks/date`: RFC 5322 §3.6 requires the field. What it says is not looked at.
pub fn no_date(has_date: bool) -> Option<Line> {
    (!has_date).then(|| Line::literal("Missing header - Date:"))
}

/// `checks/mailman`: a list manager that asks somebody to moderate a post, or reminds of it.
pub fn moderation_request(asks_moderation: bool) -> Option<Line> {
    asks_moderation.then(|| Line::literal("mailman posts not accepted here"))
}

/// `checks/address`: the From field holds something that no address looks like.
pub fn bogus_author(author: &AuthorField) -> Option<Line> {
    let text = match author {
        AuthorField::Plain(_) => return None,
        AuthorField::Missing => return Some(Line::literal("From: missing or empty.")),
        AuthorField::BogusInitial(term) => format!("Bogus initial character From header : {term}"),
        AuthorField::TwoAts(term) => format!("From: contains two '@' signs : {term}"),
    };
    Some(Line::reason(text.as_bytes()))
}

/// `checks/mailers`: programs that only junk was seen from.
pub fn bad_mailer(is_junk: bool, mailer: Option<&Line>) -> Option<Line> {
    let mailer = mailer.map_or("", Line::as_str);
    is_junk.then(|| Line::reason(format!("Bad mailer: {mailer}").as_bytes()))
}

/// `checks/empty_body`.
pub fn blank_body(body_is_blank: bool) -> Option<Line> {
    body_is_blank.then(|| Line::literal("Empty body"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_mailer_is_named() {
        let mailer = Line::literal("The Bat! 1.0");
        assert_eq!(
            bad_mailer(true, Some(&mailer)),
            Some(Line::literal("Bad mailer: The Bat! 1.0"))
        );
        assert_eq!(bad_mailer(false, Some(&mailer)), None);
    }
}
