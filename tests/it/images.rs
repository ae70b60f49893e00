//! Images: from a registry or a layout to a step's root, and what hostile ones come to.
mod docker_registry;
mod fetching;
mod hostile;
mod layers;
mod server;
mod steps;
