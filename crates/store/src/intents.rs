//! The intents around history: labels, sent mail, lessons, greylist, copies, cursors, and the care of it all.

use crate::audit::{ExportMark, ExportPage, Stats, Verified};
use crate::back_end::Rows;
use crate::error::StoreError;
use crate::greylist::{GreylistKey, GreylistTimes, Greylisted};
use crate::history::{Remembered, Sent, SentRow};
use crate::id::MailwardId;
use crate::kept::{Kept, KeptKey};
use crate::keys::{CorrespondentKey, IdentityKey};
use crate::label::{LabelRequest, LabelRow, Labelled};
use crate::lesson::{KeptLesson, LESSONS_MAX, Learner, Taught};
use crate::rules::care::{self, Rebuild};
use crate::rules::copies::{self, CopiesOctets, Keep, Take};
use crate::rules::labels::{Memory, Remember, Settle};
use crate::rules::lessons::{Fade, Learners, Teach};
use crate::rules::retention::Expire;
use crate::rules::small::{Acquire, Pass, Seen as Tried, SetCursor};
use crate::shared::{SharedKey, VOTERS_MAX};
use crate::store::{Reader, Store};
use crate::table::{Copies, Correspondents, Cursors, History as HistoryTable, Registers, Votes as VotesTable};
use crate::views::Lent;
use judge::junk::Seen;
use judge::rates::{Rate, RateNetwork};
use judge::reputation::{Correspondent, History, HistoryRow, HistoryUnavailable, Identity, Scope, Votes};
use judge::resolver::BoxFuture;
use mail::{Line, MailboxId};

/// Rows that one question gives, whatever it asks for.
const ROWS_MAX: u32 = 10_000;

impl Store {
    /// Takes a saying about a delivery. **Synced**: once this answers `Ok`, the saying outlives a crash.
    ///
    /// Forgetting restores the store as if the label had never been; the opposite label equals that label alone; of
    /// all sayings about one delivery the greatest holds, in whatever order they come ([`crate::Said`]).
    /// [`StoreError::UnknownDelivery`] if the message was never recorded for that mailbox, or is forgotten by age and
    /// was not labelled while it was known.
    pub async fn label(&self, request: LabelRequest) -> Result<Labelled, StoreError> {
        let mailbox = request.mailbox.clone();
        let memory = Memory::Label(LabelRow::of(request)?, mailbox);
        let done = self.back_end.perform(Remember(vec![memory])).await?.pop();
        done.unwrap_or_else(|| Err(StoreError::closed()))?
            .ok_or_else(StoreError::closed)
    }

    /// Takes what makes history as it stands: mail that came before the gateway did, or an export. Deliveries need
    /// not be recorded. **Synced**, all at once. Twice changes nothing, nor does the order. Gives how many of the
    /// labels were outranked by what is known already.
    pub async fn remember(&self, remembered: Vec<Remembered>) -> Result<u64, StoreError> {
        let memory = |one| {
            Ok(match one {
                Remembered::Label(request) => Memory::Learnt(LabelRow::of(request)?),
                Remembered::Sent(sent) => Memory::Sent(SentRow::of(sent)),
            })
        };
        let memories = remembered.into_iter().map(memory).collect::<Result<_, StoreError>>()?;
        let mut outranked = 0;
        for done in self.back_end.perform(Remember(memories)).await? {
            if let Some(Labelled::Outranked(_)) = done? {
                outranked += 1;
            }
        }
        Ok(outranked)
    }

    /// Remembers whom a mailbox's owner wrote to. **Synced.** The last time counts.
    pub async fn sent(&self, sent: Vec<Sent>) -> Result<(), StoreError> {
        let memories = sent.into_iter().map(|sent| Memory::Sent(SentRow::of(sent))).collect();
        self.back_end.perform(Remember(memories)).await.map(|_| ())
    }

    /// Waits until what was labelled and sent before is in the answers of [`History`]. At once with a back-end that
    /// folds at once, as the embedded one does.
    pub async fn settle(&self) -> Result<(), StoreError> {
        self.back_end.perform(Settle).await
    }

    /// Makes what is derived (history, correspondents) anew from the truth (labels, sent mail). In a sound store this
    /// changes nothing, but that lessons count as not yet taught: whoever has a model begins with an empty one and
    /// teaches them all anew, in order of ids. All in one step, which takes minutes at ten million rows, and nobody
    /// writes meanwhile.
    pub async fn rebuild(&self) -> Result<(), StoreError> {
        self.back_end.perform(Rebuild).await
    }

