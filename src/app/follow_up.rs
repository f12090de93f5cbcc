//! Visits that follow a series: what is booked for an assessment or a maintenance session, and where it may lie.

use super::Error;
use super::series::protocol_of;
use crate::domain::appointment::Follows;
use crate::domain::assessment::Assessment;
use crate::domain::booking::FollowUp;
use crate::domain::catalog::{BodyArea, Protocol, ProtocolContent};
use crate::domain::ids::{AppointmentId, PatientId, PracticeId, TreatmentId};
use crate::domain::series::Series;
use crate::store::{PgConnection, series};

/// A visit that follows a series, as its protocol has it.
pub(super) struct Following {
    /// Whose series it is.
    pub patient: PatientId,
    /// What is booked, and in which version.
    pub treatment: (TreatmentId, i32),
    /// The area: that of the series, or none for an assessment.
    pub area: Option<BodyArea>,
    /// What the patient has to be fit for, as for a session of it; none for an assessment, which does not needle.
    pub protocol: Option<Protocol>,
    /// Where it may lie.
    pub follow_up: FollowUp,
}

/// The field that names the series that is followed.
pub(super) const fn series_field(follows: Follows) -> &'static str {
    match follows.assessment {
        Some(_) => "assessment.series_id",
        None => "maintenance.series_id",
    }
}

/// What follows a series, leaving out an appointment that is moved.
pub(super) async fn following(
    db: &mut PgConnection,
    practice: PracticeId,
    follows: Follows,
    moving: Option<AppointmentId>,
) -> Result<Following, Error> {
    let field = series_field(follows);
    let series = series::get(db, practice, follows.series).await?.ok_or_else(|| Error::not_found(field))?;
    let protocol = protocol_of(db, practice, &series).await.map_err(|error| match error {
        Error::NotFound(_) => Error::not_found(field),
        error => error,
    })?;
    let Series { patient, area, .. } = series;
    let Some(number) = follows.assessment else {
        let maintenance = protocol.content.maintenance.as_ref();
        let maintenance = maintenance.ok_or_else(|| Error::field(field, "must be of a protocol with maintenance"))?;
        let follow_up = series.maintenance_visit(maintenance.days, moving).map_err(Error::Refused)?;
        let treatment = (protocol.content.treatment, protocol.treatment_version);
        return Ok(Following { patient, treatment, area: Some(area), protocol: Some(protocol), follow_up });
    };
    let assessment = the_assessment(&protocol.content, number, "assessment.assessment_number")?;
    if let Some(session) = assessment.due.session() {
        let remedy = format!("must have a visit of its own; this one takes place in the visit of session {session}");
        return Err(Error::field("assessment.assessment_number", remedy));
    }
    let consultation = protocol.content.clearance.as_ref().map(|rules| rules.consultation);
    let Some(treatment) = consultation.zip(protocol.consultation_version) else {
        return Err(Error::field(field, "must be of a protocol with a consultation, which is what is booked"));
    };
    let follow_up = series.assessment_visit(number, assessment.due, moving).map_err(Error::Refused)?;
    Ok(Following { patient, treatment, area: None, protocol: None, follow_up })
}

/// The assessment of a number that a field names.
pub(super) fn the_assessment<'a>(
    content: &'a ProtocolContent,
    number: i32,
    field: &str,
) -> Result<&'a Assessment, Error> {
    content.assessment(number).ok_or_else(|| {
        let count = content.assessments.len();
        Error::field(field, format!("must be one of the assessments of the protocol, which has {count}"))
    })
}
