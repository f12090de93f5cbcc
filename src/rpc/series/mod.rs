//! `SeriesService`.

mod parse;
mod shown;

use tonic::{Request, Response, Status};

use super::pb::series_service_server::SeriesService;
use super::{Services, open, pb, plan};
use crate::app::Moved;
use crate::domain::ids::AppointmentId;

pub use shown::{rendered, rendered_move};

#[tonic::async_trait]
impl SeriesService for Services {
    async fn propose_series(
        &self,
        request: Request<pb::ProposeSeriesRequest>,
    ) -> Result<Response<pb::ProposeSeriesResponse>, Status> {
        let (caller, message) = open(request)?;
        let proposal = self.app.propose_series(&caller, parse::parse_propose(message)?).await?;
        Ok(Response::new(plan::rendered(&proposal)))
    }

    async fn reschedule_session(
        &self,
        request: Request<pb::RescheduleSessionRequest>,
    ) -> Result<Response<pb::RescheduleSessionResponse>, Status> {
        let (caller, message) = open(request)?;
        let command = parse::parse_reschedule(message)?;
        let Moved { series, moves } = self.app.reschedule_session(&caller, &command).await?;
        let freed: Vec<AppointmentId> = moves.iter().map(|(old, _)| old.id).collect();
        let waiting_matches = self.who_waits(&caller, &command, &freed).await;
        let moves = moves.iter().map(|(old, new)| rendered_move(old, new)).collect();
        Ok(Response::new(pb::RescheduleSessionResponse { series: Some(rendered(&series)), moves, waiting_matches }))
    }

    async fn extend_series(
        &self,
        request: Request<pb::ExtendSeriesRequest>,
    ) -> Result<Response<pb::ExtendSeriesResponse>, Status> {
        let (caller, message) = open(request)?;
        let series = self.app.extend_series(&caller, &parse::parse_extend(message)?).await?;
        Ok(Response::new(pb::ExtendSeriesResponse { series: Some(rendered(&series)) }))
    }

    async fn shorten_series(
        &self,
        request: Request<pb::ShortenSeriesRequest>,
    ) -> Result<Response<pb::ShortenSeriesResponse>, Status> {
        let (caller, message) = open(request)?;
        let series = self.app.shorten_series(&caller, &parse::parse_shorten(message)?).await?;
        Ok(Response::new(pb::ShortenSeriesResponse { series: Some(rendered(&series)) }))
    }

    async fn book_series(
        &self,
        request: Request<pb::BookSeriesRequest>,
    ) -> Result<Response<pb::BookSeriesResponse>, Status> {
        let (caller, message) = open(request)?;
        let series = self.app.book_series(&caller, &parse::parse_book(message)?).await?;
        Ok(Response::new(pb::BookSeriesResponse { series: Some(rendered(&series)) }))
    }

    async fn hold_series(
        &self,
        request: Request<pb::HoldSeriesRequest>,
    ) -> Result<Response<pb::HoldSeriesResponse>, Status> {
        let (caller, message) = open(request)?;
        let series = self.app.book_series(&caller, &parse::parse_hold(message)?).await?;
        Ok(Response::new(pb::HoldSeriesResponse { series: Some(rendered(&series)) }))
    }

    async fn renew_series_hold(
        &self,
        request: Request<pb::RenewSeriesHoldRequest>,
    ) -> Result<Response<pb::RenewSeriesHoldResponse>, Status> {
        let (caller, message) = open(request)?;
        let series = self.app.renew_series_hold(&caller, &parse::parse_renew(message)?).await?;
        Ok(Response::new(pb::RenewSeriesHoldResponse { series: Some(rendered(&series)) }))
    }

    async fn convert_series_hold(
        &self,
        request: Request<pb::ConvertSeriesHoldRequest>,
    ) -> Result<Response<pb::ConvertSeriesHoldResponse>, Status> {
        let (caller, message) = open(request)?;
        let series = self.app.convert_series_hold(&caller, &parse::parse_convert(message)?).await?;
        Ok(Response::new(pb::ConvertSeriesHoldResponse { series: Some(rendered(&series)) }))
    }

    async fn get_series(
        &self,
        request: Request<pb::GetSeriesRequest>,
    ) -> Result<Response<pb::GetSeriesResponse>, Status> {
        let (caller, message) = open(request)?;
        let series = self.app.get_series(&caller, parse::parse_get(message)?).await?;
        Ok(Response::new(pb::GetSeriesResponse { series: Some(rendered(&series)) }))
    }

    async fn list_series(
        &self,
        request: Request<pb::ListSeriesRequest>,
    ) -> Result<Response<pb::ListSeriesResponse>, Status> {
        let (caller, message) = open(request)?;
        let (query, scoped) = parse::parse_list(message)?;
        let (series, next_page_token) = query.render(self.app.list_series(&caller, scoped).await?, rendered);
        Ok(Response::new(pb::ListSeriesResponse { series, next_page_token }))
    }

    async fn record_assessment(
        &self,
        request: Request<pb::RecordAssessmentRequest>,
    ) -> Result<Response<pb::RecordAssessmentResponse>, Status> {
        let (caller, message) = open(request)?;
        let series = self.app.record_assessment(&caller, &parse::parse_record(message)?).await?;
        Ok(Response::new(pb::RecordAssessmentResponse { series: Some(rendered(&series)) }))
    }

    async fn cancel_series(
        &self,
        request: Request<pb::CancelSeriesRequest>,
    ) -> Result<Response<pb::CancelSeriesResponse>, Status> {
        let (caller, message) = open(request)?;
        let series = self.app.cancel_series(&caller, &parse::parse_cancel(message)?).await?;
        Ok(Response::new(pb::CancelSeriesResponse { series: Some(rendered(&series)) }))
    }
}
