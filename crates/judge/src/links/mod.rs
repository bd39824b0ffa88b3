//! What the links of a message are like: what they show and where they lead, as facts.
//!
//! [`Links::read`] looks at everything that a person may follow: links of pages and of plain text, forms, pages that are
//! attached, QR codes in pictures. It finds [`Sign`]s, keeps them with a line of text as evidence, and judges nothing:
//! what they weigh together, with what is known of the sender, is [`Weights`]' business.
//!
//! Time and memory are bounded: by the octets that are given for text, by [`PIXELS_MAX`] for pictures. What is kept is
//! a few kilobytes at most. Pictures are decoded by whoever asks, with a function that is given ([`ReadCodes`]): decoders
//! of others have no place where decisions are made.
//!
//! - `address`: where an address leads, read as browsers do. `script`: names whose letters look like others.
//!   `shorteners`: those that are generally known.
//! - `weigh`: what signs weigh.

mod address;
mod script;
mod shorteners;
#[cfg(test)]
mod tests;
mod weigh;

use crate::auth::org::PublicSuffixes;
use address::{Login, Shown, Target, Web, WebHost, next_in_text};
use data_encoding::BASE64_MIME_PERMISSIVE;
use mail::html::{Link, LinkKind, Page};
use mail::mime::{self, Calendar, Form, Part};
use mail::{Domain, Line, Message};
use script::Look;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use url::Url;
pub use weigh::{Friends, LinkSettings, THRESHOLD};

/// So much text is looked at in all parts together: from the first one on, and where that is not all, from the last one back.
const TEXT_OCTETS_MAX: usize = 2 << 20;
/// So many links that differ, likewise.
const LINKS_MAX: usize = 5_000;
/// Hosts that are kept.
const HOSTS_MAX: usize = 50;
/// Findings that are kept: the gravest.
const FINDINGS_MAX: usize = 20;
/// Pictures that are looked at for codes, and all their pixels.
const IMAGES_MAX: usize = 8;
const PIXELS_MAX: usize = 6 << 20;
/// A larger file is no picture of a code.
const IMAGE_OCTETS_MAX: usize = 2 << 20;
/// Characters of the evidence.
const TEXT_CHARS_MAX: usize = 160;

/// What says what the codes of a picture say, of its octets. It takes the pixels that it decodes from those that are left,
/// also where the picture breaks off; nothing of what it does not decode.
pub type ReadCodes<'a> = &'a dyn Fn(&[u8], &mut usize) -> Vec<String>;

/// For those who look at no pictures.
pub(crate) fn no_codes(_: &[u8], _: &mut usize) -> Vec<String> {
    Vec::new()
}

/// What the links of a message are like.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Links {
    /// Names of hosts that a click leads to, each once.
    pub hosts: Vec<Domain>,
    /// What is to be said of links, each once, in the order of the message.
    pub findings: Vec<Finding>,
}

/// One link, or one thing like it, of which there is something to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What, in the order of [`Sign`].
    pub signs: Vec<Sign>,
    /// Where in the message.
    pub place: Place,
    /// Where it leads: a name, or an IPv4 address.
    pub host: Option<Domain>,
    /// Whose that is.
    pub organization: Option<Domain>,
    /// What it shows instead: the organization.
    pub shown: Option<Domain>,
    /// Whose name the login before its host may be. Older versions did not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Domain>,
    /// All of it in words.
    pub text: Line,
}

/// Where in a message a link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In plain text, where everybody sees the address.
    Text,
    /// In a page that is shown.
    Page,
    /// In a page that is attached: it runs in a browser, not in a mail program.
    Attachment,
    /// In a QR code.
    QrCode,
}

/// What is to be said of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// Its text is an address of somebody else.
    ShowsAddress,
    /// Its text is a name of somebody else, without `www.` or `https://`.
    ShowsName,
    /// It leads to an address of the Internet rather than to a name.
    Address,
    /// It leads to an address of somebody's own network.
    PrivateAddress,
    /// It leads to an address that is written as nobody writes it: `http://0xcb.1/`.
    ObscuredAddress,
    /// Scripts that look alike stand in one label of its host.
    MixedScripts,
    /// Its host could be taken for a Latin name, and has no Latin letter.
    Alike,
    /// Its host has other letters than ASCII.
    International,
    /// The login before its host is the name of another one.
    LoginAsHost,
    /// The login before its host may be the name of another one, or of a person.
    LoginLikeHost,
    /// Addresses stand within the address, one in the other or one after the other.
    Redirects,
    /// A shortener hides where it leads.
    Shortener,
    /// It runs a program.
    Script,
    /// The same, written so that readers miss it.
    ObscuredScript,
    /// It holds a page of its own.
    Data,
    /// What is typed into a form goes there.
    Form,
    /// The page asks for a password.
    Password,
    /// The page puts itself together when it is opened.
    Unpacks,
    /// It stands in a QR code.
    QrCode,
    /// There is more than is looked at.
    Unread,
}

