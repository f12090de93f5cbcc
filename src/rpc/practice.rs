//! `PracticeService`.

use tonic::{Request, Response, Status};

use super::displacement::{self, parse_closing, parse_rebooking};
use super::page::Query;
use super::parse::{Fields, Head, scoped};
use super::pb::practice_service_server::PracticeService;
use super::{Services, booking_rules, open, pb, render};
use crate::app::commands::{
    ClinicSettings, ListClosures, Narrows, NewClinic, NewClosure, PageOf, PracticeSettings, Update,
};
use crate::app::{Command, Error, Scoped};
use crate::domain::clinic::{Clinic, Closure, DEFAULT_HORIZON_DAYS, MAX_HORIZON_DAYS, MAX_OPENING_STRETCHES, Practice};
use crate::domain::hours::{Stretch, Week};
use crate::domain::ids::{ClinicId, ClosureId, PracticeId};

#[tonic::async_trait]
impl PracticeService for Services {
    async fn create_practice(
        &self,
        request: Request<pb::CreatePracticeRequest>,
    ) -> Result<Response<pb::CreatePracticeResponse>, Status> {
        let (caller, message) = open(request)?;
        let command = parse_create_practice(message)?;
        let practice = self.app.create_practice(&caller, &command).await?;
        Ok(Response::new(pb::CreatePracticeResponse { practice: Some(rendered_practice(&practice)) }))
    }

    async fn get_practice(
        &self,
        request: Request<pb::GetPracticeRequest>,
    ) -> Result<Response<pb::GetPracticeResponse>, Status> {
        let (caller, message) = open(request)?;
        let scoped = parse_get_practice(message)?;
        let practice = self.app.get_practice(&caller, scoped).await?;
        Ok(Response::new(pb::GetPracticeResponse { practice: Some(rendered_practice(&practice)) }))
    }

    async fn list_practices(
        &self,
        request: Request<pb::ListPracticesRequest>,
    ) -> Result<Response<pb::ListPracticesResponse>, Status> {
        let (_, message) = open(request)?;
        let (query, page) = parse_list_practices(message)?;
        let (practices, next_page_token) = query.render(self.app.list_practices(page).await?, rendered_practice);
        Ok(Response::new(pb::ListPracticesResponse { practices, next_page_token }))
    }

    async fn update_practice(
        &self,
        request: Request<pb::UpdatePracticeRequest>,
    ) -> Result<Response<pb::UpdatePracticeResponse>, Status> {
        let (caller, message) = open(request)?;
        let command = parse_update_practice(message)?;
        let practice = self.app.update_practice(&caller, &command).await?;
        Ok(Response::new(pb::UpdatePracticeResponse { practice: Some(rendered_practice(&practice)) }))
    }

    async fn update_booking_rules(
        &self,
        request: Request<pb::UpdateBookingRulesRequest>,
    ) -> Result<Response<pb::UpdateBookingRulesResponse>, Status> {
        let (caller, message) = open(request)?;
        let command = booking_rules::parse_update(message)?;
        let practice = self.app.update_booking_rules(&caller, &command).await?;
        Ok(Response::new(pb::UpdateBookingRulesResponse { practice: Some(rendered_practice(&practice)) }))
    }

    async fn create_clinic(
        &self,
        request: Request<pb::CreateClinicRequest>,
    ) -> Result<Response<pb::CreateClinicResponse>, Status> {
        let (caller, message) = open(request)?;
        let command = parse_create_clinic(message)?;
        let clinic = self.app.create_clinic(&caller, &command).await?;
        Ok(Response::new(pb::CreateClinicResponse { clinic: Some(rendered_clinic(&clinic)) }))
    }

    async fn get_clinic(
        &self,
        request: Request<pb::GetClinicRequest>,
    ) -> Result<Response<pb::GetClinicResponse>, Status> {
        let (caller, message) = open(request)?;
        let scoped = parse_get_clinic(message)?;
        let clinic = self.app.get_clinic(&caller, scoped).await?;
        Ok(Response::new(pb::GetClinicResponse { clinic: Some(rendered_clinic(&clinic)) }))
    }

    async fn list_clinics(
        &self,
        request: Request<pb::ListClinicsRequest>,
    ) -> Result<Response<pb::ListClinicsResponse>, Status> {
        let (caller, message) = open(request)?;
        let (query, scoped) = parse_list_clinics(message)?;
        let (clinics, next_page_token) = query.render(self.app.list_clinics(&caller, scoped).await?, rendered_clinic);
        Ok(Response::new(pb::ListClinicsResponse { clinics, next_page_token }))
    }

