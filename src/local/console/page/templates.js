// Events in the shapes that AWS documents, each with values of its own. Times and ids are fixed: the same event twice is the same.

const host = 'shop.example';
const browser = 'Mozilla/5.0 (X11; Linux x86_64)';
const account = '123456789012';

const rest = {
    resource: '/{proxy+}',
    path: '/articles/42',
    httpMethod: 'GET',
    headers: { Accept: 'text/html', Cookie: 'theme=dark; visits=3', Host: host, 'User-Agent': browser, 'X-Forwarded-For': '203.0.113.7', 'X-Forwarded-Port': '443', 'X-Forwarded-Proto': 'https' },
    multiValueHeaders: { Accept: ['text/html'], Cookie: ['theme=dark; visits=3'], Host: [host], 'User-Agent': [browser], 'X-Forwarded-For': ['203.0.113.7'], 'X-Forwarded-Port': ['443'], 'X-Forwarded-Proto': ['https'] },
    queryStringParameters: { tag: 'blue', page: '2' },
    multiValueQueryStringParameters: { tag: ['green', 'blue'], page: ['2'] },
    pathParameters: { proxy: 'articles/42' },
    stageVariables: null,
    requestContext: {
        accountId: account, apiId: 'a1b2c3d4e5', domainName: host, domainPrefix: 'shop', extendedRequestId: 'Kx7nQF1kIAMFb2Q=',
        httpMethod: 'GET', identity: { sourceIp: '203.0.113.7', userAgent: browser }, path: '/prod/articles/42', protocol: 'HTTP/1.1',
        requestId: '0d7c6a52-58c1-4f0e-9c53-1f2a7f3f9b11', requestTime: '14/Mar/2026:09:26:53 +0000', requestTimeEpoch: 1773480413000,
        resourceId: 'x1y2z3', resourcePath: '/{proxy+}', stage: 'prod',
    },
    body: null,
    isBase64Encoded: false,
};

const payload2 = (domainName, apiId) => ({
    version: '2.0',
    routeKey: '$default',
    rawPath: '/articles/42',
    rawQueryString: 'tag=green&tag=blue&page=2',
    cookies: ['theme=dark', 'visits=3'],
    headers: { accept: 'text/html', host: domainName, 'user-agent': browser, 'x-forwarded-for': '203.0.113.7', 'x-forwarded-port': '443', 'x-forwarded-proto': 'https' },
    queryStringParameters: { tag: 'green,blue', page: '2' },
    requestContext: {
        accountId: account, apiId, domainName, domainPrefix: domainName.split('.')[0],
        http: { method: 'GET', path: '/articles/42', protocol: 'HTTP/1.1', sourceIp: '203.0.113.7', userAgent: browser },
        requestId: 'Kx7nQF1kIAMFb2Q=', routeKey: '$default', stage: '$default', time: '14/Mar/2026:09:26:53 +0000', timeEpoch: 1773480413000,
    },
    isBase64Encoded: false,
});

const form = event => ({
    ...event,
    headers: { ...event.headers, 'content-type': 'application/x-www-form-urlencoded' },
    requestContext: { ...event.requestContext, http: { ...event.requestContext.http, method: 'POST' } },
    body: 'name=Ada+Lovelace&note=caf%C3%A9',
});

const alb = {
    requestContext: { elb: { targetGroupArn: `arn:aws:elasticloadbalancing:us-east-1:${account}:targetgroup/shop/0a1b2c3d4e5f6071` } },
    httpMethod: 'GET',
    path: '/articles/42',
    queryStringParameters: { tag: 'blue', page: '2' },
    headers: { accept: 'text/html', cookie: 'theme=dark; visits=3', host, 'user-agent': browser, 'x-amzn-trace-id': 'Root=1-69b5299d-3f1c0d2e4b5a69788796a5b4', 'x-forwarded-for': '203.0.113.7', 'x-forwarded-port': '443', 'x-forwarded-proto': 'https' },
    body: '',
    isBase64Encoded: false,
};

const lattice1 = {
    raw_path: '/articles/42?tag=blue&page=2',
    method: 'GET',
    headers: { accept: 'text/html', host, 'user-agent': browser, 'x-forwarded-for': '10.0.3.17' },
    query_string_parameters: { tag: 'blue', page: '2' },
    body: '',
    is_base64_encoded: false,
};

const lattice2 = {
    version: '2.0',
    path: '/articles/42?tag=green&tag=blue',
    method: 'GET',
    headers: { accept: ['text/html'], host: [host], 'user-agent': [browser], 'x-forwarded-for': ['10.0.3.17'] },
    queryStringParameters: { tag: ['green', 'blue'] },
    requestContext: {
        serviceNetworkArn: `arn:aws:vpc-lattice:us-east-1:${account}:servicenetwork/sn-0a1b2c3d4e5f60718`,
        serviceArn: `arn:aws:vpc-lattice:us-east-1:${account}:service/svc-0a1b2c3d4e5f60718`,
        targetGroupArn: `arn:aws:vpc-lattice:us-east-1:${account}:targetgroup/tg-0a1b2c3d4e5f60718`,
        identity: { sourceVpcArn: `arn:aws:ec2:us-east-1:${account}:vpc/vpc-0a1b2c3d4e5f60718` },
        region: 'us-east-1',
        timeEpoch: '1773480413000000',
    },
    body: '',
    isBase64Encoded: false,
};

