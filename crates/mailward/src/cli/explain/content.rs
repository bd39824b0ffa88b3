//! What the content filter says.

use super::line;
use super::origin::fact;
use judge::evidence::Fact;
use judge::junk::JunkFact;

/// How probable junk is, by what was learned, and what moved it.
pub(super) fn junk(out: &mut String, junk: &Fact<JunkFact>) {
    fact(out, "content", junk, |out, fact| {
        let own = format!(
            "{} junk and {} wanted lessons of its own",
            fact.own.junk, fact.own.wanted
        );
        let others = match fact.voters {
            0 => String::new(),
            voters => format!(", and {voters} mailboxes"),
        };
        let little = if fact.is_significant { "" } else { ": too few to count" };
        let percent = 100.0 * fact.probability();
        line(out, "content", format!("{percent:.2} % junk, by {own}{others}{little}"));
        for pull in &fact.pulls {
            let sign = if pull.milli > 0 { "junk  " } else { "wanted" };
            line(
                out,
                "",
                format!("{sign} {:+.2}  {}", f64::from(pull.milli) / 1000.0, pull.text),
            );
        }
    });
}