impl Links {
    /// Reads the links of a message, or of its beginning.
    pub fn read(octets: &[u8], suffixes: &PublicSuffixes, read_codes: ReadCodes<'_>) -> Links {
        let mut reader = Reader::new(suffixes, read_codes);
        let message = Message::parse(octets);
        let parts = mime::parts(&message);
        if parts.first().is_some_and(|whole| whole.is_cut) {
            reader.say_unread("has more parts, or deeper ones, than are looked at");
        }
        // What only some mail readers find has room of its own, so that the rest cannot fill it.
        for is_other in [false, true] {
            let parts: Vec<&Part<'_>> = own_parts(&parts).filter(|part| part.is_other == is_other).collect();
            reader.turn(false);
            parts.iter().for_each(|part| reader.part(part));
            if reader.is_full() {
                reader.turn(true);
                parts.iter().rev().for_each(|part| reader.part(part));
            }
        }
        reader.turn(false);
        // Codes are small, photographs are not.
        let mut images: Vec<&Part<'_>> = own_parts(&parts).filter(|part| is_image(part)).collect();
        images.sort_by_key(|part| part.raw().len());
        for part in images {
            if part.raw().len() <= IMAGE_OCTETS_MAX && reader.images_left > 0 {
                reader.image(&part.octets());
            }
        }
        reader.links
    }

    /// The same of a page that was read already, without pictures.
    pub(crate) fn signs_of_page(page: &Page) -> Vec<Sign> {
        let mut reader = Reader::new(&PublicSuffixes::BuiltIn, &no_codes);
        reader.page(page, Place::Page);
        reader
            .links
            .findings
            .into_iter()
            .flat_map(|finding| finding.signs)
            .collect()
    }
}

/// Parts with content. An attached message is somebody else's: what a person reports or a server bounces.
fn own_parts<'a, 'b>(parts: &'b [Part<'a>]) -> impl Iterator<Item = &'b Part<'a>> {
    parts.iter().filter(|part| !part.is_foreign && !part.is_container())
}

fn is_image(part: &Part<'_>) -> bool {
    let endings = [".png", ".jpg", ".jpeg", ".gif"];
    part.media.starts_with("image/") || endings.into_iter().any(|ending| part.is_named(ending))
}

/// Where the links of a part stand. Of a bounced message's header (RFC 6522) nobody follows any.
fn place_of(part: &Part<'_>) -> Option<Place> {
    match part.form() {
        Form::Page if part.media.starts_with("text/") && !part.is_attachment && !part.is_called_page() => {
            Some(Place::Page)
        }
        Form::Page | Form::Drawing => Some(Place::Attachment),
        Form::Plain if part.is_attachment || part.media == "text/rfc822-headers" => None,
        Form::Plain | Form::Calendar => Some(Place::Text),
        Form::Container | Form::Other => None,
    }
}

struct Reader<'a> {
    suffixes: &'a PublicSuffixes,
    read_codes: ReadCodes<'a>,
    links: Links,
    /// What was said already, so that the same link a thousand times costs no more than once.
    said: HashSet<u64>,
    hasher: RandomState,
    /// From the last link on.
    is_backwards: bool,
    text_left: usize,
    links_left: usize,
    images_left: usize,
    pixels_left: usize,
}

