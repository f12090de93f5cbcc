//! A real server on a database of its own, for each test; a practice to try things on; and clients.

pub mod clinical;
pub mod cluster;
pub mod kill;
pub mod random;
pub mod server;
pub mod wire;
pub mod world;

pub use clinical::Clinic;
pub use server::TestServer;
pub use wire::{Wire, refusal};
pub use world::World;