    async fn update_clinic(
        &self,
        request: Request<pb::UpdateClinicRequest>,
    ) -> Result<Response<pb::UpdateClinicResponse>, Status> {
        let (caller, message) = open(request)?;
        let command = parse_update_clinic(message)?;
        let (clinic, displaced) = self.app.update_clinic(&caller, &command).await?;
        Ok(Response::new(pb::UpdateClinicResponse {
            clinic: Some(rendered_clinic(&clinic)),
            displacement: Some(displacement::rendered(&displaced)),
        }))
    }

    async fn create_closure(
        &self,
        request: Request<pb::CreateClosureRequest>,
    ) -> Result<Response<pb::CreateClosureResponse>, Status> {
        let (caller, message) = open(request)?;
        let command = parse_create_closure(message)?;
        let (closure, displaced) = self.app.create_closure(&caller, &command).await?;
        Ok(Response::new(pb::CreateClosureResponse {
            closure: Some(rendered_closure(&closure)),
            displacement: Some(displacement::rendered(&displaced)),
        }))
    }

    async fn list_closures(
        &self,
        request: Request<pb::ListClosuresRequest>,
    ) -> Result<Response<pb::ListClosuresResponse>, Status> {
        let (caller, message) = open(request)?;
        let (query, scoped) = parse_list_closures(message)?;
        let (closures, next_page_token) =
            query.render(self.app.list_closures(&caller, scoped).await?, rendered_closure);
        Ok(Response::new(pb::ListClosuresResponse { closures, next_page_token }))
    }

    async fn delete_closure(
        &self,
        request: Request<pb::DeleteClosureRequest>,
    ) -> Result<Response<pb::DeleteClosureResponse>, Status> {
        let (caller, message) = open(request)?;
        let command = parse_delete_closure(message)?;
        self.app.delete_closure(&caller, &command).await?;
        Ok(Response::new(pb::DeleteClosureResponse {}))
    }
}

fn parse_create_practice(message: pb::CreatePracticeRequest) -> Result<Command<PracticeSettings>, Error> {
    // A practice is created in no practice, but in the deployment.
    let head = Head::new(&message, "", &message.request_id, message.validate_only);
    let pb::CreatePracticeRequest { request_id: _, validate_only: _, name, booking_horizon_days } = message;
    let mut fields = Fields::default();
    let settings = practice_settings(&mut fields, &name, booking_horizon_days);
    head.command(fields, || settings)
}

fn parse_get_practice(message: pb::GetPracticeRequest) -> Result<Scoped<()>, Error> {
    let pb::GetPracticeRequest { practice_id } = message;
    scoped(Fields::default(), &practice_id, || Some(()))
}

fn parse_list_practices(message: pb::ListPracticesRequest) -> Result<(Query, PageOf<PracticeId>), Error> {
    let pb::ListPracticesRequest { page_size, page_token } = message;
    let query = Query::new("ListPractices", &[]);
    let mut fields = Fields::default();
    let page = fields.page(&query, page_size, &page_token)?;
    let page = fields.finish(|| page)?;
    Ok((query, page))
}

fn parse_update_practice(message: pb::UpdatePracticeRequest) -> Result<Command<Update<(), PracticeSettings>>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::UpdatePracticeRequest { practice_id: _, request_id: _, validate_only: _, etag, name, booking_horizon_days } =
        message;
    let mut fields = Fields::default();
    let etag = fields.etag(&etag);
    let settings = practice_settings(&mut fields, &name, booking_horizon_days);
    head.command(fields, || Some(Update { id: (), etag: etag?, to: settings? }))
}

fn practice_settings(fields: &mut Fields, name: &str, horizon_days: i32) -> Option<PracticeSettings> {
    let name = fields.label("name", name);
    let horizon_days = if horizon_days == 0 { DEFAULT_HORIZON_DAYS } else { horizon_days };
    let horizon_days = fields.within("booking_horizon_days", horizon_days, 1, MAX_HORIZON_DAYS);
    Some(PracticeSettings { name: name?, booking_horizon_days: horizon_days? })
}

fn parse_create_clinic(message: pb::CreateClinicRequest) -> Result<Command<NewClinic>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::CreateClinicRequest { practice_id: _, request_id: _, validate_only: _, name, time_zone, opening_hours } =
        message;
    let mut fields = Fields::default();
    let (name, zone) = (fields.label("name", &name), fields.zone("time_zone", &time_zone));
    let opening_hours = week(&mut fields, &opening_hours);
    head.command(fields, || Some(NewClinic { name: name?, zone: zone?, opening_hours: opening_hours? }))
}

fn parse_get_clinic(message: pb::GetClinicRequest) -> Result<Scoped<ClinicId>, Error> {
    let pb::GetClinicRequest { practice_id, clinic_id } = message;
    let mut fields = Fields::default();
    let id = fields.id("clinic_id", &clinic_id);
    scoped(fields, &practice_id, || id)
}

