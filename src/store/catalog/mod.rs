//! The catalogue: treatments and protocols, in versions that are only ever added.

mod new_treatment;
mod protocol;
mod treatment;

pub use new_treatment::insert_treatment;
pub use protocol::{insert_protocol, list_protocols, protocol};
pub use treatment::{list_treatments, treatment, treatments};

use super::StoreError;
use super::read;
use crate::domain::catalog::{Evidence, Grade};

/// Where a number comes from, of a treatment's restriction or of a protocol.
fn evidence(source: &str, grade: &str, rationale: &str) -> Result<Evidence, StoreError> {
    Ok(Evidence {
        source: read::prose(source)?,
        grade: read::named(Grade::from_name(grade))?,
        rationale: read::prose(rationale)?,
    })
}
