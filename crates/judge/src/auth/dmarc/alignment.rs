//! Who is aligned with the author domain (RFC 9989 §4.4, §4.10.2): the same name, or of the same organization.

use super::Evidence;
use super::record::Record;
use super::walk::{Walk, Walker};
use crate::auth::dkim::DkimResult;
use crate::auth::org::PublicSuffixes;
use crate::auth::spf::SpfResult;
use crate::resolver::Trouble;
use mail::Domain;

/// Of more domains within the author's organization than these, the rest does not count: each needs a walk of its own.
const WALKS_MAX: usize = 10;

/// Compares domains with the author domain.
pub(super) struct Alignment<'a> {
    walk: &'a Walk,
    record: &'a Record,
    suffixes: &'a PublicSuffixes,
    pub walker: Walker<'a>,
    /// Domains that needed a walk, and what came of it.
    walked: Vec<(Domain, Result<bool, String>)>,
}

/// The identities that count.
#[derive(Default)]
pub(super) struct Identities {
    /// Aligned domains whose signature passes.
    pub dkim: Vec<Domain>,
    /// The aligned domain for which SPF passes.
    pub spf: Option<Domain>,
    /// Of an aligned identity that could pass but for trouble, or of trouble about an alignment; a part of a sentence.
    pub open: Option<String>,
}

impl<'a> Alignment<'a> {
    /// With the author domain, from where `walk` began.
    pub(super) fn new(
        walk: &'a Walk,
        record: &'a Record,
        suffixes: &'a PublicSuffixes,
        walker: Walker<'a>,
    ) -> Alignment<'a> {
        Alignment {
            walk,
            record,
            suffixes,
            walker,
            walked: Vec::new(),
        }
    }

    /// Those that pass or could.
    pub(super) async fn identities(&mut self, evidence: &Evidence<'_>) -> Identities {
        let mut found = Identities::default();
        for dkim in evidence.dkim {
            let (Some(domain), DkimResult::Pass | DkimResult::TempError) = (&dkim.domain, dkim.result) else {
                continue;
            };
            match self.is_aligned(domain, self.record.is_dkim_strict).await {
                Ok(true) if dkim.result == DkimResult::TempError => {
                    found.leave_open(format!("DKIM has DNS trouble for {domain}"));
                }
                Ok(true) if !found.dkim.contains(domain) => found.dkim.push(domain.clone()),
                Ok(_) => {}
                Err(why) => found.leave_open(why),
            }
        }
        let (Some(domain), SpfResult::Pass | SpfResult::TempError) = (evidence.spf_domain, evidence.spf.result) else {
            return found;
        };
        match self.is_aligned(domain, self.record.is_spf_strict).await {
            Ok(true) if evidence.spf.result == SpfResult::Pass => found.spf = Some(domain.clone()),
            Ok(true) => found.leave_open(format!("SPF has DNS trouble for {domain}")),
            Ok(false) => {}
            Err(why) => found.leave_open(why),
        }
        found
    }

    /// `Err` says why nobody knows.
    async fn is_aligned(&mut self, domain: &Domain, is_strict: bool) -> Result<bool, String> {
        let author = &self.walk.start;
        if domain == author {
            return Ok(true);
        }
        // No organization reaches across top-level domains, so this needs no question.
        if is_strict || domain.last_label() != author.last_label() {
            return Ok(false);
        }
        let organization = self.walk.organization(self.suffixes).map_err(in_words)?;
        if !super::is_within(domain, &organization) {
            return Ok(false);
        }
        if let Some((_, known)) = self.walked.iter().find(|(walked, _)| walked == domain) {
            return known.clone();
        }
        if self.walked.len() == WALKS_MAX {
            return Ok(false);
        }
        let walk = self.walker.walk(domain).await;
        let theirs = walk.organization(self.suffixes).map_err(in_words);
        let is_aligned = theirs.map(|theirs| theirs == organization);
        self.walked.push((domain.clone(), is_aligned.clone()));
        is_aligned
    }
}

fn in_words((at, trouble): (&str, Trouble)) -> String {
    format!("{trouble}: the record at _dmarc.{at}")
}

impl Identities {
    fn leave_open(&mut self, why: String) {
        self.open.get_or_insert(why);
    }
}
