//! The checks: one table with one row for each, and a file for each function that makes one.
//!
//! A row says everything there is to know of a check: its name, its place in the order of judgement, what switches it on,
//! how a failure counts, what the sender is told, which facts it may ask for, and the function that runs it. Nothing
//! else in the project lists checks. A check that needs no new fact is a file here and a row below;
//! `docs/adding-a-check.md` tells how.
//!
//! None of them asks a network: what must be asked for is a fact, and a check whose fact nobody asked for says which
//! [`Group`] it needs. The texts are those of the original (`ms-lite`), which operators search their logs for.

mod content;
mod helo;
mod junk;
mod links;
mod opinion;
mod origin;
mod protocol;
mod reputation;
mod sender;
mod spec;
mod strangers;

pub use opinion::{Answer, Evidence, Opinion, Terms};
pub(crate) use origin::zone_signals;
pub(crate) use reputation::is_known;
pub use spec::{Clients, InAll, KeptCopy, Keys, Place, Recommended, SenderReply, Spec, SwitchedOn};

use crate::evidence::Group;
use crate::rule::Rule;
use serde::{Deserialize, Serialize};

/// Makes the enum of checks and the table out of the rows.
macro_rules! checks {
    ($($(#[$doc:meta])* $check:ident = $name:literal { $($column:tt)* })+) => {
        /// A check, in the order in which they are asked.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Check {
            $($(#[$doc])* #[serde(rename = $name)] $check,)+
        }

        impl Check {
            /// All checks, in the order in which they are asked.
            pub const ALL: [Check; [$($name),+].len()] = [$(Check::$check),+];
        }

        /// The row of each check, by its number.
        static TABLE: [Spec; Check::ALL.len()] = [
            $(Spec { check: Check::$check, name: $name, $($column)* }),+
        ];
    };
}

checks! {
    /// The reverse-path has a domain with a dot.
    Sender = "sender" {
        place: Place::Plain, in_all: InAll::Always, recommended: Recommended::Acts,
        switched_on: SwitchedOn::ByFile, brought_by: None, clients: Clients::All, keys: Keys::None,
        default_rule: Rule::rejects, reply: SenderReply::Reason, copy: KeptCopy::None,
        needs: &[], run: |known| sender::bogus(&known.message.reverse_path).into(),
    }
    /// No DNS list of the file `zones` names it.
    Dnsbl = "dnsbl" {
        place: Place::Plain, in_all: InAll::Never, recommended: Recommended::No,
        switched_on: SwitchedOn::ByZones, brought_by: None, clients: Clients::All, keys: Keys::None,
        default_rule: Rule::rejects, reply: SenderReply::Reason, copy: KeptCopy::None,
        needs: &[Group::Zones, Group::Origin], run: |known| origin::zones(known).into(),
    }
    /// The HELO name is one that a mail host of the Internet has.
    Helo = "helo" {
        place: Place::Plain, in_all: InAll::Always, recommended: Recommended::Evidence,
        switched_on: SwitchedOn::ByFile, brought_by: None, clients: Clients::All, keys: Keys::None,
        default_rule: Rule::rejects, reply: SenderReply::Reason, copy: KeptCopy::None,
        needs: &[], run: |known| helo::fault(&known.message.helo, known.message.client).into(),
    }
    /// The client has a reverse name.
    Rdns = "rdns" {
        place: Place::Plain, in_all: InAll::IfAdded, recommended: Recommended::Evidence,
        switched_on: SwitchedOn::ByFile, brought_by: None, keys: Keys::Confirmed,
        clients: Clients::ThoseLeftBy(&[Check::Rdns4, Check::Rdns6]),
        default_rule: Rule::rejects, reply: SenderReply::Reason, copy: KeptCopy::None,
        needs: &[Group::ReverseName], run: |known| origin::no_reverse_name(known).into(),
    }
    /// An IPv4 client has a reverse name.
    Rdns4 = "rdns4" {
        place: Place::Plain, in_all: InAll::IfAdded, recommended: Recommended::No,
        switched_on: SwitchedOn::ByFile, brought_by: None, clients: Clients::Ipv4, keys: Keys::Confirmed,
        default_rule: Rule::rejects, reply: SenderReply::Reason, copy: KeptCopy::None,
        needs: &[Group::ReverseName], run: |known| origin::no_reverse_name(known).into(),
    }
    /// An IPv6 client has a reverse name.
    Rdns6 = "rdns6" {
        place: Place::Plain, in_all: InAll::IfAdded, recommended: Recommended::No,
        switched_on: SwitchedOn::ByFile, brought_by: None, clients: Clients::Ipv6, keys: Keys::Confirmed,
        default_rule: Rule::rejects, reply: SenderReply::Reason, copy: KeptCopy::None,
        needs: &[Group::ReverseName], run: |known| origin::no_reverse_name(known).into(),
    }
    /// The client kept to the order of the SMTP dialogue.
    Protocol = "protocol" {
        place: Place::Plain, in_all: InAll::Never, recommended: Recommended::Evidence,
        switched_on: SwitchedOn::ByFile, brought_by: None, clients: Clients::All, keys: Keys::None,
        default_rule: Rule::rejects, reply: SenderReply::Reason, copy: KeptCopy::None,
        needs: &[], run: |known| protocol::fault(known.message.conduct).into(),
    }
    /// There is a Date field.
    Date = "date" {
        place: Place::Plain, in_all: InAll::Always, recommended: Recommended::Evidence,
        switched_on: SwitchedOn::ByFile, brought_by: None, clients: Clients::All, keys: Keys::None,
        default_rule: Rule::rejects, reply: SenderReply::Reason, copy: KeptCopy::None,
        needs: &[], run: |known| known.of_content(content::no_date),
    }
    /// No moderation request of a mailing list manager.
    Mailman = "mailman" {
        place: Place::Plain, in_all: InAll::Always, recommended: Recommended::Evidence,
        switched_on: SwitchedOn::ByFile, brought_by: None, clients: Clients::All, keys: Keys::None,
        default_rule: Rule::rejects, reply: SenderReply::Reason, copy: KeptCopy::None,
        needs: &[], run: |known| known.of_content(content::moderation_request),
    }
    /// The From field holds addresses.
    Address = "address" {
        place: Place::Plain, in_all: InAll::Always, recommended: Recommended::ActsInPart,
        switched_on: SwitchedOn::ByFile, brought_by: None, clients: Clients::All, keys: Keys::None,
        default_rule: Rule::rejects, reply: SenderReply::Reason, copy: KeptCopy::None,
        needs: &[], run: content::bogus_author,
    }
    /// No mailer that only junk uses.
    Mailers = "mailers" {
        place: Place::Plain, in_all: InAll::Always, recommended: Recommended::Evidence,
        switched_on: SwitchedOn::ByFile, brought_by: None, clients: Clients::All, keys: Keys::None,
        default_rule: Rule::rejects, reply: SenderReply::Reason, copy: KeptCopy::None,
        needs: &[], run: |known| known.of_content(content::bad_mailer),
    }
    /// There is a body.
    EmptyBody = "empty_body" {
        place: Place::Plain, in_all: InAll::Always, recommended: Recommended::Evidence,
        switched_on: SwitchedOn::ByFile, brought_by: None, clients: Clients::All, keys: Keys::None,
        default_rule: Rule::rejects, reply: SenderReply::Reason, copy: KeptCopy::None,
        needs: &[], run: |known| known.of_content(content::blank_body),
    }
    /// A signature is there, where the domain always signs.
    Dkim = "dkim" {
        place: Place::Plain, in_all: InAll::Always, recommended: Recommended::Evidence,
        switched_on: SwitchedOn::ByFile, brought_by: None, clients: Clients::All, keys: Keys::Domains,
        default_rule: Rule::rejects, reply: SenderReply::Reason, copy: KeptCopy::None,
        needs: &[], run: |known| sender::unsigned(known).into(),
    }
    /// Where there are signatures, one verifies. The original's never refuses.
    DkimCheck = "dkim_check" {
        place: Place::Plain, in_all: InAll::Always, recommended: Recommended::Acts,
        switched_on: SwitchedOn::ByFile, brought_by: None, clients: Clients::All, keys: Keys::None,
        default_rule: Rule::soft, reply: SenderReply::Reason, copy: KeptCopy::None,
        needs: &[Group::Origin], run: |known| origin::no_valid_signature(&known.message.origin.dkim).into(),
    }
    /// The reverse-path's domain does not forbid the client.
    Spf = "spf" {
        place: Place::Plain, in_all: InAll::Always, recommended: Recommended::ActsInPart,
        switched_on: SwitchedOn::ByFile, brought_by: None, clients: Clients::All, keys: Keys::None,
        default_rule: Rule::rejects, reply: SenderReply::Reason, copy: KeptCopy::None,
        needs: &[Group::Origin], run: origin::spf_failure,
    }
    /// Mail of domains that always encrypt is encrypted.
    Tls = "tls" {
        place: Place::Plain, in_all: InAll::Never, recommended: Recommended::No,
        switched_on: SwitchedOn::ByFile, brought_by: None, clients: Clients::All, keys: Keys::Domains,
        default_rule: Rule::rejects, reply: SenderReply::Reason, copy: KeptCopy::None,
        needs: &[], run: |known| origin::plaintext(known).into(),
    }
    /// Not too much from one network.
    Rate = "rate" {
        place: Place::Rate, in_all: InAll::Never, recommended: Recommended::Acts,
        switched_on: SwitchedOn::ByFile, brought_by: Some(Check::Reputation), clients: Clients::All, keys: Keys::Rate,
        default_rule: Rule::defers, reply: SenderReply::TooMuch, copy: KeptCopy::None,
        needs: &[Group::Rates], run: |known| strangers::too_much(known).into(),
    }
    /// No virus.
    Clamav = "clamav" {
        place: Place::Virus, in_all: InAll::IfAdded, recommended: Recommended::No,
        switched_on: SwitchedOn::ByFile, brought_by: None, clients: Clients::All, keys: Keys::None,
        default_rule: Rule::rejects_or_waits, reply: SenderReply::Reason, copy: KeptCopy::None,
        needs: &[Group::Virus], run: |known| origin::virus(&known.message.virus).into(),
    }
    /// The author domain's owner vouches for it.
    Dmarc = "dmarc" {
        place: Place::Dmarc, in_all: InAll::Never, recommended: Recommended::Acts,
        switched_on: SwitchedOn::ByFile, brought_by: None, clients: Clients::All, keys: Keys::Dmarc,
        default_rule: Rule::rejects, reply: SenderReply::Reason, copy: KeptCopy::None,
        needs: &[Group::Origin], run: origin::dmarc_failure,
    }
    /// The mailbox does not know the sender for junk.
    Reputation = "reputation" {
        place: Place::Reputation, in_all: InAll::Never, recommended: Recommended::Acts,
        switched_on: SwitchedOn::ByFile, brought_by: None, clients: Clients::All, keys: Keys::None,
        default_rule: Rule::rejects_or_waits, reply: SenderReply::Private, copy: KeptCopy::OfRefused,
        needs: &[Group::Origin, Group::Standing], run: |known| reputation::bad_standing(known).into(),
    }
    /// Nothing speaks against a sender of whom the mailbox knows little.
    Strangers = "strangers" {
        place: Place::Strangers, in_all: InAll::Never, recommended: Recommended::Acts,
        switched_on: SwitchedOn::ByFile, brought_by: Some(Check::Reputation), clients: Clients::All, keys: Keys::None,
        default_rule: Rule::defers, reply: SenderReply::Private, copy: KeptCopy::OfRefused,
        needs: &[Group::Origin, Group::Standing], run: |known| strangers::suspicion(known).into(),
    }
    /// A stranger has come again.
    Greylisting = "greylisting" {
        place: Place::Greylisting, in_all: InAll::Never, recommended: Recommended::No,
        switched_on: SwitchedOn::ByFile, brought_by: None, clients: Clients::All, keys: Keys::Greylisting,
        default_rule: Rule::defers, reply: SenderReply::Greylisted, copy: KeptCopy::OfGreylisted,
        needs: &[Group::Origin, Group::Standing, Group::Greylist], run: |known| strangers::must_wait(known).into(),
    }
    /// Its content is not that of junk.
    Junk = "junk" {
        place: Place::Content, in_all: InAll::Never, recommended: Recommended::Acts,
        switched_on: SwitchedOn::ByFile, brought_by: None, clients: Clients::All, keys: Keys::Junk,
        default_rule: Rule::rejects, reply: SenderReply::Private, copy: KeptCopy::OfRefused,
        needs: &[Group::Junk, Group::ReverseName], run: |known| junk::content(known).into(),
    }
    /// Links show where they lead.
    Links = "links" {
        place: Place::Content, in_all: InAll::Never, recommended: Recommended::Acts,
        switched_on: SwitchedOn::ByFile, brought_by: None, clients: Clients::All, keys: Keys::Links,
        default_rule: Rule::rejects, reply: SenderReply::Private, copy: KeptCopy::OfRefused,
        needs: &[Group::Links, Group::Origin], run: |known| links::deceit(known).into(),
    }
}

impl Check {
    /// Its row.
    pub fn spec(self) -> &'static Spec {
        // The macro makes the enum and the table from the same rows, so the number is in range.
        #[allow(clippy::indexing_slicing)]
        &TABLE[self as usize]
    }

    /// The name of its file below `checks/`.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The check with that file name.
    pub fn by_name(name: &str) -> Option<Check> {
        Check::ALL.into_iter().find(|check| check.name() == name)
    }
}

/// Every row, in the order in which the checks are asked.
pub fn table() -> &'static [Spec] {
    &TABLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_stands_at_its_number_and_has_a_name_of_its_own() {
        for (number, spec) in table().iter().enumerate() {
            assert_eq!(spec.check as usize, number, "{}", spec.name);
            assert_eq!(Check::by_name(spec.name), Some(spec.check));
            assert_eq!(
                serde_json::to_string(&spec.check).unwrap(),
                format!("\"{}\"", spec.name)
            );
        }
    }

    #[test]
    fn places_follow_one_another() {
        assert!(table().is_sorted_by_key(|spec| spec.place));
    }

    #[test]
    fn all_is_the_set_of_the_original() {
        let all: Vec<_> = table()
            .iter()
            .filter(|spec| spec.in_all == InAll::Always)
            .map(|spec| spec.name)
            .collect();
        let original = "sender helo date mailman address mailers empty_body dkim dkim_check spf";
        assert_eq!(all.join(" "), original);
    }

    #[test]
    fn a_check_that_is_brought_along_stands_beside_one_that_is_switched_on_by_a_file() {
        for spec in table() {
            let Some(bringer) = spec.brought_by else { continue };
            assert_eq!(bringer.spec().switched_on, SwitchedOn::ByFile, "{}", spec.name);
            assert_eq!(bringer.spec().brought_by, None, "{}", spec.name);
        }
    }
}
