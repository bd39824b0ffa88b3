//! DNS for who really sent it.

use super::incoming::{Content, NO_CONTENT, Subject};
use super::{Judgement, Names, no_dns};
use crate::body::Body;
use futures_util::future::join;
use judge::auth::arc::ArcResult;
use judge::auth::author::Author;
use judge::auth::dkim::DkimResult;
use judge::auth::iprev::{self, Iprev};
use judge::evidence::{Fact, MessageFacts, Origin};
use judge::resolver::{Budgeted, Resolver};
use mail::smtp::nul::Nuls;
use mail::{Line, Message};
use signatures::gather::{self, Asked, Claims};
use signatures::{BodyHashes, Sealed, arc, dkim};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

impl Judgement {
    /// The client's reverse name.
    pub(super) async fn reverse_name(&self, subject: &Subject<'_>, facts: &MessageFacts) -> Fact<Iprev> {
        match subject.names {
            Some(names) => {
                let resolver = names.within(self.times.reverse, Some(facts.client));
                Fact::Found(iprev::check(facts.client, &*resolver).await)
            }
            None => Fact::Unavailable(no_dns()),
        }
    }

    /// Who sent it; nothing can be had where nobody answers questions about names.
    pub(super) async fn origin(&self, subject: &Subject<'_>, facts: &MessageFacts) -> Origin {
        let iprev = match &facts.origin.iprev {
            Fact::NotAsked => self.reverse_name(subject, facts).await,
            known => known.clone(),
        };
        let without = |iprev: Fact<Iprev>, why: &Line| Origin {
            iprev,
            author: facts.origin.author.clone(),
            ..Origin::unavailable(why)
        };
        if subject.names.is_none() {
            return without(iprev, &no_dns());
        }
        let Some(content) = &subject.content else {
            return Box::pin(self.origin_of_envelope(subject, facts, iprev)).await;
        };
        let sealed = Sealed::read(content.message);
        let bodies = match hash_body(&sealed, content.message, content.body, None).await {
            Ok(bodies) => bodies,
            Err(error) => {
                tracing::error!(%error, "a message cannot be read back, so nothing of its origin is proven");
                return without(iprev, &Line::literal("the message could not be read back"));
            }
        };
        let author = facts.origin.author.found().cloned().unwrap_or(Author::None);
        let sample = pct_sample(content.body);
        // Boxed, so that what asks nobody does not carry the room for it about.
        Box::pin(self.prove(subject, facts, (&sealed, &bodies), (iprev, &author, sample))).await
    }

    /// Whether a signature that verifies over the message as it was sent, with its NULs, does not verify over what is passed
    /// on, with spaces. Where not all places of NULs are known, any signature counts as one, since nobody can tell.
    pub async fn breaks_signature(&self, client: IpAddr, content: &Content<'_>, nuls: &Nuls, now_s: i64) -> bool {
        let mut head = content.body.head.clone();
        nuls.restore(0, &mut head);
        let sent = Message::parse(&head);
        let (as_sent, as_passed_on) = (Sealed::read(&sent), Sealed::read(content.message));
        if as_sent.is_empty() || !nuls.are_all_known() {
            return !as_sent.is_empty();
        }
        let Some(dns) = &self.dns else { return false };
        let names = Names::Network(dns);
        let names = names.within(self.times.proofs, Some(client));
        let before = self.holding((&as_sent, &sent), content.body, Some(nuls), (now_s, &*names));
        let after = self.holding((&as_passed_on, content.message), content.body, None, (now_s, &*names));
        let (before, after) = join(before, after).await;
        before > after
    }

    /// How many signatures and chains verify.
    async fn holding(
        &self,
        (sealed, message): (&Sealed<'_>, &Message<'_>),
        body: &Arc<Body>,
        nuls: Option<&Nuls>,
        (now_s, names): (i64, &dyn Resolver),
    ) -> usize {
        let bodies = match hash_body(sealed, message, body, nuls).await {
            Ok(bodies) => bodies,
            Err(error) => {
                tracing::error!(%error, "a message cannot be read back, so none of its signatures is verified");
                return 0;
            }
        };
        let names = Budgeted::new(names, self.questions_max);
        let (dkim, arc) = join(
            dkim::verify(sealed, &bodies, now_s, &names),
            arc::verify(sealed, &bodies, now_s, &names),
        )
        .await;
        let passing = dkim.iter().filter(|found| found.result == DkimResult::Pass).count();
        passing + usize::from(arc.result == ArcResult::Pass)
    }

