// The list of invocations and sandboxes, the newest first, with the time of each as a bar.

import { element, find, visible } from './dom.js';
import { milliseconds, PARTS, partsOf } from './bars.js';
import { say } from './texts.js';

export function nameOf(record) {
    if (record.kind === 'sandbox') {
        return say('sandbox', record.number);
    }
    if (record.source === 'invoke') {
        return say('sourceInvoke');
    }
    if (record.source === 'console') {
        let name = record.label;
        try {
            name = decodeURIComponent(name);
        } catch {
            // As it is.
        }
        return name.startsWith('template:') ? say(name.slice(9)) ?? name : name || say('ownEvent');
    }
    return record.label;
}

/** What it has come to: a text, and how it is coloured. */
export function outcomeOf(record) {
    if (record.kind === 'sandbox') {
        if (record.failed) {
            return [say('sandboxFailed'), 'bad'];
        }
        if (record.ended !== null) {
            return [say('sandboxEnded'), 'dim'];
        }
        return record.ready === null ? [say('sandboxStarting'), 'busy'] : [say('sandboxReady'), 'good'];
    }
    if (record.report?.status === 'timeout') {
        return [say('timedOut'), 'bad'];
    }
    if (record.errorType) {
        return [record.errorType, 'bad'];
    }
    const status = record.statusCode ?? record.httpStatus;
    const shown = record.httpStatus >= 500 ? record.httpStatus : status;
    if (record.state === 'over' || record.state === 'answered') {
        return shown ? [String(shown), shown >= 500 ? 'bad' : shown >= 400 ? 'warn' : 'good'] : [say('succeeded'), 'good'];
    }
    return [say(record.state), record.state === 'givenUp' ? 'dim' : 'busy'];
}

function bar(parts, longest) {
    const length = 4 + 96 * Math.log10(1 + parts.total) / Math.log10(1 + longest);
    const shown = PARTS.filter(part => (parts[part] ?? 0) > 0);
    return element('span', { class: 'bar', style: { width: `${length}%` }, 'aria-hidden': 'true' },
        ...shown.map(part => element('span', { class: `part ${part}`, style: { 'flex-grow': String(parts[part] / parts.total) } })));
}

export function list({ onSelect }) {
    const place = find('list');
    const rows = new Map();

    function row(record, longest, now, isSelected) {
        const [outcome, tone] = outcomeOf(record);
        const isSandbox = record.kind === 'sandbox';
        const parts = isSandbox ? null : partsOf(record.times, now);
        const total = isSandbox ? (record.ready ?? record.ended ?? now) - record.began : parts.total;
        const signature = JSON.stringify([record.number, nameOf(record), outcome, tone, parts ?? total, longest, isSelected, say('invocation', 0)]);
        const known = rows.get(record.number);
        if (known?.signature === signature) {
            return known.made;
        }
        const name = visible(nameOf(record));
        const made = element('li', { role: 'option', id: `record-${record.number}`, class: isSandbox ? 'record sandbox-record' : 'record', 'aria-selected': String(isSelected), on: { click: () => onSelect(record.number) } },
            element('span', { class: 'number' }, isSandbox ? '' : `${record.number}`),
            element('span', { class: 'name', title: name }, name),
            element('span', { class: `pill ${tone}` }, visible(outcome)),
            element('span', { class: 'time' }, isSandbox ? `${say('init')} ${milliseconds(total)}` : milliseconds(total)),
            isSandbox ? null : element('span', { class: 'track' }, bar(parts, longest)));
        rows.set(record.number, { signature, made });
        return made;
    }

    function refresh(records, selected, now) {
        const newest = [...records.values()].sort((a, b) => b.number - a.number);
        const longest = Math.max(1, ...newest.filter(record => record.kind === 'invocation').map(record => partsOf(record.times, now).total));
        // In steps, so that a new longest one does not move all others each time.
        const scale = 2 ** Math.ceil(Math.log2(longest));
        const made = newest.map(record => row(record, scale, now, record.number === selected));
        made.forEach((row, index) => {
            if (place.children[index] !== row) {
                place.insertBefore(row, place.children[index] ?? null);
            }
        });
        while (place.children.length > made.length) {
            place.lastChild.remove();
        }
        for (const number of rows.keys()) {
            if (!records.has(number)) {
                rows.delete(number);
            }
        }
        place.hidden = made.length === 0;
        find('nothing').hidden = newest.some(record => record.kind === 'invocation');
        if (selected !== null && records.has(selected)) {
            place.setAttribute('aria-activedescendant', `record-${selected}`);
        } else {
            place.removeAttribute('aria-activedescendant');
        }
    }

    place.addEventListener('keydown', event => {
        const options = [...place.children];
        const at = options.findIndex(option => option.getAttribute('aria-selected') === 'true');
        const to = { ArrowDown: at + 1, ArrowUp: Math.max(0, at - 1), Home: 0, End: options.length - 1, PageDown: at + 10, PageUp: Math.max(0, at - 10) }[event.key];
        if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) {
            return;
        }
        event.preventDefault();
        const option = options[Math.min(to, options.length - 1)];
        option.click();
        find(option.id).scrollIntoView({ block: 'nearest' });
    });

    return {
        refresh,
        legend() {
            find('legend').replaceChildren(...PARTS.map(part => element('li', {}, element('span', { class: `part swatch ${part}`, 'aria-hidden': 'true' }), say(part))));
        },
    };
}
