//! What a page shows, held against the tree that html5ever makes of it with scripts off: whatever that tree shows is
//! shown, and every place that it leads to is told of. More may be: programs differ.

use html5ever::tendril::TendrilSink;
use html5ever::tree_builder::TreeBuilderOpts;
use html5ever::{ParseOpts, parse_document};
use mail::html::{LINKS_MAX, Page, shorten};
use markup5ever_rcdom::{Handle, NodeData, RcDom};
use std::collections::{BTreeMap, BTreeSet};

/// Of a longer target less is told, but never less than its host.
const TARGET_OCTETS_MAX: usize = 2_000;

/// What tests of trees are made of, so that not only octets but also tags are mixed.
const PIECES: [&str; 96] = [
    "x",
    "y ",
    " ",
    "\0",
    "&amp;",
    "&lt",
    "<p>",
    "</p>",
    "<div>",
    "</div>",
    "<b>",
    "</b>",
    "<i>",
    "</i>",
    "<a href=a>",
    "<a href=b>",
    "</a>",
    "<nobr>",
    "</nobr>",
    "<span>",
    "</span>",
    "<font color=red>",
    "</font>",
    "<table>",
    "</table>",
    "<tr>",
    "</tr>",
    "<td>",
    "</td>",
    "<th>",
    "<tbody>",
    "</tbody>",
    "<caption>",
    "</caption>",
    "<colgroup>",
    "<col>",
    "<select>",
    "</select>",
    "<option>",
    "</option>",
    "<optgroup>",
    "<textarea>",
    "</textarea>",
    "<title>",
    "</title>",
    "<style>",
    "</style>",
    "<script>",
    "</script>",
    "<xmp>",
    "</xmp>",
    "<noscript>",
    "</noscript>",
    "<noframes>",
    "</noframes>",
    "<template>",
    "</template>",
    "<svg>",
    "</svg>",
    "<math>",
    "</math>",
    "<mi>",
    "<desc>",
    "<foreignObject>",
    "</foreignObject>",
    "<annotation-xml encoding=text/html>",
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "--!>",
    "<!--[if mso]>",
    "<![endif]-->",
    "<br/>",
    "</br>",
    "<form action=f>",
    "</form>",
    "<input>",
    "<button>",
    "</button>",
    "<li>",
    "</li>",
    "<ul>",
    "</ul>",
    "<h1>",
    "</h2>",
    "<object>",
    "</object>",
    "<body>",
    "<frameset>",
    "<div style=display:none>",
    "<p style=display:none>",
    "<b style=display:none>",
    "<td style=display:none>",
    "<table style=display:none>",
    "<div/ style='DISPLAY : none'>",
];

/// The octets as a page, and as the numbers of pieces of one.
pub fn page(octets: &[u8]) {
    beside_tree(&String::from_utf8_lossy(octets));
    let pieces = octets
        .iter()
        .take(400)
        .map(|at| PIECES[usize::from(*at) % PIECES.len()]);
    beside_tree(&pieces.collect::<String>());
}

fn beside_tree(html: &str) {
    let page = Page::read(html);
    // U+0000 becomes a character of three octets, and a page with a select may be told of in two readings.
    assert!(page.text.len() + page.hidden.len() <= 6 * html.len() + 2, "{html}");
    assert!(page.links.len() <= LINKS_MAX);
    assert!(page.links.iter().all(|link| link.target.len() <= 3 * html.len()));

    // `</p>` and the like lead html5ever out of an annotation that holds a page, against the standard; then `<![CDATA[`
    // is a comment to it.
    if html.contains("annotation-xml") && html.contains("[CDATA[") {
        return;
    }
    let tree = Shown::of(html);
    let counts = |text: &str| {
        let mut counts: BTreeMap<char, usize> = BTreeMap::new();
        for c in text.chars().filter(|c| !c.is_whitespace()) {
            *counts.entry(c).or_default() += 1;
        }
        counts
    };
    let ours = counts(&page.text);
    for (c, count) in counts(&tree.text) {
        let found = ours.get(&c).copied().unwrap_or_default();
        assert!(
            found >= count,
            "{c:?} is shown {count} times, told {found} times\n{html}\n{page:#?}"
        );
    }
    if page.links.len() < LINKS_MAX {
        let told: BTreeSet<&str> = page.links.iter().map(|link| link.target.as_str()).collect();
        for target in &tree.targets {
            let target = shorten(target, TARGET_OCTETS_MAX);
            assert!(told.contains(&*target), "nothing leads to {target:?}\n{html}");
        }
    }
}

