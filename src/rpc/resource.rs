//! `ResourceService`.

use tonic::{Request, Response, Status};

use super::displacement::{self, parse_closing, parse_rebooking};
use super::page::Query;
use super::parse::{Fields, Head, scoped};
use super::pb::resource_service_server::ResourceService;
use super::{Services, open, pb, render};
use crate::app::commands::{ListResources, ListTimeOff, Narrows, NewResource, NewTimeOff, ResourceSettings, Update};
use crate::app::{Command, Error, Scoped};
use crate::domain::catalog::Qualification;
use crate::domain::hours::{Stretch, Week};
use crate::domain::ids::{ClinicId, ResourceId, TimeOffId};
use crate::domain::resource::{MAX_QUALIFICATIONS, MAX_WORKING_STRETCHES, Resource, TimeOff};
use crate::domain::text::Personal;

#[tonic::async_trait]
impl ResourceService for Services {
    async fn create_resource(
        &self,
        request: Request<pb::CreateResourceRequest>,
    ) -> Result<Response<pb::CreateResourceResponse>, Status> {
        let (caller, message) = open(request)?;
        let command = parse_create(message)?;
        let resource = self.app.create_resource(&caller, &command).await?;
        Ok(Response::new(pb::CreateResourceResponse { resource: Some(rendered(&resource)) }))
    }

    async fn get_resource(
        &self,
        request: Request<pb::GetResourceRequest>,
    ) -> Result<Response<pb::GetResourceResponse>, Status> {
        let (caller, message) = open(request)?;
        let scoped = parse_get(message)?;
        let resource = self.app.get_resource(&caller, scoped).await?;
        Ok(Response::new(pb::GetResourceResponse { resource: Some(rendered(&resource)) }))
    }

    async fn list_resources(
        &self,
        request: Request<pb::ListResourcesRequest>,
    ) -> Result<Response<pb::ListResourcesResponse>, Status> {
        let (caller, message) = open(request)?;
        let (query, scoped) = parse_list(message)?;
        let (resources, next_page_token) = query.render(self.app.list_resources(&caller, scoped).await?, rendered);
        Ok(Response::new(pb::ListResourcesResponse { resources, next_page_token }))
    }

    async fn update_resource(
        &self,
        request: Request<pb::UpdateResourceRequest>,
    ) -> Result<Response<pb::UpdateResourceResponse>, Status> {
        let (caller, message) = open(request)?;
        let command = parse_update(message)?;
        let (resource, displaced) = self.app.update_resource(&caller, &command).await?;
        Ok(Response::new(pb::UpdateResourceResponse {
            resource: Some(rendered(&resource)),
            displacement: Some(displacement::rendered(&displaced)),
        }))
    }

    async fn create_time_off(
        &self,
        request: Request<pb::CreateTimeOffRequest>,
    ) -> Result<Response<pb::CreateTimeOffResponse>, Status> {
        let (caller, message) = open(request)?;
        let command = parse_create_time_off(message)?;
        let (time_off, displaced) = self.app.create_time_off(&caller, &command).await?;
        Ok(Response::new(pb::CreateTimeOffResponse {
            time_off: Some(rendered_time_off(&time_off)),
            displacement: Some(displacement::rendered(&displaced)),
        }))
    }

    async fn list_time_off(
        &self,
        request: Request<pb::ListTimeOffRequest>,
    ) -> Result<Response<pb::ListTimeOffResponse>, Status> {
        let (caller, message) = open(request)?;
        let (query, scoped) = parse_list_time_off(message)?;
        let (time_off, next_page_token) =
            query.render(self.app.list_time_off(&caller, scoped).await?, rendered_time_off);
        Ok(Response::new(pb::ListTimeOffResponse { time_off, next_page_token }))
    }

    async fn delete_time_off(
        &self,
        request: Request<pb::DeleteTimeOffRequest>,
    ) -> Result<Response<pb::DeleteTimeOffResponse>, Status> {
        let (caller, message) = open(request)?;
        let command = parse_delete_time_off(message)?;
        self.app.delete_time_off(&caller, &command).await?;
        Ok(Response::new(pb::DeleteTimeOffResponse {}))
    }
}

