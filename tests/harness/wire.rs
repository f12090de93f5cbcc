//! Clients of every service, over a connection that carries a token and, when the suite is run with kills, sends again
//! what was lost.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use prost::Message as _;
use prost_reflect::MethodDescriptor;
use stipple::rpc::codec::DESCRIPTORS;
use stipple::rpc::pb;
use stipple::rpc::pb::access_service_client::AccessServiceClient;
use stipple::rpc::pb::aftercare_service_client::AftercareServiceClient;
use stipple::rpc::pb::appointment_service_client::AppointmentServiceClient;
use stipple::rpc::pb::calendar_service_client::CalendarServiceClient;
use stipple::rpc::pb::catalog_service_client::CatalogServiceClient;
use stipple::rpc::pb::history_service_client::HistoryServiceClient;
use stipple::rpc::pb::message_service_client::MessageServiceClient;
use stipple::rpc::pb::patient_service_client::PatientServiceClient;
use stipple::rpc::pb::practice_service_client::PracticeServiceClient;
use stipple::rpc::pb::resource_service_client::ResourceServiceClient;
use stipple::rpc::pb::series_service_client::SeriesServiceClient;
use stipple::rpc::pb::waiting_list_service_client::WaitingListServiceClient;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response, Uri, header, response};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tower::{Service as _, ServiceExt as _};

use super::kill::MAX_SENDS;
use super::server::{Home, TestServer};

/// A connection to a test's server.
#[derive(Clone)]
pub struct Wire {
    server: TestServer,
    token: Option<String>,
}