    /// Keeps what a model has of some lessons of a mailbox. **Synced**, all at once. For each, whether it was taken: only
    /// if what the model had before is what the store knows of it, so not where the lesson is gone meanwhile. A lesson
    /// that says nothing any more goes once nothing of it is taught.
    pub async fn teach(&self, mailbox: &MailboxId, taught: Vec<Taught>) -> Result<Vec<bool>, StoreError> {
        self.back_end.perform(Teach(mailbox.to_string(), taught)).await
    }

    /// Lets the lessons of a mailbox fade but for the `keep` of its newest messages, by when they came: what was taught
    /// of one waits in [`Reader::open_lessons`] to be taken back, and one of which nothing was taught goes. Labels stay.
    /// Works in small steps, between which others write. Gives how many faded. **Synced.**
    pub async fn fade(&self, mailbox: &MailboxId, keep: u32) -> Result<u64, StoreError> {
        let mailbox = mailbox.to_string();
        self.in_steps(Fade { mailbox, keep }).await
    }

    /// A try of somebody who may be greylisted: the entry with this try counted, made now if there is none or only
    /// one that has ended. A new one lives until before `expires_s`; later tries do not prolong it. **Synced.** Times
    /// are seconds since 1970.
    pub async fn greylist_seen(&self, key: GreylistKey, now_s: i64, expires_s: i64) -> Result<Greylisted, StoreError> {
        self.back_end
            .perform(Tried(key, GreylistTimes { now_s, expires_s }))
            .await
    }

    /// A try that came in time: from now on the entry is passed, and lives until before `expires_s`, or longer if it
    /// did so before. `None` if there is no entry, or only one that has ended. **Synced.**
    pub async fn greylist_pass(
        &self,
        key: GreylistKey,
        now_s: i64,
        expires_s: i64,
    ) -> Result<Option<Greylisted>, StoreError> {
        self.back_end
            .perform(Pass(key, GreylistTimes { now_s, expires_s }))
            .await
    }

    /// Remembers a copy in the quarantine. **Synced.** Gives those that it displaces, whose files may go: an earlier one
    /// of the same message elsewhere, and the oldest of its mailbox past `count_max`.
    pub async fn keep(&self, kept: Kept, count_max: u32) -> Result<Vec<Kept>, StoreError> {
        self.back_end.perform(Keep { new: kept, count_max }).await
    }

    /// Forgets the copy of a message, because its recipient got it; gives it, if there was one. Waits for the next
    /// write, within 100 ms, and is not worth a sync of its own.
    pub async fn kept_take(&self, mailbox: &MailboxId, key: KeptKey) -> Result<Option<Kept>, StoreError> {
        self.back_end.perform(Take(mailbox.clone(), key)).await
    }

    /// Forgets copies whose time is over, a number of them at a time; gives them, none once there are no more.
    pub async fn expire_kept(&self, now_s: i64) -> Result<Vec<Kept>, StoreError> {
        self.back_end.perform(copies::Expire(now_s)).await
    }

    /// Forgets greylist entries that have ended. Gives their number.
    pub async fn expire_greylist(&self, now_s: i64) -> Result<u64, StoreError> {
        self.in_steps(Expire::Greylist(now_s)).await
    }

    /// Forgets labels of messages that came before a time, with all that they made, and mail that was sent before
    /// it. Works in small steps, between which others write. Gives the number of labels and of sent addresses.
    pub async fn expire_history(&self, before_s: i64) -> Result<u64, StoreError> {
        self.in_steps(Expire::History(before_s)).await
    }

    /// Counts a message of `octets` octets from some networks to a mailbox, if `admits` says so of what that mailbox
    /// got from each of them before, in their order. Whether it did. Nobody else counts in between. Asks memory only,
    /// and a restart forgets; a window is up to five seconds longer than a minute, up to an hour longer than a day.
    pub fn rate_count(
        &self,
        mailbox: &MailboxId,
        networks: &[RateNetwork],
        now_s: i64,
        octets: u64,
        admits: impl FnOnce(&[Rate]) -> bool,
    ) -> bool {
        self.rates.count(mailbox, networks, now_s, octets, admits)
    }

