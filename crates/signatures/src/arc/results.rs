//! What an ARC-Authentication-Results field says that passed (RFC 8617 §4.1.1). One that cannot be read says nothing.

use judge::auth::arc::ArcSet;
use mail::auth_results::{ParsedResult, parse_arc};
use mail::{Domain, Line};

/// Domains that one field can name as signers.
const DKIM_MAX: usize = 10;

/// Adds what passed to the set; `value` is the field's.
pub(super) fn read(value: &[u8], set: &mut ArcSet) {
    let Ok((_, said)) = parse_arc(value) else { return };
    for result in said.results.iter().filter(|result| result.result.as_str() == "pass") {
        add(result, set);
    }
}

fn add(result: &ParsedResult, set: &mut ArcSet) {
    let property = |ptype: &str, name: &str| result.property(ptype, name).and_then(domain);
    match result.method.as_str() {
        "dmarc" => set.dmarc_pass = set.dmarc_pass.take().or_else(|| property("header", "from")),
        "spf" => set.spf_pass = set.spf_pass.take().or_else(|| property("smtp", "mailfrom")),
        "dkim" => {
            let found = property("header", "d").or_else(|| property("header", "i"));
            let is_new = |domain: &Domain| set.dkim_pass.len() < DKIM_MAX && !set.dkim_pass.contains(domain);
            if let Some(domain) = found.filter(is_new) {
                set.dkim_pass.push(domain);
            }
        }
        _ => {}
    }
}

/// The domain of `user@domain`, `@domain` or `domain`.
fn domain(text: &Line) -> Option<Domain> {
    Domain::parse(text.as_str().rsplit('@').next()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(value: &str) -> ArcSet {
        let mut set = ArcSet::default();
        read(value.as_bytes(), &mut set);
        set
    }

    fn names(domains: &[Domain]) -> Vec<&str> {
        domains.iter().map(Domain::as_str).collect()
    }

    #[test]
    fn what_passed_is_found_among_comments_and_quotes() {
        let set = results(
            " i=2 ; mx.example 1 (a comment (in a ; comment) \\) dkim=pass);\r\n\
             dkim=pass (1024-bit key; \"x) header.i=@List.example header.s=s1 header.b=ab=cd;\
             dkim = pass header.d = other.example reason=\"good; dmarc=pass header.from=evil.example\";\
             dkim=fail header.d=no.example; dkim/1=PASS header.i=\"joe (;) doe\"@quoted.example;\
             spf=pass (mx: x designates y) smtp.mailfrom=b+srs=ab=x.example=joe@bounce.example;\
             dmarc=pass (p=REJECT) header.from=author.example; dmarc=pass header.from=second.example",
        );
        assert_eq!(
            names(&set.dkim_pass),
            ["list.example", "other.example", "quoted.example"]
        );
        assert_eq!(set.spf_pass.unwrap().as_str(), "bounce.example");
        assert_eq!(set.dmarc_pass.unwrap().as_str(), "author.example");
    }

    #[test]
    fn what_did_not_pass_is_not_found() {
        for text in [
            "i=1; mx.example; none",
            "i=1; mx.example; dmarc=fail header.from=a.example",
            "i=1; mx.example; dmarc=pass",
            "i=1; mx.example; (dmarc=pass header.from=a.example)",
            "i=1; dmarc=pass header.from=a.example",
            "i=1; mx.example; x=dmarc=pass header.from=a.example",
            "i=1; mx.example; dmarc=\"pass header.from=a.example",
            "i=1; mx.example; dmarc=pass (header.from=a.example",
        ] {
            assert_eq!(results(text), ArcSet::default(), "{text}");
        }
    }

    #[test]
    fn no_more_than_ten_signers_are_kept() {
        let many: String = (0..100).map(|n| format!("; dkim=pass header.d=d{n}.example")).collect();
        let set = results(&format!("i=1; mx.example{many}"));
        assert_eq!(set.dkim_pass.len(), DKIM_MAX);
    }
}
