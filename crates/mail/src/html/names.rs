//! Names of tags as numbers, and the sets of them that tree construction speaks of (WHATWG HTML §13.2.4.2, §13.2.6).

/// The lower-case name of a tag. Names of up to sixteen letters are told apart for certain; no longer one means anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name(u128);

/// Above all numbers of names that mean something.
const UNKNOWN: u128 = 1 << 127;

impl Default for Name {
    /// That of no element.
    fn default() -> Name {
        Name(UNKNOWN)
    }
}

impl Name {
    pub fn of(text: &[u8]) -> Name {
        known(text).unwrap_or_else(|| {
            let packed = |packed: u128, octet: &u8| packed.rotate_left(8) ^ u128::from(*octet);
            Name(text.iter().fold(0, packed) | UNKNOWN)
        })
    }

    /// Its place among the names that mean something.
    pub fn number(self) -> Option<usize> {
        usize::try_from(self.0).ok().filter(|number| *number < NAMES)
    }

    /// The set of this name and no other; of none, if it means nothing.
    pub fn alone(self) -> Set {
        Set(self.number().map_or(0, |number| 1 << number))
    }

    pub const fn is_in(self, set: Set) -> bool {
        self.0 < NAMES as u128 && set.0 >> self.0 & 1 == 1
    }
}

/// Names that something is said of, a bit for each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Set(u128);

impl Set {
    /// What is in either.
    pub const fn or(self, other: Set) -> Set {
        Set(self.0 | other.0)
    }
}

/// Of names that mean something.
pub(super) const fn set(names: &[Name]) -> Set {
    let mut bits = 0;
    let mut rest = names;
    while let [first, behind @ ..] = rest {
        assert!(first.0 < NAMES as u128);
        bits |= 1 << first.0;
        rest = behind;
    }
    Set(bits)
}

macro_rules! names {
    ($($constant:ident $text:literal)*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[repr(u8)]
        enum Number { $($constant,)* END }

        /// How many names mean something.
        pub(super) const NAMES: usize = Number::END as usize;
        const _: () = assert!(NAMES <= 127);

        $(pub(super) const $constant: Name = Name(Number::$constant as u128);)*

        fn known(text: &[u8]) -> Option<Name> {
            Some(match text {
                $($text => $constant,)*
                _ => return None,
            })
        }
    };
}

names! {
    A b"a" ADDRESS b"address" ANNOTATION_XML b"annotation-xml" APPLET b"applet" AREA b"area" ARTICLE b"article"
    ASIDE b"aside" B b"b" BASE b"base" BASEFONT b"basefont" BGSOUND b"bgsound" BIG b"big" BLOCKQUOTE b"blockquote"
    BODY b"body" BR b"br" BUTTON b"button" CAPTION b"caption" CENTER b"center" CODE b"code" COL b"col"
    COLGROUP b"colgroup" DD b"dd" DESC b"desc" DETAILS b"details" DIALOG b"dialog" DIR b"dir" DIV b"div" DL b"dl"
    DT b"dt" EM b"em" EMBED b"embed" FIELDSET b"fieldset" FIGCAPTION b"figcaption" FIGURE b"figure" FONT b"font"
    FOOTER b"footer" FOREIGN_OBJECT b"foreignobject" FORM b"form" FRAME b"frame" FRAMESET b"frameset" H1 b"h1" H2 b"h2"
    H3 b"h3" H4 b"h4" H5 b"h5" H6 b"h6" HEAD b"head" HEADER b"header" HGROUP b"hgroup" HR b"hr" HTML b"html" I b"i"
    IFRAME b"iframe" IMAGE b"image" IMG b"img" INPUT b"input" KEYGEN b"keygen" LI b"li" LINK b"link" LISTING b"listing"
    MAIN b"main" MALIGNMARK b"malignmark" MARK b"mark" MARQUEE b"marquee" MATH b"math" MENU b"menu" META b"meta"
    METER b"meter" MGLYPH b"mglyph" MI b"mi" MN b"mn" MO b"mo" MS b"ms" MTEXT b"mtext" NAV b"nav" NOBR b"nobr"
    NOEMBED b"noembed" NOFRAMES b"noframes" NOSCRIPT b"noscript" OBJECT b"object" OL b"ol" OPTGROUP b"optgroup"
    OPTION b"option" P b"p" PARAM b"param" PLAINTEXT b"plaintext" PRE b"pre" PROGRESS b"progress" RB b"rb" RP b"rp"
    RT b"rt" RTC b"rtc" RUBY b"ruby" S b"s" SCRIPT b"script" SEARCH b"search" SECTION b"section" SELECT b"select"
    SMALL b"small" SOURCE b"source" SPAN b"span" STRIKE b"strike" STRONG b"strong" STYLE b"style" SUB b"sub"
    SUMMARY b"summary" SUP b"sup" SVG b"svg" TABLE b"table" TBODY b"tbody" TD b"td" TEMPLATE b"template"
    TEXTAREA b"textarea" TFOOT b"tfoot" TH b"th" THEAD b"thead" TITLE b"title" TR b"tr" TRACK b"track" TT b"tt" U b"u"
    UL b"ul" VAR b"var" WBR b"wbr" XML b"xml" XMP b"xmp"
}