    /// Keeps how far somebody has read something, under a name of his own; `None` forgets it. **Synced.**
    pub async fn set_cursor(&self, name: &str, value: Option<Vec<u8>>) -> Result<(), StoreError> {
        self.back_end.perform(SetCursor(name.to_owned(), value)).await
    }

    /// Asks for what only one gateway may do at a time, under a name, until before `until_s`; times are seconds since 1970,
    /// and all gateways' clocks agree to well within that. Whoever has it may prolong it. A number if it is granted, which is
    /// greater than that of any holder before: whoever is shown a smaller one than he has seen is asked by one who is late.
    /// **Synced.** With a back-end of one process it is granted at once.
    pub async fn lease(&self, name: &str, holder: &str, now_s: i64, until_s: i64) -> Result<Option<i64>, StoreError> {
        let acquire = Acquire {
            name: name.to_owned(),
            holder: holder.to_owned(),
            now_s,
            until_s,
        };
        self.back_end.perform(acquire).await
    }

    /// The store's own reader, for questions.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }
}

impl Reader {
    /// The saying that holds for a delivery, with what history knows of the message; without features, which
    /// [`Reader::lessons_of`] gives.
    pub async fn label(&self, mailbox: &MailboxId, id: MailwardId) -> Result<Option<LabelRequest>, StoreError> {
        let lent = self.views.lend().await?;
        let register = lent.rows()?.get::<Registers>(&(mailbox.to_string(), id), &()).await?;
        register
            .and_then(|register| register.label)
            .map(LabelRow::read)
            .transpose()
    }

    /// As [`History::newest`], with the store's own error. Gives ten thousand rows at most.
    pub async fn newest(
        &self,
        mailbox: &MailboxId,
        identity: &Identity,
        since_s: i64,
        limit: u32,
    ) -> Result<Vec<HistoryRow>, StoreError> {
        let lent = self.views.lend().await?;
        newest(lent.rows()?, mailbox, identity, since_s, limit).await
    }

    /// As [`History::wrote_to`], with the store's own error.
    pub async fn wrote_to(
        &self,
        mailbox: &MailboxId,
        correspondent: &Correspondent,
        since_s: i64,
    ) -> Result<bool, StoreError> {
        let lent = self.views.lend().await?;
        wrote_to(lent.rows()?, mailbox, correspondent, since_s).await
    }

