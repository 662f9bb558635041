<?php

require_once __DIR__ . '/values.php';
header('Content-Type: application/json');
echo json_encode(tell('handler'));
