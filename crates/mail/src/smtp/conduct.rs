//! How a client kept to the order of speech, told as facts.
//!
//! Real mail servers wait where the standard says so; programs that only push mail out often do not. Nothing here is
//! judged, and the session works the same whatever the facts: they are evidence for who judges.
//!
//! What is seen is octets that stand in one input behind a command whose reply cannot have been read yet. A client
//! that is caught did send them too early; one that is not caught may have done so all the same.

use super::command::Dialect;

/// The facts of one session so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Conduct {
    /// It spoke before the greeting (RFC 5321 §4.3.1). Only the driver can know.
    pub spoke_early: bool,
    /// It sent more behind a command before a HELO or EHLO had been answered, so it cannot have known whether that is
    /// allowed.
    pub pipelined_before_hello: bool,
    /// It sent more behind a command though it had greeted with HELO, which offers no PIPELINING.
    pub pipelined_unoffered: bool,
    /// With PIPELINING, it sent more behind a command that must be the last of its group (RFC 2920 §3.1): EHLO, DATA,
    /// VRFY, EXPN, NOOP, QUIT, STARTTLS (RFC 3207 §4).
    pub pipelined_past_group: bool,
    /// A line began with a method of HTTP.
    pub spoke_http: bool,
    /// Lines before HELO or EHLO that were no command at all.
    pub unknown_before_hello: u8,
}

/// Whether a client may go on behind a command, if it may send several at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// More may follow.
    GoesOn,
    /// The reply must be waited for.
    Ends,
}

impl Conduct {
    /// More octets stand behind a command. `greeted` is how the client had greeted when it sent the command.
    pub(super) fn pipelined(&mut self, greeted: Option<Dialect>, group: Group) {
        match (greeted, group) {
            (None, _) => self.pipelined_before_hello = true,
            (Some(Dialect::Smtp), _) => self.pipelined_unoffered = true,
            (Some(Dialect::Esmtp), Group::Ends) => self.pipelined_past_group = true,
            (Some(Dialect::Esmtp), Group::GoesOn) => {}
        }
    }

    /// A line before HELO or EHLO was no command.
    pub(super) fn unknown_before_hello(&mut self) {
        self.unknown_before_hello = self.unknown_before_hello.saturating_add(1);
    }
}