    /// Runs something that asks many questions, so that all of them cost one visit and are answered as of one moment, where
    /// the back-end has such. `walk` shall ask nothing of this reader but by what it is given.
    pub async fn consult<T, W>(&self, walk: W) -> Result<T, StoreError>
    where
        W: for<'a> FnOnce(&'a dyn History) -> BoxFuture<'a, T>,
    {
        let lent = self.views.lend().await?;
        lent.begin_moment()?;
        Ok(walk(&Visit(lent)).await)
    }

    /// The copy of a message, while it is remembered.
    pub async fn kept(&self, mailbox: &MailboxId, key: KeptKey) -> Result<Option<Kept>, StoreError> {
        let lent = self.views.lend().await?;
        lent.rows()?.get::<Copies>(&mailbox.to_string(), &key).await
    }

    /// The copy that the quarantine has under a reference. Reads all copies of the mailbox.
    pub async fn kept_at(&self, mailbox: &MailboxId, reference: String) -> Result<Option<Kept>, StoreError> {
        let lent = self.views.lend().await?;
        let all = lent.rows()?.first::<Copies>(&mailbox.to_string(), u32::MAX).await?;
        let mut all = all.into_iter().map(|(_, kept)| kept);
        Ok(all.find(|kept| kept.reference == reference))
    }

    /// Octets of all copies that a check kept. Reads all of its rows, on a thread of its own.
    pub async fn kept_octets(&self, source: &str) -> Result<u64, StoreError> {
        self.views.ask_apart(CopiesOctets(source.to_owned())).await
    }

    /// Lessons of a mailbox past an id, in order of ids. Gives [`LESSONS_MAX`] at most. Those whose features are
    /// damaged or of another version are passed over, so it is an empty page that is the last.
    pub async fn lessons(
        &self,
        mailbox: &MailboxId,
        after: Option<MailwardId>,
        limit: u32,
    ) -> Result<Vec<KeptLesson>, StoreError> {
        let lent = self.views.lend().await?;
        readable(lent.rows()?, &mailbox.to_string(), after, limit, false).await
    }

    /// Lessons of a mailbox of which a model has something else than their labels say, in order of ids. As
    /// [`Reader::lessons`].
    pub async fn open_lessons(&self, mailbox: &MailboxId, limit: u32) -> Result<Vec<KeptLesson>, StoreError> {
        let lent = self.views.lend().await?;
        readable(lent.rows()?, &mailbox.to_string(), None, limit, true).await
    }

    /// The lessons of some messages, in the order that is asked for, without those that there are not. Looks at the
    /// first [`LESSONS_MAX`] ids only. As [`Reader::lessons`].
    pub async fn lessons_of(
        &self,
        mailbox: &MailboxId,
        mut ids: Vec<MailwardId>,
    ) -> Result<Vec<KeptLesson>, StoreError> {
        ids.truncate(LESSONS_MAX as usize);
        let (lent, mailbox) = (self.views.lend().await?, mailbox.to_string());
        let mut all = Vec::new();
        for id in ids {
            let register = lent.rows()?.get::<Registers>(&(mailbox.clone(), id), &()).await?;
            all.extend(register.and_then(|register| register.lesson?.read(id)));
        }
        Ok(all)
    }

    /// Mailboxes that have lessons, past a name, in order of names. Counts all lessons of those that it gives, ten
    /// thousand mailboxes at most, on a thread of its own.
    pub async fn learners(&self, after: Option<MailboxId>, limit: u32) -> Result<Vec<Learner>, StoreError> {
        let after = after.map(|mailbox| mailbox.to_string()).unwrap_or_default();
        let found = self.views.ask_apart(Learners(after, limit.min(ROWS_MAX))).await?;
        let learner = |(name, seen): (String, Seen)| {
            Ok(Learner {
                mailbox: MailboxId::try_from(name)
                    .map_err(|why| StoreError::Unavailable(format!("a mailbox is unreadable: {why}")))?,
                junk: seen.junk,
                wanted: seen.wanted,
            })
        };
        found.into_iter().map(learner).collect()
    }

    /// The key of hashes in models that mailboxes share: chance, made with the store.
    pub async fn model_secret(&self) -> Result<[u8; 32], StoreError> {
        let lent = self.views.lend().await?;
        lent.rows()?.secret("models").await
    }

    /// The cursor of that name.
    pub async fn cursor(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let lent = self.views.lend().await?;
        lent.rows()?.get::<Cursors>(&name.to_owned(), &()).await
    }

    /// How much there is of everything. Reads all keys, on a thread of its own.
    pub async fn stats(&self) -> Result<Stats, StoreError> {
        self.views.ask_apart(care::Count).await
    }

    /// Whether the file is sound, and whether what is derived is what the truth makes. Reads everything, on a thread
    /// of its own.
    pub async fn verify(&self) -> Result<Verified, StoreError> {
        self.views.ask_apart(care::Verify).await
    }

    /// A page of all that makes history, in an order that is always the same: mailboxes by name, of each first its
    /// labels, then whom its owner wrote to. About `limit` of them. Each page is as of its moment.
    pub async fn export(&self, from: Option<ExportMark>, limit: usize) -> Result<ExportPage, StoreError> {
        let lent = self.views.lend().await?;
        lent.begin_moment()?;
        care::export(lent.rows()?, from, limit).await
    }
}

/// The first lessons past an id that can be read, all or those that are open.
async fn readable(
    rows: Rows<'_>,
    mailbox: &str,
    mut after: Option<MailwardId>,
    limit: u32,
    is_open: bool,
) -> Result<Vec<KeptLesson>, StoreError> {
    let limit = limit.min(LESSONS_MAX);
    let mut all = Vec::new();
    while all.len() < limit as usize {
        let found = match is_open {
            true => rows.open_lessons(mailbox, after, limit).await?,
            false => rows.lessons(mailbox, after, limit).await?,
        };
        let Some((last, _)) = found.last() else { break };
        after = Some(*last);
        all.extend(found.iter().filter_map(|(id, lesson)| lesson.read(*id)));
    }
    all.truncate(limit as usize);
    Ok(all)
}

