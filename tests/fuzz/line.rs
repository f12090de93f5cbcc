//! A connection to the program over which anything can be sent.

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Version};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tower::ServiceExt as _;

/// How often a request is sent at most that the server had no time for.
const SENDS: usize = 5;

/// Any request.
#[derive(Clone)]
pub struct Asked {
    /// With its slash: `/stipple.v1.PracticeService/GetPractice`.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What came back.
#[derive(Debug)]
pub enum Answer {
    /// The first message.
    Message(Bytes),
    /// A status other than OK.
    Refused(Status),
    /// Not even gRPC: refused by HTTP.
    Http(u16),
}

impl Answer {
    /// The code, in words.
    pub fn code(&self) -> String {
        match self {
            Self::Message(_) => format!("{:?}", Code::Ok),
            Self::Refused(status) => format!("{:?}", status.code()),
            Self::Http(code) => format!("HTTP {code}"),
        }
    }

    /// Whether that was the code.
    pub fn is(&self, code: Code) -> bool {
        match self {
            Self::Message(_) => code == Code::Ok,
            Self::Refused(status) => status.code() == code,
            Self::Http(_) => false,
        }
    }
}

/// Sends a request, again if the server had no time for it, as a client does. Panics if the connection is lost.
pub async fn send(channel: &Channel, asked: &Asked) -> Answer {
    let mut answer = send_once(channel, asked).await;
    for _ in 1..SENDS {
        if !answer.is(Code::DeadlineExceeded) {
            break;
        }
        answer = send_once(channel, asked).await;
    }
    answer
}

async fn send_once(channel: &Channel, asked: &Asked) -> Answer {
    let mut request = Request::post(&asked.path).version(Version::HTTP_2);
    request.headers_mut().unwrap().clone_from(&asked.headers);
    let request = request.body(Body::new(Full::new(asked.body.clone()))).unwrap();
    let sent = channel.clone().oneshot(request).await;
    let (head, mut body) =
        sent.unwrap_or_else(|error| panic!("{}: connection lost: {error:?}", asked.path)).into_parts();
    if let Some(status) = Status::from_header_map(&head.headers) {
        assert_ne!(status.code(), Code::Ok, "{}: an answer without a message", asked.path);
        return Answer::Refused(status);
    }
    if !head.status.is_success() {
        return Answer::Http(head.status.as_u16());
    }
    // Of an answer that may go on for ever, the first message.
    let mut read = BytesMut::new();
    loop {
        let frame = body.frame().await.unwrap_or_else(|| panic!("{}: neither message nor status", asked.path));
        match frame.unwrap_or_else(|error| panic!("{}: answer cut off: {error:?}", asked.path)).into_data() {
            Ok(data) => read.extend_from_slice(&data),
            Err(trailers) => {
                return Answer::Refused(Status::from_header_map(trailers.trailers_ref().unwrap()).unwrap());
            }
        }
        let length = read.get(1..5).map(|length| u32::from_be_bytes(length.try_into().unwrap()) as usize);
        if let Some(length) = length.filter(|length| read.len() >= 5 + length) {
            return Answer::Message(read.freeze().slice(5..5 + length));
        }
    }
}
