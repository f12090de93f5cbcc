//! Decisions about patients, and who may sign them.

use super::Error;
use crate::domain::access::Caller;
use crate::domain::catalog::{Qualification, ResourceKind};
use crate::domain::ids::{PracticeId, ResourceId};
use crate::domain::refusal::{Rule, Violation};
use crate::store::{PgConnection, resource};

/// The practitioner who signs what asks for no qualification: the caller, who must be in use.
pub(super) async fn any_practitioner(
    db: &mut PgConnection,
    practice: PracticeId,
    caller: &Caller,
) -> Result<ResourceId, Error> {
    let id = caller.practitioner.ok_or(Error::RoleNotAllowed)?;
    let practitioner = resource::get(db, practice, id).await?.ok_or(Error::RoleNotAllowed)?;
    if practitioner.active && practitioner.kind == ResourceKind::Practitioner {
        return Ok(id);
    }
    let text = "the practitioner must be in use";
    Err(Error::Refused(vec![Violation { resource: Some(id), ..Violation::new(Rule::NotQualifiedToClear, text) }]))
}

/// The practitioner who signs a decision: the caller, who must be in use and hold the qualification.
pub(super) async fn signer(
    db: &mut PgConnection,
    practice: PracticeId,
    caller: &Caller,
    qualification: &Qualification,
) -> Result<ResourceId, Error> {
    // The table of roles lets only practitioners' tokens come so far, and each of them names its practitioner.
    let id = caller.practitioner.ok_or(Error::RoleNotAllowed)?;
    let practitioner = resource::get(db, practice, id).await?.ok_or(Error::RoleNotAllowed)?;
    let qualified = practitioner.active
        && practitioner.kind == ResourceKind::Practitioner
        && practitioner.qualifications.contains(qualification);
    if qualified {
        return Ok(id);
    }
    let text = format!("the practitioner must be in use and qualified for {}", qualification.as_str());
    Err(Error::Refused(vec![Violation { resource: Some(id), ..Violation::new(Rule::NotQualifiedToClear, text) }]))
}
