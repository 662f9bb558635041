//! Nothing from outside of a site's folder is served, nor anything in it that is not for visitors.

use std::fs;
use std::os::unix::fs::symlink;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::lambda::Function;
use crate::sites::{Answer, CSS, Sender, get, get_with, site};

/// Fills the site with traps.
fn trapped(mode: &str) -> Function {
    let mut function = site()
        .file("public/.env", "SECRET")
        .file("public/.git/config", "SECRET")
        .file("public/.git/hook.php", "<?php echo 'SECRET';")
        .file("public/.htaccess", "SECRET")
        .file("public/blog/.user.ini", "SECRET")
        .file("public/.well-known/security.txt", "well known")
        .file("public/.well-known/.secret", "SECRET")
        .env("PHP_LAMBDA_INVOKE_MODE", mode);
    for name in [
        "a.PHP",
        "b.pHp",
        "c.php.",
        "d.php ",
        "e.phtml",
        "f.phar",
        "g.inc",
        "h.php5",
        "i.php~",
        "j.php.bak",
        "k.phps",
        "l.php.txt",
        "m.php_old",
        "n.Phar",
    ] {
        function = function.file(&format!("public/{name}"), "<?php // SOURCE");
    }
    let public = function.task_root().join("public");
    for (name, target) in [
        ("outside", "../secret.txt"),
        ("parent", ".."),
        ("passwd", "/etc/passwd"),
        ("root", "/"),
        ("task.php", "../index.php"),
        ("source.txt", "x.php"),
        ("source.css", "a.PHP"),
        ("env.txt", ".env"),
        ("git", ".git"),
        ("loop", "loop"),
        ("zero.png", "/dev/zero"),
        ("proc", "/proc/self"),
        ("style.css.gz", "../secret.txt"),
    ] {
        symlink(target, public.join(name)).unwrap();
    }
    for name in ["pipe.txt", "pipe.php", "style.css.br"] {
        let mode = Mode::from_raw_mode(0o666);
        mknodat(CWD, public.join(name), FileType::Fifo, mode, 0).unwrap();
    }
    function
}

#[test]
fn no_path_leaves_the_folder_or_shows_a_source() {
    // the front controller's; nothing of PHP's
    let refused = [
        "/../secret.txt",
        "/../index.php",
        "/../public-secret/a.txt",
        "/blog/../../secret.txt",
        "/blog/../style.css",
        "/..",
        "/%2e%2e/secret.txt",
        "/%2E%2e/secret.txt",
        "/.%2e/secret.txt",
        "/..%2fsecret.txt",
        "/..%2Fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/%252e%252e/secret.txt",
        "/%252e%252e%252fsecret.txt",
        "/..%252fsecret.txt",
        "/..%c0%afsecret.txt",
        "/..%c1%9csecret.txt",
        "/%c0%ae%c0%ae/secret.txt",
        "/%uff0e%uff0e/secret.txt",
        "/..\\secret.txt",
        "/..%5csecret.txt",
        "/blog/..%5c..%5csecret.txt",
        "/....//secret.txt",
        "/.../secret.txt",
        "/..;/secret.txt",
        "/./../secret.txt",
        "//../secret.txt",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/%2fetc%2fpasswd",
        "/etc/passwd",
        "/blog%2fpost.php",
        "/style.css%00",
        "/style.css%00.png",
        "/x.php%00.css",
        "/%00",
        "/../secret.txt%00.css",
        "/file:///etc/passwd",
        "/php://filter/resource=x.php",
        "/index.php/../x.php",
        "/index.php/..",
        "/x.php/../../secret.txt",
        "/x.php/..%2f..%2fsecret.txt",
        "/index.php/%2e%2e/style.css",
        "/style.css/../x.php",
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/.git/hook.php",
        "/.git/hook.php/x",
        "/.git/",
        "/.git",
        "/.htaccess",
        "/blog/.user.ini",
        "/.well-known/.secret",
        "/blog/.well-known/x",
        "/a.PHP",
        "/a.PHP/x",
        "/b.pHp",
        "/c.php.",
        "/d.php%20",
        "/x.php.",
        "/x.php%20",
        "/x.php%2e",
        "/x.php%0a",
        "/x.php::$DATA",
        "/X.php",
        "/x.PHP",
        "/e.phtml",
        "/f.phar",
        "/g.inc",
        "/h.php5",
        "/i.php~",
        "/j.php.bak",
        "/k.phps",
        "/l.php.txt",
        "/m.php_old",
        "/n.Phar",
        "/outside",
        "/parent/secret.txt",
        "/parent/index.php",
        "/passwd",
        "/root/etc/passwd",
        "/task.php",
        "/task.php/x",
        "/source.txt",
        "/source.css",
        "/env.txt",
        "/git/config",
        "/git/hook.php",
        "/loop",
        "/zero.png",
        "/proc/environ",
        "/proc/root/etc/passwd",
        "/pipe.txt",
        "/pipe.php",
        "/pipe.php/x",
        "/style.css.br",
        "/style.css.gz",
        "/x.php.gz",
    ];
    for mode in ["buffered", "response_stream"] {
        let mut lambda = trapped(mode).start();
        for path in refused {
            for sender in [Sender::FunctionUrl, Sender::Alb] {
                let answer = Answer::of(&lambda.invoke(sender.event("GET", path, &[])));
                let text = answer.text();
                assert_eq!(answer.status, 200, "{path} {text}");
                assert_eq!(answer.seen("SCRIPT_NAME"), "/index.php", "{path}");
                assert_eq!(answer.seen("PATH_INFO"), "", "{path}");
                assert!(
                    !text.contains("SECRET") && !text.contains("SOURCE"),
                    "{path}"
                );
            }
        }
        // and each way in that is none of these is open
        for path in ["/.well-known/security.txt", "/parent/public/style.css"] {
            let answer = get_with(&mut lambda, path, &[("accept-encoding", "gzip, br")]);
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.header("content-type").starts_with("text/"), "{path}");
        }
        // neither a fifo nor a link to the outside is the compressed form
        let answer = get_with(
            &mut lambda,
            "/style.css",
            &[("accept-encoding", "gzip, br")],
        );
        assert_eq!((answer.text().as_str(), answer.header("vary")), (CSS, ""));
        assert_eq!(lambda.log(), "");
    }
}

#[test]
fn without_a_front_controller_the_same_paths_are_404() {
    let function = trapped("buffered");
    fs::remove_file(function.task_root().join("public/index.php")).unwrap();
    let mut lambda = function.start();
    for path in [
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/.env",
        "/a.PHP",
        "/x.php.",
        "/source.txt",
        "/passwd",
        "/pipe.txt",
        "/zero.png",
        "/x.php/../y",
    ] {
        assert_eq!(get(&mut lambda, path).status, 404, "{path}");
    }
}

#[test]
fn links_within_the_folder_are_followed() {
    let function = site();
    let public = function.task_root().join("public");
    symlink("style.css", public.join("link.css")).unwrap();
    symlink(public.join("style.css"), public.join("absolute.css")).unwrap();
    symlink("blog", public.join("news")).unwrap();
    symlink("../x.php", public.join("blog/up.php")).unwrap();
    let mut lambda = function.start();
    for path in ["/link.css", "/absolute.css"] {
        assert_eq!(get(&mut lambda, path).text(), CSS, "{path}");
    }
    for (path, name) in [
        ("/news/", "/news/index.php"),
        ("/blog/up.php", "/blog/up.php"),
    ] {
        assert_eq!(get(&mut lambda, path).seen("SCRIPT_NAME"), name);
    }
}
