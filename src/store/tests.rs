//! The store as a whole: durability, isolation, versions.
