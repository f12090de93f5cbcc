//! `PatientService`.

use tonic::{Request, Response, Status};

use super::page::{Place, Query};
use super::parse::{Fields, Head, scoped};
use super::pb::patient_service_server::PatientService;
use super::{Services, appointment, clearance, open, overrides, pb, reaction, render, screening, series};
use crate::app::commands::{ListPatients, Update, UpdatePatient};
use crate::app::{Command, Error, Scoped};
use crate::domain::ids::PatientId;
use crate::domain::patient::{Patient, PatientPlace, PatientRecord};
use crate::domain::text::{Label, Personal};

/// The first year in which a patient can have been born.
const FIRST_BIRTH_YEAR: i32 = 1900;

#[tonic::async_trait]
impl PatientService for Services {
    async fn create_patient(
        &self,
        request: Request<pb::CreatePatientRequest>,
    ) -> Result<Response<pb::CreatePatientResponse>, Status> {
        let (caller, message) = open(request)?;
        let command = parse_create(message)?;
        let patient = self.app.create_patient(&caller, &command).await?;
        Ok(Response::new(pb::CreatePatientResponse { patient: Some(rendered(&patient)) }))
    }

    async fn get_patient(
        &self,
        request: Request<pb::GetPatientRequest>,
    ) -> Result<Response<pb::GetPatientResponse>, Status> {
        let (caller, message) = open(request)?;
        let scoped = parse_get(message)?;
        let patient = self.app.get_patient(&caller, scoped).await?;
        Ok(Response::new(pb::GetPatientResponse { patient: Some(rendered(&patient)) }))
    }

    async fn list_patients(
        &self,
        request: Request<pb::ListPatientsRequest>,
    ) -> Result<Response<pb::ListPatientsResponse>, Status> {
        let (caller, message) = open(request)?;
        let (query, scoped) = parse_list(message)?;
        let (patients, next_page_token) = query.render(self.app.list_patients(&caller, scoped).await?, rendered);
        Ok(Response::new(pb::ListPatientsResponse { patients, next_page_token }))
    }

    async fn update_patient(
        &self,
        request: Request<pb::UpdatePatientRequest>,
    ) -> Result<Response<pb::UpdatePatientResponse>, Status> {
        let (caller, message) = open(request)?;
        let command = parse_update(message)?;
        let patient = self.app.update_patient(&caller, &command).await?;
        Ok(Response::new(pb::UpdatePatientResponse { patient: Some(rendered(&patient)) }))
    }

    async fn record_screening(
        &self,
        request: Request<pb::RecordScreeningRequest>,
    ) -> Result<Response<pb::RecordScreeningResponse>, Status> {
        let (caller, message) = open(request)?;
        let screened = self.app.record_screening(&caller, &screening::parse_record(message)?).await?;
        Ok(Response::new(pb::RecordScreeningResponse {
            screening: Some(screening::rendered_screened(&screened)),
            at_risk: screened.at_risk.iter().map(appointment::rendered).collect(),
        }))
    }

    async fn list_screenings(
        &self,
        request: Request<pb::ListScreeningsRequest>,
    ) -> Result<Response<pb::ListScreeningsResponse>, Status> {
        let (caller, message) = open(request)?;
        let (query, scoped) = screening::parse_list(message)?;
        let found = self.app.list_screenings(&caller, scoped).await?;
        let (screenings, next_page_token) = query.render(found, screening::rendered);
        Ok(Response::new(pb::ListScreeningsResponse { screenings, next_page_token }))
    }

    async fn record_clearance(
        &self,
        request: Request<pb::RecordClearanceRequest>,
    ) -> Result<Response<pb::RecordClearanceResponse>, Status> {
        let (caller, message) = open(request)?;
        let signed = self.app.record_clearance(&caller, &clearance::parse_record(message)?).await?;
        Ok(Response::new(clearance::rendered_signed(&signed)))
    }

