// The event: from a template, saved or written; checked while one types.

import { copy, element, find } from './dom.js';
import { requestOf, templates } from './templates.js';
import { say } from './texts.js';
import { size } from './bars.js';

const KEY = 'lambda-local.events';
const DRAFT = 'lambda-local.draft';

export function editor({ onSend, tell, invokePath }) {
    const area = find('event');
    const select = find('template');

    function saved() {
        try {
            const events = JSON.parse(localStorage.getItem(KEY) ?? '{}');
            return events && typeof events === 'object' ? events : {};
        } catch {
            return {};
        }
    }

    function keep(key, value) {
        try {
            localStorage.setItem(key, value);
            return true;
        } catch {
            return false;
        }
    }

    function list(chosen = select.value) {
        const option = (value, text) => element('option', { value }, text);
        const groups = ['groupHttp', 'groupEvents'].map(group => element('optgroup', { label: say(group) },
            ...templates.filter(template => template.group === group).map(template => option(template.id, say(template.id)))));
        const names = Object.keys(saved()).sort((a, b) => a.localeCompare(b));
        const own = element('optgroup', { label: say('groupSaved') }, ...names.map(name => option(`saved:${name}`, name)));
        select.replaceChildren(element('option', { value: 'own', hidden: true }, say('ownEvent')), ...groups, ...(names.length ? [own] : []));
        select.value = chosen || templates[0].id;
        if (select.selectedIndex < 0) {
            select.value = 'own';
        }
        find('forget').hidden = !select.value.startsWith('saved:');
    }

    function textOf(choice) {
        if (choice.startsWith('saved:')) {
            return saved()[choice.slice(6)];
        }
        const template = templates.find(template => template.id === choice);
        return template && JSON.stringify(template.event, null, 2);
    }

    function choose() {
        const text = textOf(select.value);
        if (typeof text === 'string') {
            area.value = text;
            area.scrollTop = 0;
        }
        find('forget').hidden = !select.value.startsWith('saved:');
        check();
    }

    /** What is written, where it is JSON. */
    function check() {
        const text = area.value;
        const state = find('checked');
        let event;
        let problem = null;
        if (text.trim() === '') {
            problem = say('empty');
        } else {
            try {
                event = JSON.parse(text);
            } catch (error) {
                problem = say('invalid', where(text, error.message));
            }
        }
        const said = problem ?? say('valid', size(new TextEncoder().encode(text).length));
        if (state.textContent !== said) {
            state.textContent = said;
        }
        state.classList.toggle('bad', problem !== null);
        area.setAttribute('aria-invalid', String(problem !== null));
        find('send').setAttribute('aria-disabled', String(problem !== null));
        link(problem === null ? requestOf(event) : null);
        keep(DRAFT, JSON.stringify([select.value, text]));
        return problem === null;
    }

    /** The browser's words, and the line that they speak of. */
    function where(text, message) {
        const position = /position (\d+)/.exec(message)?.[1];
        if (position === undefined) {
            return message;
        }
        const before = text.slice(0, Number(position)).split('\n');
        const place = say('atLine', before.length, before.at(-1).length + 1);
        return `${message.replace(/\s*(in JSON )?at position.*$/, '')}, ${place}`;
    }

    function link(request) {
        const place = find('by-http');
        place.hidden = request?.method !== 'GET';
        if (!place.hidden) {
            // Behind the host, so that a path which begins with // does not become another one.
            const address = new URL(location.origin + request.address);
            place.replaceChildren(say('byHttp'),
                element('a', { href: address.href, target: '_blank', rel: 'noopener noreferrer', title: say('byHttpHint') }, `GET ${address.pathname}${address.search}`));
        }
    }

    const quoted = text => `'${text.replaceAll("'", "'\\''")}'`;
    // A name that curl would take for an option or a file is none: the event begins with what JSON begins with.
    const curl = () => `curl ${quoted(location.origin + invokePath())} --header 'Content-Type: application/json' --data-raw ${quoted(compact(area.value))}`;
    const compact = text => {
        try {
            JSON.parse(text);
            return text.split('\n').map(line => line.trim()).join(' ');
        } catch {
            return text;
        }
    };

    function name() {
        if (select.value.startsWith('saved:')) {
            return select.value.slice(6);
        }
        return select.value === 'own' ? '' : `template:${select.value}`;
    }

    select.addEventListener('change', choose);
    area.addEventListener('input', () => {
        const isTemplate = textOf(select.value) === area.value;
        if (!isTemplate && !select.value.startsWith('saved:')) {
            select.value = 'own';
        }
        check();
    });
    const send = () => {
        if (check()) {
            onSend(area.value, name());
        } else {
            area.focus();
        }
    };
    find('test').addEventListener('submit', event => {
        event.preventDefault();
        send();
    });
    area.addEventListener('keydown', event => {
        if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
            event.preventDefault();
            send();
        }
    });
    find('format').addEventListener('click', () => {
        if (check()) {
            // Numbers that JavaScript would round stay as they are.
            area.value = reformat(area.value);
            check();
        } else {
            area.focus();
        }
    });
    find('curl').addEventListener('click', async () => tell(say(await copy(curl()) ? 'copied' : 'notCopied')));
    const naming = find('naming');
    find('save').addEventListener('click', () => {
        find('name').value = select.value.startsWith('saved:') ? select.value.slice(6) : '';
        naming.returnValue = '';
        naming.showModal();
        find('name').select();
    });
    naming.addEventListener('close', () => {
        const title = find('name').value.trim();
        if (naming.returnValue !== 'save' || title === '') {
            return;
        }
        const events = { ...saved(), [title]: area.value };
        tell(say(keep(KEY, JSON.stringify(events)) ? 'saved' : 'notSaved'));
        list(`saved:${title}`);
        check();
    });
    find('forget').addEventListener('click', () => {
        const events = saved();
        delete events[select.value.slice(6)];
        tell(say(keep(KEY, JSON.stringify(events)) ? 'forgotten' : 'notSaved'));
        list('own');
        check();
        select.focus();
    });

    try {
        const [choice, text] = JSON.parse(localStorage.getItem(DRAFT));
        area.value = String(text);
        list(String(choice));
    } catch {
        list(templates[0].id);
        area.value = textOf(templates[0].id);
    }
    check();
    return { refresh: () => { list(); check(); } };
}

/** JSON with line breaks. Works on the text, so that no number and no repeated name is changed. */
export function reformat(text) {
    let made = '';
    let depth = 0;
    const line = () => `\n${'  '.repeat(depth)}`;
    const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) ?? [];
    tokens.forEach((token, index) => {
        const next = tokens[index + 1];
        if (token === '{' || token === '[') {
            made += token;
            if (next !== '}' && next !== ']') {
                depth += 1;
                made += line();
            }
        } else if (token === '}' || token === ']') {
            if (tokens[index - 1] !== '{' && tokens[index - 1] !== '[') {
                depth -= 1;
                made += line();
            }
            made += token;
        } else if (token === ',') {
            made += token + line();
        } else {
            made += token === ':' ? ': ' : token;
        }
    });
    return made;
}
