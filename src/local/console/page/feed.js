// What has changed, as it changes. A connection that ends is opened again where it was; a page that nobody sees has none, since
// a browser gives all pages of one site six connections together.

import { isStreamed } from './answer.js';

export function follow({ onState, onConnection }) {
    let source = null;
    let last = '';
    let timer = 0;

    function open() {
        clearTimeout(timer);
        if (source || document.hidden) {
            return;
        }
        source = new EventSource(`/_console/api/events${last ? `?after=${encodeURIComponent(last)}` : ''}`);
        source.addEventListener('open', () => onConnection(true));
        source.addEventListener('state', event => {
            last = event.lastEventId;
            onState(JSON.parse(event.data));
        });
        source.addEventListener('error', () => {
            onConnection(false);
            // The browser connects again by itself, but for an answer that is no stream.
            if (source?.readyState === EventSource.CLOSED) {
                close();
                timer = setTimeout(open, 2000);
            }
        });
    }

    function close() {
        source?.close();
        source = null;
    }

    document.addEventListener('visibilitychange', () => document.hidden ? close() : open());
    window.addEventListener('pagehide', close);
    window.addEventListener('pageshow', open);
    open();
}

export async function detailOf(number) {
    const response = await fetch(`/_console/api/records/${number}`);
    return response.ok ? response.json() : null;
}

/** How much of an answer the page keeps: more than a buffered one can have. */
const MOST = 8 << 20;

/**
 * Invokes the function; `onPiece` gets what has come of its answer as it comes. Its record will carry `test`, since its request id is
 * known only when the answer begins.
 */
export async function invoke(text, name, test, onPiece) {
    const response = await fetch(`/_console/api/invoke?test=${test}&name=${encodeURIComponent(name)}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: text,
    });
    if (!response.headers.has('x-amzn-requestid')) {
        const refused = await response.json().catch(() => ({}));
        throw new Error(refused.Message ?? `${response.status} ${response.statusText}`);
    }
    let kept = new Uint8Array(1 << 14);
    const answer = {
        bytes: kept.subarray(0, 0), size: 0, isWhole: false, isBroken: false,
        isStream: isStreamed(response.headers.get('content-type')), isError: response.headers.has('x-amz-function-error'),
    };
    onPiece(answer);
    try {
        const reader = response.body.getReader();
        for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
            const part = piece.value.subarray(0, MOST - answer.bytes.length);
            const length = answer.bytes.length + part.length;
            if (length > kept.length) {
                const larger = new Uint8Array(Math.max(length, 2 * kept.length));
                larger.set(answer.bytes);
                kept = larger;
            }
            kept.set(part, answer.bytes.length);
            answer.bytes = kept.subarray(0, length);
            answer.size += piece.value.length;
            onPiece(answer);
        }
        answer.isWhole = answer.size === answer.bytes.length;
    } catch {
        answer.isBroken = true;
    }
    onPiece(answer);
    return answer;
}

export async function restart() {
    await fetch('/_console/api/restart', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' });
}
