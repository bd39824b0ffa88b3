//! The decision table: which memory of the sender speaks first, and what it says.
//!
//! Eleven rows, each of one question or a few. The first row for which something is found decides, even if what it says
//! is not conclusive: nearer memories outweigh wider ones.
//!
//! | row | asked | reaches back, at most |
//! |---|---|---|
//! | 1 | the author's address, as proven as now | 3 years, 2 |
//! | 2 | if it is not proven now: the same, proven | 3 years, 2 |
//! | 3 | whether the owner wrote to it | 3 years |
//! | 4, 5, 6 | the same of the author's domain | 2 years, 20, 2 |
//! | 7, 8, 9 | the same of the organizational domain | 2 years, 20, 2 |
//! | 10 | each domain that signed; the reverse-path or HELO name that SPF proves | half a year, 50 |
//! | 11 | the client's address, then its networks | a quarter of a year, 50 |
//!
//! Rows 2, 5 and 8 are about somebody who uses a name that was proven before and is not now. Such mail is always junk;
//! it is conclusive only where even the real one's mail was junk lately, so that the content decides about a friend
//! whose signature broke. Row 1 is never conclusive for a name that is not proven; rows 4 and 7 may be.

use super::history::Repute;
use super::history::{Correspondent, History, HistoryRow, HistoryUnavailable, Identity};
use super::sender::{AuthorClaim, Sender};
use super::standing::{Answer, Method, Standing, Step, in_words};
use super::thresholds::{Count, Sign, is_lately_junk, of_domain};
use mail::{Line, MailboxId};

/// No walk asks more questions. Signatures take what the other rows leave: three at least, of those who signed last.
pub const QUESTIONS_MAX: usize = 18;
/// What rows 10 and 11 may ask beside signatures: three names that SPF proves, three networks.
const QUESTIONS_AFTER_DKIM: usize = 6;

/// How many rows are kept of what a question found, for people to see.
const NEWEST_TOLD_MAX: usize = 10;
/// Longest text of a step, in characters: a long address and some words.
const STEP_CHARS_MAX: usize = 1500;

const YEAR_S: i64 = 365 * 24 * 3600;

/// How far back a question reaches, and how many rows it may find.
struct Reach {
    window_s: i64,
    rows_max: u32,
    words: &'static str,
}

const OF_ADDRESS: Reach = Reach {
    window_s: 3 * YEAR_S,
    rows_max: 2,
    words: "the last 3 years",
};
const OF_DOMAIN: Reach = Reach {
    window_s: 2 * YEAR_S,
    rows_max: 20,
    words: "the last 2 years",
};
const OF_PROVEN_DOMAIN: Reach = Reach {
    rows_max: 2,
    ..OF_DOMAIN
};
const OF_SIGN: Reach = Reach {
    window_s: YEAR_S / 2,
    rows_max: 50,
    words: "the last half year",
};
const OF_NETWORK: Reach = Reach {
    window_s: YEAR_S / 4,
    rows_max: 50,
    words: "the last quarter of a year",
};

/// What `mailbox` remembers of `sender`, at `now_s` seconds since 1970.
///
/// Asks at most [`QUESTIONS_MAX`] questions, one after the other, and no more once a row has decided.
///
/// # Errors
/// The first question that nobody could answer.
pub async fn standing(
    sender: &Sender,
    mailbox: &MailboxId,
    history: &dyn History,
    now_s: i64,
) -> Result<Standing, HistoryUnavailable> {
    let mut walk = Walk {
        mailbox,
        history,
        now_s,
        steps: Vec::new(),
    };
    let mut finding = match &sender.author {
        Some(author) => by_author(&mut walk, author).await?,
        None => None,
    };
    if finding.is_none() {
        finding = by_signs(&mut walk, sender).await?;
    }
    if finding.is_none() {
        finding = by_network(&mut walk, sender).await?;
    }
    let Finding {
        verdict,
        is_conclusive,
        method,
    } = finding.unwrap_or(Finding::NOTHING);
    Ok(Standing {
        verdict,
        is_conclusive,
        method,
        walk: walk.steps,
        shared: None,
    })
}

