<?php
require __DIR__ . '/../lib/layout.php';

if (strtok($_SERVER['REQUEST_URI'], '?') !== '/') {
    // A site's index.php gets whatever is not there.
    http_response_code(404);
    page('Not found', '<p>There is no such page. <a href="/">Home</a></p>');
    exit;
}

page('Home', <<<HTML
    <img src="/images/shop.svg" alt="Our shop, with loaves in the window" width="640" height="240">
    <p>Bread from one oven since the morning. What it costs: <a href="/downloads/prices.csv" download>prices.csv</a></p>
    HTML);
