<?php

header('Content-Type: text/plain');
echo "This function runs commands, too: {\"cli\": \"greet you\"}\n";
