//! Markdown that a stranger wrote, as HTML that can do no harm.
//!
//! Raw HTML is shown as text. Links lead to http and https alone. Images are links: a page of ours loads
//! nothing from elsewhere. Headings begin at the third level, below those of the page.
use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

/// How deep quotes, lists and emphasis may lie in each other; what is deeper is shown on this level.
const DEPTH: usize = 24;

/// The text as HTML. It has no style, script, image or id of its own.
pub(in crate::web) fn render(markdown: &str) -> String {
    let text: String = markdown.chars().map(plain).collect();
    let parser = Parser::new_ext(&text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH);
    let mut filter = Filter::default();
    let mut out = String::with_capacity(text.len() * 2);
    html::push_html(&mut out, parser.filter_map(|event| filter.event(event)));
    out
}

/// Characters that move or hide others are shown as what they are: unreadable.
fn plain(c: char) -> char {
    match c {
        '\n' | '\t' => c,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() && c != '\r' => '\u{fffd}',
        c => c,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Open {
    /// Written as it came.
    Plain,
    /// A link of ours, to be closed by us.
    Link,
    /// Left out; what it holds is written.
    Dropped,
}

/// What is open, so that each end is treated as its start was.
#[derive(Default)]
struct Filter {
    open: Vec<Open>,
    /// How many of them are written.
    depth: usize,
    /// One of them is a link.
    in_link: bool,
}

impl Filter {
    fn event<'a>(&mut self, event: Event<'a>) -> Option<Event<'a>> {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(end) => self.end(end),
            Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(text)),
            Event::FootnoteReference(text) => Some(Event::Text(text)),
            event => Some(event),
        }
    }

    fn start<'a>(&mut self, tag: Tag<'a>) -> Option<Event<'a>> {
        let (open, event) = match tag {
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => self.link(&dest_url),
            // A part of a table or list without its whole is no HTML; these can't be nested by themselves.
            tag @ (Tag::TableHead | Tag::TableRow | Tag::TableCell | Tag::Paragraph) => {
                (Open::Plain, Some(Event::Start(tag)))
            }
            _ if self.depth >= DEPTH => (Open::Dropped, None),
            Tag::Heading { level, .. } => {
                let level = lower(level);
                (
                    Open::Plain,
                    Some(Event::Start(Tag::Heading { level, id: None, classes: Vec::new(), attrs: Vec::new() })),
                )
            }
            // Columns would be aligned by a style attribute, which the policy of the page refuses.
            Tag::Table(columns) => {
                let plain = vec![pulldown_cmark::Alignment::None; columns.len()];
                (Open::Plain, Some(Event::Start(Tag::Table(plain))))
            }
            Tag::HtmlBlock => (Open::Plain, Some(Event::Start(Tag::Paragraph))),
            tag => (Open::Plain, Some(Event::Start(tag))),
        };
        self.depth += usize::from(open == Open::Plain);
        self.in_link |= open == Open::Link;
        self.open.push(open);
        event
    }

    fn link<'a>(&self, target: &str) -> (Open, Option<Event<'a>>) {
        let known = url::Url::parse(target).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let Some(url) = known.filter(|_| !self.in_link) else { return (Open::Dropped, None) };
        let tag = format!("<a href=\"{}\" rel=\"noopener nofollow\">", escaped(url.as_str()));
        (Open::Link, Some(Event::InlineHtml(CowStr::from(tag))))
    }

    fn end<'a>(&mut self, end: TagEnd) -> Option<Event<'a>> {
        match self.open.pop()? {
            Open::Dropped => None,
            Open::Link => {
                self.in_link = false;
                Some(Event::InlineHtml(CowStr::from("</a>")))
            }
            Open::Plain => {
                self.depth -= 1;
                Some(Event::End(match end {
                    TagEnd::Heading(level) => TagEnd::Heading(lower(level)),
                    TagEnd::HtmlBlock => TagEnd::Paragraph,
                    end => end,
                }))
            }
        }
    }
}

