//! PHP's memory_limit comes from the function's memory, so that PHP says where it is short.

use crate::lambda::{Function, get};

const SHOW: &str = "<?php echo ini_get('memory_limit');";

#[test]
fn the_limit_is_what_the_functions_memory_leaves_to_each_worker() {
    for (memory, slots, limit) in [
        ("128", "1", "80M"),
        ("1769", "1", "1721M"),
        ("4096", "4", "1006M"),
        ("2048", "40", "128M"),
        ("", "1", "128M"),
    ] {
        let function = Function::new(SHOW)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory)
            .env("AWS_LAMBDA_MAX_CONCURRENCY", slots);
        assert_eq!(function.start().get("/"), limit, "{memory} MB, {slots}");
    }
}

#[test]
fn the_functions_own_settings_win() {
    for file in ["php.ini", "php/conf.d/memory.ini"] {
        let function = Function::new(SHOW)
            .file(file, "memory_limit = 33M\n")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512");
        assert_eq!(function.start().get("/"), "33M", "{file}");
    }
}

#[test]
fn a_command_has_no_limit_but_the_functions_memory() {
    // the layer installs this file as the command line's php.ini
    let ini = concat!(env!("CARGO_MANIFEST_DIR"), "/php/php.ini");
    let output = std::process::Command::new("php")
        .args([
            "-c",
            ini,
            "-r",
            "echo ini_get('memory_limit'), ' ', ini_get('display_errors');",
        ])
        .output()
        .expect("php runs; where it is missing: apt-get install php8.4-cli");
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "-1");
}

#[test]
fn php_and_not_the_kernel_says_that_memory_is_short() {
    let script = "<?php if (isset($_GET['eat'])) for ($all = [];;) $all[] = str_repeat('x', 1 << 20); echo 'up';";
    let mut lambda = Function::new(script)
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .start();
    let call = lambda.invoke(get("/?eat"));
    assert_eq!(call.json()["statusCode"], 500);
    let words = format!("Allowed memory size of {} bytes exhausted", 80 << 20);
    assert!(call.log.contains(&words), "{}", call.log);
    assert_eq!(lambda.get("/"), "up");
}
