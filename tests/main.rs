//! Everything that is promised, over the wire, against a real server and a real database.

mod harness;
mod smoke;
mod verify;
