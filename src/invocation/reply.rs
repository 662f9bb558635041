//! PHP's output while it comes: read, told apart from the log, and collected or sent on.

use bytes::{Bytes, BytesMut};

use super::{Ended, Function};
use crate::cgi::head::{Head, InvalidHead, Parser};
use crate::event::answer::Answer;
use crate::event::outcome::{NoDocument, Output};
use crate::event::{Dialect, limits, stream};
use crate::failure::Failure;
use crate::fastcgi::record::Part;
use crate::log::{Context, Level};
use crate::runtime_api::delivery::{Delivery, HungUp};
use crate::site::answer::StaticAnswer;
use crate::site::body::PIECE;
use crate::slot::Slot;

/// Why a file was not sent to its end.
pub(super) enum Stopped {
    Unreadable(std::io::Error),
    HungUp,
}

impl From<HungUp> for Stopped {
    fn from(HungUp: HungUp) -> Stopped {
        Stopped::HungUp
    }
}

/// The header that `php/functions.php` sends first: `event`, or `handler` when it has called one.
const BEGUN: &str = "php-fpm-lambda";

/// The answer to one request, as far as it is there.
pub(super) struct Reply<'f> {
    function: &'f Function,
    context: &'f Context,
    /// The dialect and whether it was a HEAD request; `None`: no HTTP.
    http: Option<(Dialect, bool)>,
    parser: Parser,
    head: Option<Head>,
    invalid: Option<InvalidHead>,
    content: Content,
}

/// Where the body goes.
enum Content {
    /// Nowhere: the head of an HTTP answer has not come yet.
    Headless,
    /// Into what is read when it is whole: the event is no HTTP request.
    Output(Output),
    /// Into the document that is posted at the end.
    Buffered(Answer),
    /// To Lambda at once; what is not on its way yet.
    Streamed { unsent: BytesMut, has_body: bool },
}

