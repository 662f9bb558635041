#!/bin/bash
handler() {
    case "$1" in
        *fail*)
            echo "this handler was told to fail" >&2
            return 1
            ;;
        *hang*) sleep 60 ;;
        *crash*) kill -9 $$ ;;
        *) echo '{"all": "well"}' ;;
    esac
}
