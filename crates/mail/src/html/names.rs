//! Names of tags as numbers, and the sets of them that tree construction speaks of (WHATWG HTML §13.2.4.2, §13.2.6).

/// The lower-case name of a tag. Names of up to sixteen letters are told apart for certain; no longer one means anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Name(u128);

impl Name {
    pub const fn new(text: &[u8]) -> Name {
        let mut packed = 0_u128;
        let mut rest = text;
        while let [first, behind @ ..] = rest {
            packed = packed.rotate_left(8) ^ *first as u128;
            rest = behind;
        }
        // 0xff stands nowhere in UTF-8, so no long name is ever taken for a short one.
        if text.len() > 16 {
            packed |= 0xff << 120;
        }
        Name(packed)
    }

    pub fn is_in(self, set: &[Name]) -> bool {
        set.contains(&self)
    }
}

macro_rules! names {
    ($($constant:ident $text:literal)*) => {
        $(pub(super) const $constant: Name = Name::new($text.as_bytes());)*
    };
}

names! {
    A "a" ADDRESS "address" ANNOTATION_XML "annotation-xml" APPLET "applet" AREA "area" ARTICLE "article" ASIDE "aside"
    B "b" BASE "base" BASEFONT "basefont" BGSOUND "bgsound" BIG "big" BLOCKQUOTE "blockquote" BODY "body" BR "br"
    BUTTON "button" CAPTION "caption" CENTER "center" CODE "code" COL "col" COLGROUP "colgroup" DD "dd" DESC "desc"
    DETAILS "details" DIALOG "dialog" DIR "dir" DIV "div" DL "dl" DT "dt" EM "em" EMBED "embed" FIELDSET "fieldset"
    FIGCAPTION "figcaption" FIGURE "figure" FONT "font" FOOTER "footer" FOREIGN_OBJECT "foreignobject" FORM "form"
    FRAME "frame" FRAMESET "frameset" H1 "h1" H2 "h2" H3 "h3" H4 "h4" H5 "h5" H6 "h6" HEAD "head" HEADER "header"
    HGROUP "hgroup" HR "hr" HTML "html" I "i" IFRAME "iframe" IMAGE "image" IMG "img" INPUT "input" KEYGEN "keygen"
    LI "li" LINK "link" LISTING "listing" MAIN "main" MALIGNMARK "malignmark" MARK "mark" MARQUEE "marquee" MATH "math"
    MENU "menu" META "meta" METER "meter" MGLYPH "mglyph" MI "mi" MN "mn" MO "mo" MS "ms" MTEXT "mtext" NAV "nav"
    NOBR "nobr" NOEMBED "noembed" NOFRAMES "noframes" NOSCRIPT "noscript" OBJECT "object" OL "ol" OPTGROUP "optgroup"
    OPTION "option" P "p" PARAM "param" PLAINTEXT "plaintext" PRE "pre" PROGRESS "progress" RB "rb" RP "rp" RT "rt"
    RTC "rtc" RUBY "ruby" S "s" SCRIPT "script" SEARCH "search" SECTION "section" SELECT "select" SMALL "small"
    SOURCE "source" SPAN "span" STRIKE "strike" STRONG "strong" STYLE "style" SUB "sub" SUMMARY "summary" SUP "sup"
    SVG "svg" TABLE "table" TBODY "tbody" TD "td" TEMPLATE "template" TEXTAREA "textarea" TFOOT "tfoot" TH "th"
    THEAD "thead" TITLE "title" TR "tr" TRACK "track" TT "tt" U "u" UL "ul" VAR "var" WBR "wbr" XML "xml" XMP "xmp"
}

