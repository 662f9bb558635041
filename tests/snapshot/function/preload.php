<?php

require __DIR__ . '/values.php';
values();
