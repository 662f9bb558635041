<?php
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
