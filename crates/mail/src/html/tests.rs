//! Pages as mail has them.

use super::*;
use proptest::prelude::*;

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_is_shown_and_what_is_hidden() {
    for (html, shown, hidden) in [
        ("<p>Hello <b>you</b></p><p>there", "Hello you there", ""),
        ("V<b></b>iag<!-- x -->ra", "Viagra", ""),
        ("a<br>b<td>c", "a b c", ""),
        ("&lt;&amp;&#97;&#x62;&nbsp;&eacute;&unknown; &", "<&ab é&unknown; &", ""),
        ("1 < 2 <", "1 < 2 <", ""),
        ("<img alt='a picture'>", "a picture", ""),
        ("<script>if (a</b>) {}</script>x<style>p{}</style>y", "xy", ""),
        ("<title>t</title>x", "x", "t"),
        ("<div style='display: none !important'>h<p>i</p></div>v", "v", "h i"),
        ("<span style=\"font-size:0px\">h</span>v", "v", "h"),
        (
            "<table style='font-size:0'><td style='font-size:14px'>v</table>",
            "v",
            "",
        ),
        ("<font color=white>h</font>v", "v", "h"),
        ("<font color='#FEFEFE'>h</font>v", "v", "h"),
        ("<body bgcolor=black><font color=#fff>v</font>h", "v", "h"),
        ("<td style='background-color:rgb(0,0,0);color:white'>v", "v", ""),
        ("<p hidden>h</p>v", "v", "h"),
        ("<a title=\"x > y\">v</a>", "v", ""),
        ("<!-- never ends > v", "v", ""),
        ("<!--> v", "v", ""),
        ("</ x> v</p>", "v", ""),
        ("<p", "", ""),
    ] {
        let page = Page::read(html);
        assert_eq!(
            (words(&page.text), words(&page.hidden)),
            (shown.into(), hidden.into()),
            "{html}"
        );
    }
}

#[test]
fn links_are_told_with_what_they_show() {
    let html = "<a HREF = 'http://a.example/?x=1&amp;y=2'> www.b.example </a><a href=c><b>d</b><a href=e>f\
        <img src=g><form action=h><iframe src=\"i\"></iframe><a name=j>";
    let found: Vec<_> = Page::read(html)
        .links
        .into_iter()
        .map(|link| (link.kind, link.target, link.shown))
        .collect();
    let expected = [
        (LinkKind::Anchor, "http://a.example/?x=1&y=2", "www.b.example"),
        (LinkKind::Anchor, "c", "d"),
        (LinkKind::Anchor, "e", "f"),
        (LinkKind::Image, "g", ""),
        (LinkKind::Form, "h", ""),
        (LinkKind::Other, "i", ""),
    ];
    assert_eq!(
        found,
        expected.map(|(kind, target, shown)| (kind, target.to_owned(), shown.to_owned()))
    );
}

#[test]
fn what_a_page_does_by_itself_and_asks_for() {
    let page =
        Page::read("<base href=http://a.example/><meta HTTP-EQUIV=Refresh content=\"0; URL='http://b.example/'\">");
    assert_eq!(page.base.as_deref(), Some("http://a.example/"));
    assert_eq!(
        page.links.last().map(|link| link.target.as_str()),
        Some("http://b.example/")
    );
    for (html, asks) in [
        ("<input name=x type=PassWord>", true),
        ("<input type='text' name=password>", false),
        ("<p type=password>", false),
    ] {
        assert_eq!(Page::read(html).asks_password, asks, "{html}");
    }
    let page = Page::read("<button formaction=http://c.example>ok</button><meta content='0;url=x'>");
    assert_eq!(page.links.len(), 1);
    assert_eq!(page.links[0].kind, LinkKind::Form);
    // Names that only hide what an address is.
    let page = Page::read("<a href='java&Tab;script&colon;x&#0000000000000000047;'>y</a>");
    assert_eq!(page.links[0].target, "java\tscript:x/");
    assert_eq!(Page::read("&#106ava&#x73;&#x73Q&#;").text, "javassQ&#;");
}

#[test]
fn nesting_links_and_tags_are_bounded() {
    let page = Page::read(&["<div style='display:none'>".repeat(100_000), "x".into()].concat());
    assert_eq!((page.text.trim(), page.hidden.trim()), ("", "x"));
    let page = Page::read(&"<a href=x>y</a>".repeat(10_000));
    assert_eq!((page.links.len(), page.text.len()), (LINKS_MAX, 10_000));
    for piece in [
        "<", "<!--", "<a ", "<a b=\"", "<a b='\"", "</", "&", "&#", "<script>", "<!", "<p>", "</p>", "=\"'",
    ] {
        Page::read(&piece.repeat(250_000 / piece.len()));
    }
    // Were the end of each comment searched for up to the page's end, this would take until tomorrow.
    assert_eq!(Page::read(&"<!--x".repeat(2_000_000)).text.len(), 6_000_000);
}

proptest! {
    #[test]
    fn what_comes_out_is_no_longer_than_what_went_in(html in proptest::collection::vec(prop_oneof![
        Just("<"), Just(">"), Just("!--"), Just("-->"), Just("a href="), Just("\""), Just("'"), Just("/"), Just("&"),
        Just("#x10ffff;"), Just("amp;"), Just("img alt="), Just("script"), Just("style='display:none'"), Just("ä"),
        Just(" "), Just("p"), Just("="), Just("font color=fff")], 0..60)) {
        let html = html.concat();
        let page = Page::read(&html);
        prop_assert!(page.text.len() + page.hidden.len() <= 2 * html.len() + 2);
        prop_assert!(page.links.iter().all(|link| link.target.len() <= html.len()));
    }
}
