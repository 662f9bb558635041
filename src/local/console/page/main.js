// Joins the parts of the page: what happens goes to the list, and the chosen record to the result and the conversation.

import { conversation } from './conversation.js';
import { find, visible } from './dom.js';
import { editor } from './editor.js';
import { detailOf, follow, invoke, restart } from './feed.js';
import { list, outcomeOf } from './list.js';
import { result } from './result.js';
import { say, switchLanguage, write } from './texts.js';

/** Of how many tests the page keeps the answer in whole. */
const OWN = 10;

/** Milliseconds after which a question is asked again that got no answer. */
const AGAIN = 1000;

const records = new Map();
/** Their answers by the names of the tests. */
const own = new Map();
const state = { about: null, sandbox: null, selected: null, detail: null, skew: 0, tests: 0, wanted: null, isAsking: false, isStale: false, said: null };

const shownResult = result();
const talk = conversation();
const shownList = list({ onSelect: select });
const form = editor({ onSend: send, tell, invokePath: () => state.about?.invokePath ?? '' });

function tell(text) {
    find('said').textContent = '';
    // A live region says what changes.
    requestAnimationFrame(() => { find('said').textContent = text; });
}

const now = () => performance.now() + state.skew;

function onState(event) {
    if (event.function) {
        state.about = event.function;
    }
    if (event.isWhole) {
        records.clear();
    }
    state.skew = event.now - performance.now();
    state.sandbox = event.sandbox;
    for (const record of event.records) {
        records.set(record.number, record);
        if (record.test && record.test === state.wanted) {
            state.wanted = null;
            select(record.number);
        } else if (record.number === state.selected) {
            ask();
        }
        announce(record);
    }
    for (const number of records.keys()) {
        if (!event.kept.some(([first, last]) => first <= number && number <= last)) {
            records.delete(number);
        }
    }
    refresh();
}

/** The end of a test of this page, for those who do not see it. */
function announce(record) {
    if (record.kind === 'invocation' && record.state === 'over' && own.has(record.test) && state.said !== record.test) {
        state.said = record.test;
        tell(say('ended', record.number, outcomeOf(record)[0]));
    }
}

/** What is shown stays until there is what was chosen. */
function select(number) {
    state.selected = number;
    ask();
    refresh();
}

/** Gets the chosen record, again while it changes; one question at a time. */
async function ask() {
    if (state.isAsking) {
        state.isStale = true;
        return;
    }
    state.isAsking = true;
    do {
        state.isStale = false;
        const number = state.selected;
        const detail = await detailOf(number).catch(() => undefined);
        if (number !== state.selected) {
            state.isStale = true;
        } else if (detail) {
            state.detail = detail;
            refreshDetail();
        } else if (detail === undefined) {
            // The connection has failed, and nothing else may happen that would be a reason to ask.
            setTimeout(ask, AGAIN);
        }
    } while (state.isStale);
    state.isAsking = false;
}

async function send(text, name) {
    // The newest test of this page is the one to look at, from its beginning on.
    const test = `${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}${state.tests += 1}`;
    state.wanted = test;
    own.set(test, undefined);
    while (own.size > OWN) {
        own.delete(own.keys().next().value);
    }
    try {
        await invoke(text, name, test, answer => {
            own.set(test, answer);
            if (state.detail?.test === test) {
                refreshDetail();
            }
        });
        find('connection').hidden = true;
    } catch (error) {
        find('connection').textContent = say('cannotSend', error.message);
        find('connection').hidden = false;
    }
}

let isDue = false;

/** With the next picture that the browser draws. */
function refreshDetail() {
    if (!isDue) {
        isDue = true;
        requestAnimationFrame(() => {
            isDue = false;
            refreshDetailNow();
        });
    }
}

function refreshDetailNow() {
    const detail = state.detail;
    talk.refresh(detail);
    shownResult.refresh(detail?.kind === 'invocation' ? detail : null, own.get(detail?.test));
}

function refresh() {
    shownList.refresh(records, state.selected, now());
    if (state.about) {
        const { folder, handler, memory, timeout } = state.about;
        find('about').textContent = visible(`${folder} · ${handler} · ${say('limitsOf', memory, timeout)}`);
    }
    const sandbox = records.get(state.sandbox);
    const [text, tone] = sandbox && sandbox.ended === null ? outcomeOf(sandbox) : [say('notReady'), 'dim'];
    find('sandbox').dataset.tone = tone;
    find('sandbox-text').textContent = sandbox ? `${say('sandbox', sandbox.number)}: ${text}` : text;
}

function refreshAll() {
    write();
    find('language').textContent = say('other');
    find('language').lang = say('other') === 'English' ? 'en' : 'zh-Hans';
    find('language').title = say('otherName');
    shownList.legend();
    form.refresh();
    refresh();
    refreshDetail();
}

find('language').addEventListener('click', () => {
    switchLanguage();
    refreshAll();
});
find('restart').addEventListener('click', () => {
    restart().then(() => tell(say('restarted')), error => tell(say('cannotSend', error.message)));
});

refreshAll();
follow({
    onState,
    onConnection(isThere) {
        find('connection').hidden = isThere;
        find('connection').textContent = isThere ? '' : say('offline');
    },
});
// While something runs its bar grows.
setInterval(() => {
    if (!document.hidden && [...records.values()].some(record => record.kind === 'invocation' && !['over', 'givenUp'].includes(record.state))) {
        refresh();
    }
}, 100);