const sqs = {
    Records: ['first', 'second'].map((text, index) => ({
        messageId: `5f0c0d6e-2f57-4a0b-8a4b-00000000000${index}`,
        receiptHandle: `AQEBzWwaftRI0KuVm4tP+/${index}`,
        body: JSON.stringify({ order: 1001 + index, text }),
        attributes: { ApproximateReceiveCount: '1', SentTimestamp: '1773480413000', SenderId: account, ApproximateFirstReceiveTimestamp: '1773480413012' },
        messageAttributes: {},
        md5OfBody: '0cc175b9c0f1b6a831c399e269772661',
        eventSource: 'aws:sqs',
        eventSourceARN: `arn:aws:sqs:us-east-1:${account}:orders`,
        awsRegion: 'us-east-1',
    })),
};

const sns = {
    Records: [{
        EventVersion: '1.0',
        EventSubscriptionArn: `arn:aws:sns:us-east-1:${account}:alerts:6b2f4c1a-7d3e-4f58-9a60-1b2c3d4e5f60`,
        EventSource: 'aws:sns',
        Sns: {
            SignatureVersion: '1', Timestamp: '2026-03-14T09:26:53.000Z', Signature: 'bm90IGEgcmVhbCBvbmU=', SigningCertUrl: 'https://sns.us-east-1.amazonaws.com/certificate.pem',
            MessageId: '9d1f0e2c-3b4a-5c6d-7e8f-901a2b3c4d5e', Message: 'The disk is nearly full.', MessageAttributes: { level: { Type: 'String', Value: 'warning' } },
            Type: 'Notification', UnsubscribeUrl: 'https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe', TopicArn: `arn:aws:sns:us-east-1:${account}:alerts`, Subject: 'Disk',
        },
    }],
};

const s3 = {
    Records: [{
        eventVersion: '2.1', eventSource: 'aws:s3', awsRegion: 'us-east-1', eventTime: '2026-03-14T09:26:53.000Z', eventName: 'ObjectCreated:Put',
        userIdentity: { principalId: 'AWS:AIDAEXAMPLE' }, requestParameters: { sourceIPAddress: '203.0.113.7' },
        responseElements: { 'x-amz-request-id': 'C3D13FE58DE4C810', 'x-amz-id-2': 'FMyUVURIY8/IgAtTv8xRjskZQpcIZ9KG4V5Wp6S7S/JRWeUWerMUE5JgHvANOjpD' },
        s3: {
            s3SchemaVersion: '1.0', configurationId: 'new-pictures',
            bucket: { name: 'pictures-of-ada', ownerIdentity: { principalId: 'A3NL1KOZZKExample' }, arn: 'arn:aws:s3:::pictures-of-ada' },
            object: { key: 'holiday/beach+1.jpg', size: 104857, eTag: 'd41d8cd98f00b204e9800998ecf8427e', sequencer: '0055AED6DCD90281E5' },
        },
    }],
};

const eventBridge = {
    version: '0', id: '7bf73129-1428-4cd3-a780-95db273d1602', 'detail-type': 'Order placed', source: 'com.example.shop', account, time: '2026-03-14T09:26:53Z', region: 'us-east-1',
    resources: [], detail: { order: 1001, total: 42.5, currency: 'EUR' },
};

const schedule = {
    version: '0', id: '53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa', 'detail-type': 'Scheduled Event', source: 'aws.events', account, time: '2026-03-14T09:00:00Z', region: 'us-east-1',
    resources: [`arn:aws:events:us-east-1:${account}:rule/every-hour`], detail: {},
};

const dynamodb = {
    Records: [{
        eventID: 'c4ca4238a0b923820dcc509a6f75849b', eventName: 'MODIFY', eventVersion: '1.1', eventSource: 'aws:dynamodb', awsRegion: 'us-east-1',
        dynamodb: {
            ApproximateCreationDateTime: 1773480413, Keys: { Id: { N: '101' } },
            OldImage: { Id: { N: '101' }, Stock: { N: '3' } }, NewImage: { Id: { N: '101' }, Stock: { N: '2' } },
            SequenceNumber: '222000000000021', SizeBytes: 59, StreamViewType: 'NEW_AND_OLD_IMAGES',
        },
        eventSourceARN: `arn:aws:dynamodb:us-east-1:${account}:table/Stock/stream/2026-03-01T00:00:00.000`,
    }],
};

