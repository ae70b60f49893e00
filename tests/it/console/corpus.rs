//! Texts of a stranger who wants to be more than text.

/// Markup, handlers, addresses, templates, direction marks: each once.
const TEXTS: [&str; 13] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(2)>",
    "' onmouseover='alert(3)' onfocus='alert(3)' autofocus='",
    "javascript:alert(4)",
    "</title></textarea></pre></details></svg><form action=https://evil.example.com><button autofocus onfocus=alert(5)>",
    "{{ 7*7 }} ${7*7} <%= 7*7 %> {% raw %}",
    "<svg/onload=alert(6)><animate onbegin=alert(6)>",
    "<iframe srcdoc=\"<script>parent.alert(7)</script>\">",
    "[click](javascript:alert(8)) <a href=\"javascript:alert(8)\">click</a>",
    "\u{202e}gnp.exe\u{2066} turned \u{200b}around",
    "&lt;script&gt;alert(9)&lt;/script&gt;&#x3c;img src=x onerror=alert(9)&#x3e;",
    "--><!-- ]]> <![CDATA[ <base href=https://evil.example.com/>",
    "Z\u{35b}\u{327}a\u{30d}\u{32b}l\u{346}\u{31e}g\u{313}\u{330}o \u{1f600} مرحبا 漢字",
];

/// The `n`-th text, filled up to 200 characters by one word that no line breaks by itself.
pub(super) fn text(n: usize) -> String {
    let text = TEXTS[n % TEXTS.len()];
    let rest = 199usize.saturating_sub(text.chars().count());
    format!("{text} {}", "W".repeat(rest))
}

/// All of them, a line each.
pub(super) fn all() -> String {
    TEXTS.join("\n")
}

/// Bytes of a log that want to be more than text.
pub(super) fn log() -> Vec<u8> {
    let mut bytes = all().into_bytes();
    let pieces: [&[u8]; 11] = [
        b"\n\x1b]8;;javascript:alert(10)\x1b\\click\x1b]8;;\x1b\\ and \x1b]8;;https://example.com/\x07fine\x1b]8;;\x07\n",
        b"\x1b]52;c;ZXZpbA==\x07\x1b]0;a title\x07\x1b[2J\x1b[H\x1b[1;31mred\x1b[0m \x1b[38;5;208morange\x1b[0m\n",
        b"\x1b[48;2;255;255;255m\x1b[38;2;250;250;250mpale on pale\x1b[0m \x1b[7minverse\x1b[0m \x1b[4;3;9mstyled\n",
        b"\xff\xfe\x80 not UTF-8 \xc3\x28 \0 NUL \x07 bell \x08\x08 back\n",
        b"progress 1%\rprogress 50%\rprogress 100%\n",
        b"\x1b[<script>alert(11)</script>m \x1b[31\"onclick=alert(11)m\n",
        b"line ends of others\r\nand then\rthis\n",
        b"\xe2\x80\xaereversed\xe2\x80\xac \xe2\x81\xa6isolated\n",
        b"\x1b[999999999999999999999mtoo much\x1b[0m \x1bP$q\x1b\\ \x9b31m C1\n",
        b"\t\ttabs\tand   spaces\n",
        b"an end without a line end ",
    ];
    bytes.extend(pieces.concat());
    bytes.extend(b"A".repeat(100_000));
    bytes.extend(b"\n");
    bytes
}
