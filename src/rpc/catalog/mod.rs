//! `CatalogService`.

pub mod clinical;
mod protocol;
mod treatment;

use tonic::{Request, Response, Status};

use super::parse::Fields;
use super::pb::catalog_service_server::CatalogService;
use super::{Services, open, pb};
use crate::domain::catalog::Evidence;

#[tonic::async_trait]
impl CatalogService for Services {
    async fn publish_treatment(
        &self,
        request: Request<pb::PublishTreatmentRequest>,
    ) -> Result<Response<pb::PublishTreatmentResponse>, Status> {
        let (caller, message) = open(request)?;
        let command = treatment::parse_publish(message)?;
        let published = self.app.publish_treatment(&caller, &command).await?;
        Ok(Response::new(pb::PublishTreatmentResponse { treatment: Some(treatment::rendered(&published)) }))
    }

    async fn get_treatment(
        &self,
        request: Request<pb::GetTreatmentRequest>,
    ) -> Result<Response<pb::GetTreatmentResponse>, Status> {
        let (caller, message) = open(request)?;
        let scoped = treatment::parse_get(message)?;
        let found = self.app.get_treatment(&caller, scoped).await?;
        Ok(Response::new(pb::GetTreatmentResponse { treatment: Some(treatment::rendered(&found)) }))
    }

    async fn list_treatments(
        &self,
        request: Request<pb::ListTreatmentsRequest>,
    ) -> Result<Response<pb::ListTreatmentsResponse>, Status> {
        let (caller, message) = open(request)?;
        let (query, scoped) = treatment::parse_list(message)?;
        let (treatments, next_page_token) =
            query.render(self.app.list_treatments(&caller, scoped).await?, treatment::rendered);
        Ok(Response::new(pb::ListTreatmentsResponse { treatments, next_page_token }))
    }

    async fn publish_protocol(
        &self,
        request: Request<pb::PublishProtocolRequest>,
    ) -> Result<Response<pb::PublishProtocolResponse>, Status> {
        let (caller, message) = open(request)?;
        let command = protocol::parse_publish(message)?;
        let published = self.app.publish_protocol(&caller, &command).await?;
        Ok(Response::new(pb::PublishProtocolResponse { protocol: Some(protocol::rendered(&published)) }))
    }

    async fn get_protocol(
        &self,
        request: Request<pb::GetProtocolRequest>,
    ) -> Result<Response<pb::GetProtocolResponse>, Status> {
        let (caller, message) = open(request)?;
        let scoped = protocol::parse_get(message)?;
        let found = self.app.get_protocol(&caller, scoped).await?;
        Ok(Response::new(pb::GetProtocolResponse { protocol: Some(protocol::rendered(&found)) }))
    }

    async fn list_protocols(
        &self,
        request: Request<pb::ListProtocolsRequest>,
    ) -> Result<Response<pb::ListProtocolsResponse>, Status> {
        let (caller, message) = open(request)?;
        let (query, scoped) = protocol::parse_list(message)?;
        let (protocols, next_page_token) =
            query.render(self.app.list_protocols(&caller, scoped).await?, protocol::rendered);
        Ok(Response::new(pb::ListProtocolsResponse { protocols, next_page_token }))
    }
}

/// What to publish the next version of, with its etag; none, with neither, for something new.
#[expect(clippy::option_option, reason = "the outer says whether it is well formed, the inner whether it is there")]
fn replaces<Id: From<uuid::Uuid>>(fields: &mut Fields, field: &str, id: &str, etag: &str) -> Option<Option<(Id, i64)>> {
    if id.is_empty() {
        return fields.some("etag", etag.is_empty().then_some(None), &format!("must be empty without {field}"));
    }
    let (id, etag) = (fields.id(field, id), fields.etag(etag));
    Some(Some((id?, etag?)))
}

/// Which version; none for the highest.
#[expect(clippy::option_option, reason = "the outer says whether it is well formed, the inner whether it is there")]
fn version(fields: &mut Fields, version: i32) -> Option<Option<i32>> {
    let known = (version >= 0).then_some((version > 0).then_some(version));
    fields.some("version", known, "must be a version, or 0 for the highest")
}

/// The entries of a list of bounded length, each parsed with its own path; all of them, so that all faults are noted.
fn each<M, T>(
    fields: &mut Fields,
    field: &str,
    entries: &[M],
    most: usize,
    parse: impl Fn(&mut Fields, &str, &M) -> Option<T>,
) -> Option<Vec<T>> {
    fields.at_most(field, entries.len(), most)?;
    let parsed: Vec<Option<T>> =
        entries.iter().enumerate().map(|(i, entry)| parse(fields, &format!("{field}[{i}]"), entry)).collect();
    parsed.into_iter().collect()
}

/// Where numbers come from.
fn evidence(fields: &mut Fields, field: &str, evidence: Option<&pb::Evidence>) -> Option<Evidence> {
    let pb::Evidence { source, grade, rationale } = fields.some(field, evidence, "is required")?;
    let source = fields.prose(&format!("{field}.source"), source);
    let grade = fields.grade(&format!("{field}.grade"), *grade);
    let rationale = fields.prose(&format!("{field}.rationale"), rationale);
    Some(Evidence { source: source?, grade: grade?, rationale: rationale? })
}

/// Evidence that may be left out.
#[expect(clippy::option_option, reason = "the outer says whether it is well formed, the inner whether it is there")]
fn said(fields: &mut Fields, field: &str, source: Option<&pb::Evidence>) -> Option<Option<Evidence>> {
    match source {
        None => Some(None),
        Some(_) => evidence(fields, field, source).map(Some),
    }
}