impl Wire {
    /// A connection with or without a token.
    pub fn new(server: TestServer, token: Option<String>) -> Self {
        Self { server, token }
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

impl tower::Service<Request<Body>> for Wire {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(token) = &self.token {
            let value = format!("Bearer {token}").parse().unwrap();
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let server = self.server.clone();
        Box::pin(async move {
            match server.home() {
                Home::Here { channel, .. } => send_until_in_time(channel, request).await,
                Home::Killed(_) => send_until_answered(&server, request).await,
                Home::Away(channel) => Ok(channel.clone().ready_oneshot().await?.call(request).await?),
            }
        })
    }
}

/// Sends again what the server had no time for, with the same request id, as a client does: on a machine that is busy
/// with other things, a request that waits for many others may well take longer than the server gives it.
async fn send_until_in_time(channel: &Channel, request: Request<Body>) -> Result<Response<Body>, Error> {
    let (parts, body) = request.into_parts();
    let body: Bytes = body.collect().await?.to_bytes();
    for _ in 0..MAX_SENDS {
        let again = Request::from_parts(parts.clone(), Body::new(Full::new(body.clone())));
        let answer = channel.clone().ready_oneshot().await?.call(again).await?;
        if code(answer.headers()) != Some(Code::DeadlineExceeded) {
            return Ok(answer);
        }
    }
    Err("the server never had time".into())
}

async fn send_until_answered(server: &TestServer, request: Request<Body>) -> Result<Response<Body>, Error> {
    let Home::Killed(killed) = server.home() else { unreachable!("only such a server loses replies") };
    let (parts, body) = request.into_parts();
    let body: Bytes = body.collect().await?.to_bytes();
    // An answer of many messages is handed on as it comes.
    let is_stream = streams(parts.uri.path());
    // The secret of a new token is told once: a lost reply loses it, as the contract says.
    let spared = is_stream || parts.uri.path().ends_with("/CreateToken");
    for _ in 0..MAX_SENDS {
        let (mut channel, generation) = killed.channel().await;
        let mut again = Request::from_parts(parts.clone(), Body::new(Full::new(body.clone())));
        *again.uri_mut() = parts.uri.path().parse::<Uri>()?;
        let sent = async {
            let (parts, body) = channel.ready().await?.call(again).await?.into_parts();
            let body = if is_stream { body } else { Body::new(body.collect().await?.map_err(|never| match never {})) };
            Ok::<_, Error>((parts, body))
        };
        match sent.await {
            // The port of a server that was killed may be another test's by now, whose server knows nobody of this one.
            Ok((parts, _)) if is_unknown(&parts) && killed.channel().await.1 != generation => {}
            Ok(_) if !spared && killed.loses_reply(generation).await => {}
            // It had no time: the same server is asked again.
            Ok((parts, _)) if code(&parts.headers) == Some(Code::DeadlineExceeded) => {}
            Ok((parts, body)) => return Ok(Response::from_parts(parts, body)),
            Err(_) => killed.recover(generation).await,
        }
    }
    Err("every reply was lost".into())
}

/// Whether a method, as `/stipple.v1.HistoryService/WatchChanges`, answers with many messages.
pub fn streams(path: &str) -> bool {
    let mut methods = DESCRIPTORS.services().flat_map(|service| service.methods().collect::<Vec<_>>());
    let named = |method: &MethodDescriptor| {
        path.trim_start_matches('/') == format!("{}/{}", method.parent_service().full_name(), method.name())
    };
    methods.any(|method| named(&method) && method.is_server_streaming() && !method.is_client_streaming())
}

/// Whether an answer says that the token is not known.
fn is_unknown(answer: &response::Parts) -> bool {
    code(&answer.headers) == Some(Code::Unauthenticated)
}

/// The code of an answer that is nothing but an error.
fn code(headers: &HeaderMap) -> Option<Code> {
    Status::from_header_map(headers).map(|status| status.code())
}

impl Clients {
    /// The token that they send.
    pub fn token(&self) -> &str {
        self.wire.token.as_deref().unwrap_or_default()
    }
}

/// A client of each service, all with the same token.
#[derive(Clone)]
pub struct Clients {
    wire: Wire,
}

macro_rules! clients {
    ($($name:ident: $client:ident),+ $(,)?) => {
        impl Clients {
            /// Clients over a connection.
            pub fn new(wire: Wire) -> Self {
                Self { wire }
            }

            /// The same clients over a connection to another server.
            pub fn over(&self, server: &TestServer) -> Self {
                Self::new(Wire::new(server.clone(), self.wire.token.clone()))
            }

            $(
                /// A client of that service.
                pub fn $name(&self) -> $client<Wire> {
                    $client::new(self.wire.clone()).max_encoding_message_size(64 * 1024 * 1024)
                }
            )+
        }
    };
}

clients! {
    practices: PracticeServiceClient,
    resources: ResourceServiceClient,
    catalog: CatalogServiceClient,
    patients: PatientServiceClient,
    series: SeriesServiceClient,
    appointments: AppointmentServiceClient,
    aftercare: AftercareServiceClient,
    waiting: WaitingListServiceClient,
    calendar: CalendarServiceClient,
    messages: MessageServiceClient,
    history: HistoryServiceClient,
    access: AccessServiceClient,
}

/// The rules that a refusal names. Panics if the status is no refusal, or is not shaped like one.
pub fn refusal(status: &Status) -> Vec<pb::RuleViolation> {
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    let details = tonic_types::pb::Status::decode(status.details()).unwrap().details;
    let infos = details.iter().filter(|any| any.type_url.ends_with("/google.rpc.ErrorInfo")).count();
    assert_eq!(infos, 1, "exactly one ErrorInfo");
    assert!(details.iter().any(|any| any.type_url.ends_with("/google.rpc.PreconditionFailure")));
    let refusal = details.iter().find(|any| any.type_url.ends_with("/stipple.v1.Refusal")).expect("a refusal");
    let violations = pb::Refusal::decode(refusal.value.as_slice()).unwrap().violations;
    assert!(!violations.is_empty());
    violations
}

/// The reason that a status gives.
pub fn reason(status: &Status) -> String {
    use tonic_types::StatusExt as _;
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(info.domain, "stipple.v1");
    info.reason
}

/// The fields that a status complains about.
pub fn fields(status: &Status) -> Vec<String> {
    use tonic_types::StatusExt as _;
    let bad = status.get_details_bad_request().unwrap_or_else(|| panic!("no BadRequest in {status:?}"));
    bad.field_violations.into_iter().map(|violation| violation.field).collect()
}

/// The field with the id that the practice has nothing of.
pub fn missing(status: &Status) -> String {
    use tonic_types::StatusExt as _;
    assert_eq!((status.code(), reason(status).as_str()), (Code::NotFound, "NOT_FOUND"), "{status:?}");
    status.get_details_error_info().unwrap().metadata["field"].clone()
}
