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
        ("<body bgcolor=black><font color=#fff>v</font>w", "vw", ""),
        ("<td style='background-color:rgb(0,0,0);color:white'>v", "v", ""),
        ("<p hidden>v</p>w", "v w", ""),
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

/// An end tag of a link ends none where the standard ignores it, and one that is ended by mistake goes on.
#[test]
fn a_link_ends_where_its_element_does() {
    for page in [
        "<a href=u><table><td></a>shown</table>",
        "<a href=u><table><caption></a>shown</table>",
        "<a href=u><table></a>shown",
        "<a href=u><marquee></a>shown</marquee>",
        "<a href=u><object></a>shown</object>",
        "<a href=u><svg><desc></a>shown</desc></svg></a>",
        "<a href=u><svg><foreignObject></a>shown",
        "<p><a href=u></p>shown</a>",
        "<a href=u><div></div>shown</a>",
        "<a href=u><marquee><a>shown</a></marquee></a>",
        "<a href=u><b><i>shown</b></a></i>",
    ] {
        let shown: Vec<String> = Page::read(page).links.into_iter().map(|link| link.shown).collect();
        assert!(shown.iter().any(|text| text.contains("shown")), "{page}: {shown:?}");
    }
    let blocks = ["<a href=u>", &"<div>".repeat(9), "</a>shown"].concat();
    let forgotten: String = (0..300).map(|n| format!("<b id={n}>")).collect();
    let forgotten = ["<a href=u>", &forgotten, "shown</a>after"].concat();
    for page in [&blocks, &forgotten] {
        assert!(Page::read(page).links[0].shown.contains("shown"), "{page}");
    }
    for page in [
        "<a href=u>shown</a>after",
        "<table><td><a href=u>shown<td>after",
        "<a href=u>shown<a href=v></a>after",
        "<a href=u><div>shown</a>after</div>",
        "<a href=u>shown<svg><a href=v></a></svg></a>after",
    ] {
        assert_eq!(Page::read(page).links[0].shown, "shown", "{page}");
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

/// Each token walks over what is open; a page that is made of such tokens is remembered less of, and its text is shown.
#[test]
fn a_page_that_is_costly_to_follow_hides_nothing() {
    let costly = |tokens: usize| {
        let deep = "<span>".repeat(OPEN_MAX - 6);
        let page = ["<div style='display:none'>", &deep, &"<b></b>".repeat(tokens / 2), "x"].concat();
        let page = Page::read(&page);
        (page.text.trim().to_owned(), page.hidden.trim().to_owned())
    };
    assert_eq!(costly(2_000), (String::new(), "x".to_owned()));
    assert_eq!(costly(20_000), ("x".to_owned(), String::new()));
}

/// A thousand links that show nothing, or a long address, and nobody looked at what comes behind.
#[test]
fn a_link_is_told_of_whatever_stands_before_it() {
    const LINK: &str = "<a href='https://evil.example/'>https://www.bank.example</a>";
    let numbers = |what: &str| -> String { (0..30_000).map(|n| what.replace('#', &n.to_string())).collect() };
    for before in [
        "<a href='x'></a>".repeat(30_000),
        "<a href='x'>x</a>".repeat(30_000),
        numbers("<a href='#'></a>"),
        numbers("<a href='#'>x</a>"),
        numbers("<img src='#'>"),
        numbers("<!--[if mso]><a href='#'>x</a><![endif]-->"),
    ] {
        for html in [[&before, LINK].concat(), [LINK, &before].concat()] {
            let page = Page::read(&html);
            let is_it =
                |link: &&Link| link.target == "https://evil.example/" && link.shown == "https://www.bank.example";
            assert!(page.links.iter().any(|link| is_it(&link)), "{}", &before[..40]);
            assert!(page.links.len() <= LINKS_MAX);
        }
    }
    // An open link keeps its place.
    let page = Page::read(&format!("<a href=u>{}x</a>", numbers("<img src='#'>")));
    let found = page.links.iter().find(|link| link.kind == LinkKind::Anchor).unwrap();
    assert_eq!(
        (found.target.as_str(), found.shown.as_str(), page.is_cut),
        ("u", "x", true)
    );
}

/// A form shows no address but that on its button.
#[test]
fn what_stands_on_a_button_is_shown_for_its_form() {
    let links = |html: &str| -> Vec<(String, String)> {
        let links = Page::read(html).links.into_iter();
        links.map(|link| (link.target, link.shown)).collect()
    };
    let pair = |target: &str, shown: &str| (target.to_owned(), shown.to_owned());
    for html in [
        "<form action=u><button>x</button>y",
        "<form action=u><input type=submit value=x></form>",
        "<form action=u>y<input><button type=submit><b>x</b></form>y",
        "<button formaction=u>x</button>",
        "<form><input type=SUBMIT formaction=u value=x>",
        "<form action=u><button type=reset>z</button><button type=button>z</button><button>x",
        "<form action=u></form><form action=u><!--[if mso]><b>x</b><![endif]--><input type=submit value=x>",
    ] {
        assert_eq!(links(html).pop(), Some(pair("u", "x")), "{html}");
    }
    let both =
        "<form action=u><button>x</button><button>y</button><button formaction=v>z</button></form><button>z</button>";
    assert_eq!(links(both), [pair("u", "x"), pair("u", "y"), pair("v", "z")]);
}

#[test]
fn what_nobody_sees_takes_no_room_of_what_a_link_shows() {
    for nothing in ["&#847; ", "&shy;", "&#8203;&nbsp;", "<br>", "&#xfe0f;", "\u{2060}"] {
        let page = Page::read(&format!("<a href=u>{}https://{0}bank.example</a>", nothing.repeat(500)));
        let shown: String = page.links[0].shown.split_whitespace().collect();
        assert_eq!(shown, "https://bank.example", "{nothing}");
    }
}

/// The host of a long address was cut off.
#[test]
fn the_host_of_an_address_is_never_cut_off() {
    let long = |text: &str| text.repeat(3_000);
    for (address, expected) in [
        (long(" ") + "https://a.example/b", "https://a.example/b".to_owned()),
        (
            format!("https:{}a.example/b", long("/")),
            "https://a.example/b".to_owned(),
        ),
        (
            format!("https:/\\/{}a.example", long("\\")),
            "https:/\\a.example".to_owned(),
        ),
        (format!("{}a.example/b", long("/")), "//a.example/b".to_owned()),
        (
            format!("ht{}tps://a.example", long("\t\n")),
            "https://a.example".to_owned(),
        ),
        (
            format!("https://{}@a.example", long("@b")),
            format!("https://{}@a.example", "@b".repeat(250)),
        ),
        (
            format!("https://{}.example/x", long("a")),
            format!("https://{}.example/x", long("a")),
        ),
        (
            format!("https://a.example/{}", long("b")),
            format!("https://a.example/{}", "b".repeat(1_999)),
        ),
        (
            format!("javascript:{}", long("b")),
            format!("javascript:{}", "b".repeat(1_989)),
        ),
        (format!("/a{}", long("b")), format!("/a{}", "b".repeat(1_998))),
    ] {
        let page = Page::read(&format!("<a href='{address}'>x</a>"));
        assert_eq!(page.links[0].target, expected);
    }
}

#[test]
fn nesting_links_and_tags_are_bounded() {
    let nested = |depth: usize| {
        let page = Page::read(&["<div style='display:none'>".repeat(depth), "x".into()].concat());
        (page.text.trim().to_owned(), page.hidden.trim().to_owned())
    };
    assert_eq!(nested(OPEN_MAX), (String::new(), "x".to_owned()));
    // What is forgotten may have said otherwise.
    assert_eq!(nested(100_000), ("x".to_owned(), String::new()));
    let page = Page::read(&"<a href=x>y</a>".repeat(10_000));
    assert!(page.links.len() <= LINKS_MAX && page.text.len() == 10_000);
    for piece in [
        "<",
        "<!--",
        "<a ",
        "<a b=\"",
        "<a b='\"",
        "</",
        "&",
        "&#",
        "<script>",
        "<!",
        "<p>",
        "</p>",
        "=\"'",
        "<b>",
        "<table>",
        "<td>",
        "</b>",
        "<b><p>",
        "<svg>",
        "<select>",
        "<template>",
        "<!--[if mso]>",
        "<style>",
        "<style>{}",
        "\r\n",
        "<p style='",
        "<i style=a><p>x",
        "<iframe srcdoc='",
        "<object>",
        "<a><td>",
        "<form></form>",
        "<b><div></b>",
    ] {
        Page::read(&piece.repeat(60_000 / piece.len()));
    }
    // Were the end of each comment searched for up to the page's end, this would take until tomorrow.
    assert_eq!(Page::read(&"<!--x".repeat(200_000)).text.trim(), "");
}

proptest! {
    #[test]
    fn what_comes_out_is_no_longer_than_what_went_in(html in proptest::collection::vec(prop_oneof![
        Just("<"), Just(">"), Just("!--"), Just("-->"), Just("a href="), Just("\""), Just("'"), Just("/"), Just("&"),
        Just("#x10ffff;"), Just("amp;"), Just("img alt="), Just("script"), Just("style='display:none'"), Just("ä"),
        Just(" "), Just("p"), Just("="), Just("font color=fff")], 0..60)) {
        let html = html.concat();
        let page = Page::read(&html);
        prop_assert!(page.text.len() + page.hidden.len() <= 3 * html.len() + 2);
        prop_assert!(page.links.iter().all(|link| link.target.len() <= html.len()));
    }
}

/// What a page shows and hides.
fn both(html: &str) -> (String, String) {
    let page = Page::read(html);
    (words(&page.text), words(&page.hidden))
}

const LINK: &str = "<a href=http://203.0.113.9/>https://www.bank.example</a>";

/// Twenty octets hid a whole page from the link check and the content filter: comments that end with `--!>`, comments in
/// what knows none, and tags that were believed to be empty.
#[test]
fn comments_end_where_browsers_end_them() {
    for (before, behind) in [
        ("<!-- --!>", "<!-- -->"),
        ("<!-- x --!><p>pay</p>", "<!-- y -->"),
        ("<!-->", "<!-- -->"),
        ("<!--->", "<!-- -->"),
        ("<!-- <!-- --!>", "-->"),
        ("<title><!--</title>", "<!-- -->"),
        ("<TITLE><!--</TiTLE >", "<!-- -->"),
        ("<textarea><!--</textarea>", "<!-- -->"),
        ("<style><!--</style>", "<!-- -->"),
        ("<xmp><!--</xmp>", "<!-- -->"),
        ("<iframe><!--</iframe>", "<!-- -->"),
        ("<noembed><!--</noembed>", "<!-- -->"),
        ("<noframes><!--</noframes>", "<!-- -->"),
        ("<script><!--</script>", "<!-- -->"),
        ("<script/><!--</script>", "<!-- -->"),
        ("<title/><!--</title>", "<!-- -->"),
        ("<svg><![CDATA[<!--]]></svg>", "<!-- -->"),
        ("<svg><title><![CDATA[<!--]]></title></svg>", "<!-- -->"),
        ("<select><title><!--</title></select>", "<!-- -->"),
        ("<noscript>", "</noscript>"),
        ("<noscript><!-- --></noscript>", ""),
        ("<?x <!-- >", "<!-- -->"),
        ("</ <!-- >", "<!-- -->"),
        ("<a b='<!--'></a>", "<!-- -->"),
    ] {
        let page = Page::read(&format!("{before} {LINK} {behind}"));
        assert!(page.text.contains("https://www.bank.example"), "{before}: {page:?}");
        let found = page.links.iter().any(|link| link.shown == "https://www.bank.example");
        assert!(found, "{before}: {page:?}");
    }
    // In SVG a title knows comments.
    assert_eq!(both("<svg><title><!--</title> x -->y").0, "y");
    assert_eq!(both("<plaintext></plaintext><!-- x -->").0, "</plaintext><!-- x -->");
    assert_eq!(both("<template>x</template>y"), ("y".into(), "x".into()));
    assert_eq!(both("<TITLE>x</TITLE>y"), ("y".into(), "x".into()));
}

#[test]
fn only_foreign_elements_close_themselves() {
    assert_eq!(both("<span style='display:none'/>x</span>y"), ("y".into(), "x".into()));
    assert_eq!(both("<svg><g style='display:none'/>x</svg>y"), ("xy".into(), "".into()));
    assert_eq!(both("<svg><g style='display:none'><p>x"), ("x".into(), "".into()));
}

#[test]
fn what_stands_in_conditional_comments_is_read() {
    for html in [
        "<!--[if mso]><a href=u>shown</a><![endif]-->",
        "<!--[if gte mso 9]><v:roundrect xmlns:v='urn' href=u><center>shown</center></v:roundrect><![endif]-->",
        "<!-- [IF (mso)|(IE)] ><a href=u>shown</a><![endif]-->",
        "<v:rect href=u>shown</v:rect>",
        "<!--[if mso]><a href=u><![endif]-->shown<!--[if mso]></a><![endif]--> more",
        "<!--[if !mso]><!--><a href=u>shown</a><!--<![endif]-->",
        "<![if !mso]><a href=u>shown</a><![endif]>",
        "<a href=u>sh<!--[if mso]>own<![endif]--></a>",
        "<iframe srcdoc='&lt;a href=u>shown&lt;/a>'></iframe>",
        "<noframes><a href=u>shown</a></noframes>",
    ] {
        let page = Page::read(html);
        let found = page
            .links
            .iter()
            .any(|link| link.target == "u" && link.shown == "shown");
        assert!(found, "{html}: {page:?}");
    }
    // What only Outlook shows parts nothing that others show as one.
    let page = Page::read("<a href=u>www.ba<!--[if mso]>x<![endif]-->nk.example</a>");
    assert_eq!(words(&page.text), "www.bank.example x");
    let shown: Vec<_> = page.links.iter().map(|link| link.shown.as_str()).collect();
    assert_eq!(shown, ["www.bank.example", "www.baxnk.example"]);
    // Nor does it hide anything from them, and settings of Office are no text.
    assert_eq!(both("<!--[if mso]><div style='display:none'><![endif]-->x").0, "x");
    assert_eq!(both("<!--[if mso]><xml><o:P>96</o:P></xml><![endif]-->x").0, "x");
    let images = Page::read("<!--[if mso]><v:fill src=u /><v:image src=v /><![endif]-->").links;
    assert!(images.iter().all(|link| link.kind == LinkKind::Image) && images.len() == 2);
}

/// White text on teal was taken for hidden, since of 148 names of colours ten were known and all else was white.
#[test]
fn text_on_a_background_that_is_not_white_for_certain_is_shown() {
    for around in [
        "<table><td bgcolor=teal>",
        "<div style='background:darkblue'>",
        "<div style='background:rgba(0,0,0,1)'>",
        "<div style='background:rgb(0 0 0 / 50%)'>",
        "<div style='background-color:hsl(200,100%,20%)'>",
        "<div style='background:#003366ff'>",
        "<div style='background:#036f'>",
        "<div style='background:url(x) #000'>",
        "<div style='background:linear-gradient(#000, #fff)'>",
        "<div style='background:#fff url(x)'>",
        "<div style='background:#fff;background-image:url(x)'>",
        "<div style='background:var(--x)'>",
        "<style>.b{background:#036}</style><div class=b>",
        "<style>#b{background:#036}</style><p id=B>",
        "<style>@media all{div.b>p{background:#036}}</style><div class=b><p>",
        "<style>[x]{background:#036}</style><p>",
        "<style>*{color:red}</style><font color=white>",
        "<p class=b>",
        "<table background=x><td>",
        "<div bgcolor=black>",
        "<table><col bgcolor=teal><td>",
        "<body bgcolor=teal>",
        "<div style='background:#fff;background:#000'>",
        "<div style='background:#000!important;background:#fff'>",
        "<div style='text-shadow:0 0 #000'>",
        "<div style='background:chucknorris'>",
        "<table><td bgcolor=fff>",
        "<button>",
        "<mark>",
        "<select><option>",
        "<p style='background:teal'><table><td>",
        "<table bgcolor=teal><td></div>",
        "<div style='back\\67round:#000'>",
        "<div style='/**/background:/**/#000'>",
        "<div style='background:#000;}'>",
        "<svg><foreignObject>",
        "<div style='position:absolute;background:#000'></div>",
        "<link rel=stylesheet href=x>",
    ] {
        let late = "<style>.b{background:#036}</style>";
        let html = format!(
            "{around}<span style='color:#fff'>x</span>{}",
            if around.contains("<p class") { late } else { "" }
        );
        assert_eq!(both(&html).0, "x", "{html}");
    }
    assert_eq!(both("<span style='color:#fff'>x</span><body bgcolor=teal>").0, "x");
    assert_eq!(both("<div style='color:#fff'><a href=u>x</a></div>").0, "x");
}

#[test]
fn text_of_the_colour_that_is_behind_it_is_hidden() {
    for html in [
        "<font color=white>x",
        "<span style='color:#ffffffff'>x",
        "<span style='color:hsl(0, 0%, 100%)'>x",
        "<span style='color:rgb(100% 100% 100% / 1)'>x",
        "<table><td bgcolor=teal><font color=#008081>x",
        "<div style='background:RebeccaPurple none no-repeat;color:#639'>x",
        "<p style='color:transparent'>x",
        "<body bgcolor=#fefefe><font color=white>x",
        "<body style='background:white;color:#222'><font color=white>x",
        "<div style='background:#fff;color:#fff'>x",
        "<style>.b{background:#036}</style><p style='color:#fff'>x",
        "<style>p{margin:0}</style><p style='color:#fff'>x",
        "<div style='background:transparent;color:#fefefe'>x",
        "<a href=u style='color:#fff'>x</a>",
        "<span style='colo\\72:white'>x",
        "<p><font color=white>a</p><p>x",
    ] {
        assert!(both(html).1.ends_with('x'), "{html}: {:?}", both(html));
    }
}

/// The first word on `display` was believed, and nothing that an inner element said of itself.
#[test]
fn the_declaration_that_holds_decides() {
    let cases: [(&str, bool); 46] = [
        ("display:none;display:block", true),
        ("display:block;display:none", false),
        ("display:inline!important;display:none", true),
        ("display:none!important;display:block", false),
        ("display:none ! IMPORTANT;display:block", false),
        ("display:block!x;display:none", false),
        ("DISPLAY : None", false),
        ("display/**/:none", false),
        ("disp/**/lay:none", true),
        ("d\\69splay:none", false),
        ("display:none;d\\69 splay:block", true),
        ("/*;display:none", true),
        ("display:none/*", false),
        ("x:(;display:none", true),
        ("x{;display:none", true),
        ("background:url(a'b);display:none;display:block", true),
        ("content:';display:none", true),
        ("content:';';display:none", false),
        ("opacity:0;opacity:1", true),
        ("opacity:0.0", false),
        ("opacity:0%", false),
        ("opacity:.5", true),
        ("visibility:hidden;visibility:visible", true),
        ("visibility:collapse", false),
        ("font-size:0;font-size:12px", true),
        ("font-size:0", false),
        ("font-size:0;font:12px Arial", true),
        ("font-size:1px", false),
        ("mso-hide:all", true),
        ("height:0px", true),
        ("max-height:0;overflow:hidden", false),
        ("max-height:0;overflow:hidden;overflow:visible", true),
        ("height:0;overflow:hidden;padding:20px", true),
        ("height:0;overflow:hidden;min-height:20px", true),
        ("display:inline;max-height:0;overflow:hidden", true),
        ("all:initial;display:none", true),
        ("display:none;animation:x 1s", true),
        ("color:white;color:black", true),
        ("color:black;color:white", false),
        ("color:white;color:inherit", true),
        ("color:white;-webkit-text-fill-color:#000", true),
        ("color:ffffff", true),
        ("color:white;zoom:2", true),
        ("color:white;margin-top:-9px", true),
        ("color:white;margin-top:9px", false),
        ("display:none;color", false),
    ];
    for (style, is_shown) in cases {
        let html = format!("<div style=\"{}\">x</div>", style.replace("\\\\", "\\"));
        assert_eq!(both(&html).0 == "x", is_shown, "{html}");
    }
}

#[test]
fn inner_elements_show_what_only_visibility_or_size_hid() {
    for (html, is_shown) in [
        ("<p style='visibility:hidden'><b style='visibility:visible'>x", true),
        ("<p style='visibility:hidden'><b>x", false),
        ("<p style='opacity:0'><b style='opacity:1'>x", false),
        ("<p style='display:none'><b style='display:block'>x", false),
        ("<p style='font-size:0'><b style='font-size:12px'>x", true),
        ("<p style='font-size:0'><font size=3>x", true),
        ("<p style='display:none;font-size:0'><b style='font-size:12px'>x", false),
        ("<p style='max-height:0;overflow:hidden'><b>x", false),
        (
            "<p style='max-height:0;overflow:hidden'><b style='position:absolute'>x",
            true,
        ),
        ("<p hidden>x", true),
        ("<p hidden style='display:none'>x", false),
        ("<p hidden style='display:inline'>x", true),
        ("<p hidden=until-found>x", true),
        ("<style>p{display:block}</style><p hidden>x", true),
        (
            "<style>.b{display:block!important}</style><p class=b style='display:none'>x",
            true,
        ),
        (
            "<style>.b{display:block}</style><p class=b style='display:none'>x",
            false,
        ),
        ("<style>@import 'x';</style><p style='display:none'>x", true),
        ("<p style='display:none'>y<div>x", true),
        ("<p style='display:none'><b>y</p>x", true),
        ("<table style='display:none'><td>y</td>x", true),
        ("<table style='display:none'><td>x", false),
        ("<tr style='display:none'>x", true),
        ("<head style='display:none'>x", true),
        ("<li style='display:none'>y<li>x", true),
        ("<a style='display:none'><span>y<a>x", true),
        ("<b style='display:none'><div>y</b>x", true),
        ("<div style='display:none'><b></div>x", true),
        ("<div style='display:none'><table></div><td>x", false),
        ("<form><form style='display:none'>x", true),
        ("<select><div style='display:none'>x", true),
        ("<noscript style='display:none'>x", true),
        ("<p style='display:none' style='display:block'>x", false),
        ("<p style='display:block' style='display:none'>x", true),
    ] {
        assert_eq!(both(html).0 == "x", is_shown, "{html}: {:?}", both(html));
    }
}

/// Webmails drop what `<html>` and `<body>` say of themselves, and some drop `hidden`: their users saw the page.
#[test]
fn what_webmails_drop_hides_nothing() {
    for html in [
        "<html hidden><body>x",
        "<html style='display:none'><body>x",
        "<html style='visibility:hidden'>x",
        "<html style='font-size:0'>x",
        "<body hidden>x",
        "<body style='display:none'>x",
        "<body style='opacity:0'><p>x",
        "<body style='height:0;overflow:hidden'>x",
        "<body text=white>x",
        "<body style='color:transparent'>x",
        "<body bgcolor=black>x",
        "<body bgcolor=navy><font color=navy>x",
        "<div hidden>x</div>",
        "<noscript hidden>x</noscript>",
        "x<body style='display:none'>",
    ] {
        assert_eq!(both(html), ("x".to_owned(), String::new()), "{html}");
    }
}

#[test]
fn every_way_to_lead_somewhere_is_told_of() {
    for html in [
        "<svg><a xlink:href=u>x</a>",
        "<svg><a href=u>x</a>",
        "<math href=u>x</math>",
        "<map><area href=u></map>",
        "<object data=u></object>",
        "<embed src=u>",
        "<input type=image src=u>",
        "<template><a href=u></a></template>",
        "<a a1 a2 a3 a4 a5 a6 a7 a8 a9 b1 b2 b3 b4 b5 b6 b7 b8 b9 c1 c2 c3 c4 c5 c6 c7 c8 c9 href=u href=v>",
        "<meta http-equiv=' refresh' content=\"5 ; URL = 'u' x\">",
        "<meta http-equiv=refresh content='0,u'>",
        "<a/href=u>",
        "<a\nhref\n=\nu\n>",
        "<select><a href=u>x",
        "<A HREF=&#117;>",
    ] {
        let page = Page::read(html);
        assert_eq!(page.links.first().map(|link| link.target.as_str()), Some("u"), "{html}");
        assert!(page.links.iter().all(|link| link.target == "u"), "{html}");
    }
    // A link does not reach out of its cell, but goes on behind a paragraph.
    let shown = |html: &str| Page::read(html).links.remove(0).shown;
    assert_eq!(shown("<table><td><a href=u>a<td>b</a>"), "a");
    assert_eq!(shown("<p><a href=u>a</p>b</a>c"), "a\nb");
}