/// Rows 1 to 9.
async fn by_author(walk: &mut Walk<'_>, author: &AuthorClaim) -> Result<Option<Finding>, HistoryUnavailable> {
    let proven = author.is_validated;
    let rows = walk.newest(1, &author.address(proven), &OF_ADDRESS).await?;
    if !rows.is_empty() {
        let verdict = match is_lately_junk(&rows) {
            true => Repute::Junk,
            false => Repute::NotJunk,
        };
        let finding = Finding::new(Some(verdict), proven, Method::MsgFromFull);
        return Ok(Some(walk.conclude(lately(&rows), finding)));
    }
    if !proven {
        let real = author.address(true);
        let finding = by_real_one(walk, 2, &real, &OF_ADDRESS, Method::MsgFromFull).await?;
        if finding.is_some() {
            return Ok(finding);
        }
    }
    let address = Correspondent::Address {
        local: author.written.clone(),
        domain: author.domain.clone(),
    };
    if walk.wrote_to(3, &address, &OF_ADDRESS).await? {
        return Ok(Some(walk.conclude(WROTE, Finding::welcome(Method::MsgToFull))));
    }
    let domain = Wider {
        first_row: 4,
        identity: AuthorClaim::of_domain,
        correspondent: Correspondent::Domain(author.domain.clone()),
        from: Method::MsgFromDomain,
        to: Method::MsgToDomain,
    };
    let finding = by_wider(walk, author, &domain).await?;
    if finding.is_some() {
        return Ok(finding);
    }
    let organization = Wider {
        first_row: 7,
        identity: AuthorClaim::of_organization,
        correspondent: Correspondent::Organization(author.organization.clone()),
        from: Method::MsgFromOrgDomain,
        to: Method::MsgToOrgDomain,
    };
    by_wider(walk, author, &organization).await
}

/// The author's domain or organizational domain.
struct Wider {
    first_row: u8,
    identity: fn(&AuthorClaim, bool) -> Identity,
    correspondent: Correspondent,
    from: Method,
    to: Method,
}

/// Rows 4 to 6, or 7 to 9.
async fn by_wider(
    walk: &mut Walk<'_>,
    author: &AuthorClaim,
    wider: &Wider,
) -> Result<Option<Finding>, HistoryUnavailable> {
    let (proven, row) = (author.is_validated, wider.first_row);
    let rows = walk.newest(row, &(wider.identity)(author, proven), &OF_DOMAIN).await?;
    if !rows.is_empty() {
        let (verdict, is_conclusive) = of_domain(&rows);
        let why = match verdict {
            Some(Repute::NotJunk) => "more than 80 % are not junk",
            Some(Repute::Junk) if is_conclusive => "all are junk, from three people at least",
            Some(Repute::Junk) => "all are junk, but from fewer than three people",
            None => "some of both",
        };
        let finding = Finding::new(verdict, is_conclusive, wider.from);
        return Ok(Some(walk.conclude(why, finding)));
    }
    if !proven {
        let real = (wider.identity)(author, true);
        let finding = by_real_one(walk, row + 1, &real, &OF_PROVEN_DOMAIN, wider.from).await?;
        if finding.is_some() {
            return Ok(finding);
        }
    }
    if walk.wrote_to(row + 2, &wider.correspondent, &OF_DOMAIN).await? {
        return Ok(Some(walk.conclude(WROTE, Finding::welcome(wider.to))));
    }
    Ok(None)
}

/// Rows 2, 5 and 8: the name was proven before and is not now. Always junk; only whether that is conclusive depends on
/// what the real one sent.
async fn by_real_one(
    walk: &mut Walk<'_>,
    row: u8,
    real: &Identity,
    reach: &Reach,
    method: Method,
) -> Result<Option<Finding>, HistoryUnavailable> {
    let rows = walk.newest(row, real, reach).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let why = format!("it was proven then and is not now; of the real one, {}", lately(&rows));
    let finding = Finding::new(Some(Repute::Junk), is_lately_junk(&rows), method);
    Ok(Some(walk.conclude(&why, finding)))
}

