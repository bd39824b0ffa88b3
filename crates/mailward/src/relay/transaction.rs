//! One message over one connection: MAIL, RCPT, DATA, the message, and what each recipient's answer means.
//!
//! Commands go out together where the server offers PIPELINING (RFC 2920).

use super::blocks::Blocks;
use super::connection::{Connection, Dialect, Trouble};
use super::{Delay, Delivery, Destination, Durable, Parcel};
use mail::smtp::client::{write_mail, write_rcpt};
use mail::smtp::command::MailParams;
use mail::{ForwardPath, Line, Reply, Severity};
use std::io;
use tokio::time::Instant;

/// How much is kept of what went wrong, in characters; a reply may stand in it.
const FAILURE_CHARS_MAX: usize = 2000;

/// What the server said to the envelope.
#[derive(Debug)]
pub(super) struct Envelope {
    /// To each recipient, in their order.
    replies: Vec<Reply>,
    next: Next,
}

#[derive(Debug)]
enum Next {
    /// The server waits for the message.
    Message,
    /// No recipient was accepted.
    Nothing,
    /// DATA was refused; that stands for the accepted recipients.
    Refused(Reply),
}

impl Connection {
    /// The client's introduction where there is one, then MAIL, RCPT and DATA. Nothing of the message was sent when
    /// this fails.
    pub(super) async fn begin(&mut self, parcel: &Parcel<'_>) -> Result<Envelope, Trouble> {
        self.introduce(parcel.origin.as_ref()).await?;
        let size = parcel.content.octets();
        let params = MailParams {
            size: Some(size),
            body8bit: parcel.body_8bit,
            smtputf8: parcel.smtputf8,
        };
        let mut commands = Vec::with_capacity(256);
        write_mail(parcel.reverse_path, params, self.extensions, &mut commands)?;
        if !self.extensions.pipelining {
            return self.begin_step_by_step(commands, parcel).await;
        }
        for to in parcel.recipients {
            self.write_rcpt(to, &mut commands)?;
        }
        commands.extend_from_slice(b"DATA\r\n");
        self.send(&commands).await?;
        let mail = self.reply("MAIL").await?;
        let mut replies = Vec::with_capacity(parcel.recipients.len());
        for _ in parcel.recipients {
            replies.push(self.reply("RCPT").await?);
        }
        let data = self.answer("DATA").await?.into_reply();
        self.begin_data(mail, replies, data).await
    }

    async fn begin_step_by_step(&mut self, mail: Vec<u8>, parcel: &Parcel<'_>) -> Result<Envelope, Trouble> {
        // Written before anything is sent: one that cannot go must not leave a transaction behind.
        let mut rcpts = Vec::with_capacity(parcel.recipients.len());
        for to in parcel.recipients {
            let mut command = Vec::with_capacity(80);
            self.write_rcpt(to, &mut command)?;
            rcpts.push(command);
        }
        self.send(&mail).await?;
        let mail = self.reply("MAIL").await?;
        if !is_positive(&mail) {
            self.reset(&mail).await?;
            return Err(Trouble::Answered(mail));
        }
        let mut replies = Vec::with_capacity(rcpts.len());
        for command in rcpts {
            self.send(&command).await?;
            replies.push(self.reply("RCPT").await?);
        }
        if !replies.iter().any(is_positive) {
            self.reset(&mail).await?;
            let next = Next::Nothing;
            return Ok(Envelope { replies, next });
        }
        self.send(b"DATA\r\n").await?;
        let data = self.answer("DATA").await?.into_reply();
        self.begin_data(mail, replies, data).await
    }

    fn write_rcpt(&self, to: &Destination<'_>, out: &mut Vec<u8>) -> Result<(), Trouble> {
        Ok(write_rcpt(
            &ForwardPath::Address(to.address.clone()),
            self.extensions,
            out,
        )?)
    }

