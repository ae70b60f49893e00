//! The headers of a delivery, apart from any HTTP library.

/// Headers as they came, in order; a name may stand there more than once.
#[derive(Clone, Default)]
pub struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    /// The value of a header that is there exactly once and is visible ASCII; a doubled header has no value,
    /// because two readers could choose differently.
    pub fn only(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let (_, value) = values.next()?;
        if values.next().is_some() || !value.iter().all(|b| (0x20..0x7F).contains(b)) {
            return None;
        }
        std::str::from_utf8(value).ok()
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(n, v)| (n.as_ref().to_owned(), v.as_ref().to_vec())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubled_or_binary_header_has_no_value() {
        let headers: Headers =
            [("X-One", "1"), ("X-Two", "a"), ("x-two", "a"), ("X-Bin", "\u{e9}")].into_iter().collect();
        assert_eq!(headers.only("x-one"), Some("1"));
        assert_eq!(headers.only("x-two"), None);
        assert_eq!(headers.only("x-bin"), None);
        assert_eq!(headers.only("x-none"), None);
    }
}