impl<'a> Reader<'a> {
    fn new(suffixes: &'a PublicSuffixes, read_codes: ReadCodes<'a>) -> Reader<'a> {
        Reader {
            suffixes,
            read_codes,
            links: Links::default(),
            said: HashSet::new(),
            hasher: RandomState::new(),
            is_backwards: false,
            text_left: TEXT_OCTETS_MAX,
            links_left: LINKS_MAX,
            images_left: IMAGES_MAX,
            pixels_left: PIXELS_MAX,
        }
    }

    /// Begins anew, at the first or at the last part.
    fn turn(&mut self, is_backwards: bool) {
        if self.is_backwards && self.links_left == 0 {
            self.say_unread("has more links than are looked at");
        }
        (self.text_left, self.links_left) = (TEXT_OCTETS_MAX, LINKS_MAX);
        self.is_backwards = is_backwards;
    }

    fn is_full(&self) -> bool {
        self.text_left == 0 || self.links_left == 0
    }

    fn say_unread(&mut self, text: &str) {
        self.say(Saying::new(Place::Text, Sign::Unread, text));
    }

    fn part(&mut self, part: &Part<'_>) {
        let Some(place) = place_of(part) else { return };
        if self.text_left == 0 {
            return;
        }
        let text = part.text();
        let text = match self.is_backwards {
            true => text.get(text.ceil_char_boundary(text.len().saturating_sub(self.text_left))..),
            false => text.get(..text.floor_char_boundary(self.text_left)),
        }
        .unwrap_or(&text);
        self.text_left -= text.len();
        match part.form() {
            Form::Calendar => return self.calendar(&Calendar::read(text)),
            _ if place == Place::Text => return self.text(text),
            _ => {}
        }
        // Some readers, and servers on the way, lose NUL octets.
        let without_nul = text.contains('\0').then(|| text.replace('\0', ""));
        let mut page = Page::read(text);
        page.base = page.base.or_else(|| part.base.clone());
        self.page(&page, place);
        if let Some(text) = without_nul {
            self.page(&Page::read(&text), place);
        }
        if place == Place::Attachment && page.tags.iter().any(|tag| tag == "script") && unpacks(text) {
            self.say(Saying::new(
                place,
                Sign::Unpacks,
                "an attached page puts itself together when it is opened",
            ));
        }
        self.data_images(text);
    }

    /// An invitation: its texts are shown, addresses in them are links, and what is HTML in it is a page.
    fn calendar(&mut self, calendar: &Calendar) {
        self.text(&calendar.text);
        self.page(&Page::read(&calendar.page), Place::Page);
    }

    fn text(&mut self, text: &str) {
        let mut rest = text;
        let mut targets = std::iter::from_fn(|| {
            let (start, end) = next_in_text(rest)?;
            let target = rest.get(start..end);
            rest = rest.get(end..).unwrap_or_default();
            target
        });
        match self.is_backwards {
            true => targets
                .collect::<Vec<&str>>()
                .into_iter()
                .rev()
                .for_each(|target| self.target(target, "", None, Place::Text)),
            false => {
                while self.links_left > 0
                    && let Some(target) = targets.next()
                {
                    self.target(target, "", None, Place::Text);
                }
            }
        }
    }

    fn page(&mut self, page: &Page, place: Place) {
        let base = page.base.as_deref().and_then(|base| Url::parse(base).ok());
        match self.is_backwards {
            true => page
                .links
                .iter()
                .rev()
                .for_each(|link| self.link(link, base.as_ref(), place)),
            false => page.links.iter().for_each(|link| self.link(link, base.as_ref(), place)),
        }
        if page.is_cut {
            self.say_unread("has more links than are looked at");
        }
        if page.asks_password {
            let text = match place {
                Place::Attachment => "an attached page asks for a password",
                Place::Text | Place::Page | Place::QrCode => "asks for a password",
            };
            self.say(Saying::new(place, Sign::Password, text));
        }
        // Mail programs make links of addresses that are none.
        if place == Place::Page {
            self.text(&page.text);
        }
    }

    fn link(&mut self, link: &Link, base: Option<&Url>, place: Place) {
        match link.kind {
            LinkKind::Form if !self.is_new(&link.target, &link.shown, place) => {}
            LinkKind::Anchor => self.target(&link.target, &link.shown, base, place),
            LinkKind::Form => {
                if let Target::Web(web) = Target::read(&link.target, base) {
                    let leads = self.leads(&web);
                    let mut saying = self.signs_of(&web, place).with(Sign::Form);
                    let text = match self.pretend(&web, &link.shown, &mut saying) {
                        Some(shown) => format!("a form shows {shown}, and goes to {leads}"),
                        None => format!("what is typed into a form goes to {leads}"),
                    };
                    self.say(saying.worded(&text));
                }
            }
            LinkKind::Image => {}
            // What is loaded is no link, unless it is a page of its own.
            LinkKind::Other => match Target::read(&link.target, base) {
                Target::Script { .. } | Target::Data => self.target(&link.target, "", base, place),
                Target::Web(_) | Target::Other => {}
            },
        }
    }

    /// Whether a link was not there before, and there is room for it.
    fn is_new(&mut self, target: &str, shown: &str, place: Place) -> bool {
        let is_new = self.links_left > 0 && self.said.insert(self.hasher.hash_one((target, shown, place)));
        self.links_left -= usize::from(is_new);
        is_new
    }

    /// One address that a person may follow.
    fn target(&mut self, target: &str, shown: &str, base: Option<&Url>, place: Place) {
        if !self.is_new(target, shown, place) {
            return;
        }
        let web = match Target::read(target, base) {
            Target::Web(web) => web,
            Target::Script { is_obscured } => {
                let sign = if is_obscured {
                    Sign::ObscuredScript
                } else {
                    Sign::Script
                };
                return self.say(Saying::new(place, sign, "a link runs a program"));
            }
            Target::Data => return self.say(Saying::new(place, Sign::Data, "a link holds a page of its own")),
            Target::Other => return,
        };
        if let WebHost::Name(host) = &web.host
            && self.links.hosts.len() < HOSTS_MAX
            && !self.links.hosts.contains(host)
        {
            self.links.hosts.push(host.clone());
        }
        let leads = self.leads(&web);
        let place = match &web.host {
            WebHost::Address { ip, .. } if shown.contains(&ip.to_string()) => Place::Text,
            _ => place,
        };
        let mut saying = self.signs_of(&web, place);
        let text = match self.pretend(&web, shown, &mut saying) {
            Some(elsewhere) => format!("shows {elsewhere}, leads to {leads}"),
            None if place == Place::QrCode => format!("a QR code leads to {leads}"),
            None => format!("leads to {leads}"),
        };
        self.say(saying.worded(&text));
    }

    /// What is shown for an address, if that is somebody else.
    fn pretend(&self, web: &Web, shown: &str, saying: &mut Saying) -> Option<Domain> {
        let elsewhere = Shown::read(shown)
            .filter(|shown| !self.is_same(&shown.host, &web.host) && !is_wrapper(web) && !is_own_network(&web.host))?;
        saying.signs.push(match elsewhere.is_address {
            true => Sign::ShowsAddress,
            false => Sign::ShowsName,
        });
        saying.shown = Some(self.suffixes.organizational(&elsewhere.host));
        saying.name_login();
        Some(elsewhere.host)
    }

    /// The signs of an address itself.
    fn signs_of(&self, web: &Web, place: Place) -> Saying {
        let mut saying = Saying {
            place,
            ..Saying::default()
        };
        match &web.host {
            WebHost::Name(host) => {
                saying.organization = Some(self.suffixes.organizational(host));
                saying.host = Some(host.clone());
                match script::look(host).0 {
                    Look::Plain => {}
                    Look::International => saying.signs.push(Sign::International),
                    Look::Alike => saying.signs.push(Sign::Alike),
                    Look::Mixed => saying.signs.push(Sign::MixedScripts),
                }
                if shorteners::is_shortener(host.as_str()) {
                    saying.signs.push(Sign::Shortener);
                }
            }
            WebHost::Address { ip, is_obscured } => {
                // An IPv4 address has the form of a name.
                saying.host = Domain::parse(&ip.to_string()).ok();
                saying.signs.push(match is_own_network(&web.host) {
                    // However it is written, nobody else is there.
                    true => Sign::PrivateAddress,
                    false if *is_obscured => Sign::ObscuredAddress,
                    false => Sign::Address,
                });
            }
        }
        if let Some(Login::Host { name, is_certain }) = &web.login
            && !self.is_same(name, &web.host)
            && !is_own_network(&web.host)
        {
            saying.login = Some(self.suffixes.organizational(name));
            saying.signs.push(match is_certain {
                true => Sign::LoginAsHost,
                false => Sign::LoginLikeHost,
            });
        }
        let own = match &web.host {
            WebHost::Name(host) => Some(host),
            WebHost::Address { .. } => None,
        };
        let inner: Vec<Domain> = web
            .inner
            .iter()
            .map(|host| self.suffixes.organizational(host))
            .collect();
        let mut others: Vec<&Domain> = inner.iter().filter(|inner| own != Some(inner)).collect();
        others.dedup();
        if others.len() >= 2 {
            saying.signs.push(Sign::Redirects);
        }
        if place == Place::QrCode {
            saying.signs.push(Sign::QrCode);
        }
        saying
    }

    /// Whether two hosts are of one organization.
    fn is_same(&self, shown: &Domain, target: &WebHost) -> bool {
        match target {
            WebHost::Name(host) => self.suffixes.organizational(shown) == self.suffixes.organizational(host),
            WebHost::Address { .. } => false,
        }
    }

    /// A host in words.
    fn leads(&self, web: &Web) -> String {
        let host = match &web.host {
            WebHost::Name(host) => match script::look(host) {
                (Look::Plain, _) => host.to_string(),
                (_, written) => format!("{written} ({host})"),
            },
            WebHost::Address { ip, .. } => ip.to_string(),
        };
        match &web.login {
            Some(Login::Host { name, .. }) => format!("{host}, and puts {name}@ before it"),
            _ => host,
        }
    }

    /// Keeps a finding, if there is anything to say.
    fn say(&mut self, saying: Saying) {
        let Saying {
            mut signs,
            place,
            host,
            organization,
            shown,
            login,
            text,
        } = saying;
        signs.sort_unstable();
        signs.dedup();
        // The same link weighs less in plain text, so that does not speak for the page behind it.
        let known = |known: &Finding| {
            (&known.signs, known.place, &known.host) == (&signs, place, &host)
                && (&known.shown, &known.login) == (&shown, &login)
        };
        if signs.is_empty() || self.links.findings.iter().any(known) {
            return;
        }
        let finding = Finding {
            signs,
            place,
            host,
            organization,
            shown,
            login,
            text: Line::clean(text.as_bytes(), TEXT_CHARS_MAX),
        };
        let findings = &mut self.links.findings;
        findings.push(finding);
        // What is grave shall not be hidden behind twenty trifles.
        if findings.len() > FINDINGS_MAX
            && let Some((least, _)) = findings
                .iter()
                .enumerate()
                .min_by_key(|(_, finding)| weigh::gravity(finding))
        {
            findings.remove(least);
        }
    }

    /// Pictures that stand in a page itself.
    fn data_images(&mut self, html: &str) {
        let mut rest = html;
        while let Some(at) = memchr::memmem::find(rest.as_bytes(), b"data:image/") {
            rest = rest.get(at + 11..).unwrap_or_default();
            if self.images_left == 0 {
                return;
            }
            let near = rest.get(..rest.floor_char_boundary(64)).unwrap_or(rest);
            let Some((_, behind)) = near
                .split_once(";base64,")
                .and_then(|(kind, _)| rest.split_at_checked(kind.len() + 8))
            else {
                continue;
            };
            let is_coded =
                |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=') || b.is_ascii_whitespace();
            let len = behind.bytes().take_while(|b| is_coded(b)).count();
            let (coded, after) = behind.split_at_checked(len).unwrap_or((behind, ""));
            if let Ok(octets) = BASE64_MIME_PERMISSIVE.decode(coded.as_bytes()) {
                self.image(&octets);
            }
            rest = after;
        }
    }

    fn image(&mut self, octets: &[u8]) {
        let before = self.pixels_left;
        let codes = (self.read_codes)(octets, &mut self.pixels_left);
        self.images_left -= usize::from(self.pixels_left < before);
        for code in codes {
            let is_address = next_in_text(&code).is_some_and(|(start, _)| start == 0);
            if is_address
                || matches!(
                    Target::read(&code, None),
                    Target::Web(_) | Target::Script { .. } | Target::Data
                )
            {
                self.target(&code, "", None, Place::QrCode);
            }
        }
    }
}

