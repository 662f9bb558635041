//! A framework that nobody here wrote, Debian's Symfony with its kernel, container, router and logger, behind
//! `public/index.php`: a file as the handler, as docs/frameworks.md has it.

use std::path::Path;

use serde_json::json;

use crate::lambda::{Call, Function, Lambda};

/// Debian's packages come without Composer, whose list of packages Symfony asks for those that are there for development alone.
const COMPOSER: &str = r#"<?php
namespace Composer;

final class InstalledVersions
{
    public static function isInstalled(string $package, bool $includeDevRequirements = true): bool
    {
        return false;
    }

    public static function getRootPackage(): array
    {
        return ['name' => 'app'];
    }
}
"#;

const INDEX: &str = r#"<?php
use Symfony\Component\HttpFoundation\Request;

require dirname(__DIR__) . '/src/Composer.php';
require dirname(__DIR__) . '/src/Kernel.php';

$kernel = new Kernel('prod', false);
$request = Request::createFromGlobals();
$response = $kernel->handle($request);
$response->send();
$kernel->terminate($request, $response);
"#;

const KERNEL: &str = r#"<?php
use Symfony\Bundle\FrameworkBundle\FrameworkBundle;
use Symfony\Bundle\FrameworkBundle\Kernel\MicroKernelTrait;
use Symfony\Component\DependencyInjection\Loader\Configurator\ContainerConfigurator;
use Symfony\Component\HttpFoundation\{JsonResponse, RedirectResponse, Request, Response};
use Symfony\Component\HttpKernel\Kernel as BaseKernel;
use Symfony\Component\Routing\Generator\UrlGeneratorInterface;
use Symfony\Component\Routing\Loader\Configurator\RoutingConfigurator;

require '/usr/share/php/Symfony/Bundle/FrameworkBundle/autoload.php';

final class Kernel extends BaseKernel
{
    use MicroKernelTrait;

    public function registerBundles(): iterable
    {
        return [new FrameworkBundle()];
    }

    public function getProjectDir(): string
    {
        return dirname(__DIR__);
    }

    // the code is read-only on Lambda
    public function getCacheDir(): string
    {
        return getenv('APP_TEMP') . '/cache';
    }

    public function getLogDir(): string
    {
        return getenv('APP_TEMP') . '/log';
    }

    private function configureContainer(ContainerConfigurator $container): void
    {
        $container->extension('framework', [
            'secret' => 'sesame',
            'http_method_override' => false,
            'handle_all_throwables' => true,
            'php_errors' => ['log' => true],
        ]);
    }

    private function configureRoutes(RoutingConfigurator $routes): void
    {
        $routes->add('home', '/')->controller([$this, 'home']);
        $routes->add('user', '/users/{name}')->controller([$this, 'user']);
        $routes->add('old', '/old')->controller([$this, 'old']);
        $routes->add('broken', '/broken')->controller([$this, 'broken']);
        $routes->add('form', '/form')->controller([$this, 'form'])->methods(['POST']);
    }

    public function home(Request $request): Response
    {
        $urls = $this->container->get('router');
        return new JsonResponse([
            'base' => $request->getBaseUrl(),
            'path' => $request->getPathInfo(),
            'client' => $request->getClientIp(),
            'secure' => $request->isSecure(),
            'relative' => $urls->generate('user', ['name' => 'Ada & Bob']),
            'absolute' => $urls->generate('user', ['name' => 'é x', 'q' => '1 2'], UrlGeneratorInterface::ABSOLUTE_URL),
        ]);
    }

    public function user(string $name, Request $request): Response
    {
        return new Response("I am $name, " . $request->query->get('q'));
    }

    public function old(): Response
    {
        $urls = $this->container->get('router');
        return new RedirectResponse($urls->generate('user', ['name' => 'new'], UrlGeneratorInterface::ABSOLUTE_URL), 301);
    }

    public function broken(): Response
    {
        throw new DomainException('It broke.');
    }

    public function form(Request $request): Response
    {
        return new JsonResponse($request->request->all());
    }
}
"#;

fn symfony() -> Function {
    let autoload = "/usr/share/php/Symfony/Bundle/FrameworkBundle/autoload.php";
    assert!(
        Path::new(autoload).is_file(),
        "there is no {autoload}: apt-get install php-symfony-framework-bundle"
    );
    let function = Function::new("<?php echo 'SECRET';")
        .file("public/index.php", INDEX)
        .file("src/Composer.php", COMPOSER)
        .file("src/Kernel.php", KERNEL)
        .env("_HANDLER", "public/index.php");
    let temp = function.temp_dir().display().to_string();
    function.env("APP_TEMP", &temp)
}