/// What a tree shows.
#[derive(Default)]
struct Shown {
    text: String,
    targets: BTreeSet<String>,
}

impl Shown {
    fn of(html: &str) -> Shown {
        let options = ParseOpts {
            tree_builder: TreeBuilderOpts {
                scripting_enabled: false,
                ..TreeBuilderOpts::default()
            },
            ..ParseOpts::default()
        };
        // As programs show it that put it into a page of their own. Without a document type, a table that begins in a
        // paragraph would not end it, and a link with it; that is all the difference there is.
        let html = ["<!doctype html>", html].concat();
        let dom = parse_document(RcDom::default(), options).one(html.as_str());
        let mut shown = Shown::default();
        let mut open: Vec<(Handle, bool)> = vec![(dom.document.clone(), true)];
        while let Some((node, is_seen)) = open.pop() {
            let is_seen = match &node.data {
                NodeData::Text { contents } if is_seen => {
                    shown.text.push_str(&contents.borrow());
                    continue;
                }
                NodeData::Element { .. } => shown.element(&node, is_seen),
                _ => is_seen,
            };
            open.extend(node.children.borrow().iter().map(|child| (child.clone(), is_seen)));
        }
        shown
    }

    /// Notes where an element leads. Whether what is in it is seen for certain: any other style than `display` may hide.
    fn element(&mut self, node: &Handle, is_seen: bool) -> bool {
        let NodeData::Element { name, attrs, .. } = &node.data else {
            return is_seen;
        };
        let attributes: BTreeMap<String, String> = attrs
            .borrow()
            .iter()
            .map(|attribute| (attribute.name.local.to_string(), attribute.value.to_string()))
            .collect();
        let tag = name.local.to_string();
        let is_html = name.ns == *"http://www.w3.org/1999/xhtml";
        let wanted = match tag.as_str() {
            "a" | "area" if is_html => "href",
            "a" => "href",
            "form" if is_html => "action",
            "img" | "iframe" | "script" | "embed" if is_html => "src",
            "link" | "base" if is_html => "href",
            _ => "",
        };
        self.targets.extend(attributes.get(wanted).cloned());
        let is_plain = |style: &str| {
            let parts = style.split(';').filter(|part| !part.trim().is_empty());
            let mut displays = parts.map(|part| part.split_once(':').unwrap_or((part, "")));
            displays.all(|(name, value)| name.trim() == "display" && matches!(value.trim(), "block" | "inline"))
        };
        let is_left_out = matches!(tag.as_str(), "script" | "style")
            || is_html && matches!(tag.as_str(), "title" | "iframe" | "noembed" | "noframes" | "template");
        let is_coloured = ["bgcolor", "background", "text", "color"]
            .iter()
            .any(|name| attributes.get(*name).is_some_and(|value| value != "red"));
        is_seen && !is_left_out && !is_coloured && attributes.get("style").is_none_or(|style| is_plain(style))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_shows_what_a_browser_shows() {
        let shown =
            Shown::of("<title>t</title><p style=display:none>n<p hidden>h<div style='display:block'>v<a href=u>w");
        assert_eq!(shown.text.chars().filter(|c| !c.is_whitespace()).count(), 3);
        assert_eq!(shown.targets.into_iter().collect::<Vec<_>>(), ["u"]);
    }
}
