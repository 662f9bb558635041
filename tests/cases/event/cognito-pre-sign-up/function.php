<?php
// Cognito wants its event back, changed
return function (array $event) {
    $event['response']['autoConfirmUser'] = str_ends_with($event['request']['userAttributes']['email'], '@example.com');
    return $event;
};