fn lower(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H3,
        HeadingLevel::H2 => HeadingLevel::H4,
        HeadingLevel::H3 => HeadingLevel::H5,
        _ => HeadingLevel::H6,
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('\'', "&#39;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_markdown_looks_as_meant() {
        let html =
            render("# Coverage\n\n**81 %**, see [the report](https://cov.example.com/a?b=1&c=2).\n\n- `a`\n- b\n");
        assert_eq!(
            html,
            "<h3>Coverage</h3>\n<p><strong>81 %</strong>, see <a href=\"https://cov.example.com/a?b=1&amp;c=2\" \
             rel=\"noopener nofollow\">the report</a>.</p>\n<ul>\n<li><code>a</code></li>\n<li>b</li>\n</ul>\n"
        );
    }

    #[test]
    fn a_table_has_no_style() {
        let html = render("|a|b|\n|:-|-:|\n|1|2|\n");
        assert!(html.contains("<td>1</td>") && !html.contains("style"), "{html}");
    }

    #[test]
    fn raw_html_is_text() {
        for raw in ["<script>alert(1)</script>", "a <img src=x onerror=alert(1)> b", "<div\nonclick=x>\n\ny</div>"] {
            let html = render(raw);
            assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("<div"), "{html}");
            assert!(html.contains("&lt;"), "{html}");
        }
    }

    #[test]
    fn only_web_addresses_are_links() {
        for bad in [
            "[x](javascript:alert(1))",
            "[x](JaVaScRiPt:alert(1))",
            "[x](java\tscript:alert(1))",
            "[x](data:text/html,hi)",
            "[x](/logout)",
            "[x](//evil.example.com)",
            "<javascript:alert(1)>",
            "[x]: vbscript:x\n\n[x]",
        ] {
            assert!(!render(bad).contains("<a"), "{bad} {}", render(bad));
        }
        assert!(render("<https://example.com/\">").starts_with("<p><a href=\"https://example.com/%22\" rel="));
    }

    #[test]
    fn an_image_is_a_link_and_loads_nothing() {
        let html = render("![chart](https://example.com/c.png)");
        assert!(html.contains("<a href=\"https://example.com/c.png\" rel=\"noopener nofollow\">chart</a>"), "{html}");
        let badge = render("[![badge](https://example.com/b.svg)](https://example.com/)");
        assert_eq!(badge.matches("<a ").count(), 1, "{badge}");
    }

    #[test]
    fn deep_nesting_ends_somewhere() {
        let html = render(&">".repeat(60_000));
        assert!(html.matches("<blockquote>").count() <= DEPTH, "{}", html.len());
        let mixed = render(&"> - ".repeat(5_000));
        assert!(mixed.matches("<ul>").count() + mixed.matches("<li>").count() <= DEPTH);
    }

    #[test]
    fn characters_that_turn_the_line_are_shown() {
        assert!(render("a\u{202e}b").contains("a\u{fffd}b"));
    }

    /// The tags that may be on a page, without attributes but those of our links and of code.
    fn is_known(tag: &str) -> bool {
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        let names = [
            "p",
            "strong",
            "em",
            "del",
            "code",
            "pre",
            "ul",
            "ol",
            "li",
            "h3",
            "h4",
            "h5",
            "h6",
            "blockquote",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "hr",
            "br",
            "a",
        ];
        let rest = tag.trim_start_matches('/').strip_prefix(name).unwrap();
        let plain = rest.is_empty() || rest == " /";
        names.contains(&name)
            && (plain
                || (name == "a" && rest.starts_with(" href=\"http") && rest.ends_with("\" rel=\"noopener nofollow\""))
                || (name == "code" && rest.starts_with(" class=\"language-"))
                || (name == "ol" && rest.starts_with(" start=\"")))
    }

    proptest! {
        #[test]
        fn whatever_comes_only_known_tags_go_out(text in "([<>&\"'!\\[\\]()*_`#|~:=/\\-\\n \\t]|[a-z]|https://e.com|javascript:|<img src=x|<a href=|style=){0,60}") {
            let html = render(&text);
            for piece in html.split('<').skip(1) {
                let tag = piece.split('>').next().unwrap();
                prop_assert!(is_known(tag), "{:?} in {:?}", tag, html);
            }
        }
    }
}