/// Row 10.
async fn by_signs(walk: &mut Walk<'_>, sender: &Sender) -> Result<Option<Finding>, HistoryUnavailable> {
    let mut signs = Signs::default();
    let room = QUESTIONS_MAX.saturating_sub(walk.steps.len() + QUESTIONS_AFTER_DKIM);
    for domain in sender.dkim.iter().take(room) {
        let rows = walk.newest(10, &Identity::Dkim(domain.clone()), &OF_SIGN).await?;
        signs.add(walk, &rows);
    }
    if let Some(left) = sender.dkim.len().checked_sub(room).filter(|&left| left > 0) {
        walk.add(&format!("nothing is asked of {left} more who signed"));
    }
    // History counts whether or not the name was proven then; only now it must be.
    let mut names = Vec::new();
    if let Some(path) = sender.reverse_path.as_ref().filter(|path| path.is_validated) {
        names.extend([path.address(), Identity::ReversePathDomain(path.domain.clone())]);
    }
    let helo = sender.helo.as_ref().filter(|helo| helo.is_validated);
    names.extend(helo.map(|helo| Identity::Helo(helo.domain.clone())));
    for name in &names {
        let rows = walk.newest(10, name, &OF_SIGN).await?;
        if !rows.is_empty() {
            signs.add(walk, &rows);
            break;
        }
    }
    Ok(signs.finding().map(|finding| {
        let Signs {
            good, bad, undecided, ..
        } = signs;
        let why = format!("in all {good} good, {bad} bad, {undecided} undecided");
        walk.conclude(&why, finding)
    }))
}

/// What the domains of row 10 say together.
#[derive(Default)]
struct Signs {
    good: u32,
    bad: u32,
    undecided: u32,
    /// The most messages that one of them rests on.
    rows_max: usize,
}

impl Signs {
    fn add(&mut self, walk: &mut Walk<'_>, rows: &[HistoryRow]) {
        if rows.is_empty() {
            return;
        }
        let count = Count::of(rows);
        self.rows_max = self.rows_max.max(count.rows);
        let (counted, word) = match count.sign() {
            Sign::Good => (&mut self.good, "a good sign"),
            Sign::Bad => (&mut self.bad, "a bad sign"),
            Sign::Undecided => (&mut self.undecided, "some of both"),
        };
        *counted += 1;
        walk.add(word);
    }

    fn finding(&self) -> Option<Finding> {
        if self.rows_max == 0 {
            return None;
        }
        Some(match (self.good, self.bad) {
            (1.., 0) => Finding::welcome(Method::DkimSpf),
            (0, 1..) => Finding::new(Some(Repute::Junk), self.rows_max > 1, Method::DkimSpf),
            _ => Finding::new(None, false, Method::DkimSpf),
        })
    }
}

/// Row 11. The narrowest network of which anything is known decides.
async fn by_network(walk: &mut Walk<'_>, sender: &Sender) -> Result<Option<Finding>, HistoryUnavailable> {
    let methods = [Method::Ip1, Method::Ip2, Method::Ip3];
    for ((narrowness, method), width) in methods.into_iter().enumerate().zip(1_u8..) {
        let Some(address) = sender.networks.get(narrowness).copied().flatten() else {
            continue;
        };
        let network = Identity::Network { width, address };
        let rows = walk.newest(11, &network, &OF_NETWORK).await?;
        if rows.is_empty() {
            continue;
        }
        let (verdict, is_conclusive) = Count::of(&rows).of_network(narrowness);
        let why = match verdict {
            Some(_) if is_conclusive => "nearly all the same, and enough of them",
            Some(_) => "mostly the same, but too few or not clear enough",
            None => "some of both",
        };
        return Ok(Some(walk.conclude(why, Finding::new(verdict, is_conclusive, method))));
    }
    Ok(None)
}

const WROTE: &str = "the owner of the mailbox wrote to them";
/// What a step concludes that decides nothing.
const GO_ON: &str = "go on";

/// What the newest two say, in words.
fn lately(rows: &[HistoryRow]) -> &'static str {
    match rows {
        [only] if only.is_junk => "the only one is junk",
        [newest, before, ..] if newest.is_junk && before.is_junk => "the two newest are junk",
        [newest, ..] if newest.is_junk => "the newest is junk, but the one before is not",
        _ => "the newest is not junk",
    }
}

/// What a row says.
#[derive(Debug, Clone, Copy)]
struct Finding {
    verdict: Option<Repute>,
    is_conclusive: bool,
    method: Method,
}