/// A finding in the making.
struct Saying {
    signs: Vec<Sign>,
    place: Place,
    host: Option<Domain>,
    organization: Option<Domain>,
    shown: Option<Domain>,
    login: Option<Domain>,
    text: String,
}

impl Default for Saying {
    fn default() -> Saying {
        Saying {
            signs: Vec::new(),
            place: Place::Text,
            host: None,
            organization: None,
            shown: None,
            login: None,
            text: String::new(),
        }
    }
}

impl Saying {
    fn new(place: Place, sign: Sign, text: &str) -> Saying {
        Saying {
            place,
            ..Saying::default()
        }
        .with(sign)
        .worded(text)
    }

    fn with(mut self, sign: Sign) -> Saying {
        self.signs.push(sign);
        self
    }

    /// A login that is also what the link shows is meant as that name.
    fn name_login(&mut self) {
        if self.login.is_none() || self.login != self.shown {
            return;
        }
        for sign in &mut self.signs {
            if *sign == Sign::LoginLikeHost {
                *sign = Sign::LoginAsHost;
            }
        }
    }

    fn worded(mut self, text: &str) -> Saying {
        let words: Vec<&str> = self.signs.iter().filter_map(|sign| sign.words()).collect();
        let words = if words.is_empty() {
            String::new()
        } else {
            format!(" ({})", words.join(", "))
        };
        self.text = [text, &words].concat();
        self
    }
}