    /// Ends a transaction that came to nothing, so that the connection can be kept. No server refuses RSET: another
    /// reply than 2xx is one to something else.
    async fn reset(&mut self, last: &Reply) -> Result<(), Trouble> {
        if last.code() != 421 {
            let reply = self.ask("RSET\r\n", "RSET").await?;
            self.is_spoilt |= !is_positive(&reply);
        }
        Ok(())
    }

    async fn begin_data(&mut self, mail: Reply, replies: Vec<Reply>, data: Reply) -> Result<Envelope, Trouble> {
        let is_wanted = is_positive(&mail) && replies.iter().any(is_positive);
        let next = match data.severity() {
            Severity::Positive => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "DATA was answered with 2xx").into());
            }
            Severity::Intermediate if is_wanted => Next::Message,
            Severity::Intermediate => {
                self.empty_message().await?;
                Next::Nothing
            }
            Severity::Transient | Severity::Permanent => {
                self.reset(&data).await?;
                if is_wanted && data.code() == 421 {
                    return Err(Trouble::Answered(data));
                }
                if is_wanted { Next::Refused(data) } else { Next::Nothing }
            }
        };
        if is_positive(&mail) {
            Ok(Envelope { replies, next })
        } else {
            Err(Trouble::Answered(mail))
        }
    }

    /// RFC 2920 §3.1: a server that takes DATA although it took no recipient gets an empty message, which it refuses.
    /// By LMTP it owes no reply to that (RFC 2033 §4.2 forbids its 354), so nobody knows whether one comes.
    async fn empty_message(&mut self) -> Result<(), Trouble> {
        match self.settings.dialect {
            Dialect::Smtp => {
                let end = self.ask(".\r\n", "empty message").await?;
                tracing::debug!(reply = %end, "no recipient was taken");
            }
            Dialect::Lmtp => self.is_spoilt = true,
        }
        Ok(())
    }

    /// The message itself, if a recipient was accepted; then an answer for each recipient, and what broke the
    /// connection, if anything did. What was answered before that counts.
    pub(super) async fn finish(
        &mut self,
        parcel: &Parcel<'_>,
        envelope: Envelope,
    ) -> (Vec<Delivery>, Option<io::Error>) {
        let Envelope { replies, next } = envelope;
        let mut ends = Ends {
            dialect: self.settings.dialect,
            said: Vec::new(),
            missing: Delay::literal("the next hop failed"),
        };
        let mut broken = None;
        match next {
            Next::Nothing => {}
            Next::Refused(data) => {
                ends.dialect = Dialect::Smtp;
                ends.said.push(data);
            }
            Next::Message => {
                let count = match self.settings.dialect {
                    Dialect::Smtp => 1,
                    Dialect::Lmtp => replies.iter().filter(|reply| is_positive(reply)).count(),
                };
                self.until = Some(parcel.deadline.answer);
                let ended = self.message(parcel, count, &mut ends.said).await;
                self.until = None;
                if let Err(Trouble::Broken(error) | Trouble::Unsafe(error)) = ended {
                    self.is_spoilt = true;
                    ends.missing = failed(&error);
                    broken = Some(error);
                }
            }
        }
        (ends.deliveries(replies), broken)
    }

    async fn message(&mut self, parcel: &Parcel<'_>, count: usize, said: &mut Vec<Reply>) -> Result<(), Trouble> {
        let (mut blocks, mut block) = (Blocks::of(parcel.content), Vec::new());
        while blocks.next(&mut block).await? {
            if blocks.is_at_end() && Instant::now() >= parcel.deadline.commit {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "too late for its answer").into());
            }
            self.send_text(&block).await?;
        }
        drop(block);
        for _ in 0..count {
            said.push(self.reply("end of message").await?);
        }
        Ok(())
    }
}

/// The replies to the end of the message.
struct Ends {
    /// Whether one stands for all, or there is one for each.
    dialect: Dialect,
    said: Vec<Reply>,
    /// Why one is missing.
    missing: Delay,
}