fn parse_list_clinics(message: pb::ListClinicsRequest) -> Result<(Query, Scoped<PageOf<ClinicId>>), Error> {
    let pb::ListClinicsRequest { practice_id, page_size, page_token } = message;
    let query = Query::new("ListClinics", &[&practice_id]);
    let mut fields = Fields::default();
    let page = fields.page(&query, page_size, &page_token)?;
    let scoped = scoped(fields, &practice_id, || page)?;
    Ok((query, scoped))
}

fn parse_update_clinic(
    message: pb::UpdateClinicRequest,
) -> Result<Command<Narrows<Update<ClinicId, ClinicSettings>>>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::UpdateClinicRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        etag,
        clinic_id,
        name,
        opening_hours,
        rebooking,
    } = message;
    let mut fields = Fields::default();
    let (id, etag) = (fields.id("clinic_id", &clinic_id), fields.etag(&etag));
    let name = fields.label("name", &name);
    let opening_hours = week(&mut fields, &opening_hours);
    let rebooking = parse_rebooking(&mut fields, rebooking);
    head.command(fields, || {
        let settings = ClinicSettings { name: name?, opening_hours: opening_hours? };
        Some(Narrows { to: Update { id: id?, etag: etag?, to: settings }, rebooking: rebooking? })
    })
}

fn week(fields: &mut Fields, hours: &[pb::WeeklyHours]) -> Option<Week> {
    fields.at_most("opening_hours", hours.len(), MAX_OPENING_STRETCHES)?;
    let stretches: Vec<Option<Stretch>> =
        hours.iter().enumerate().map(|(i, hours)| fields.stretch(&format!("opening_hours[{i}]"), hours)).collect();
    let week = Week::new(stretches.into_iter().collect::<Option<_>>()?);
    fields.some("opening_hours", week, "stretches of one weekday must not overlap")
}

fn parse_create_closure(message: pb::CreateClosureRequest) -> Result<Command<Narrows<NewClosure>>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::CreateClosureRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        clinic_id,
        start_time,
        end_time,
        reason,
        rebooking,
    } = message;
    let mut fields = Fields::default();
    let clinic = fields.id("clinic_id", &clinic_id);
    let during = parse_closing(&mut fields, start_time, end_time);
    let reason = fields.prose("reason", &reason);
    let rebooking = parse_rebooking(&mut fields, rebooking);
    head.command(fields, || {
        let closure = NewClosure { clinic: clinic?, during: during?, reason: reason? };
        Some(Narrows { to: closure, rebooking: rebooking? })
    })
}

fn parse_list_closures(message: pb::ListClosuresRequest) -> Result<(Query, Scoped<ListClosures>), Error> {
    let pb::ListClosuresRequest { practice_id, clinic_id, page_size, page_token } = message;
    let query = Query::new("ListClosures", &[&practice_id, &clinic_id]);
    let mut fields = Fields::default();
    let clinic = fields.id("clinic_id", &clinic_id);
    let page = fields.page(&query, page_size, &page_token)?;
    let scoped = scoped(fields, &practice_id, || Some(ListClosures { clinic: clinic?, page: page? }))?;
    Ok((query, scoped))
}

fn parse_delete_closure(message: pb::DeleteClosureRequest) -> Result<Command<ClosureId>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::DeleteClosureRequest { practice_id: _, request_id: _, validate_only: _, closure_id } = message;
    let mut fields = Fields::default();
    let id = fields.id("closure_id", &closure_id);
    head.command(fields, || id)
}

fn rendered_practice(practice: &Practice) -> pb::Practice {
    let Practice { id, name, booking_horizon_days, booking_rules, revision, changed_revision } = practice;
    pb::Practice {
        practice_id: id.to_string(),
        name: name.as_str().to_owned(),
        booking_horizon_days: *booking_horizon_days,
        revision: *revision,
        etag: render::etag(*changed_revision),
        booking_rules: Some(booking_rules::rendered(*booking_rules)),
    }
}

fn rendered_clinic(clinic: &Clinic) -> pb::Clinic {
    let Clinic { id, name, zone, opening_hours, changed_revision } = clinic;
    pb::Clinic {
        clinic_id: id.to_string(),
        name: name.as_str().to_owned(),
        time_zone: zone.name().to_owned(),
        opening_hours: opening_hours.stretches().iter().copied().map(render::weekly_hours).collect(),
        etag: render::etag(*changed_revision),
    }
}

fn rendered_closure(closure: &Closure) -> pb::Closure {
    let Closure { id, clinic, during, reason } = closure;
    pb::Closure {
        closure_id: id.to_string(),
        clinic_id: clinic.to_string(),
        start_time: Some(render::timestamp(during.start())),
        end_time: Some(render::timestamp(during.end())),
        reason: reason.as_str().to_owned(),
    }
}