impl Sign {
    /// Its name as a feature.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Sign::ShowsAddress => "shows address",
            Sign::ShowsName => "shows name",
            Sign::Address => "address",
            Sign::PrivateAddress => "private address",
            Sign::ObscuredAddress => "obscured address",
            Sign::MixedScripts => "mixed scripts",
            Sign::Alike => "alike",
            Sign::International => "international",
            Sign::LoginAsHost => "login as host",
            Sign::LoginLikeHost => "login like host",
            Sign::Redirects => "redirects",
            Sign::Shortener => "shortener",
            Sign::Script => "script",
            Sign::ObscuredScript => "obscured script",
            Sign::Data => "data",
            Sign::Form => "form",
            Sign::Password => "password",
            Sign::Unpacks => "unpacks",
            Sign::QrCode => "qr code",
            Sign::Unread => "unread",
        }
    }

    /// What the finding's text does not say by itself.
    fn words(self) -> Option<&'static str> {
        Some(match self {
            Sign::ObscuredAddress => "an address written to hide it",
            Sign::MixedScripts => "letters of scripts that look alike",
            Sign::Alike => "letters that look like Latin ones",
            Sign::Redirects => "addresses within the address",
            Sign::Shortener => "a shortener",
            Sign::ObscuredScript => "written to hide it",
            _ => return None,
        })
    }
}