async fn newest(
    rows: Rows<'_>,
    mailbox: &MailboxId,
    identity: &Identity,
    since_s: i64,
    limit: u32,
) -> Result<Vec<HistoryRow>, StoreError> {
    let partition = (mailbox.to_string(), IdentityKey::of(identity));
    let found = rows.first::<HistoryTable>(&partition, limit.min(ROWS_MAX)).await?;
    let recent = found
        .into_iter()
        .take_while(|((received_s, _), _)| received_s.0 >= since_s);
    let row = recent.map(|((received_s, number), labelling)| HistoryRow {
        received_s: received_s.0,
        number: number.0.cast_unsigned(),
        is_junk: labelling.is_junk,
        author_local: Line::from(labelling.author_local),
    });
    Ok(row.collect())
}

async fn wrote_to(
    rows: Rows<'_>,
    mailbox: &MailboxId,
    correspondent: &Correspondent,
    since_s: i64,
) -> Result<bool, StoreError> {
    let partition = (mailbox.to_string(), CorrespondentKey::of(correspondent));
    let last_s = rows.get::<Correspondents>(&partition, &()).await?;
    Ok(last_s.is_some_and(|at_s| at_s >= since_s))
}

/// Of very many voters those with the smallest hashes, which is a fair lot.
async fn votes(rows: Rows<'_>, scope: &Scope, identity: &Identity, since_s: i64) -> Result<Votes, StoreError> {
    let secret = rows.secret("shared").await?;
    let partition = SharedKey::of(&secret, scope, IdentityKey::of(identity));
    let found = rows.first::<VotesTable>(&partition, VOTERS_MAX).await?;
    let mut votes = Votes::default();
    for (_, vote) in found.into_iter().filter(|(_, vote)| vote.received_s >= since_s) {
        match vote.is_junk {
            true => votes.junk += 1,
            false => votes.not_junk += 1,
        }
    }
    Ok(votes)
}

impl History for Reader {
    fn newest<'a>(
        &'a self,
        mailbox: &'a MailboxId,
        identity: &'a Identity,
        since_s: i64,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<HistoryRow>, HistoryUnavailable>> {
        Box::pin(async move {
            let rows = Reader::newest(self, mailbox, identity, since_s, limit).await;
            rows.map_err(unavailable)
        })
    }

    fn wrote_to<'a>(
        &'a self,
        mailbox: &'a MailboxId,
        correspondent: &'a Correspondent,
        since_s: i64,
    ) -> BoxFuture<'a, Result<bool, HistoryUnavailable>> {
        Box::pin(async move {
            let wrote = Reader::wrote_to(self, mailbox, correspondent, since_s).await;
            wrote.map_err(unavailable)
        })
    }

    fn votes<'a>(
        &'a self,
        scope: &'a Scope,
        identity: &'a Identity,
        since_s: i64,
    ) -> BoxFuture<'a, Result<Votes, HistoryUnavailable>> {
        Box::pin(async move {
            let lent = self.views.lend().await.map_err(unavailable)?;
            let rows = lent.rows().map_err(unavailable)?;
            votes(rows, scope, identity, since_s).await.map_err(unavailable)
        })
    }
}

/// History as one visit has it.
struct Visit<'v>(Lent<'v>);

impl Visit<'_> {
    fn rows(&self) -> Result<Rows<'_>, HistoryUnavailable> {
        self.0.rows().map_err(unavailable)
    }
}

impl History for Visit<'_> {
    fn newest<'a>(
        &'a self,
        mailbox: &'a MailboxId,
        identity: &'a Identity,
        since_s: i64,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<HistoryRow>, HistoryUnavailable>> {
        Box::pin(async move {
            let found = newest(self.rows()?, mailbox, identity, since_s, limit).await;
            found.map_err(unavailable)
        })
    }

    fn wrote_to<'a>(
        &'a self,
        mailbox: &'a MailboxId,
        correspondent: &'a Correspondent,
        since_s: i64,
    ) -> BoxFuture<'a, Result<bool, HistoryUnavailable>> {
        Box::pin(async move {
            let wrote = wrote_to(self.rows()?, mailbox, correspondent, since_s).await;
            wrote.map_err(unavailable)
        })
    }

    fn votes<'a>(
        &'a self,
        scope: &'a Scope,
        identity: &'a Identity,
        since_s: i64,
    ) -> BoxFuture<'a, Result<Votes, HistoryUnavailable>> {
        Box::pin(async move {
            let votes = votes(self.rows()?, scope, identity, since_s).await;
            votes.map_err(unavailable)
        })
    }
}

fn unavailable(why: StoreError) -> HistoryUnavailable {
    HistoryUnavailable(Line::reason(why.to_string().as_bytes()))
}
