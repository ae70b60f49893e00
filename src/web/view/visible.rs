//! Text on a page: markup is shown as text, and what moves or hides other characters is shown by its number.
use std::fmt;

use askama::filters::{Escaper, Html};

use crate::logs::turns;

/// The escaper of all pages (templates/askama.toml names it), so that no text of a stranger is forgotten.
#[derive(Debug, Clone, Copy)]
pub(in crate::web) struct Visible;

impl Escaper for Visible {
    fn write_escaped_str<W: fmt::Write>(&self, mut dest: W, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| unseen(*c)) {
            Html.write_escaped_str(&mut dest, &rest[..at])?;
            write!(dest, "&lt;U+{:04X}&gt;", u32::from(c))?;
            rest = &rest[at + c.len_utf8()..];
        }
        Html.write_escaped_str(dest, rest)
    }
}

fn unseen(c: char) -> bool {
    turns(c) || c.is_control() && !matches!(c, '\t' | '\n' | '\r')
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;
    use askama::Template;
    use proptest::prelude::*;

    #[derive(Template)]
    #[template(source = "<b title=\"{{ text }}\">{{ text }}</b>", ext = "html", config = "templates/askama.toml")]
    struct Page<'a> {
        text: &'a str,
    }

    #[derive(Template)]
    #[template(source = "<input value=\"{{ text|escape(\"xml\") }}\">", ext = "html", config = "templates/askama.toml")]
    struct Field<'a> {
        text: &'a str,
    }

    #[test]
    fn a_text_that_would_turn_the_line_shows_what_it_does() {
        let text = "\u{202e}gnp.exe\u{2066} \u{200b}<b> \u{7}\u{1f600} مرحبا\n";
        let seen = "&lt;U+202E&gt;gnp.exe&lt;U+2066&gt; &lt;U+200B&gt;&#60;b&#62; &lt;U+0007&gt;\u{1f600} مرحبا\n";
        assert_eq!(Page { text }.render().unwrap(), format!("<b title=\"{seen}\">{seen}</b>"));
    }

    #[test]
    fn a_field_holds_what_was_written_into_it() {
        let page = Field { text: "\u{202e}\"<" }.render().unwrap();
        assert_eq!(page, "<input value=\"\u{202e}&#34;&#60;\">");
    }

    /// The `.rs` files below a directory.
    fn sources(dir: &Path) -> Vec<PathBuf> {
        let inside = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let files = inside.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
        files.filter(|path| path.extension().is_some_and(|end| end == "rs")).collect()
    }

    #[test]
    fn every_page_is_written_through_this_escaper() {
        let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web");
        let mut pages = 0;
        for path in sources(&web) {
            let text = fs::read_to_string(&path).unwrap();
            for line in text.lines().map(str::trim).filter(|line| line.starts_with("#[template(")) {
                assert!(line.contains("config = \"templates/askama.toml\""), "{}: {line}", path.display());
                pages += 1;
            }
        }
        assert!(pages > 20, "{pages}");
    }

    proptest! {
        #[test]
        fn no_text_ends_its_place_or_turns_the_line(text in any::<String>()) {
            let page = Page { text: &text }.render().unwrap();
            let inner = page.strip_prefix("<b title=\"").and_then(|rest| rest.strip_suffix("</b>")).unwrap();
            let (title, body) = inner.split_once("\">").unwrap();
            prop_assert_eq!(title, body);
            prop_assert!(!body.contains(['<', '>', '"', '\'']) && !body.chars().any(unseen));
        }
    }
}