/// "Special" elements of HTML: formatting elements do not reach across them, nor do unknown end tags.
pub(super) const SPECIAL: Set = set(&[
    ADDRESS, APPLET, AREA, ARTICLE, ASIDE, BASE, BASEFONT, BGSOUND, BLOCKQUOTE, BODY, BR, BUTTON, CAPTION, CENTER, COL,
    COLGROUP, DD, DETAILS, DIR, DIV, DL, DT, EMBED, FIELDSET, FIGCAPTION, FIGURE, FOOTER, FORM, FRAME, FRAMESET, H1,
    H2, H3, H4, H5, H6, HEAD, HEADER, HGROUP, HR, HTML, IFRAME, IMG, INPUT, KEYGEN, LI, LINK, LISTING, MAIN, MARQUEE,
    MENU, META, NAV, NOEMBED, NOFRAMES, NOSCRIPT, OBJECT, OL, P, PARAM, PLAINTEXT, PRE, SCRIPT, SEARCH, SECTION,
    SELECT, SOURCE, STYLE, SUMMARY, TABLE, TBODY, TD, TEMPLATE, TEXTAREA, TFOOT, TH, THEAD, TITLE, TR, TRACK, UL, WBR,
    XMP,
]);
/// What "in scope" does not look beyond.
pub(super) const SCOPE: Set = set(&[APPLET, CAPTION, HTML, TABLE, TD, TH, MARQUEE, OBJECT, SELECT, TEMPLATE]);
/// Elements whose start closes a paragraph, and whose end tag closes them where they are in scope.
pub(super) const BLOCKS: Set = set(&[
    ADDRESS, ARTICLE, ASIDE, BLOCKQUOTE, CENTER, DETAILS, DIALOG, DIR, DIV, DL, FIELDSET, FIGCAPTION, FIGURE, FOOTER,
    HEADER, HGROUP, MAIN, MENU, NAV, OL, SEARCH, SECTION, SUMMARY, UL, PRE, LISTING,
]);
pub(super) const HEADINGS: Set = set(&[H1, H2, H3, H4, H5, H6]);
/// Formatting elements: they are opened again behind what closed them by mistake.
pub(super) const FORMATTING: Set = set(&[A, B, BIG, CODE, EM, FONT, I, NOBR, S, SMALL, STRIKE, STRONG, TT, U]);
/// Parts of tables.
pub(super) const TABLE_PARTS: Set = set(&[CAPTION, COL, COLGROUP, TBODY, TD, TFOOT, TH, THEAD, TR, TABLE]);
/// Elements in which text may not stand: it is put before the table.
pub(super) const TABLE_LIKE: Set = set(&[TABLE, TBODY, TFOOT, THEAD, TR]);
/// What an end tag that is missing is put in for.
pub(super) const IMPLIED: Set = set(&[DD, DT, LI, OPTGROUP, OPTION, P, RB, RP, RT, RTC]);
/// Elements that never have content.
pub(super) const VOID: Set = set(&[
    AREA, BASE, BASEFONT, BGSOUND, BR, COL, EMBED, FRAME, HR, IMG, IMAGE, INPUT, KEYGEN, LINK, META, PARAM, SOURCE,
    TRACK, WBR,
]);
/// What says that the page has a body of its own, no frames.
pub(super) const NO_FRAMES: Set = set(&[
    APPLET, AREA, BODY, BR, BUTTON, DD, DT, EMBED, HR, IFRAME, IMG, IMAGE, INPUT, KEYGEN, LI, LISTING, MARQUEE, OBJECT,
    PRE, SELECT, TABLE, TEXTAREA, WBR, XMP,
]);
/// Start tags that lead out of foreign content.
pub(super) const BREAKOUT: Set = set(&[
    B, BIG, BLOCKQUOTE, BODY, BR, CENTER, CODE, DD, DIV, DL, DT, EM, EMBED, H1, H2, H3, H4, H5, H6, HEAD, HR, I, IMG,
    LI, LISTING, MENU, META, NOBR, OL, P, PRE, RUBY, S, SMALL, SPAN, STRONG, STRIKE, SUB, SUP, TABLE, TT, U, UL, VAR,
]);
/// Tags that part what stands before them from what stands behind.
pub(super) const PARTING: Set = set(&[
    P, BR, DIV, TD, TH, TR, TABLE, LI, UL, OL, H1, H2, H3, H4, H5, H6, HR, BLOCKQUOTE, PRE, CENTER, BODY, TITLE,
    OPTION, DD, DT, TEXTAREA, XMP,
]);
