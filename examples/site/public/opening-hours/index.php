<?php
require __DIR__ . '/../../lib/layout.php';

// On Lambda the clock is UTC, unless php.ini says otherwise (date.timezone).
$hour = (int) date('G');
$open = $hour >= 7 && $hour < 18 ? 'We are open.' : 'We are closed, until seven.';

page('Opening hours', "<p>Every day from 7 to 18. It is " . date('H:i') . ' (' . date('e') . "): $open</p>");
