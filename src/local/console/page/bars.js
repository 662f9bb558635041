// The time of an invocation, in the parts that it is made of.

/** In this order; `texts` has the name of each. */
export const PARTS = ['init', 'wait', 'function', 'answer', 'after'];

/** Milliseconds of each part up to `now`; those that have not begun are missing. */
export function partsOf(times, now) {
    const end = times.landed ?? now;
    const parts = {};
    const handed = times.handed ?? end;
    let overlap = 0;
    if (times.initBegan !== null) {
        parts.init = times.initEnded - times.initBegan;
        overlap = Math.max(0, Math.min(times.initEnded, handed) - Math.max(times.initBegan, times.queued));
        parts.isAhead = times.initEnded <= times.queued;
    }
    parts.wait = Math.max(0, handed - times.queued - overlap);
    if (times.handed !== null) {
        parts.function = Math.max(0, (times.answerBegan ?? times.answerEnded ?? end) - times.handed);
    }
    if (times.answerBegan !== null) {
        parts.answer = Math.max(0, (times.answerEnded ?? end) - times.answerBegan);
    }
    if (times.answerEnded !== null && times.answerBegan !== null) {
        parts.after = Math.max(0, end - times.answerEnded);
    }
    parts.total = PARTS.reduce((sum, part) => sum + (parts[part] ?? 0), 0);
    return parts;
}

export function milliseconds(value) {
    if (value >= 10000) {
        return `${(value / 1000).toFixed(1)} s`;
    }
    return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ms`;
}

export function size(bytes) {
    if (bytes < 1024) {
        return `${bytes} B`;
    }
    return bytes < 1 << 20 ? `${(bytes / 1024).toFixed(1)} KB` : `${(bytes / (1 << 20)).toFixed(1)} MB`;
}