impl Ends {
    /// One delivery for each reply to RCPT. RFC 2033 §4.2: the ends are those of the accepted recipients, in order.
    fn deliveries(&self, replies: Vec<Reply>) -> Vec<Delivery> {
        let mut accepted = 0;
        let delivery = |reply: Reply| match reply.severity() {
            Severity::Positive => {
                let n = if self.dialect == Dialect::Lmtp { accepted } else { 0 };
                accepted += 1;
                self.said
                    .get(n)
                    .map_or_else(|| Delivery::Later(self.missing.clone()), outcome)
            }
            Severity::Permanent => Delivery::Refused(reply),
            Severity::Intermediate | Severity::Transient => Delivery::Later(Delay::said(&reply)),
        };
        replies.into_iter().map(delivery).collect()
    }
}

fn is_positive(reply: &Reply) -> bool {
    reply.severity() == Severity::Positive
}

/// What the reply to the end of the message means.
fn outcome(end: &Reply) -> Delivery {
    match end.severity() {
        Severity::Positive => Delivery::Taken(Durable(()), end.one_line()),
        Severity::Permanent => Delivery::Refused(end.clone()),
        Severity::Intermediate | Severity::Transient => Delivery::Later(Delay::said(end)),
    }
}

/// A connection that came to no end. The sender hears what the next hop did, and nothing of our system.
pub(super) fn failed(error: &io::Error) -> Delay {
    let told = match error.kind() {
        // Ours of what it said or did not offer.
        io::ErrorKind::Other if error.raw_os_error().is_none() => error.to_string(),
        io::ErrorKind::TimedOut => "it did not answer in time".into(),
        io::ErrorKind::InvalidData => "it answered out of turn".into(),
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted => "it closed the connection".into(),
        _ => "it cannot be reached".into(),
    };
    Delay {
        words: Line::clean(format!("the next hop failed: {error}").as_bytes(), FAILURE_CHARS_MAX),
        told: Line::reason(format!("the next hop failed: {told}").as_bytes()),
    }
}

#[cfg(test)]
mod early;

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(code: u16) -> Reply {
        Reply::passed_on(code, None, vec![Line::literal("said")])
    }

    fn kinds(dialect: Dialect, replies: &[u16], ends: &[u16]) -> String {
        let ends = Ends {
            dialect,
            said: ends.iter().copied().map(reply).collect(),
            missing: Delay::literal("broken"),
        };
        let deliveries = ends.deliveries(replies.iter().copied().map(reply).collect());
        let kind = |delivery: &Delivery| match delivery {
            Delivery::Taken(..) => 'T',
            Delivery::Refused(_) => 'R',
            Delivery::Later(_) => 'L',
        };
        deliveries.iter().map(kind).collect()
    }

    #[test]
    fn by_smtp_one_reply_stands_for_every_accepted_recipient() {
        assert_eq!(kinds(Dialect::Smtp, &[250, 550, 251, 450], &[250]), "TRTL");
        assert_eq!(kinds(Dialect::Smtp, &[250, 550, 250], &[554]), "RRR");
        assert_eq!(kinds(Dialect::Smtp, &[250, 550, 250], &[452]), "LRL");
        assert_eq!(kinds(Dialect::Smtp, &[250, 550], &[]), "LR");
    }

    #[test]
    fn rfc2033_4_2_by_lmtp_the_replies_are_those_of_the_accepted_recipients_in_order() {
        assert_eq!(
            kinds(Dialect::Lmtp, &[250, 550, 250, 450, 250], &[250, 452, 554]),
            "TRLLR"
        );
        assert_eq!(kinds(Dialect::Lmtp, &[550, 250, 250, 250], &[250, 250]), "RTTL");
        assert_eq!(kinds(Dialect::Lmtp, &[250, 250], &[]), "LL");
        assert_eq!(kinds(Dialect::Lmtp, &[550, 450], &[]), "RL");
    }

    #[test]
    fn only_2xx_is_a_delivery() {
        for code in 200..600 {
            let taken = kinds(Dialect::Lmtp, &[250], &[code]) == "T";
            assert_eq!(taken, code < 300, "{code}");
        }
    }
}
