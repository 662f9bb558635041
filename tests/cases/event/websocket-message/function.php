<?php
return function (array $event) {
    $message = json_decode($event['body'], true);
    return ['statusCode' => 200, 'body' => "{$message['action']} of {$event['requestContext']['connectionId']}"];
};
