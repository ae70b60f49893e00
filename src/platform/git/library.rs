//! libgit2 reads no configuration of the machine or of a person: neither may change what is built, and
//! the files may not even be readable for the user that the master runs as.
use git2::ConfigLevel;

/// Must be called before any other use of the library, while the process has one thread.
#[expect(unsafe_code, reason = "the search path is a global of the C library")]
pub fn ignore_configuration() -> Result<(), git2::Error> {
    for level in [ConfigLevel::System, ConfigLevel::Global, ConfigLevel::XDG, ConfigLevel::ProgramData] {
        // SAFETY: nothing else uses the library yet, as the contract of this function says.
        unsafe { git2::opts::set_search_path(level, "/nonexistent")? };
    }
    Ok(())
}
