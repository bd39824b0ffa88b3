//! What was proven of a message's origin, as header fields: Authentication-Results (RFC 8601), Received-SPF (RFC 7208
//! §9.1), and the original's `X-DKIM-RESULT`.

use super::headers::OwnNames;
use judge::auth::arc::ArcResult;
use judge::auth::author::Author;
use judge::auth::dkim::{Dkim, DkimResult};
use judge::auth::spf::{Ask, Identity};
use judge::evidence::{MessageFacts, Origin};
use mail::auth_results::{AuthResults, Encoding, Finding};

/// RFC 5322 §2.1.1: lines should not be longer, their CRLF left out.
const COLUMNS: usize = 78;

/// The fields for the top of a message, each with its CRLF; nothing of what was not asked or could not be had.
pub fn fields(facts: &MessageFacts, own: &OwnNames, is_utf8: bool) -> Vec<String> {
    let origin = &facts.origin;
    if origin.is_open() {
        return Vec::new();
    }
    let findings = findings(facts);
    if findings.is_empty() {
        return Vec::new();
    }
    let mut results = AuthResults::new(&own.authserv_id);
    for finding in findings {
        results.push(finding);
    }
    let encoding = if is_utf8 { Encoding::Utf8 } else { Encoding::Ascii };
    let mut fields = vec![String::from_utf8_lossy(&results.to_field(encoding)).into_owned()];
    if let Some(spf) = origin.spf_mail_from.found() {
        let ask = Ask {
            client: facts.client,
            helo: facts.helo.as_str(),
            identity: Identity::MailFrom(&facts.reverse_path),
            receiver: &own.hostname,
            now_s: facts.received_s,
        };
        let mut text = String::new();
        fold(
            "Received-SPF:",
            &spf.received(&ask, &facts.reverse_path, encoding),
            &mut text,
        );
        fields.push(text);
    }
    fields
}

/// Adds a field, folded at blanks (RFC 5322 §2.2.3).
fn fold(name: &str, value: &str, out: &mut String) {
    out.push_str(name);
    let mut column = name.len();
    for word in value.split(' ') {
        if column + 1 + word.len() > COLUMNS {
            out.push_str("\r\n\t");
            column = 8;
        } else {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += word.len();
    }
    out.push_str("\r\n");
}

/// The word of `X-DKIM-RESULT`; `None` for a message without signatures.
pub fn dkim_word(origin: &Origin) -> Option<&'static str> {
    let signatures = origin.dkim.found()?;
    let passes = signatures.iter().find(|signature| signature.result == DkimResult::Pass);
    passes.or(signatures.first()).map(|signature| signature.result.word())
}

fn findings(facts: &MessageFacts) -> Vec<Finding> {
    let Origin {
        iprev,
        spf_helo,
        spf_mail_from,
        dkim,
        arc,
        author,
        dmarc,
        mx: _,
    } = &facts.origin;
    let mut all = Vec::new();
    if let Some(iprev) = iprev.found() {
        let name = iprev.name.as_ref().map_or("", |name| name.as_str());
        let finding = Finding::new("iprev", iprev.result.word()).comment(name);
        all.push(finding.property("policy.iprev", &facts.client.to_string()));
    }
    if let Some(spf) = spf_helo.found() {
        let finding = Finding::new("spf", spf.result.word()).comment(spf.explanation.as_str());
        all.push(finding.property("smtp.helo", facts.helo.as_str()));
    }
    // Of a notification the HELO name is all there is, and that was said.
    if let Some(spf) = spf_mail_from.found().filter(|_| !facts.reverse_path.is_null()) {
        let finding = Finding::new("spf", spf.result.word()).comment(spf.explanation.as_str());
        all.push(finding.property("smtp.mailfrom", &facts.reverse_path.to_string()));
    }
    match dkim.found().map(Vec::as_slice) {
        Some([]) => all.push(Finding::new("dkim", "none")),
        Some(signatures) => all.extend(signatures.iter().map(signature)),
        None => {}
    }
    if let Some(dmarc) = dmarc.found() {
        let comment = match dmarc.record_at.as_str() {
            "" => dmarc.why.to_string(),
            record_at => format!("p={} at {record_at}", dmarc.published),
        };
        let mut finding = Finding::new("dmarc", dmarc.result.word()).comment(&comment);
        if let Some(Author::One { domain, .. }) = author.found() {
            finding = finding.property("header.from", domain.as_str());
        }
        all.push(finding);
    }
    if let Some(arc) = arc.found().filter(|arc| arc.result != ArcResult::None) {
        let count = match arc.sets.len() {
            0 => String::new(),
            n => format!("{n} sets"),
        };
        all.push(Finding::new("arc", arc.result.word()).comment(&count));
    }
    all
}

fn signature(signature: &Dkim) -> Finding {
    let comment = match signature.result {
        DkimResult::Pass => String::new(),
        _ => signature.why.to_string(),
    };
    let domain = signature.domain.as_ref().map_or("", |domain| domain.as_str());
    Finding::new("dkim", signature.result.word())
        .comment(&comment)
        .property("header.d", domain)
        .property("header.s", signature.selector.as_str())
        .property("header.a", signature.algorithm.as_str())
        .property("header.b", signature.start.as_str())
}
