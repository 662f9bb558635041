//! Reading a request's body, frame by frame, up to a limit.

use std::{future::poll_fn, pin::Pin};

use axum::{
    body::{Body, HttpBody},
    http::HeaderMap,
};
use bytes::{Bytes, BytesMut};
use http_body::Frame;

use crate::local::stream::Writer;

/// Lambda's limit for a buffered payload, in either direction: 6 MiB and 100 bytes.
pub(crate) const PAYLOAD_LIMIT: usize = 6_291_556;

pub(crate) enum Collected {
    Whole(Bytes),
    TooLarge { size: usize },
}

/// Collects `body`. One that is larger than `limit` is still read to its end, without being kept: a client that is
/// cut off in the middle of sending rarely gets to read why.
pub(crate) async fn collect(mut body: Body, limit: usize) -> Result<Collected, axum::Error> {
    let mut bytes = BytesMut::new();
    let mut size = 0;
    while let Some(frame) = next(&mut body).await {
        // Trailers say nothing about a body that is whole.
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        size += data.len();
        if size <= limit {
            bytes.extend_from_slice(&data);
        }
    }
    if size > limit {
        return Ok(Collected::TooLarge { size });
    }
    Ok(Collected::Whole(bytes.freeze()))
}

pub(crate) enum Forwarded {
    Whole { trailers: HeaderMap },
    TooLarge,
}

/// Hands `body` on to `writer`, chunk by chunk, up to `limit` bytes.
pub(crate) async fn forward(
    body: &mut Body,
    limit: usize,
    writer: &mut Writer,
) -> Result<Forwarded, axum::Error> {
    let mut left = limit;
    let mut trailers = HeaderMap::new();
    while let Some(frame) = next(body).await {
        match frame?.into_data() {
            Ok(data) => match left.checked_sub(data.len()) {
                Some(rest) => {
                    left = rest;
                    writer.write(data).await;
                }
                None => return Ok(Forwarded::TooLarge),
            },
            Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
        }
    }
    Ok(Forwarded::Whole { trailers })
}

/// Reads the rest of `body` without keeping it, so that the client gets to read the answer.
pub(crate) async fn drain(mut body: Body) {
    while let Some(Ok(_)) = next(&mut body).await {}
}

async fn next(body: &mut Body) -> Option<Result<Frame<Bytes>, axum::Error>> {
    poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
}
