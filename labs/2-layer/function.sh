#!/bin/bash
handler() {
    echo "{\"greeting\": \"$(cat /opt/greeting.txt)\", \"you sent\": $1}"
}
