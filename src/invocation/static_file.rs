//! A site's file on its way: read here, and not by PHP.

use std::io;

use super::Deadline;
use super::reply::{Reply, Stopped};
use crate::event::http_request::HttpRequest;
use crate::failure::Failure;
use crate::runtime_api::delivery::Delivery;
use crate::site::answer::{StaticAnswer, too_large};
use crate::site::{Site, Static};

/// A request that no script answers.
pub(super) struct StaticFile<'a> {
    pub(super) site: &'a Site,
    pub(super) request: &'a HttpRequest<'a>,
    pub(super) deadline: &'a Deadline,
    /// Of an answer that is sent whole, in bytes of the document.
    pub(super) limit: usize,
}

impl StaticFile<'_> {
    /// The document to post; empty where the answer was streamed.
    pub(super) async fn send(
        self,
        target: Static,
        mut reply: Reply<'_>,
        delivery: &mut Delivery,
    ) -> Result<Vec<u8>, Failure> {
        let file = match &target {
            Static::File(file) => Some((file.path().to_owned(), file.len())),
            _ => None,
        };
        let limit = (!reply.can_stream()).then_some(self.limit);
        let answer = self
            .site
            .answer(target, self.request, limit)
            .map_err(unreadable)?;
        self.take(&mut reply, answer, delivery).await?;
        // the file may fit, and its text or base64 not
        if let Some((path, len)) = file.filter(|_| reply.exceeds(self.limit)) {
            let answer = too_large(&path, len, self.limit);
            self.take(&mut reply, answer, delivery).await?;
        }
        reply.finish()
    }

    async fn take(
        &self,
        reply: &mut Reply<'_>,
        answer: StaticAnswer,
        delivery: &mut Delivery,
    ) -> Result<(), Failure> {
        let taken = tokio::select! {
            biased;
            taken = reply.take(answer, delivery) => taken,
            () = self.deadline.passed() => {
                return Err(Failure::FileTimeout(self.deadline.budget));
            }
        };
        match taken {
            // nobody is there who could be told
            Ok(()) | Err(Stopped::HungUp) => Ok(()),
            Err(Stopped::Unreadable(error)) => Err(unreadable(error)),
        }
    }
}

/// The files cannot be read, whatever the request is.
pub(super) fn unreadable(error: io::Error) -> Failure {
    Failure::SiteUnreadable(error.to_string())
}
