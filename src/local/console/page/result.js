// What came of one invocation: its answer or its error, and its log.

import { beginningOf, bytesOf, errorOf, hexDump, pretty, read, textOf } from './answer.js';
import { milliseconds, size } from './bars.js';
import { element, find, saveFile, show, visible } from './dom.js';
import { nameOf, outcomeOf } from './list.js';
import { say } from './texts.js';

/** How much of a text is shown. */
const SHOWN = 200000;

export function result() {
    const places = {};
    const view = { chosen: null, number: null };
    const picture = { key: null, address: null };

    /** The bytes of the answer: those that this page got itself, else what is kept. */
    function answerOf(detail, own) {
        if (own && !own.isError) {
            return own.isBroken && own.size === 0 ? null : own;
        }
        const call = detail.calls.find(call => call.method === 'POST' && call.path.endsWith('/response'));
        return call && {
            bytes: bytesOf(call.request),
            size: call.request.size,
            isWhole: call.request.isWhole,
            isBroken: call.request.isBroken || call.request.trailers !== '',
            isStream: detail.isStream,
        };
    }

    function head(detail) {
        const [outcome, tone] = outcomeOf(detail);
        const facts = [];
        if (detail.report) {
            const { duration, billed, cold, memorySize, memoryUsed } = detail.report;
            facts.push(['duration', milliseconds(duration)], ['billed', `${billed} ms`]);
            if (cold !== null) {
                facts.push(['initDuration', milliseconds(cold)]);
            }
            facts.push(['memory', say('ofMemory', memoryUsed, memorySize)]);
        }
        return [
            element('p', { class: 'result-head' },
                element('span', { class: `pill large ${tone}` }, visible(outcome)),
                element('strong', {}, say('invocation', detail.number)),
                element('span', { class: 'what' }, visible(nameOf(detail)))),
            element('p', { class: 'request-id mono' }, detail.requestId),
            facts.length ? element('dl', { class: 'facts' }, ...facts.map(([name, value]) => element('div', {}, element('dt', {}, say(name)), element('dd', {}, value)))) : null,
        ];
    }

    function errorParts(detail) {
        if (!detail.errorType) {
            return [];
        }
        const { type, message, trace } = errorOf(detail.failure, detail.errorType);
        return [element('div', { class: 'error', role: 'group', 'aria-label': say('errorTitle') },
            element('p', { class: 'error-type mono' }, visible(type)),
            element('p', { class: 'error-message' }, visible(message)),
            trace.length ? element('h4', {}, say('trace')) : null,
            trace.length ? element('ol', { class: 'trace mono' }, ...trace.map(line => element('li', {}, visible(line)))) : null)];
    }

    function code(text, label) {
        const part = text.length > SHOWN ? text.slice(0, SHOWN) : text;
        return [
            element('pre', { class: 'code', tabindex: '0', 'aria-label': label }, visible(part)),
            part.length < text.length ? element('p', { class: 'hint' }, say('shownPart')) : null,
        ];
    }

    function pictureOf(key, bytes, mediaType) {
        if (picture.key !== key) {
            if (picture.address) {
                URL.revokeObjectURL(picture.address);
            }
            picture.key = key;
            picture.address = URL.createObjectURL(new Blob([bytes], { type: mediaType }));
        }
        return element('img', { src: picture.address, alt: say('image'), class: 'picture' });
    }

    function bodyParts(detail, answer, what) {
        const { body } = what;
        const isHtml = ['text/html', 'application/xhtml+xml'].includes(what.mediaType);
        const isPicture = /^image\//.test(what.mediaType ?? '');
        const views = [...(isHtml || isPicture ? ['rendered'] : []), 'text', 'raw'];
        const chosen = views.includes(view.chosen) ? view.chosen : views[0];
        const choice = name => element('button', { type: 'button', class: 'view', 'data-key': `view-${name}`, 'aria-pressed': String(name === chosen), on: { click: () => { view.chosen = name; api.refresh(); } } }, say(name));
        const shown = [];
        const isWhole = answer.isWhole && !answer.isBroken;
        if (chosen === 'raw') {
            const text = beginningOf(answer.bytes.subarray(0, SHOWN));
            shown.push(...code(text === null ? hexDump(answer.bytes) : text.replaceAll('\0', '\\0'), say('raw')));
        } else if (body.length === 0) {
            shown.push(element('p', { class: 'empty' }, say(answer.isWhole ? 'emptyBody' : 'noAnswerYet')));
        } else if (chosen === 'rendered' && isPicture) {
            shown.push(isWhole ? pictureOf(`${detail.number}`, body, what.mediaType) : element('p', { class: 'empty' }, say('previewLater')));
        } else if (chosen === 'rendered') {
            const call = detail.calls.find(call => call.method === 'POST' && call.path.endsWith('/response'));
            shown.push(call?.request.isWhole
                ? element('iframe', { src: `/_console/api/records/${detail.number}/html`, sandbox: '', title: say('preview'), class: 'preview' })
                : element('p', { class: 'empty' }, call?.request.ended ? say('tooLarge', size(call.request.kept)) : say('previewLater')));
        } else {
            const text = isWhole ? textOf(body) : beginningOf(body.subarray(0, SHOWN));
            shown.push(...code(text === null ? hexDump(body) : isWhole ? pretty(text) : text, say(text === null ? 'hex' : 'text')));
        }
        const extension = what.mediaType?.split('/')[1]?.replace(/\W.*/, '') || 'bin';
        return [
            element('div', { class: 'views', role: 'group', 'aria-label': say('views') },
                ...views.map(choice),
                element('span', { class: 'fill' }),
                element('span', { class: 'hint' }, size(body.length)),
                element('button', { type: 'button', class: 'quiet small', 'data-key': 'download', on: { click: () => saveFile(`answer-${detail.number}.${extension}`, body) } }, say('download'))),
            ...shown,
        ];
    }

    function answerParts(detail, own) {
        const answer = answerOf(detail, own);
        if (!answer) {
            const isOver = detail.state === 'over' || detail.state === 'givenUp';
            return detail.errorType ? [] : [element('p', { class: 'empty' }, say(isOver ? 'noAnswer' : 'noAnswerYet'))];
        }
        let what = read(answer);
        if (what.kind === 'part') {
            what = { ...what, body: answer.bytes };
        }
        const notes = [];
        if (answer.bytes.length < answer.size) {
            notes.push(say('onlyFirst', size(answer.bytes.length), size(answer.size)));
        }
        if (answer.isBroken) {
            notes.push(say('brokenOff'));
        } else if (!answer.isWhole && detail.state !== 'over') {
            notes.push(say('streaming'));
        }
        if (detail.httpStatus >= 500 && detail.httpStatus !== what.status) {
            notes.push(say('gatewayError', detail.httpStatus));
        }
        return [
            what.headers ? element('details', { class: 'headers', open: view.isOpen, on: { toggle: event => { view.isOpen = event.target.open; } } },
                element('summary', { 'data-key': 'headers' }, say('headers', what.headers.length)),
                element('dl', { class: 'pairs mono' }, ...what.headers.flatMap(([name, value]) => [element('dt', {}, visible(name)), element('dd', {}, visible(value))]))) : null,
            ...bodyParts(detail, answer, what),
            ...notes.map(note => element('p', { class: 'note' }, note)),
        ];
    }

    let last = null;
    const api = {
        /** `detail` of an invocation; `own` is what this page got as its answer. */
        refresh(detail = last?.detail, own = detail === last?.detail ? last?.own : undefined) {
            last = { detail, own };
            const place = find('result');
            if (!detail) {
                show(place, element('p', { class: 'empty' }, say('noResult')));
                view.number = null;
                return;
            }
            if (view.number !== detail.number || !place.contains(places.head)) {
                view.number = detail.number;
                place.shown = undefined;
                for (const name of ['head', 'error', 'answer', 'log']) {
                    places[name] = element('div', { class: `result-${name}-part` });
                }
                place.replaceChildren(...Object.values(places));
            }
            const focused = document.activeElement?.dataset?.key;
            const before = places.answer.querySelector('pre');
            const scrolled = before ? [before.scrollTop, before.scrollTop + before.clientHeight >= before.scrollHeight - 4, before.scrollLeft] : null;
            show(places.head, ...head(detail));
            show(places.error, ...errorParts(detail));
            if (show(places.answer, ...answerParts(detail, own))) {
                if (focused) {
                    places.answer.querySelector(`[data-key="${focused}"]`)?.focus();
                }
                const pre = places.answer.querySelector('pre');
                if (pre && scrolled) {
                    // Who reads the end of a stream goes on reading there.
                    pre.scrollTop = scrolled[1] && own && !own.isWhole ? pre.scrollHeight : scrolled[0];
                    pre.scrollLeft = scrolled[2];
                }
            }
            show(places.log, element('h3', {}, say('log')), logOf(detail.log));
        },
    };
    return api;
}

/** A log, with Lambda's own lines told apart from the function's. */
export function logOf(log) {
    const line = ([, writer, text]) => element('span', { class: `line of-${writer}` }, `${visible(text)}\n`);
    if (log.lines.length + log.lastLines.length === 0) {
        return element('p', { class: 'empty' }, say('emptyLog'));
    }
    return element('pre', { class: 'code log', tabindex: '0', 'aria-label': say('log') },
        ...log.lines.map(line),
        log.leftOut ? element('span', { class: 'line of-note' }, `${say('leftOut', log.leftOut)}\n`) : null,
        ...log.lastLines.map(line));
}
