//! How a session refuses: the reply, what it costs the client, and what is told of it.

use super::{CommandError, REFUSALS_HELD_MAX, Session, Stage, Verb, command, refusal, replies};
use crate::reply::Reply;
use crate::smtp::refusal::{Parties, Refusal, Refused};
use crate::text::Line;

impl Session {
    /// What was refused since this was last asked, in order. The driver asks whenever it sends the output. Past a number
    /// of them nothing more is held, so a driver that never asks loses some.
    pub fn take_refused(&mut self) -> Vec<Refused> {
        std::mem::take(&mut self.refused)
    }

    /// Says why, and closes.
    pub(super) fn end(&mut self, why: Refusal, reply: Reply) {
        if !self.is_closing() {
            self.tell(self.refusal(why, reply.clone()));
            self.refuse(&reply);
        }
    }

    /// The same of a command, whatever the client was about before it.
    pub(super) fn end_at(&mut self, stage: &'static str, why: Refusal, reply: Reply) {
        let refused = self.refusal(why, reply.clone());
        self.tell(Refused { stage, ..refused });
        self.refuse(&reply);
    }

    /// Refuses a command, and closes if it was one too many. Nothing ends by it: the client may go on.
    pub(super) fn reject(&mut self, why: Refusal, reply: Reply) {
        let mut refused = self.refusal(why, reply);
        refused.is_final = false;
        self.reject_as(refused);
    }

    /// The same, of what ends a transaction, or is worth a line of its own.
    pub(super) fn reject_finally(&mut self, why: Refusal, reply: Reply) {
        self.reject_as(self.refusal(why, reply));
    }

    /// The same, of a command, whatever the client was about before it.
    pub(super) fn reject_at(&mut self, stage: &'static str, why: Refusal, reply: Reply) {
        let refused = self.refusal(why, reply);
        self.reject_as(Refused { stage, ..refused });
    }

    /// Refuses MAIL.
    pub(super) fn reject_mail(&mut self, why: Refusal, reply: Reply, path: Line) {
        let mut refused = self.refusal(why, reply);
        refused.stage = "MAIL";
        refused.reverse_path = Some(path);
        self.reject_as(refused);
    }

    /// Refuses a line that is no command.
    pub(super) fn reject_line(&mut self, line: &[u8], error: &CommandError) {
        let verb = command::verb(line);
        let (why, reply) = (Refusal::of(error, verb), replies::command_refused(error));
        let path = || refusal::text(command::path_as_written(line));
        match verb {
            Some(Verb::Mail) => self.reject_mail(why, reply, path()),
            Some(Verb::Rcpt) => {
                self.recipient_refused |= matches!(error, CommandError::Path { .. } | CommandError::RecipientHost(_));
                self.reject_as(self.rcpt_refusal(why, reply, path()));
            }
            Some(Verb::Xclient) => self.reject_at("XCLIENT", why, reply),
            // What it would have been cannot be known.
            _ if *error == CommandError::LineTooLong => self.reject_finally(why, reply),
            _ => self.reject(why, reply),
        }
    }

    pub(super) fn reject_as(&mut self, refused: Refused) {
        self.say(&refused.reply);
        self.tell(refused);
        self.count_error();
    }

    pub(super) fn count_error(&mut self) {
        self.errors = self.errors.saturating_add(1);
        if self.errors > self.settings.errors_max {
            self.end(Refusal::TooManyErrors, replies::too_many_errors());
        }
    }

    /// What is refused now.
    pub(super) fn refusal(&self, why: Refusal, reply: Reply) -> Refused {
        let Parties {
            helo,
            reverse_path,
            recipients,
            first_recipients,
        } = match (&self.stage, &self.transaction) {
            // The transaction was handed over with the message.
            (Stage::AskedMessage { parties, .. }, _) => Parties::clone(parties),
            (_, Some(transaction)) => Parties::of(transaction),
            (_, None) => Parties {
                helo: self.hello.as_ref().map(|hello| hello.name.clone()),
                ..Parties::default()
            },
        };
        Refused {
            why,
            is_final: true,
            stage: self.about(),
            reply,
            helo,
            reverse_path,
            recipient: None,
            recipients,
            first_recipients,
        }
    }

    /// Without a transaction there is no part of one to end: MAIL was refused, which is told.
    pub(super) fn rcpt_refusal(&self, why: Refusal, reply: Reply, path: Line) -> Refused {
        Refused {
            stage: "RCPT",
            recipient: Some(path),
            is_final: self.transaction.is_some(),
            ..self.refusal(why, reply)
        }
    }

    pub(super) fn tell(&mut self, refused: Refused) {
        if self.refused.len() < REFUSALS_HELD_MAX {
            self.refused.push(refused);
        }
    }

    /// What the client is about.
    fn about(&self) -> &'static str {
        match (&self.stage, &self.transaction) {
            (Stage::Greeting, _) => "connect",
            (Stage::Data(_), _) => "DATA",
            (Stage::Chunk { .. }, _) => "BDAT",
            (Stage::AskedMessage { .. }, _) => "end of message",
            (Stage::AskedStartTls, _) => "STARTTLS",
            (Stage::AskedXclient, _) => "XCLIENT",
            _ if self.chunks.is_some() => "BDAT",
            (_, Some(transaction)) if transaction.recipients.is_empty() => "MAIL",
            (_, Some(_)) => "RCPT",
            (_, None) if self.hello.is_some() => "HELO",
            (_, None) => "connect",
        }
    }
}
