//! What stands before every method: who calls and whether they may, how many at once, and for how long. It also gives
//! the errors of the transport the same shape as the service's own.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::Semaphore;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response, header};
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::status;
use crate::app::access::{MAY_CALL, may_call};
use crate::app::lanes::{MAX_WAITING, MAX_WAITING_WRITERS};
use crate::app::{App, Error};

/// Most requests under way at once; more are turned away at once. A watch is a request until its answer begins; from
/// then on it has limits of its own (`app/watch`), and none of these.
pub const MAX_REQUESTS: usize = 192;
/// A practice has two lanes for its writers and three others; those who wait in all of them leave room for others.
const _: () = assert!(2 * MAX_WAITING_WRITERS + 3 * MAX_WAITING < MAX_REQUESTS);
/// How long a request may take, unless its caller gives it less.
pub const DEADLINE: Duration = Duration::from_secs(10);
/// Methods that need no token: what a load balancer or grpcurl asks before it has one.
const PUBLIC: [&str; 3] =
    ["grpc.health.v1.Health/", "grpc.reflection.v1.ServerReflection/", "grpc.reflection.v1alpha.ServerReflection/"];
/// Where a caller says how long they wait: at most so many digits, and a unit.
const TIMEOUT: &str = "grpc-timeout";
const MAX_TIMEOUT_DIGITS: usize = 8;
/// Where the details of a status are.
const DETAILS: &str = "grpc-status-details-bin";

/// Puts [`Guard`] before a service.
#[derive(Clone)]
pub struct GuardLayer {
    app: Arc<App>,
    slots: Arc<Semaphore>,
}

impl GuardLayer {
    /// A guard that asks these use cases who calls.
    pub fn new(app: Arc<App>) -> Self {
        Self { app, slots: Arc::new(Semaphore::new(MAX_REQUESTS)) }
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { inner, layer: self.clone() }
    }
}

/// See the module.
#[derive(Clone)]
pub struct Guard<S> {
    inner: S,
    layer: GuardLayer,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<S> Service<Request<Body>> for Guard<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        // The service that was polled ready is the one to call; the clone waits for its own turn.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        let layer = self.layer.clone();
        // Begins before the transport's own timer for the same, whose error says less.
        let out_of_time = tokio::time::sleep(patience(request.headers()).map_or(DEADLINE, |wait| wait.min(DEADLINE)));
        Box::pin(async move {
            let method = request.uri().path().trim_start_matches('/').to_owned();
            if PUBLIC.iter().any(|public| method.starts_with(public)) {
                let mut inner = inner;
                return inner.call(request).await;
            }
            let answer = tokio::select! {
                biased;
                answer = admit(layer, inner, request, &method) => answer,
                () = out_of_time => Err(status::deadline_exceeded()),
            };
            let response = answer.unwrap_or_else(Status::into_http);
            let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
            tracing::debug!(method, ?code, "answered");
            Ok(response)
        })
    }
}

async fn admit<S>(
    layer: GuardLayer,
    mut inner: S,
    mut request: Request<Body>,
    method: &str,
) -> Result<Response<Body>, Status>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    if !MAY_CALL.iter().any(|(known, _)| *known == method) {
        return Err(status::unknown_method());
    }
    let _slot = layer.slots.try_acquire().map_err(|_| status::overloaded())?;
    let bearer = bearer(request.headers()).ok_or(Error::Unauthenticated)?;
    let caller = layer.app.authenticate(bearer).await?;
    if !may_call(caller.role, method) {
        return Err(Error::RoleNotAllowed.into());
    }
    request.extensions_mut().insert(caller);
    let Ok(response) = inner.call(request).await;
    Ok(shaped(response))
}

/// How long the caller waits, if they say so: as `500m`.
fn patience(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= MAX_TIMEOUT_DIGITS)?;
    match unit {
        "H" => Some(Duration::from_secs(number * 60 * 60)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Gives an error of the transport, which has no details, the shape of the service's own.
fn shaped(response: Response<Body>) -> Response<Body> {
    if response.headers().contains_key(DETAILS) {
        return response;
    }
    let Some(plain) = Status::from_header_map(response.headers()) else { return response };
    let shaped = match plain.code() {
        Code::OutOfRange => status::message_too_large(),
        // The method is known, so it is the compression that is not.
        Code::Unimplemented => status::unknown_encoding(),
        // The transport found no message where one had to be, or could not take it apart.
        Code::Internal | Code::InvalidArgument | Code::Unknown | Code::Cancelled => status::malformed_message(),
        Code::DeadlineExceeded => status::deadline_exceeded(),
        Code::Ok
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated => return response,
    };
    shaped.into_http()
}
