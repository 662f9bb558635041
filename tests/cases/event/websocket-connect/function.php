<?php
return fn (array $event) => ['statusCode' => $event['requestContext']['eventType'] === 'CONNECT' ? 200 : 400];