fn parse_create(message: pb::CreateResourceRequest) -> Result<Command<NewResource>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::CreateResourceRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        kind,
        name,
        clinic_id,
        qualifications,
        working_hours,
    } = message;
    let mut fields = Fields::default();
    let kind = fields.resource_kind("kind", kind);
    let clinic = fields.optional_id("clinic_id", &clinic_id);
    if let Some(kind) = kind {
        match (kind.stands_in_a_clinic(), clinic_id.is_empty()) {
            (true, true) => fields.note("clinic_id", "is required for a room or device"),
            (false, false) => fields.note("clinic_id", "must be empty: people work where their working hours say"),
            (true, false) | (false, true) => {}
        }
        if kind.stands_in_a_clinic() && !working_hours.is_empty() {
            fields.note("working_hours", "must be empty: rooms and devices follow their clinic's hours");
        }
    }
    let settings = settings(&mut fields, &name, true, &qualifications, &working_hours);
    head.command(fields, || Some(NewResource { kind: kind?, clinic: clinic?, settings: settings? }))
}

fn parse_update(
    message: pb::UpdateResourceRequest,
) -> Result<Command<Narrows<Update<ResourceId, ResourceSettings>>>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::UpdateResourceRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        etag,
        resource_id,
        name,
        active,
        qualifications,
        working_hours,
        rebooking,
    } = message;
    let mut fields = Fields::default();
    let (id, etag) = (fields.id("resource_id", &resource_id), fields.etag(&etag));
    let settings = settings(&mut fields, &name, active, &qualifications, &working_hours);
    let rebooking = parse_rebooking(&mut fields, rebooking);
    let update = || Some(Update { id: id?, etag: etag?, to: settings? });
    head.command(fields, || Some(Narrows { to: update()?, rebooking: rebooking? }))
}

fn settings(
    fields: &mut Fields,
    name: &str,
    active: bool,
    codes: &[String],
    hours: &[pb::WorkingHours],
) -> Option<ResourceSettings> {
    let name = fields.label("name", name);
    let qualifications = qualifications(fields, codes);
    let working_hours = working_hours(fields, hours);
    Some(ResourceSettings {
        name: Personal::new(name?),
        active,
        qualifications: qualifications?,
        working_hours: working_hours?,
    })
}

fn qualifications(fields: &mut Fields, codes: &[String]) -> Option<Vec<Qualification>> {
    fields.at_most("qualifications", codes.len(), MAX_QUALIFICATIONS)?;
    let remedy = "must be at most 63 lower-case letters, digits and underscores, beginning with a letter";
    let parsed: Vec<Option<Qualification>> = codes
        .iter()
        .enumerate()
        .map(|(i, code)| fields.some(&format!("qualifications[{i}]"), Qualification::new(code), remedy))
        .collect();
    let parsed: Vec<Qualification> = parsed.into_iter().collect::<Option<_>>()?;
    let mut distinct: Vec<&Qualification> = parsed.iter().collect();
    distinct.sort_unstable();
    distinct.dedup();
    let once = distinct.len() == parsed.len();
    fields.some("qualifications", once.then_some(parsed), "must name each qualification at most once")
}

/// Working hours in the order in which they are kept, so that the answer to a write is what a read would bring.
fn working_hours(fields: &mut Fields, hours: &[pb::WorkingHours]) -> Option<Vec<(ClinicId, Stretch)>> {
    fields.at_most("working_hours", hours.len(), MAX_WORKING_STRETCHES)?;
    let parsed: Vec<Option<(ClinicId, Stretch)>> = hours
        .iter()
        .enumerate()
        .map(|(i, hours)| {
            let pb::WorkingHours { clinic_id, hours } = hours;
            let clinic = fields.id(&format!("working_hours[{i}].clinic_id"), clinic_id);
            let path = format!("working_hours[{i}].hours");
            let hours = fields.some(&path, hours.as_ref(), "is required");
            let stretch = hours.and_then(|hours| fields.stretch(&path, hours));
            Some((clinic?, stretch?))
        })
        .collect();
    let mut parsed: Vec<(ClinicId, Stretch)> = parsed.into_iter().collect::<Option<_>>()?;
    parsed.sort_unstable();
    let apart = parsed
        .chunk_by(|(a, _), (b, _)| a == b)
        .all(|at_one_clinic| Week::new(at_one_clinic.iter().map(|(_, stretch)| *stretch).collect()).is_some());
    fields.some("working_hours", apart.then_some(parsed), "stretches of one clinic and weekday must not overlap")
}

