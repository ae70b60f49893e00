//! Links from one cut of a list to another.

/// One cut of a list.
#[derive(Debug, Clone)]
pub(in crate::web) struct Tab {
    /// Its address.
    pub(in crate::web) href: String,
    /// Its name.
    pub(in crate::web) name: String,
    /// It is the one that is shown.
    pub(in crate::web) here: bool,
}

/// Where a list goes on.
#[derive(Debug, Clone, Default)]
pub(in crate::web) struct Pager {
    /// Back to its beginning, from further on.
    pub(in crate::web) first: Option<String>,
    /// The next page.
    pub(in crate::web) next: Option<String>,
    /// What is there.
    pub(in crate::web) label: &'static str,
}

/// An address with a query; what is empty is left out.
pub(in crate::web) fn address(path: &str, query: &[(&str, &str)]) -> String {
    let mut encoded = url::form_urlencoded::Serializer::new(String::new());
    encoded.extend_pairs(query.iter().filter(|(_, value)| !value.is_empty()));
    let encoded = encoded.finish();
    if encoded.is_empty() { path.to_owned() } else { format!("{path}?{encoded}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_encoded_and_empty_parts_are_left_out() {
        assert_eq!(address("/p", &[("a", ""), ("b", "x&y z")]), "/p?b=x%26y+z");
        assert_eq!(address("/p", &[("a", "")]), "/p");
    }
}
