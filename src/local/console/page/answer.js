// What an answer says: status, headers and body of one that is HTTP, the words of an error, else JSON.

const utf8 = new TextDecoder('utf-8', { fatal: true });
const STREAMED = 'application/vnd.awslambda.http-integration-response';

export function bytesOf(kept) {
    return kept.base64 === undefined ? new TextEncoder().encode(kept.text) : fromBase64(kept.base64);
}

function fromBase64(text) {
    return Uint8Array.from(atob(text), character => character.charCodeAt(0));
}

/** Text where it is some, else null. */
export function textOf(bytes) {
    try {
        return utf8.decode(bytes);
    } catch {
        return null;
    }
}

/** Text up to where a piece of it, cut anywhere, ends in the middle of a character. */
export function beginningOf(bytes) {
    for (let less = 0; less < 4 && less <= bytes.length; less += 1) {
        const text = textOf(bytes.subarray(0, bytes.length - less));
        if (text !== null) {
            return text;
        }
    }
    return null;
}

function parsed(text) {
    try {
        return { value: JSON.parse(text) };
    } catch {
        return null;
    }
}

export const isStreamed = mediaType => (mediaType ?? '').split(';')[0].trim().toLowerCase() === STREAMED;

/** The words of a function error, from its JSON. */
export function errorOf(text, type) {
    const value = parsed(text)?.value;
    const isObject = value && typeof value === 'object';
    return {
        type: isObject && typeof value.errorType === 'string' ? value.errorType : type,
        message: isObject && typeof value.errorMessage === 'string' ? value.errorMessage : text,
        trace: isObject && Array.isArray(value.stackTrace ?? value.trace) ? (value.stackTrace ?? value.trace).map(line => typeof line === 'string' ? line : JSON.stringify(line)) : [],
    };
}

/**
 * `answer` has the bytes as the runtime posted them (`bytes`), whether they are all (`isWhole`), and whether they are a stream that
 * begins with a prelude (`isStream`). Gives `{kind: 'http', status, headers, body}`, `{kind: 'json', body}`, or `{kind: 'part'}` where
 * not enough is known.
 */
export function read({ bytes, isWhole, isStream }) {
    if (isStream) {
        const end = endOfPrelude(bytes);
        const prelude = end < 0 ? null : parsed(textOf(bytes.subarray(0, end)) ?? '');
        if (!prelude || typeof prelude.value !== 'object' || prelude.value === null) {
            return { kind: 'part' };
        }
        return http(prelude.value, bytes.subarray(end + 8));
    }
    if (!isWhole) {
        return { kind: 'part' };
    }
    const value = parsed(textOf(bytes) ?? '')?.value;
    if (value && typeof value === 'object' && Number.isInteger(value.statusCode)) {
        const text = typeof value.body === 'string' ? value.body : value.body === null || value.body === undefined ? '' : JSON.stringify(value.body);
        let body = new TextEncoder().encode(text);
        if (value.isBase64Encoded === true) {
            try {
                body = fromBase64(text);
            } catch {
                // Shown as it came.
            }
        }
        return http(value, body);
    }
    return { kind: value === undefined ? 'text' : 'json', body: bytes };
}

function endOfPrelude(bytes) {
    let zeros = 0;
    for (let at = 0; at < bytes.length; at += 1) {
        zeros = bytes[at] === 0 ? zeros + 1 : 0;
        if (zeros === 8) {
            return at - 7;
        }
    }
    return -1;
}

function http(head, body) {
    const multi = head.multiValueHeaders && typeof head.multiValueHeaders === 'object' ? head.multiValueHeaders : null;
    const headers = Object.entries(multi ?? (head.headers && typeof head.headers === 'object' ? head.headers : {}))
        .flatMap(([name, values]) => [values].flat().map(value => [name, String(value)]));
    for (const cookie of Array.isArray(head.cookies) ? head.cookies : []) {
        headers.push(['set-cookie', String(cookie)]);
    }
    const mediaType = headers.find(([name]) => name.toLowerCase() === 'content-type')?.[1] ?? '';
    return { kind: 'http', status: head.statusCode, headers, mediaType: mediaType.split(';')[0].trim().toLowerCase(), body };
}

/** JSON with line breaks, where it is JSON. */
export function pretty(text) {
    const json = parsed(text);
    return json && typeof json.value === 'object' && json.value !== null ? JSON.stringify(json.value, null, 2) : text;
}

/** The first bytes as people look at them. */
export function hexDump(bytes) {
    const lines = [];
    for (let at = 0; at < bytes.length && at < 512; at += 16) {
        const row = [...bytes.subarray(at, at + 16)];
        const hex = row.map(byte => byte.toString(16).padStart(2, '0')).join(' ');
        const text = row.map(byte => byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.').join('');
        lines.push(`${at.toString(16).padStart(4, '0')}  ${hex.padEnd(47)}  ${text}`);
    }
    return lines.join('\n');
}
