// What the page says, in English and in Chinese.

const en = {
    title: 'Test console', skip: 'Skip to the test event', other: '中文', otherName: 'Switch to Chinese',
    restart: 'Restart', restartHint: 'End the sandbox and start another one, once no invocation is running', restarted: 'The sandbox is being restarted.',
    testEvent: 'Test event', template: 'Template', eventJson: 'Event, as JSON', test: 'Test', sendHint: 'Ctrl + Enter', format: 'Format', curl: 'Copy as curl', copied: 'Copied.', notCopied: 'The browser did not let this page copy.',
    save: 'Save…', forget: 'Delete', saveEvent: 'Save this event', name: 'Name', cancel: 'Cancel', savedWhere: 'It is kept in this browser.', saved: 'Saved.', forgotten: 'Deleted.', notSaved: 'The browser keeps nothing for this page.',
    valid: n => `JSON, ${n}`, empty: 'An event is needed: any JSON.', invalid: why => `Not JSON: ${why}`, atLine: (line, column) => `line ${line}, column ${column}`,
    byHttp: 'The same request over HTTP: ', byHttpHint: 'opens in a new tab; the event is then a Function URL’s',
    groupHttp: 'HTTP requests', groupEvents: 'Other events', groupSaved: 'Saved',
    functionUrl: 'Function URL', functionUrlPost: 'Function URL, a form is sent', httpApi: 'API Gateway HTTP API', rest: 'API Gateway REST API', alb: 'Application Load Balancer', lattice1: 'VPC Lattice, version 1', lattice2: 'VPC Lattice, version 2',
    direct: 'Direct invocation', sqs: 'SQS', sns: 'SNS', s3: 'S3', eventBridge: 'EventBridge', schedule: 'Schedule', dynamodb: 'DynamoDB stream', kinesis: 'Kinesis', cognito: 'Cognito, before sign-up', webSocket: 'API Gateway WebSocket', ownEvent: 'Own event',
    result: 'Result', noResult: 'Choose a template, press Test, and what the function answers is here.', loading: 'Loading…',
    invocation: n => `Invocation ${n}`, sandbox: n => `Sandbox ${n}`,
    waiting: 'Waiting', starting: 'Starting', running: 'Running', answering: 'Answering', answered: 'Answered', givenUp: 'Given up', over: 'Done', failed: 'Failed', timedOut: 'Timed out', succeeded: 'Succeeded',
    duration: 'Duration', billed: 'Billed', initDuration: 'Init', memory: 'Memory', ofMemory: (used, size) => `${used} of ${size} MB`,
    answerTitle: 'Answer', headers: n => `Headers (${n})`, body: 'Body', views: 'How the body is shown', rendered: 'Rendered', text: 'Text', raw: 'As posted', download: 'Download', hex: 'Bytes', image: 'The picture in the answer', preview: 'The answer’s HTML, without scripts and without anything from elsewhere',
    previewLater: 'It can be rendered when it is whole.', tooLarge: kept => `It is larger than what is kept (${kept}), so it cannot be rendered here.`, onlyFirst: (kept, all) => `Only the first ${kept} of ${all} are kept.`, emptyBody: 'The body is empty.', noAnswerYet: 'No answer yet.', noAnswer: 'There is no answer.', brokenOff: 'The answer broke off.', streaming: 'Still streaming…', shownPart: 'Only the beginning is shown; the download has all of it.',
    errorTitle: 'Function error', trace: 'Stack trace', gatewayError: status => `Over HTTP the client got ${status}.`,
    log: 'Log', emptyLog: 'Nothing was logged.', leftOut: n => `… ${n} lines are left out: only the beginning and the end of a long log are kept …`,
    invocations: 'Invocations', nothingYet: 'None so far. What comes over HTTP, from curl or from AWS’s SDKs is listed as well.', limits: 'The last 200 are kept, of each body the first 256 KB. A bar’s length is logarithmic, its parts are to scale.',
    init: 'init', wait: 'waiting', function: 'function until its first byte', answer: 'answer', after: 'until the next /next', ahead: 'ahead of the request', total: 'in all',
    sourceInvoke: 'invoke API', sandboxInit: 'init', sandboxReady: 'ready', sandboxStarting: 'starting', sandboxFailed: 'init failed', sandboxEnded: 'ended',
    conversation: 'Runtime API, call by call', noConversation: 'Choose an invocation, and each call between the runtime and Lambda is here.', intro: 'The runtime (your bootstrap) calls Lambda, never the other way round.', noCalls: 'No calls so far.', callsLeftOut: n => `${n} more calls are left out.`,
    then: 'GET /next', thenWaits: 'The runtime asks for the next event. That ends this invocation; the call stays open until there is one.',
    request: 'Request', response: 'Response', pending: 'open', abandoned: 'connection ended', noBody: '(no body)', bodyBroken: '(the body broke off here)', pieces: n => `${n} pieces`, piecesOf: 'Pieces of the body, as they came', piecesLeftOut: n => `the time of ${n} more was not kept`, trailers: 'Trailers, behind the body', copyText: 'Copy',
    lowerCase: 'Names of headers are in lower case here; HTTP does not tell them apart.',
    explainNext: 'The runtime asks for an event. Lambda answers when there is one: the event is the body, what Lambda knows about it is in the headers.',
    explainResponse: 'The runtime posts the function’s answer. 202: Lambda has it.',
    explainStream: 'The runtime streams the function’s answer, piece by piece. A failure on the way would be in the trailers.',
    explainError: 'The runtime reports that the function failed.',
    explainInitError: 'The runtime reports that it could not start.',
    explainRestoreNext: 'The runtime is ready for its snapshot. The answer comes when it was restored.',
    explainRestoreError: 'The runtime reports that it could not go on after the restore.',
    explainRegister: 'The runtime registers as an internal extension: Lambda then tells it when it is to end.',
    explainEventNext: 'The extension waits for events. It asked for none, so this is never answered.',
    explainOther: 'A call that Lambda does not know.',
    explainRefused: status => `Lambda refused this call (${status}).`,
    offline: 'The connection to lambda-local is lost. This page connects again by itself.',
    cannotSend: why => `It could not be sent: ${why}`, ended: (n, how) => `Invocation ${n}: ${how}`,
    limitsOf: (memory, timeout) => `${memory} MB, ${timeout} s`, ready: 'ready', notReady: 'no sandbox',
};

