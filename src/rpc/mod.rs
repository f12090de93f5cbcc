//! The wire shell. A handler parses a message into a command, makes one call into `app`, and renders what comes back.

pub mod agenda;
pub mod codec;
pub mod guard;
pub mod page;
pub mod parse;
pub mod pb;
pub mod render;
pub mod status;
pub mod stream;

mod access;
mod aftercare;
mod appointment;
mod booking_rules;
mod catalog;
mod clearance;
mod displacement;
mod history;
mod messages;
mod next_session;
mod overrides;
mod patient;
mod plan;
mod practice;
mod reaction;
mod resource;
mod screening;
mod series;
mod sheet;
mod slots;
mod visit;
mod visit_record;
mod waiting;
mod watch;

use std::sync::Arc;

use crate::app::App;
use crate::domain::access::Caller;

/// Largest message that is taken, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 256 * 1024;

/// All services, on the same use cases.
#[derive(Clone)]
pub struct Services {
    app: Arc<App>,
}

impl Services {
    /// The services on these use cases.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// The routes of all services.
    pub fn routes(&self) -> tonic::service::Routes {
        macro_rules! routes {
            ($($module:ident :: $server:ident),+ $(,)?) => {{
                let mut routes = tonic::service::Routes::default();
                $(routes = routes.add_service(
                    pb::$module::$server::new(self.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES),
                );)+
                routes
            }};
        }
        routes!(
            practice_service_server::PracticeServiceServer,
            resource_service_server::ResourceServiceServer,
            catalog_service_server::CatalogServiceServer,
            patient_service_server::PatientServiceServer,
            series_service_server::SeriesServiceServer,
            appointment_service_server::AppointmentServiceServer,
            aftercare_service_server::AftercareServiceServer,
            waiting_list_service_server::WaitingListServiceServer,
            calendar_service_server::CalendarServiceServer,
            message_service_server::MessageServiceServer,
            history_service_server::HistoryServiceServer,
            access_service_server::AccessServiceServer,
        )
    }
}

/// Who calls, as the guard found out, and what they say.
fn open<T>(request: tonic::Request<T>) -> Result<(Caller, T), tonic::Status> {
    let (_, extensions, message) = request.into_parts();
    match extensions.get::<Caller>() {
        Some(caller) => Ok((*caller, message)),
        None => Err(crate::app::Error::Unauthenticated.into()),
    }
}
