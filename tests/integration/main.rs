//! Everything that needs real parts: php-fpm, the bootstrap as a process, a Runtime API that can misbehave, AWS's emulator.
//!
//! The first modules are what the tests share; each other module is one promise of the runtime, or of `lambda-local`.

#![allow(clippy::unwrap_used, reason = "in a test an unwrap is an assertion")]

mod browser;
mod lambda;
mod local;
mod process;
mod program;

mod application;
mod architecture;
mod behind_the_answer;
mod configuration;
mod console;
mod deadlines;
mod differential;
mod emulator;
mod examples;
mod frameworks;
mod functions;
mod functions_handlers;
mod functions_of_bref;
mod functions_sources;
mod init;
mod local_cli;
mod local_concurrency;
mod local_console;
mod local_console_page;
mod local_console_records;
mod local_extensions;
mod local_failures;
mod local_http;
mod local_invocations;
mod local_output;
mod local_program;
mod local_snapstart;
mod local_streaming;
mod logs;
mod mapping;
mod memory;
mod opcache;
mod recovery;
mod requests;
mod runtime_api;
mod secrets;
mod shutdown;
mod sites;
mod sites_files;
mod sites_traps;
mod slots;
mod snap_start;
mod soak;
mod streaming;
mod streaming_symfony;
mod wiki;
