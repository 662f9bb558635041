// The conversation between the runtime and Lambda: each call as it crossed the wire.

import { beginningOf, bytesOf, hexDump } from './answer.js';
import { milliseconds, PARTS, partsOf, size } from './bars.js';
import { copy, element, find, show, visible } from './dom.js';
import { logOf } from './result.js';
import { say } from './texts.js';

function explained(call) {
    const explanations = [
        [/\/invocation\/next$/, 'explainNext'],
        [/\/invocation\/[^/]*\/response$/, /^lambda-runtime-function-response-mode: streaming$/m.test(call.requestHeaders) ? 'explainStream' : 'explainResponse'],
        [/\/invocation\/[^/]*\/error$/, 'explainError'],
        [/\/init\/error$/, 'explainInitError'],
        [/\/restore\/next$/, 'explainRestoreNext'],
        [/\/restore\/error$/, 'explainRestoreError'],
        [/\/extension\/register$/, 'explainRegister'],
        [/\/extension\/event\/next$/, 'explainEventNext'],
    ];
    const known = explanations.find(([pattern]) => pattern.test(call.path));
    if (call.status >= 400) {
        return say('explainRefused', call.status);
    }
    return say(known ? known[1] : 'explainOther');
}

/** The path without what all have in common, and without the id that all of an invocation have. */
function shortPath(path) {
    return path.replace(/^\/2018-06-01\/runtime/, '').replace(/^\/2020-01-01/, '').replace(/(\/invocation\/)[0-9a-f]{8}-[0-9a-f-]{27}/, '$1{id}');
}

const offset = (time, from) => `${time < from ? '−' : '+'}${milliseconds(Math.abs(time - from))}`;

function message(title, first, headers, body, from, copied) {
    const bytes = bytesOf(body);
    const text = beginningOf(bytes);
    const content = bytes.length === 0 ? say('noBody') : text === null ? hexDump(bytes) : text.replaceAll('\0', '\\0');
    const notes = [];
    if (body.kept < body.size) {
        notes.push(say('onlyFirst', size(body.kept), size(body.size)));
    }
    if (body.isBroken) {
        notes.push(say('bodyBroken'));
    }
    const lines = `${first}\n${headers}`;
    return element('div', { class: 'message' },
        element('h4', {}, title, element('span', { class: 'fill' }),
            element('button', { type: 'button', class: 'quiet small', 'data-key': `copy-${copied}`, on: { click: event => copyNear(event.target, `${lines}\n${text ?? ''}`) } }, say('copyText'))),
        element('pre', { class: 'code', tabindex: '0', 'aria-label': title },
            element('span', { class: 'first' }, `${visible(first)}\n`),
            element('span', { class: 'head' }, visible(headers)),
            element('span', { class: bytes.length ? 'body' : 'none' }, `\n${visible(content)}`),
            body.trailers ? element('span', { class: 'head' }, `\n\n${visible(body.trailers)}`) : null),
        body.trailers ? element('p', { class: 'note' }, say('trailers')) : null,
        ...notes.map(note => element('p', { class: 'note' }, note)),
        body.pieceCount > 1 ? pieces(body, from) : null);
}

async function copyNear(button, text) {
    button.textContent = say(await copy(text) ? 'copied' : 'notCopied');
}

function pieces(body, from) {
    return element('details', { class: 'pieces' },
        element('summary', {}, say('pieces', body.pieceCount)),
        element('table', {},
            element('caption', { class: 'unseen' }, say('piecesOf')),
            element('tbody', {}, ...body.pieces.slice(0, 200).map(([at, bytes], index) => element('tr', {},
                element('th', { scope: 'row' }, String(index + 1)), element('td', {}, offset(at, from)), element('td', {}, size(bytes)))))),
        body.pieceCount > Math.min(200, body.pieces.length) ? element('p', { class: 'hint' }, say('piecesLeftOut', body.pieceCount - Math.min(200, body.pieces.length))) : null);
}

export function conversation() {
    const open = new Set();
    let last = null;

    function one(call, from) {
        const status = call.isAbandoned ? say('abandoned') : call.status === null ? say('pending') : String(call.status);
        const tone = call.isAbandoned || call.status >= 400 ? 'bad' : call.status === null ? 'busy' : 'good';
        const method = `${call.method} ${shortPath(call.path)}`;
        const answered = call.answered === null ? '' : milliseconds(call.answered - call.began);
        const piecesCount = call.request.pieceCount > 1 ? say('pieces', call.request.pieceCount) : '';
        return element('li', { class: 'call' },
            element('details', { open: open.has(call.id), on: { toggle: event => event.target.open ? open.add(call.id) : open.delete(call.id) } },
                element('summary', { 'data-key': `call-${call.id}` },
                    element('span', { class: 'at mono' }, offset(call.began, from)),
                    element('span', { class: 'method mono' }, visible(method)),
                    element('span', { class: `pill ${tone}` }, status),
                    element('span', { class: 'took mono' }, [answered, size(call.request.size + call.response.size), piecesCount].filter(Boolean).join(' · ')),
                    element('span', { class: 'why' }, explained(call))),
                message(say('request'), `${call.method} ${call.path} HTTP/1.1`, call.requestHeaders, call.request, from, `${call.id}-request`),
                call.status === null ? null : message(say('response'), `HTTP/1.1 ${call.status}`, call.responseHeaders, call.response, from, `${call.id}-response`)));
    }

    function timeline(detail) {
        const parts = partsOf(detail.times, detail.times.landed ?? detail.times.answerEnded ?? detail.times.queued);
        if (detail.times.landed === null) {
            return null;
        }
        const shown = PARTS.filter(part => parts[part] !== undefined);
        return element('ul', { class: 'timeline', 'aria-label': say('total') },
            ...shown.map(part => element('li', {},
                element('span', { class: `part swatch ${part}`, 'aria-hidden': 'true' }),
                `${say(part)}${part === 'init' && parts.isAhead ? ` (${say('ahead')})` : ''} `,
                element('span', { class: 'mono' }, milliseconds(parts[part])))));
    }

    const api = {
        refresh(detail = last) {
            last = detail;
            const place = find('conversation');
            if (!detail) {
                show(place, element('p', { class: 'empty' }, say('noConversation')));
                return;
            }
            const isSandbox = detail.kind === 'sandbox';
            const from = isSandbox ? detail.began : detail.times.queued;
            const focused = document.activeElement?.dataset?.key;
            const calls = [...detail.calls].sort((a, b) => a.began - b.began);
            const isOver = !isSandbox && detail.report?.status === null;
            const changed = show(place,
                element('p', { class: 'talk-of' }, element('strong', {}, say(isSandbox ? 'sandbox' : 'invocation', detail.number)), ` · ${say('intro')}`),
                isSandbox ? null : timeline(detail),
                calls.length ? null : element('p', { class: 'empty' }, say('noCalls')),
                element('ol', { class: 'calls' },
                    ...calls.map(call => one(call, from)),
                    isOver ? element('li', { class: 'call then' },
                        element('span', { class: 'at mono' }, offset(detail.times.landed, from)),
                        element('span', { class: 'method mono' }, say('then')),
                        element('span', { class: 'why' }, say('thenWaits'))) : null),
                detail.callsLeftOut ? element('p', { class: 'hint' }, say('callsLeftOut', detail.callsLeftOut)) : null,
                calls.length ? element('p', { class: 'hint' }, say('lowerCase')) : null,
                isSandbox ? element('h3', {}, say('log')) : null,
                isSandbox ? logOf(detail.log) : null);
            if (changed && focused) {
                place.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
            }
        },
    };
    return api;
}
