//! Reading a request's body, frame by frame, up to a limit.

use std::{future::poll_fn, pin::Pin};

use axum::{
    body::{Body, HttpBody},
    http::HeaderMap,
};
use bytes::{Bytes, BytesMut};

/// Lambda's limit for a buffered payload, in either direction: 6 MiB and 100 bytes.
pub(crate) const PAYLOAD_LIMIT: usize = 6_291_556;

pub(crate) enum Collected {
    Whole { bytes: Bytes, trailers: HeaderMap },
    TooLarge { size: usize },
}

/// Collects `body`. One that is larger than `limit` is still read to its end, without being kept: a client that is
/// cut off in the middle of sending rarely gets to read why.
pub(crate) async fn collect(mut body: Body, limit: usize) -> Result<Collected, axum::Error> {
    let mut bytes = BytesMut::new();
    let mut size = 0;
    let mut trailers = HeaderMap::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        match frame?.into_data() {
            Ok(data) => {
                size += data.len();
                if size <= limit {
                    bytes.extend_from_slice(&data);
                }
            }
            Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
        }
    }
    if size > limit {
        return Ok(Collected::TooLarge { size });
    }
    Ok(Collected::Whole {
        bytes: bytes.freeze(),
        trailers,
    })
}
