<?php
// In the place of a language model: canned answers and short pauses, the same each time.

declare(strict_types=1);

const HOW_IT_WORKS = 'This word was printed before the next one was thought of. PHP prints a word, and its runtime passes it on at once: '
    . 'to Lambda, through the Function URL and into your browser, which shows it.' . "\n\n"
    . 'Nothing waits for the end. So the beginning is here early, an answer may have up to 200 MB, and it takes no more memory than a short one.';

const WHAT_PHP_DOES = 'It is an ordinary script behind php-fpm. A generator yields words, and a loop prints each as a server-sent event: '
    . 'its name, a line of JSON and an empty line.' . "\n\n"
    . 'To ask a real model, put a generator in my place that yields what the model’s API sends.';

const HALF_AN_ANSWER = 'It begins as if nothing were wrong, and you read along. Then, in the middle of a sentence, something';

const ANYTHING_ELSE = 'I am no language model, only a few lines of PHP with canned answers and short pauses. '
    . 'Ask me how streaming works, what PHP does here, or let me break off half-way.';

/** Yields the answer to a question, word by word. */
function answer(string $question): Generator
{
    yield from match (1) {
        preg_match('/break|fail|error/i', $question) => break_off(),
        preg_match('/stream|how|work/i', $question) => words(HOW_IT_WORKS),
        preg_match('/php/i', $question) => words(WHAT_PHP_DOES),
        default => words(ANYTHING_ELSE),
    };
}

function break_off(): Generator
{
    yield from words(HALF_AN_ANSWER);
    throw new RuntimeException('the model has lost its thread, as you asked it to');
}

/** Yields each word with the space behind it, in the time that it seems to take to think of it. */
function words(string $text): Generator
{
    foreach (preg_split('/(?<=\s)(?=\S)/', $text) as $word) {
        usleep(40_000 + 4_000 * strlen($word));
        yield $word;
        if (preg_match('/[.:]\s*$/', $word)) {
            usleep(200_000);
        }
    }
}
