//! The steps of making the demonstration practice. Each has a name, and its request id follows from the name: a second
//! run repeats the requests of the first instead of doubling what they made.

use sha2::{Digest, Sha256};

use crate::app::{App, Command, Error};
use crate::domain::ids::{PracticeId, RequestId};
use crate::domain::text::{Label, Prose};

/// Keeps the request ids apart from those that anybody else derives in the same way.
const NAMESPACE: &str = "stipple demonstration practice 1: ";

/// Carries out steps in a practice.
pub struct Seeder<'a> {
    /// The use cases.
    pub app: &'a App,
    /// The practice.
    pub practice: PracticeId,
}

impl Seeder<'_> {
    /// The command of a step.
    pub fn command<T>(&self, step: &str, body: T) -> Command<T> {
        command(Some(self.practice), step, body)
    }
}

/// The command of a step. Its digest is that of the name alone: the start of a visit depends on the time of the run,
/// and a visit that an earlier run booked is to be found again, wherever it lies.
pub fn command<T>(practice: Option<PracticeId>, step: &str, body: T) -> Command<T> {
    let digest: [u8; 32] = Sha256::digest(format!("{NAMESPACE}{step}")).into();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    let request = RequestId(uuid::Builder::from_custom_bytes(id).into_uuid());
    Command { practice, request, digest, validate_only: false, body }
}

/// What is wrong with the demonstration's own data.
pub fn broken(what: &str) -> Error {
    Error::field("demonstration", what)
}

/// A label of the demonstration.
pub fn label(text: &str) -> Result<Label, Error> {
    Label::new(text).map_err(|error| Error::field(format!("demonstration: {text}"), error.to_string()))
}

/// A text of the demonstration.
pub fn prose<const MAX: usize>(text: &str) -> Result<Prose<MAX>, Error> {
    Prose::new(text).map_err(|error| Error::field(format!("demonstration: {text}"), error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_the_same_request_id_every_time() {
        let [first, again, other] = ["a", "a", "b"].map(|step| command(None, step, ()));
        assert_eq!((first.request, first.digest), (again.request, again.digest));
        assert_ne!(first.request, other.request);
        assert_eq!(first.request.0.get_version_num(), 8);
    }
}
