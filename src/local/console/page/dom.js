// Elements made of text alone: whatever functions, clients and logs say never becomes markup.

export function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
        if (value === null || value === undefined || value === false) {
            continue;
        }
        if (key === 'on') {
            for (const [event, listener] of Object.entries(value)) {
                made.addEventListener(event, listener);
            }
        } else if (key === 'style') {
            // Property by property: the page's policy refuses style attributes.
            for (const [property, text] of Object.entries(value)) {
                made.style.setProperty(property, text);
            }
        } else {
            made.setAttribute(key, value === true ? '' : value);
        }
    }
    made.append(...children.filter(child => child !== null && child !== undefined));
    return made;
}

export const find = id => document.getElementById(id);

/** Replaces what is in `place` only where it differs, so that nobody's selection or focus is lost without need. */
export function show(place, ...children) {
    const made = document.createElement(place.tagName);
    made.append(...children.filter(child => child !== null && child !== undefined));
    if (place.shown !== undefined && made.isEqualNode(place.shown)) {
        return false;
    }
    place.shown = made.cloneNode(true);
    place.replaceChildren(...made.childNodes);
    return true;
}

/** What stands in for control characters that would be invisible or turn text around. */
export function visible(text) {
    return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
        character => `\\u{${character.codePointAt(0).toString(16)}}`);
}

export async function copy(text) {
    try {
        await navigator.clipboard.writeText(text);
        return true;
    } catch {
        // Only pages of this machine and of https may use the clipboard.
        const area = element('textarea', { class: 'unseen', 'aria-hidden': 'true' });
        area.value = text;
        document.body.append(area);
        const before = document.activeElement;
        area.select();
        const done = document.execCommand('copy');
        area.remove();
        before?.focus();
        return done;
    }
}

export function saveFile(name, bytes) {
    const address = URL.createObjectURL(new Blob([bytes]));
    element('a', { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
}
