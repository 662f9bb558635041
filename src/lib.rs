//! PHP for AWS Lambda: a custom runtime whose native `bootstrap` runs scripts through php-fpm.
//!
//! The path of one invocation, from door to door:
//!
//! ```text
//! runtime        loop of slot i: makes its slot ready, asks for the next invocation
//!  → runtime_api   GET /next                                    Invocation {id, deadline, event bytes, …}
//!  → invocation    from event to answer; the only place with a deadline, and the only one that decides on errors
//!     → event        which dialect? bytes → HttpRequest          one dialect a file: decode and encode
//!     → site         where the handler is a folder: which script, or which file, does the path mean?
//!     → cgi::params  HttpRequest → FastCGI parameters
//!     → slot         one worker and the kept connection to it
//!        → fastcgi      records to php-fpm and back, one piece at a time
//!        → fpm          php-fpm itself: started, watched, read, killed
//!     → console      or, where the event asks for a command, PHP's command line in a process of its own
//!     → cgi::head    PHP's header block → status and headers
//!     → event::outcome  of an event that is no HTTP request: what was printed, a handler's result, or an error
//!     → event::answer  status, headers, body → the dialect's document; event::stream: what a streamed answer begins with
//!  → runtime_api   POST /response, at once or piece by piece, or /error with a failure
//! ```
//!
//! Modules import from the floors below them alone; the lowest floor is pure. `docs/architecture.md` draws the floors and
//! says what each task waits on.

pub mod runtime;

pub mod invocation;

pub mod slot;

pub mod console;
pub mod fastcgi;
pub mod fpm;
pub mod runtime_api;
pub mod secrets;

pub mod process;
pub mod site;

pub mod cgi;
pub mod config;
pub mod event;
pub mod failure;
pub mod http;
pub mod log;

pub mod local;