const zh = {
    title: '测试控制台', skip: '跳到测试事件', other: 'English', otherName: '切换到英文',
    restart: '重启', restartHint: '没有调用在运行时，结束沙箱并启动一个新的', restarted: '正在重启沙箱。',
    testEvent: '测试事件', template: '模板', eventJson: '事件（JSON）', test: '测试', sendHint: 'Ctrl + Enter', format: '格式化', curl: '复制为 curl', copied: '已复制。', notCopied: '浏览器不允许本页复制。',
    save: '保存…', forget: '删除', saveEvent: '保存此事件', name: '名称', cancel: '取消', savedWhere: '保存在此浏览器中。', saved: '已保存。', forgotten: '已删除。', notSaved: '浏览器不为本页保存任何内容。',
    valid: n => `JSON，${n}`, empty: '需要一个事件：任意 JSON。', invalid: why => `不是 JSON：${why}`, atLine: (line, column) => `第 ${line} 行，第 ${column} 列`,
    byHttp: '通过 HTTP 发出同样的请求：', byHttpHint: '在新标签页中打开；此时事件为 Function URL 的格式',
    groupHttp: 'HTTP 请求', groupEvents: '其他事件', groupSaved: '已保存',
    functionUrl: 'Function URL', functionUrlPost: 'Function URL，提交表单', httpApi: 'API Gateway HTTP API', rest: 'API Gateway REST API', alb: 'Application Load Balancer', lattice1: 'VPC Lattice，版本 1', lattice2: 'VPC Lattice，版本 2',
    direct: '直接调用', sqs: 'SQS', sns: 'SNS', s3: 'S3', eventBridge: 'EventBridge', schedule: '定时任务', dynamodb: 'DynamoDB 流', kinesis: 'Kinesis', cognito: 'Cognito，注册之前', webSocket: 'API Gateway WebSocket', ownEvent: '自定义事件',
    result: '结果', noResult: '选择一个模板，按“测试”，函数的应答会显示在这里。', loading: '加载中…',
    invocation: n => `调用 ${n}`, sandbox: n => `沙箱 ${n}`,
    waiting: '等待中', starting: '启动中', running: '运行中', answering: '应答中', answered: '已应答', givenUp: '已放弃', over: '完成', failed: '失败', timedOut: '超时', succeeded: '成功',
    duration: '持续时间', billed: '计费时间', initDuration: '初始化', memory: '内存', ofMemory: (used, size) => `${used} / ${size} MB`,
    answerTitle: '应答', headers: n => `标头（${n}）`, body: '正文', views: '正文的显示方式', rendered: '渲染', text: '文本', raw: '原样', download: '下载', hex: '字节', image: '应答中的图片', preview: '应答的 HTML，不运行脚本，也不加载外部内容',
    previewLater: '完整之后才能渲染。', tooLarge: kept => `超出保留的大小（${kept}），无法在此渲染。`, onlyFirst: (kept, all) => `只保留了 ${all} 中的前 ${kept}。`, emptyBody: '正文为空。', noAnswerYet: '尚无应答。', noAnswer: '没有应答。', brokenOff: '应答中途断开。', streaming: '仍在流式传输…', shownPart: '只显示开头部分；下载可得全部内容。',
    errorTitle: '函数错误', trace: '堆栈跟踪', gatewayError: status => `HTTP 客户端收到了 ${status}。`,
    log: '日志', emptyLog: '没有日志。', leftOut: n => `… 省略 ${n} 行：长日志只保留开头和结尾 …`,
    invocations: '调用', nothingYet: '尚无调用。通过 HTTP、curl 或 AWS SDK 的调用也会列在这里。', limits: '保留最近 200 条，每个正文保留前 256 KB。条的长度为对数刻度，各部分按比例。',
    init: '初始化', wait: '等待', function: '函数（到首字节）', answer: '应答', after: '到下一次 /next', ahead: '在请求之前', total: '合计',
    sourceInvoke: 'invoke API', sandboxInit: '初始化', sandboxReady: '就绪', sandboxStarting: '启动中', sandboxFailed: '初始化失败', sandboxEnded: '已结束',
    conversation: 'Runtime API，逐次调用', noConversation: '选择一次调用，运行时与 Lambda 之间的每次请求都会显示在这里。', intro: '总是运行时（您的 bootstrap）请求 Lambda，从不反过来。', noCalls: '尚无请求。', callsLeftOut: n => `另有 ${n} 次请求被省略。`,
    then: 'GET /next', thenWaits: '运行时请求下一个事件，本次调用就此结束；在有事件之前，该请求一直保持打开。',
    request: '请求', response: '响应', pending: '未完成', abandoned: '连接已断开', noBody: '（无正文）', bodyBroken: '（正文在此断开）', pieces: n => `${n} 块`, piecesOf: '正文的各块及到达时间', piecesLeftOut: n => `另有 ${n} 块的时间未保留`, trailers: '正文之后的 trailer', copyText: '复制',
    lowerCase: '这里的标头名称均为小写；HTTP 不区分大小写。',
    explainNext: '运行时请求一个事件。有事件时 Lambda 才响应：正文是事件，标头是 Lambda 所知道的信息。',
    explainResponse: '运行时提交函数的应答。202 表示 Lambda 已收到。',
    explainStream: '运行时逐块流式发送函数的应答。若中途失败，错误会在 trailer 中。',
    explainError: '运行时报告函数失败。',
    explainInitError: '运行时报告无法启动。',
    explainRestoreNext: '运行时已准备好制作快照。恢复之后才会得到响应。',
    explainRestoreError: '运行时报告恢复后无法继续。',
    explainRegister: '运行时注册为内部扩展：这样 Lambda 会在结束前通知它。',
    explainEventNext: '扩展等待事件。它没有订阅任何事件，所以永远不会得到响应。',
    explainOther: 'Lambda 不认识的请求。',
    explainRefused: status => `Lambda 拒绝了此请求（${status}）。`,
    offline: '与 lambda-local 的连接已断开。本页会自动重新连接。',
    cannotSend: why => `无法发送：${why}`, ended: (n, how) => `调用 ${n}：${how}`,
    limitsOf: (memory, timeout) => `${memory} MB，${timeout} 秒`, ready: '就绪', notReady: '没有沙箱',
};

const languages = { en, zh };
const KEY = 'lambda-local.language';
let current = remembered() ?? (navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en');

function remembered() {
    try {
        const language = localStorage.getItem(KEY);
        return Object.hasOwn(languages, language) ? language : null;
    } catch {
        return null;
    }
}

export function say(name, ...values) {
    const text = Object.hasOwn(languages[current], name) ? languages[current][name] : undefined;
    return typeof text === 'function' ? text(...values) : text;
}

export function switchLanguage() {
    current = current === 'en' ? 'zh' : 'en';
    try {
        localStorage.setItem(KEY, current);
    } catch {
        // It holds for as long as the page is open.
    }
}

/** Writes the texts that stand in the page from the beginning. */
export function write() {
    document.documentElement.lang = current === 'zh' ? 'zh-Hans' : 'en';
    document.title = `${say('title')} · lambda-local`;
    for (const element of document.querySelectorAll('[data-text]')) {
        element.textContent = say(element.dataset.text);
    }
    for (const element of document.querySelectorAll('[data-title]')) {
        element.title = say(element.dataset.title);
    }
}