const kinesis = {
    Records: [{
        kinesis: { kinesisSchemaVersion: '1.0', partitionKey: 'sensor-7', sequenceNumber: '49590338271490256608559692538361571095921575989136588898', data: btoa('{"sensor":7,"celsius":21.5}'), approximateArrivalTimestamp: 1773480413.1 },
        eventSource: 'aws:kinesis', eventVersion: '1.0', eventID: 'shardId-000000000006:49590338271490256608559692538361571095921575989136588898', eventName: 'aws:kinesis:record',
        invokeIdentityArn: `arn:aws:iam::${account}:role/lambda-role`, awsRegion: 'us-east-1', eventSourceARN: `arn:aws:kinesis:us-east-1:${account}:stream/sensors`,
    }],
};

const cognito = {
    version: '1', region: 'us-east-1', userPoolId: 'us-east-1_aBcDeFgHi', userName: 'ada', callerContext: { awsSdkVersion: 'aws-sdk-unknown-unknown', clientId: '1example23456789' },
    triggerSource: 'PreSignUp_SignUp', request: { userAttributes: { email: 'ada@example.com' }, validationData: null },
    response: { autoConfirmUser: false, autoVerifyEmail: false, autoVerifyPhone: false },
};

const webSocket = {
    requestContext: {
        routeKey: '$default', messageId: 'Kx7nQcGkIAMCJ9g=', eventType: 'MESSAGE', extendedRequestId: 'Kx7nQF1kIAMFb2Q=', requestTime: '14/Mar/2026:09:26:53 +0000', messageDirection: 'IN',
        stage: 'prod', connectedAt: 1773480400000, requestTimeEpoch: 1773480413000, identity: { sourceIp: '203.0.113.7' }, requestId: 'Kx7nQF1kIAMFb2Q=',
        domainName: 'w1x2y3z4a5.execute-api.us-east-1.amazonaws.com', connectionId: 'Kx7nQcGkIAMCJ9g=', apiId: 'w1x2y3z4a5',
    },
    body: '{"action":"say","text":"hello"}',
    isBase64Encoded: false,
};

const functionUrl = payload2('abcdefghijklmnopqrstuvwxyz012345.lambda-url.us-east-1.on.aws', 'abcdefghijklmnopqrstuvwxyz012345');

/** In two groups; `texts` has a name for each. */
export const templates = [
    { id: 'functionUrl', group: 'groupHttp', event: functionUrl },
    { id: 'functionUrlPost', group: 'groupHttp', event: form(functionUrl) },
    { id: 'httpApi', group: 'groupHttp', event: payload2('b1c2d3e4f5.execute-api.us-east-1.amazonaws.com', 'b1c2d3e4f5') },
    { id: 'rest', group: 'groupHttp', event: rest },
    { id: 'alb', group: 'groupHttp', event: alb },
    { id: 'lattice1', group: 'groupHttp', event: lattice1 },
    { id: 'lattice2', group: 'groupHttp', event: lattice2 },
    { id: 'direct', group: 'groupEvents', event: { name: 'world' } },
    { id: 'sqs', group: 'groupEvents', event: sqs },
    { id: 'sns', group: 'groupEvents', event: sns },
    { id: 's3', group: 'groupEvents', event: s3 },
    { id: 'eventBridge', group: 'groupEvents', event: eventBridge },
    { id: 'schedule', group: 'groupEvents', event: schedule },
    { id: 'dynamodb', group: 'groupEvents', event: dynamodb },
    { id: 'kinesis', group: 'groupEvents', event: kinesis },
    { id: 'cognito', group: 'groupEvents', event: cognito },
    { id: 'webSocket', group: 'groupEvents', event: webSocket },
];

/** The HTTP request that an event stands for: its method and where it goes; null for any other event. */
export function requestOf(event) {
    const context = event?.requestContext;
    const pairs = (map, encode) => Object.entries(map ?? {}).flatMap(([key, values]) => [values].flat().map(value => `${encode(key)}=${encode(value)}`)).join('&');
    const asIs = text => text;
    const address = (method, path, query) => typeof method === 'string' && typeof path === 'string' && path.startsWith('/')
        ? { method, address: path + (query && !path.includes('?') ? `?${query}` : '') }
        : null;
    if (context?.http) {
        return address(context.http.method, event.rawPath, event.rawQueryString);
    }
    if (event?.raw_path) {
        return address(event.method, event.raw_path, pairs(event.query_string_parameters, asIs));
    }
    if (context?.serviceArn) {
        return address(event.method, event.path, pairs(event.queryStringParameters, asIs));
    }
    if (event?.httpMethod && event.path) {
        const encode = context?.elb ? asIs : encodeURIComponent;
        return address(event.httpMethod, event.path, pairs(event.multiValueQueryStringParameters ?? event.queryStringParameters, encode));
    }
    return null;
}
