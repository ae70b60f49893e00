//! "Did you mean": the valid name that is nearest to a mistyped one.

/// The nearest of `valid` names to `wrong`, where one is near enough to be a likely mistype.
pub fn nearest<'a>(wrong: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (wrong.chars().count() / 3).max(1) + 1;
    valid
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&wrong.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistype_finds_its_name_and_noise_finds_none() {
        let valid = ["repository", "branch_filter", "triggers"];
        assert_eq!(nearest("repositry", valid), Some("repository"));
        assert_eq!(nearest("branchfilter", valid), Some("branch_filter"));
        assert_eq!(nearest("zzz", valid), None);
    }
}