impl Finding {
    const NOTHING: Finding = Finding {
        verdict: None,
        is_conclusive: false,
        method: Method::None,
    };

    fn new(verdict: Option<Repute>, is_conclusive: bool, method: Method) -> Finding {
        Finding {
            verdict,
            is_conclusive,
            method,
        }
    }

    fn welcome(method: Method) -> Finding {
        Finding::new(Some(Repute::NotJunk), true, method)
    }
}

/// Asks, and keeps what was asked.
struct Walk<'a> {
    mailbox: &'a MailboxId,
    history: &'a dyn History,
    now_s: i64,
    steps: Vec<Step>,
}

impl Walk<'_> {
    async fn newest(
        &mut self,
        row: u8,
        identity: &Identity,
        reach: &Reach,
    ) -> Result<Vec<HistoryRow>, HistoryUnavailable> {
        // A window's edge is within it.
        let since_s = self.now_s.saturating_sub(reach.window_s);
        let found = self.history.newest(self.mailbox, identity, since_s, reach.rows_max);
        let rows = found.await?;
        let Count { rows: count, junk } = Count::of(&rows);
        let answer = Answer::Messages {
            found: u32::try_from(count).unwrap_or(u32::MAX),
            junk: u32::try_from(junk).unwrap_or(u32::MAX),
            newest: rows.iter().take(NEWEST_TOLD_MAX).cloned().collect(),
        };
        self.push(row, format!("{} of {}", mail_of(identity), reach.words), answer);
        Ok(rows)
    }

    async fn wrote_to(
        &mut self,
        row: u8,
        correspondent: &Correspondent,
        reach: &Reach,
    ) -> Result<bool, HistoryUnavailable> {
        let since_s = self.now_s.saturating_sub(reach.window_s);
        let wrote = self.history.wrote_to(self.mailbox, correspondent, since_s).await?;
        let asked = format!("mail to {} in {}", whom(correspondent), reach.words);
        self.push(row, asked, Answer::WroteTo(wrote));
        Ok(wrote)
    }

    fn push(&mut self, row: u8, asked: String, answer: Answer) {
        self.steps.push(Step {
            row,
            asked: text(&asked),
            answer,
            concluded: Line::literal(GO_ON),
        });
    }

    /// The last question has something to say.
    fn add(&mut self, said: &str) {
        if let Some(step) = self.steps.last_mut() {
            step.concluded = match step.concluded.as_str() {
                GO_ON => text(said),
                before => text(&format!("{before}; {said}")),
            };
        }
    }

    /// The last question decided.
    fn conclude(&mut self, why: &str, finding: Finding) -> Finding {
        let answer = in_words(finding.verdict, finding.is_conclusive);
        self.add(&format!("{why}: {answer}"));
        finding
    }
}

fn text(words: &str) -> Line {
    Line::clean(words.as_bytes(), STEP_CHARS_MAX)
}

fn mail_of(identity: &Identity) -> String {
    let proof = |validated: &bool| match validated {
        true => "proven",
        false => "not proven",
    };
    match identity {
        Identity::Author {
            local,
            domain,
            validated,
        } => format!("mail of {local}@{domain}, {},", proof(validated)),
        Identity::AuthorDomain { domain, validated } => {
            format!("mail of anybody at {domain}, {},", proof(validated))
        }
        Identity::AuthorOrganization { domain, validated } => {
            format!("mail of anybody at {domain} or below, {},", proof(validated))
        }
        Identity::Dkim(domain) => format!("mail signed by {domain}"),
        Identity::ReversePath { local, domain } => format!("mail with the reverse-path {local}@{domain}"),
        Identity::ReversePathDomain(domain) => format!("mail with a reverse-path at {domain}"),
        Identity::Helo(domain) => format!("mail from a host called {domain}"),
        Identity::Network { width, address } => {
            let bits = super::sender::mask_bits(*address, *width);
            format!("mail from {address}/{bits}")
        }
    }
}

fn whom(correspondent: &Correspondent) -> String {
    match correspondent {
        Correspondent::Address { local, domain } => format!("{local}@{domain}"),
        Correspondent::Domain(domain) => format!("anybody at {domain}"),
        Correspondent::Organization(domain) => format!("anybody at {domain} or below"),
    }
}