    async fn revoke_clearance(
        &self,
        request: Request<pb::RevokeClearanceRequest>,
    ) -> Result<Response<pb::RevokeClearanceResponse>, Status> {
        let (caller, message) = open(request)?;
        let revoked = self.app.revoke_clearance(&caller, &clearance::parse_revoke(message)?).await?;
        Ok(Response::new(pb::RevokeClearanceResponse {
            clearance: Some(clearance::rendered(&revoked.clearance)),
            series_at_risk: revoked.series.iter().map(series::rendered).collect(),
            at_risk: revoked.at_risk.iter().map(appointment::rendered).collect(),
        }))
    }

    async fn list_clearances(
        &self,
        request: Request<pb::ListClearancesRequest>,
    ) -> Result<Response<pb::ListClearancesResponse>, Status> {
        let (caller, message) = open(request)?;
        let (query, scoped) = clearance::parse_list(message)?;
        let found = self.app.list_clearances(&caller, scoped).await?;
        let (clearances, next_page_token) = query.render(found, clearance::rendered);
        Ok(Response::new(pb::ListClearancesResponse { clearances, next_page_token }))
    }

    async fn grant_override(
        &self,
        request: Request<pb::GrantOverrideRequest>,
    ) -> Result<Response<pb::GrantOverrideResponse>, Status> {
        let (caller, message) = open(request)?;
        let granted = self.app.grant_override(&caller, &overrides::parse_grant(message)?).await?;
        Ok(Response::new(pb::GrantOverrideResponse { r#override: Some(overrides::rendered(&granted)) }))
    }

    async fn revoke_override(
        &self,
        request: Request<pb::RevokeOverrideRequest>,
    ) -> Result<Response<pb::RevokeOverrideResponse>, Status> {
        let (caller, message) = open(request)?;
        let revoked = self.app.revoke_override(&caller, &overrides::parse_revoke(message)?).await?;
        Ok(Response::new(pb::RevokeOverrideResponse {
            r#override: Some(overrides::rendered(&revoked.decision)),
            gap_days: revoked.gap_days.unwrap_or_default(),
            at_risk: revoked.at_risk.iter().map(appointment::rendered).collect(),
        }))
    }

    async fn list_overrides(
        &self,
        request: Request<pb::ListOverridesRequest>,
    ) -> Result<Response<pb::ListOverridesResponse>, Status> {
        let (caller, message) = open(request)?;
        let (query, scoped) = overrides::parse_list(message)?;
        let page = self.app.list_overrides(&caller, scoped).await?;
        let (overrides, next_page_token) = query.render(page, overrides::rendered);
        Ok(Response::new(pb::ListOverridesResponse { overrides, next_page_token }))
    }

    async fn report_reaction(
        &self,
        request: Request<pb::ReportReactionRequest>,
    ) -> Result<Response<pb::ReportReactionResponse>, Status> {
        let (caller, message) = open(request)?;
        let reported = self.app.report_reaction(&caller, &reaction::parse_report(message)?).await?;
        Ok(Response::new(reaction::rendered_report(&reported)))
    }

    async fn clear_reaction(
        &self,
        request: Request<pb::ClearReactionRequest>,
    ) -> Result<Response<pb::ClearReactionResponse>, Status> {
        let (caller, message) = open(request)?;
        let cleared = self.app.clear_reaction(&caller, &reaction::parse_clear(message)?).await?;
        Ok(Response::new(reaction::rendered_clearing(&cleared)))
    }

    async fn list_reactions(
        &self,
        request: Request<pb::ListReactionsRequest>,
    ) -> Result<Response<pb::ListReactionsResponse>, Status> {
        let (caller, message) = open(request)?;
        let (query, scoped) = reaction::parse_list(message)?;
        let page = self.app.list_reactions(&caller, scoped).await?;
        let (reactions, next_page_token) = query.render(page, reaction::rendered);
        Ok(Response::new(pb::ListReactionsResponse { reactions, next_page_token }))
    }
}

fn parse_create(message: pb::CreatePatientRequest) -> Result<Command<PatientRecord>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::CreatePatientRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        given_name,
        family_name,
        birth_date,
        phone,
        email,
        notes,
    } = message;
    let mut fields = Fields::default();
    let record = record(&mut fields, [&given_name, &family_name, &birth_date, &phone, &email, &notes]);
    head.command(fields, || record)
}

fn parse_update(message: pb::UpdatePatientRequest) -> Result<Command<UpdatePatient>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::UpdatePatientRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        etag,
        patient_id,
        given_name,
        family_name,
        birth_date,
        phone,
        email,
        notes,
    } = message;
    let mut fields = Fields::default();
    let (id, etag) = (fields.id("patient_id", &patient_id), fields.etag(&etag));
    let record = record(&mut fields, [&given_name, &family_name, &birth_date, &phone, &email, &notes]);
    head.command(fields, || Some(Update { id: id?, etag: etag?, to: record? }))
}

