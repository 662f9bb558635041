<?php
return fn (array $event) => [
    'principalId' => 'user',
    'policyDocument' => [
        'Version' => '2012-10-17',
        'Statement' => [[
            'Action' => 'execute-api:Invoke',
            'Effect' => $event['authorizationToken'] === 'allow' ? 'Allow' : 'Deny',
            'Resource' => $event['methodArn'],
        ]],
    ],
    // an empty map, and not an empty list
    'context' => new stdClass(),
];
