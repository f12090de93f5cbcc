//! What is generated from the protos.

#![expect(clippy::pedantic, clippy::large_enum_variant, reason = "generated")]

tonic::include_proto!("stipple.v1");

/// The descriptors of all protos, with their comments, encoded.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