fn record(fields: &mut Fields, [given, family, birth, phone, email, notes]: [&str; 6]) -> Option<PatientRecord> {
    use chrono::Datelike as _;
    let given_name = fields.label("given_name", given);
    let family_name = fields.label("family_name", family);
    let birth_date = fields.day("birth_date", birth);
    let birth_date = birth_date.and_then(|day| {
        let known = (day.year() >= FIRST_BIRTH_YEAR).then_some(day);
        fields.some("birth_date", known, "must not be before 1900-01-01")
    });
    let phone = fields.prose("phone", phone);
    let email_text = fields.prose("email", email);
    if !email.is_empty() && !email.contains('@') {
        fields.note("email", "must contain an @, or be empty");
    }
    let notes = fields.prose("notes", notes);
    Some(PatientRecord {
        given_name: Personal::new(given_name?),
        family_name: Personal::new(family_name?),
        birth_date: Personal::new(birth_date?),
        phone: Personal::new(phone?),
        email: Personal::new(email_text?),
        notes: Personal::new(notes?),
    })
}

fn parse_get(message: pb::GetPatientRequest) -> Result<Scoped<PatientId>, Error> {
    let pb::GetPatientRequest { practice_id, patient_id } = message;
    let mut fields = Fields::default();
    let id = fields.id("patient_id", &patient_id);
    scoped(fields, &practice_id, || id)
}

fn parse_list(message: pb::ListPatientsRequest) -> Result<(Query, Scoped<ListPatients>), Error> {
    let pb::ListPatientsRequest { practice_id, family_name_prefix, page_size, page_token } = message;
    let query = Query::new("ListPatients", &[&practice_id, &family_name_prefix]);
    let mut fields = Fields::default();
    let prefix = fields.prose::<{ Label::MAX }>("family_name_prefix", &family_name_prefix);
    let page = fields.page(&query, page_size, &page_token)?;
    let scoped = scoped(fields, &practice_id, || {
        Some(ListPatients { family_name_prefix: Personal::new(prefix?.as_str().to_owned()), page: page? })
    })?;
    Ok((query, scoped))
}

fn rendered(patient: &Patient) -> pb::Patient {
    let PatientRecord { given_name, family_name, birth_date, phone, email, notes } = &patient.record;
    pb::Patient {
        patient_id: patient.id.to_string(),
        given_name: given_name.expose().as_str().to_owned(),
        family_name: family_name.expose().as_str().to_owned(),
        birth_date: birth_date.expose().to_string(),
        phone: phone.expose().as_str().to_owned(),
        email: email.expose().as_str().to_owned(),
        notes: notes.expose().as_str().to_owned(),
        etag: render::etag(patient.changed_revision),
    }
}

/// The names are personal data, and travel in the body of the next request only, as the first one's filter does.
impl Place for PatientPlace {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.id.write(bytes);
        bytes.extend(self.family_name.expose().as_bytes());
        bytes.push(0);
        bytes.extend(self.given_name.expose().as_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (id, names) = bytes.split_at_checked(16)?;
        // No name has a control character.
        let (family_name, given_name) = std::str::from_utf8(names).ok()?.split_once('\0')?;
        let name = |text: &str| (!text.contains('\0')).then(|| Personal::new(text.to_owned()));
        Some(Self { id: PatientId::read(id)?, family_name: name(family_name)?, given_name: name(given_name)? })
    }
}
