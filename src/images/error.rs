//! Why an image can't be had.

/// What went wrong with an image, in words for whoever named it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The name is not one.
    #[error("{0}")]
    Name(String),
    /// Nobody has it.
    #[error("{0}")]
    NotFound(String),
    /// The registry wants another credential, or none is enough.
    #[error("{0}")]
    Refused(String),
    /// It is there for other machines only, or is no image.
    #[error("{0}")]
    Unfit(String),
    /// What came is not what its digest says, or is no manifest.
    #[error("{0}")]
    Damaged(String),
    /// The registry did not do its part this time.
    #[error("{0}")]
    Unavailable(String),
}

impl ImageError {
    /// The same request may go well later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// Text of others for a message: short, on one line, without what steers a terminal.
pub(super) fn shown(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    if text.chars().count() > 200 { format!("{clean}…") } else { clean }
}