    /// What an envelope alone proves: the reverse name, SPF and the MX.
    async fn origin_of_envelope(&self, subject: &Subject<'_>, facts: &MessageFacts, iprev: Fact<Iprev>) -> Origin {
        let nothing = Message::parse(b"");
        let sealed = Sealed::read(&nothing);
        let bodies = sealed.hasher().finish();
        let proven = self
            .prove(subject, facts, (&sealed, &bodies), (iprev, &Author::None, 0))
            .await;
        Origin {
            dkim: Fact::Skipped(Line::literal(NO_CONTENT)),
            arc: Fact::Skipped(Line::literal(NO_CONTENT)),
            author: Fact::Skipped(Line::literal(NO_CONTENT)),
            dmarc: Fact::Skipped(Line::literal(NO_CONTENT)),
            ..proven
        }
    }

    async fn prove(
        &self,
        subject: &Subject<'_>,
        facts: &MessageFacts,
        (sealed, bodies): (&Sealed<'_>, &BodyHashes),
        (iprev, author, sample): (Fact<Iprev>, &Author, u8),
    ) -> Origin {
        let Some(names) = subject.names else {
            return Origin::unavailable(&no_dns());
        };
        let claims = Claims {
            client: (!subject.client.is_unknown).then_some(facts.client),
            helo: facts.helo.as_str(),
            reverse_path: &facts.reverse_path,
            author,
            receiver: &self.own.hostname,
            now_s: facts.received_s,
            lot: sample,
        };
        let (proofs, wishes) = (
            names.within(self.times.proofs, Some(facts.client)),
            names.within(self.times.wishes, Some(facts.client)),
        );
        let asked = Asked {
            proofs: &*proofs,
            wishes: &*wishes,
            questions_max: self.questions_max,
        };
        gather::origin(claims, sealed, bodies, iprev, &self.suffixes, asked).await
    }
}

/// A number from 0 to 99 for DMARC's `pct`: the same for one message as long as this process runs, and for nobody else to
/// choose.
fn pct_sample(body: &Body) -> u8 {
    static KEY: OnceLock<[u8; 32]> = OnceLock::new();
    let key = KEY.get_or_init(|| {
        let mut key = [0; 32];
        // Without chance the share is known, and still the share that was asked for.
        let _ = getrandom::fill(&mut key);
        key
    });
    let hash = blake3::keyed_hash(key, body.digest().as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    (u32::from_le_bytes([a, b, c, d]) % 100) as u8
}

/// What is past the head lies in a file, which is read where waiting for the disk holds nobody up. With `nuls` the body is
/// hashed as it was sent, which is how `message` is written then.
async fn hash_body(
    sealed: &Sealed<'_>,
    message: &Message<'_>,
    body: &Arc<Body>,
    nuls: Option<&Nuls>,
) -> std::io::Result<BodyHashes> {
    let mut hasher = sealed.hasher();
    if sealed.is_empty() {
        return Ok(hasher.finish());
    }
    hasher.update(message.body());
    if body.tail.is_none() {
        return Ok(hasher.finish());
    }
    let (body, nuls) = (Arc::clone(body), nuls.cloned());
    let rest = move || {
        if let Some(tail) = &body.tail {
            let mut at = body.head.len() as u64;
            tail.each_block(|block| {
                match &nuls {
                    None => hasher.update(block),
                    Some(nuls) => {
                        let mut sent = block.to_vec();
                        nuls.restore(at, &mut sent);
                        hasher.update(&sent);
                    }
                }
                at += block.len() as u64;
                std::io::Result::Ok(())
            })?;
        }
        Ok(hasher.finish())
    };
    tokio::task::spawn_blocking(rest).await.map_err(std::io::Error::other)?
}