impl<'f> Reply<'f> {
    pub(super) fn new(
        function: &'f Function,
        context: &'f Context,
        http: Option<(Dialect, bool)>,
    ) -> Reply<'f> {
        Reply {
            function,
            context,
            http,
            parser: Parser::default(),
            head: None,
            invalid: None,
            content: match http {
                Some(_) => Content::Headless,
                None => {
                    let id = context.request_id.as_deref().unwrap_or_default();
                    Content::Output(Output::new(id))
                }
            },
        }
    }

    /// Sends the request and takes the whole output. What PHP sent together goes on together.
    pub(super) async fn read(
        &mut self,
        slot: &mut Slot,
        request: Vec<u8>,
        body: &[u8],
        delivery: &mut Delivery,
    ) -> Result<(), Ended> {
        let mut exchange = slot.connection().request(request, body);
        loop {
            let part = match exchange.next_read()? {
                Some(part) => part,
                None => {
                    self.send(delivery).await?;
                    exchange.next().await?
                }
            };
            match part {
                Part::Stdout(bytes) => self.push(bytes, delivery),
                Part::Stderr(bytes) => self.function.log.php(self.context, bytes.trim_ascii_end()),
                Part::End => return Ok(self.send(delivery).await?),
            }
        }
    }

    /// Takes an answer that no script gives.
    pub(super) async fn take(
        &mut self,
        answer: StaticAnswer,
        delivery: &mut Delivery,
    ) -> Result<(), Stopped> {
        let StaticAnswer {
            head,
            mut body,
            complaint,
        } = answer;
        self.warn(complaint.into_iter().collect());
        self.begin(&head, delivery);
        self.head = Some(head);
        let mut piece = Vec::with_capacity(PIECE);
        while body.next(&mut piece).map_err(Stopped::Unreadable)? {
            self.content.push(&piece);
            self.send(delivery).await?;
            // reading does not wait for anything: the other slots get their turn here
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Whether the answer is sent whole and has more than `limit` bytes.
    pub(super) fn exceeds(&self, limit: usize) -> bool {
        match &self.content {
            Content::Buffered(answer) => answer.exceeds(limit),
            Content::Headless | Content::Output(_) | Content::Streamed { .. } => false,
        }
    }

    /// Whether an answer to this request can be streamed.
    pub(super) fn can_stream(&self) -> bool {
        self.function.streams && self.http.is_some_and(|(dialect, _)| dialect.can_stream())
    }

    /// Sends on what is to be streamed; waits while Lambda takes no more.
    async fn send(&mut self, delivery: &mut Delivery) -> Result<(), HungUp> {
        match &mut self.content {
            Content::Streamed { unsent, .. } if !unsent.is_empty() => {
                let piece: Bytes = unsent.split().freeze();
                delivery.send(piece).await
            }
            _ => Ok(()),
        }
    }

    fn push(&mut self, bytes: &[u8], delivery: &mut Delivery) {
        if self.head.is_some() {
            return self.content.push(bytes);
        }
        if self.invalid.is_some() {
            return;
        }
        match self.parser.push(bytes) {
            Ok(None) => {}
            Ok(Some((head, body_start))) => {
                self.begin(&head, delivery);
                self.head = Some(head);
                self.content.push(&bytes[body_start..]);
            }
            Err(invalid) => self.invalid = Some(invalid),
        }
    }

    /// The head is there: whether the answer is streamed shows now.
    fn begin(&mut self, head: &Head, delivery: &mut Delivery) {
        let Some((dialect, is_head_request)) = self.http else {
            return;
        };
        if !self.can_stream() || self.fails(head) {
            self.content = Content::Buffered(Answer::new(dialect, head, is_head_request));
            return;
        }
        self.warn(limits::warnings(dialect, head, 0));
        delivery.open();
        self.content = Content::Streamed {
            unsent: BytesMut::from(&stream::prelude(head)[..]),
            has_body: !is_head_request && !head.is_bodiless(),
        };
    }

    /// Whether the status fails the invocation. Nobody reads that of an answer to a queue or a schedule: there it has to.
    fn fails(&self, head: &Head) -> bool {
        self.function.error_status_codes.contains(head.status)
            || (self.http.is_none() && head.status >= 500)
    }

    /// Of an event that is no HTTP request.
    fn document(&self, head: &Head, output: Output) -> Result<Vec<u8>, Failure> {
        let outcome = output.finish();
        let log = |text: &[u8]| {
            let text = text.trim_ascii_end();
            let lines = text.split(|&byte| byte == b'\n');
            if !text.is_empty() {
                lines.for_each(|line| self.function.log.php(self.context, line));
            }
        };
        outcome.printed.iter().for_each(|text| log(text));
        match outcome.document {
            Ok(document) if outcome.is_printed && is_not_opened(head, &document) => {
                let how = "PHP could not open it; if open_basedir is set, add /tmp to it";
                Err(Failure::EventRunnerUnavailable(how.to_owned()))
            }
            Ok(document) if outcome.is_printed && begun(head) == Some("handler") => {
                log(&document);
                Err(Failure::NoResult)
            }
            Ok(document) if outcome.is_printed && self.fails(head) => {
                // nobody would see the page
                log(&document);
                Err(Failure::HttpStatus(head.status))
            }
            // the script has removed the header in a header_register_callback() of its own
            Ok(document) if outcome.is_printed && begun(head).is_none() && document.is_empty() => {
                Err(Failure::NoResult)
            }
            Ok(document) => Ok(document),
            Err(NoDocument::TooLarge(too_large)) => Err(Failure::ResponseTooLarge(too_large)),
            Err(NoDocument::Error(error)) => Err(Failure::Script(error)),
            Err(NoDocument::NoResult) => Err(Failure::NoResult),
        }
    }

    fn warn(&self, warnings: Vec<String>) {
        for warning in warnings {
            let log = &self.function.log;
            log.write(self.context, Level::Warn, &warning);
        }
    }

    /// The document to post; empty where the answer was streamed.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, Failure> {
        if let Some(InvalidHead(line)) = self.invalid {
            return Err(Failure::InvalidHeaders(line));
        }
        let Some(head) = self.head.take() else {
            let what = if self.parser.is_empty() {
                "no output at all"
            } else {
                "a header block without an end"
            };
            return Err(Failure::InvalidHeaders(what.to_owned()));
        };
        match std::mem::replace(&mut self.content, Content::Headless) {
            Content::Output(output) => self.document(&head, output),
            Content::Buffered(_) if self.fails(&head) => Err(Failure::HttpStatus(head.status)),
            Content::Buffered(answer) => {
                let (dialect, len) = answer.dialect();
                self.warn(limits::warnings(dialect, &head, len));
                answer.finish().map_err(Failure::ResponseTooLarge)
            }
            Content::Headless | Content::Streamed { .. } => Ok(Vec::new()),
        }
    }
}

/// Whether this is what php-fpm itself answers where it cannot open a script.
fn is_not_opened(head: &Head, page: &[u8]) -> bool {
    const PAGES: [&[u8]; 3] = [
        b"Access denied.\n",
        b"File not found.\n",
        b"No input file specified.\n",
    ];
    let is_own = PAGES.contains(&page);
    matches!(head.status, 403 | 404) && is_own && begun(head).is_none()
}

fn begun(head: &Head) -> Option<&str> {
    let header = head.headers.iter().find(|header| header.is(BEGUN));
    header.map(|header| &*header.value)
}

impl Content {
    fn push(&mut self, bytes: &[u8]) {
        match self {
            Content::Headless => {}
            Content::Output(output) => output.push(bytes),
            Content::Buffered(answer) => answer.push(bytes),
            Content::Streamed { unsent, has_body } => {
                if *has_body {
                    unsent.extend_from_slice(bytes);
                }
            }
        }
    }
}