/// A request as a Function URL, an HTTP API with a domain of its own, or a load balancer sends it.
fn request(domain: &str, method: &str, path: &str, body: Option<&str>) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    json!({
        "version": "2.0", "rawPath": path, "rawQueryString": query,
        "headers": {
            "host": domain, "x-forwarded-proto": "https", "x-forwarded-port": "443", "x-forwarded-for": "203.0.113.9",
            "content-type": "application/x-www-form-urlencoded",
        },
        "requestContext": {
            "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.9" },
            "domainName": domain, "stage": "$default",
        },
        "body": body,
    })
    .to_string()
}

fn get(lambda: &mut Lambda, path: &str) -> Call {
    lambda.invoke(request("shop.example", "GET", path, None))
}

#[test]
fn routes_lead_to_controllers_and_urls_lead_back() {
    let mut lambda = symfony().start();
    for (path, page) in [
        ("/users/Ada", "I am Ada, "),
        ("/users/Ada%20%26%20Bob?q=a%2Bb", "I am Ada & Bob, a+b"),
        ("/users/%C3%A9?q=%C3%A9", "I am é, é"),
        ("/index.php/users/Ada", "I am Ada, "),
    ] {
        assert_eq!(get(&mut lambda, path).page(), page, "{path}");
    }
    let home: serde_json::Value = serde_json::from_str(&get(&mut lambda, "/").page()).unwrap();
    let expected = json!({
        "base": "", "path": "/", "client": "203.0.113.9", "secure": true,
        "relative": "/users/Ada%20%26%20Bob",
        "absolute": "https://shop.example/users/%C3%A9%20x?q=1%202",
    });
    assert_eq!(home, expected);

    let old = get(&mut lambda, "/old").json();
    assert_eq!(old["statusCode"], 301);
    assert_eq!(old["headers"]["Location"], "https://shop.example/users/new");

    let call = lambda.invoke(request(
        "shop.example",
        "POST",
        "/form",
        Some("a=b+c&d=%26"),
    ));
    assert_eq!(call.page(), r#"{"a":"b c","d":"\u0026"}"#);
    assert_eq!(get(&mut lambda, "/form").json()["statusCode"], 405);
    assert_eq!(get(&mut lambda, "/none").json()["statusCode"], 404);
}

#[test]
fn urls_behind_a_load_balancer_keep_its_port() {
    let mut lambda = symfony().start();
    let event = json!({
        "httpMethod": "GET", "path": "/old", "requestContext": { "elb": {} },
        "headers": { "host": "shop.example:8080", "x-forwarded-proto": "http", "x-forwarded-port": "8080" },
    });
    let answer = lambda.invoke(event.to_string()).json();
    assert_eq!(
        answer["headers"]["Location"],
        "http://shop.example:8080/users/new"
    );
}

#[test]
fn an_exception_is_a_500_and_its_words_are_in_the_log() {
    let mut lambda = symfony().start();
    let call = get(&mut lambda, "/broken");
    assert_eq!(call.json()["statusCode"], 500);
    assert!(!call.page().contains("It broke."));
    assert!(
        call.log.contains("DomainException: \"It broke.\""),
        "{}",
        call.log
    );
    // and nothing but /tmp was written to
    let entries = std::fs::read_dir(lambda.function.task_root()).unwrap();
    assert_eq!(entries.count(), 3, "index.php, public, src");
}

#[test]
fn as_a_site_it_has_its_assets_too() {
    let mut lambda = symfony()
        .file("public/build/app.css", "body {}")
        .file("public/users/readme.txt", "a folder named as a route")
        .env("_HANDLER", "public")
        .start();
    assert_eq!(get(&mut lambda, "/build/app.css").page(), "body {}");
    assert_eq!(get(&mut lambda, "/users/Ada").page(), "I am Ada, ");
    let home: serde_json::Value = serde_json::from_str(&get(&mut lambda, "/").page()).unwrap();
    assert_eq!(home["base"], "");
    assert_eq!(home["relative"], "/users/Ada%20%26%20Bob");
    assert_eq!(get(&mut lambda, "/users").json()["statusCode"], 404);
}
