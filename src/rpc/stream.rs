//! Streams: answers of many messages, and whatever else comes one after the other.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tonic::Status;
use tonic::codegen::{BoxStream, tokio_stream::Stream};

/// What a state gives one after the other, until there is no more, or an error. Nothing is done ahead of a caller who
/// does not read, and dropping the stream drops the state.
pub fn unfold<S, M, N, F>(state: S, next: N) -> BoxStream<M>
where
    S: Send + 'static,
    M: Send + 'static,
    N: Fn(S) -> F + Send + Unpin + 'static,
    F: Future<Output = Result<Option<(M, S)>, Status>> + Send + 'static,
{
    let first = Some(Box::pin(next(state)));
    Box::pin(Unfolded { next, under_way: first })
}

struct Unfolded<N, F> {
    next: N,
    under_way: Option<Pin<Box<F>>>,
}

impl<S, M, N, F> Stream for Unfolded<N, F>
where
    N: Fn(S) -> F + Unpin,
    F: Future<Output = Result<Option<(M, S)>, Status>>,
{
    type Item = Result<M, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(under_way) = &mut self.under_way else { return Poll::Ready(None) };
        let done = std::task::ready!(under_way.as_mut().poll(context));
        let (item, rest) = match done {
            Ok(Some((message, state))) => (Some(Ok(message)), Some(Box::pin((self.next)(state)))),
            Ok(None) => (None, None),
            Err(status) => (Some(Err(status)), None),
        };
        self.under_way = rest;
        Poll::Ready(item)
    }
}
