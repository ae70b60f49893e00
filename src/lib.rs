//! Danube.

pub mod artifacts;
pub mod provenance;
pub mod cli {
    //! One file per subcommand.
    pub mod verify;
}