fn parse_get(message: pb::GetResourceRequest) -> Result<Scoped<ResourceId>, Error> {
    let pb::GetResourceRequest { practice_id, resource_id } = message;
    let mut fields = Fields::default();
    let id = fields.id("resource_id", &resource_id);
    scoped(fields, &practice_id, || id)
}

fn parse_list(message: pb::ListResourcesRequest) -> Result<(Query, Scoped<ListResources>), Error> {
    let pb::ListResourcesRequest { practice_id, kind, page_size, page_token } = message;
    let query = Query::new("ListResources", &[&practice_id, &kind.to_string()]);
    let mut fields = Fields::default();
    let all = kind == i32::from(pb::ResourceKind::Unspecified);
    let kind = if all { Some(None) } else { fields.resource_kind("kind", kind).map(Some) };
    let page = fields.page(&query, page_size, &page_token)?;
    let scoped = scoped(fields, &practice_id, || Some(ListResources { kind: kind?, page: page? }))?;
    Ok((query, scoped))
}

fn parse_create_time_off(message: pb::CreateTimeOffRequest) -> Result<Command<Narrows<NewTimeOff>>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::CreateTimeOffRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        resource_id,
        start_time,
        end_time,
        reason,
        rebooking,
    } = message;
    let mut fields = Fields::default();
    let resource = fields.id("resource_id", &resource_id);
    let during = parse_closing(&mut fields, start_time, end_time);
    let reason = fields.prose("reason", &reason);
    let rebooking = parse_rebooking(&mut fields, rebooking);
    let time_off = || Some(NewTimeOff { resource: resource?, during: during?, reason: Personal::new(reason?) });
    head.command(fields, || Some(Narrows { to: time_off()?, rebooking: rebooking? }))
}

fn parse_list_time_off(message: pb::ListTimeOffRequest) -> Result<(Query, Scoped<ListTimeOff>), Error> {
    let pb::ListTimeOffRequest { practice_id, resource_id, page_size, page_token } = message;
    let query = Query::new("ListTimeOff", &[&practice_id, &resource_id]);
    let mut fields = Fields::default();
    let resource = fields.id("resource_id", &resource_id);
    let page = fields.page(&query, page_size, &page_token)?;
    let scoped = scoped(fields, &practice_id, || Some(ListTimeOff { resource: resource?, page: page? }))?;
    Ok((query, scoped))
}

fn parse_delete_time_off(message: pb::DeleteTimeOffRequest) -> Result<Command<TimeOffId>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::DeleteTimeOffRequest { practice_id: _, request_id: _, validate_only: _, time_off_id } = message;
    let mut fields = Fields::default();
    let id = fields.id("time_off_id", &time_off_id);
    head.command(fields, || id)
}

fn rendered(resource: &Resource) -> pb::Resource {
    let Resource { id, kind, name, clinic, active, qualifications, working_hours, changed_revision } = resource;
    let working_hours = working_hours.iter().map(|(clinic, stretch)| pb::WorkingHours {
        clinic_id: clinic.to_string(),
        hours: Some(render::weekly_hours(*stretch)),
    });
    pb::Resource {
        resource_id: id.to_string(),
        kind: render::resource_kind(*kind).into(),
        name: name.expose().as_str().to_owned(),
        clinic_id: clinic.map(|id| id.to_string()).unwrap_or_default(),
        active: *active,
        qualifications: qualifications.iter().map(|code| code.as_str().to_owned()).collect(),
        working_hours: working_hours.collect(),
        etag: render::etag(*changed_revision),
    }
}

fn rendered_time_off(time_off: &TimeOff) -> pb::TimeOff {
    let TimeOff { id, resource, during, reason } = time_off;
    pb::TimeOff {
        time_off_id: id.to_string(),
        resource_id: resource.to_string(),
        start_time: Some(render::timestamp(during.start())),
        end_time: Some(render::timestamp(during.end())),
        reason: reason.expose().as_str().to_owned(),
    }
}