/// "Special" elements of HTML: formatting elements do not reach across them, nor do unknown end tags.
pub(super) const SPECIAL: [Name; 83] = [
    ADDRESS, APPLET, AREA, ARTICLE, ASIDE, BASE, BASEFONT, BGSOUND, BLOCKQUOTE, BODY, BR, BUTTON, CAPTION, CENTER, COL,
    COLGROUP, DD, DETAILS, DIR, DIV, DL, DT, EMBED, FIELDSET, FIGCAPTION, FIGURE, FOOTER, FORM, FRAME, FRAMESET, H1,
    H2, H3, H4, H5, H6, HEAD, HEADER, HGROUP, HR, HTML, IFRAME, IMG, INPUT, KEYGEN, LI, LINK, LISTING, MAIN, MARQUEE,
    MENU, META, NAV, NOEMBED, NOFRAMES, NOSCRIPT, OBJECT, OL, P, PARAM, PLAINTEXT, PRE, SCRIPT, SEARCH, SECTION,
    SELECT, SOURCE, STYLE, SUMMARY, TABLE, TBODY, TD, TEMPLATE, TEXTAREA, TFOOT, TH, THEAD, TITLE, TR, TRACK, UL, WBR,
    XMP,
];
/// What "in scope" does not look beyond.
pub(super) const SCOPE: [Name; 10] = [APPLET, CAPTION, HTML, TABLE, TD, TH, MARQUEE, OBJECT, SELECT, TEMPLATE];
/// Elements whose start closes a paragraph, and whose end tag closes them where they are in scope.
pub(super) const BLOCKS: [Name; 26] = [
    ADDRESS, ARTICLE, ASIDE, BLOCKQUOTE, CENTER, DETAILS, DIALOG, DIR, DIV, DL, FIELDSET, FIGCAPTION, FIGURE, FOOTER,
    HEADER, HGROUP, MAIN, MENU, NAV, OL, SEARCH, SECTION, SUMMARY, UL, PRE, LISTING,
];
pub(super) const HEADINGS: [Name; 6] = [H1, H2, H3, H4, H5, H6];
/// Formatting elements: they are opened again behind what closed them by mistake.
pub(super) const FORMATTING: [Name; 14] = [A, B, BIG, CODE, EM, FONT, I, NOBR, S, SMALL, STRIKE, STRONG, TT, U];
/// Parts of tables.
pub(super) const TABLE_PARTS: [Name; 10] = [CAPTION, COL, COLGROUP, TBODY, TD, TFOOT, TH, THEAD, TR, TABLE];
/// Elements in which text may not stand: it is put before the table.
pub(super) const TABLE_LIKE: [Name; 5] = [TABLE, TBODY, TFOOT, THEAD, TR];
/// What an end tag that is missing is put in for.
pub(super) const IMPLIED: [Name; 10] = [DD, DT, LI, OPTGROUP, OPTION, P, RB, RP, RT, RTC];
/// Elements that never have content.
pub(super) const VOID: [Name; 19] = [
    AREA, BASE, BASEFONT, BGSOUND, BR, COL, EMBED, FRAME, HR, IMG, IMAGE, INPUT, KEYGEN, LINK, META, PARAM, SOURCE,
    TRACK, WBR,
];
/// What says that the page has a body of its own, no frames.
pub(super) const NO_FRAMES: [Name; 24] = [
    APPLET, AREA, BODY, BR, BUTTON, DD, DT, EMBED, HR, IFRAME, IMG, IMAGE, INPUT, KEYGEN, LI, LISTING, MARQUEE, OBJECT,
    PRE, SELECT, TABLE, TEXTAREA, WBR, XMP,
];
/// Start tags that lead out of foreign content.
pub(super) const BREAKOUT: [Name; 44] = [
    B, BIG, BLOCKQUOTE, BODY, BR, CENTER, CODE, DD, DIV, DL, DT, EM, EMBED, H1, H2, H3, H4, H5, H6, HEAD, HR, I, IMG,
    LI, LISTING, MENU, META, NOBR, OL, P, PRE, RUBY, S, SMALL, SPAN, STRONG, STRIKE, SUB, SUP, TABLE, TT, U, UL, VAR,
];
/// Tags that part what stands before them from what stands behind.
pub(super) const PARTING: [Name; 27] = [
    P, BR, DIV, TD, TH, TR, TABLE, LI, UL, OL, H1, H2, H3, H4, H5, H6, HR, BLOCKQUOTE, PRE, CENTER, BODY, TITLE,
    OPTION, DD, DT, TEXTAREA, XMP,
];