/// Whether an attached page holds itself in a coded form: nothing that is made to be read does.
fn unpacks(html: &str) -> bool {
    const WAYS: [&str; 6] = [
        "atob(",
        "unescape(",
        "fromcharcode",
        "eval(",
        "decodeuricomponent(",
        "document.write(",
    ];
    let lower = html.to_ascii_lowercase();
    let found = WAYS
        .iter()
        .filter(|way| memchr::memmem::find(lower.as_bytes(), way.as_bytes()).is_some());
    found.count() >= 2
}

/// Whether a link goes through a gateway that looks at it when it is followed, and writes it anew for that.
fn is_wrapper(web: &Web) -> bool {
    const WRAPPERS: [&str; 10] = [
        "cudasvc.com",
        "emailprotection.link",
        "fireeye.com",
        "mimecast.com",
        "mimecastprotect.com",
        "safelinks.protection.outlook.com",
        "secure-web.cisco.com",
        "trendmicro.com",
        "urldefense.com",
        "urldefense.proofpoint.com",
    ];
    match &web.host {
        WebHost::Name(host) => WRAPPERS.iter().any(|name| is_below(host.as_str(), name)),
        WebHost::Address { .. } => false,
    }
}

/// Whether a name is another one or stands below it.
fn is_below(name: &str, above: &str) -> bool {
    let rest = name.strip_suffix(above);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Names that are never given to anybody (RFC 6761 §6.3, RFC 6762 §3, RFC 8375), and the one that ICANN keeps free.
const LOCAL_NAMES: [&str; 4] = ["localhost", "local", "home.arpa", "internal"];

/// Whether a host is one of the reader's own network, so that it can be nobody else: `http://192.168.1.1/`, `http://printer/`.
fn is_own_network(host: &WebHost) -> bool {
    match host {
        WebHost::Name(host) => {
            let host = host.as_str();
            !host.contains('.') || LOCAL_NAMES.iter().any(|name| is_below(host, name))
        }
        WebHost::Address { ip: IpAddr::V4(ip), .. } => {
            // RFC 6598: 100.64.0.0/10 is of providers' and of private overlay networks.
            let is_shared = matches!(ip.octets(), [100, 64..=127, _, _]);
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || is_shared
        }
        WebHost::Address { ip: IpAddr::V6(ip), .. } => {
            ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified()
        }
    }
}
