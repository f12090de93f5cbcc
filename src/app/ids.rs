//! New ids and secrets, passed in.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Makes ids and secrets.
pub trait IdSource: Send + Sync {
    /// That many bytes which nobody can foresee.
    fn random(&self) -> [u8; 32];

    /// A `UUIDv7` of that time.
    fn new_id(&self, now: DateTime<Utc>) -> Uuid {
        let random = self.random();
        let mut tail = [0; 10];
        tail.copy_from_slice(&random[..10]);
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
    }
}

/// The operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl IdSource for SystemIds {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks for randomness")]
    fn random(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        if let Err(error) = getrandom::fill(&mut bytes) {
            // Without randomness nothing is safe to go on: ids would repeat and secrets be guessed.
            panic!("the operating system gives no randomness: {error}");
        }
        bytes
    }
}
