//! Where a login leads: never off this server.

/// `text` where it is a path of ours, else the start page. A browser reads `//host` and `/\host` as
/// another server, and drops tabs and line ends before it looks.
pub fn local_path(text: &str) -> &str {
    let well = text.starts_with('/')
        && !text.starts_with("//")
        && text.len() <= 1024
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if well { text } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_paths_pass() {
        for own in ["/", "/jobs/1", "/pipelines/web?cursor=4#s3-L12"] {
            assert_eq!(local_path(own), own);
        }
        let long = format!("/{}", "a".repeat(2000));
        for foreign in [
            "",
            "jobs",
            "//evil.example.com",
            "/\\evil.example.com",
            "https:evil.example.com",
            "\\\\evil",
            "/\t/evil",
            "javascript:alert(1)",
            "/a\r\nSet-Cookie: x",
            long.as_str(),
            "https://evil.example.com/",
            "/ü",
        ] {
            assert_eq!(local_path(foreign), "/", "{foreign:?}");
        }
    }
}
