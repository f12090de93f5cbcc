//! `HistoryService`.

use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::access::rendered_role;
use super::page::Query;
use super::parse::{Fields, scoped};
use super::pb::history_service_server::HistoryService;
use super::{Services, open, pb, render, watch};
use crate::app::commands::PageOf;
use crate::app::{Error, Scoped};
use crate::domain::history::Change;

#[tonic::async_trait]
impl HistoryService for Services {
    async fn list_changes(
        &self,
        request: Request<pb::ListChangesRequest>,
    ) -> Result<Response<pb::ListChangesResponse>, Status> {
        let (caller, message) = open(request)?;
        let (query, scoped) = parse_list(message)?;
        let (changes, next_page_token) = query.render(self.app.list_changes(&caller, scoped).await?, rendered);
        Ok(Response::new(pb::ListChangesResponse { changes, next_page_token }))
    }

    type WatchChangesStream = BoxStream<pb::WatchChangesResponse>;

    async fn watch_changes(
        &self,
        request: Request<pb::WatchChangesRequest>,
    ) -> Result<Response<Self::WatchChangesStream>, Status> {
        let (caller, message) = open(request)?;
        let watch = self.app.watch_changes(&caller, watch::parse_changes(message)?).await?;
        Ok(Response::new(watch::changes(watch)))
    }
}

fn parse_list(message: pb::ListChangesRequest) -> Result<(Query, Scoped<PageOf<i64>>), Error> {
    let pb::ListChangesRequest { practice_id, after_revision, page_size, page_token } = message;
    let query = Query::new("ListChanges", &[&practice_id, &after_revision.to_string()]);
    let mut fields = Fields::default();
    let from = fields.some("after_revision", (after_revision >= 0).then_some(after_revision), "must not be negative");
    let page = fields.page::<i64>(&query, page_size, &page_token)?;
    let scoped = scoped(fields, &practice_id, || {
        let (from, PageOf { size, after }) = (from?, page?);
        // A page token stands for a later place in the same list.
        Some(PageOf { size, after: Some(after.unwrap_or(from)) })
    })?;
    Ok((query, scoped))
}

pub fn rendered(change: &Change) -> pb::Change {
    let Change { revision, recorded_at, kind, subject, patient, appointments, waiting, token, role, request } = change;
    pb::Change {
        revision: *revision,
        recorded_at: Some(render::timestamp(*recorded_at)),
        kind: kind.as_str().to_owned(),
        subject_id: subject.to_string(),
        patient_id: patient.map(|id| id.to_string()).unwrap_or_default(),
        appointment_ids: appointments.iter().map(ToString::to_string).collect(),
        token_id: token.map(|id| id.to_string()).unwrap_or_default(),
        role: rendered_role(*role).into(),
        request_id: request.to_string(),
        waiting_ids: waiting.iter().map(ToString::to_string).collect(),
    }
}
