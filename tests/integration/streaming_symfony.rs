//! Symfony's streamed answers, and output buffers: each piece arrives when the script flushes it.

use std::fs;

use crate::lambda::{Function, needs, split_stream};
use crate::streaming::{Wire, get, go_on, php, text};

/// Symfony's HttpFoundation as Debian has it; Laravel's answers are made of the same classes.
const SYMFONY: &str = "/usr/share/php/Symfony/Component/HttpFoundation/autoload.php";

fn symfony(response: &str) -> Function {
    needs(SYMFONY, "php-symfony-http-foundation");
    php(&format!(
        "require '{SYMFONY}'; \
         use Symfony\\Component\\HttpFoundation\\{{BinaryFileResponse, Request, StreamedJsonResponse, StreamedResponse}}; \
         $response = {response}; \
         $response->prepare(Request::createFromGlobals())->send();"
    ))
}

#[test]
fn a_streamed_response_of_symfony_arrives_piece_by_piece() {
    let wire = Wire::start(symfony(
        "new StreamedResponse(function () { \
             foreach (['one', 'two', 'three'] as $piece) { wait($piece); echo $piece; flush(); } \
         }, 201, ['X-Accel-Buffering' => 'no'])",
    ));
    // PHP sends its headers with the first piece
    go_on(&wire, "one");
    let mut post = wire.send(get("/"));
    post.assert_is_stream();
    let (prelude, body) = split_stream(&post.chunk().unwrap());
    assert_eq!(prelude["statusCode"], 201);
    assert_eq!(prelude["headers"]["X-Accel-Buffering"], "no");
    assert_eq!(body, b"one");
    for piece in ["two", "three"] {
        go_on(&wire, piece);
        assert_eq!(text(&post.chunk().unwrap()), piece);
    }
    assert_eq!(post.chunk(), None);
}

#[test]
fn a_streamed_json_response_of_symfony_sends_each_item_as_it_is_made() {
    let wire = Wire::start(symfony(
        "new StreamedJsonResponse(['items' => (function () { \
             foreach (['a', 'b'] as $item) { wait($item); yield ['name' => $item]; } \
         })()])",
    ));
    let mut post = wire.send(get("/"));
    let (prelude, body) = split_stream(&post.chunk().unwrap());
    assert_eq!(prelude["headers"]["Content-Type"], "application/json");
    assert_eq!(text(&body), r#"{"items":"#);
    go_on(&wire, "a");
    post.expect_body(r#"[{"name":"a"}"#);
    go_on(&wire, "b");
    post.expect_body(r#",{"name":"b"}]}"#);
    assert_eq!(post.chunk(), None);
}

#[test]
fn a_file_response_of_symfony_needs_no_memory_for_the_file() {
    let wire = Wire::start(
        symfony(
            "(new BinaryFileResponse(getenv('TMPDIR') . '/file', headers: ['Content-Type' => 'application/octet-stream'])) \
             ->setContentDisposition('attachment', 'all.bin')",
        )
        .file("php.ini", "memory_limit = 4M\n"),
    );
    let file: Vec<u8> = (0..=255).cycle().take(32 << 20).collect();
    fs::write(wire.lambda.function.temp_dir().join("file"), &file).unwrap();
    let (prelude, body) = wire.answer(get("/"));
    assert_eq!(
        prelude["headers"]["Content-Disposition"],
        "attachment; filename=all.bin"
    );
    assert_eq!(prelude["headers"]["Content-Length"], "33554432");
    assert!(body == file, "{} bytes came", body.len());

    let mut part: serde_json::Value = serde_json::from_str(&get("/")).unwrap();
    part["headers"] = serde_json::json!({ "range": "bytes=1000-1999" });
    let (prelude, body) = wire.answer(part.to_string());
    assert_eq!(prelude["statusCode"], 206);
    assert_eq!(
        prelude["headers"]["Content-Range"],
        "bytes 1000-1999/33554432"
    );
    assert_eq!(body, file[1000..2000]);
}

/// As Laravel did until the end of 2025, and as many scripts do.
#[test]
fn ob_flush_needs_a_buffer_which_the_functions_php_ini_gives_it() {
    const SCRIPT: &str = "set_error_handler(fn ($type, $message) => throw new ErrorException($message)); \
         foreach (['one', 'two'] as $piece) { wait($piece); echo $piece; ob_flush(); flush(); }";
    let wire = Wire::start(php(SCRIPT));
    go_on(&wire, "one");
    assert_eq!(text(&wire.answer(get("/")).1), "one");
    let log = wire.lambda.log();
    assert!(log.contains("Failed to flush buffer. No buffer"), "{log}");

    let wire = Wire::start(php(SCRIPT).file("php.ini", "output_buffering = 4096\n"));
    go_on(&wire, "one");
    let mut post = wire.send(get("/"));
    assert_eq!(text(&split_stream(&post.chunk().unwrap()).1), "one");
    go_on(&wire, "two");
    post.expect_body("two");
    assert_eq!(post.chunk(), None);
}
