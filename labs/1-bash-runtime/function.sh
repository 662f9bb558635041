#!/bin/bash
# What stands on stdout is the answer, what stands on stderr is in the log.
handler() {
    echo "the event has ${#1} characters" >&2
    echo "{\"you sent\": $1}"
}
