<?php
// Beside the folder that is served: no path leads here.

declare(strict_types=1);

const PAGES = ['/' => 'Home', '/opening-hours/' => 'Opening hours', '/contact.php' => 'Contact'];

function page(string $title, string $content): void
{
    header('Content-Type: text/html; charset=utf-8');
    $links = '';
    foreach (PAGES as $path => $name) {
        $here = $name === $title ? ' aria-current="page"' : '';
        $links .= "<a href=\"$path\"$here>$name</a>\n";
    }
    echo <<<HTML
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width">
        <title>$title – The Corner Bakery</title>
        <link rel="stylesheet" href="/style.css">
        <link rel="icon" href="/images/loaf.svg">
        </head>
        <body>
        <header><img src="/images/loaf.svg" alt="" width="56" height="56"><p>The Corner Bakery</p></header>
        <nav>
        $links</nav>
        <main>
        <h1>$title</h1>
        $content
        </main>
        </body>
        </html>

        HTML;
}
