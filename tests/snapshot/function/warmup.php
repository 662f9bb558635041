<?php

require_once __DIR__ . '/values.php';
tell('warm-up');
