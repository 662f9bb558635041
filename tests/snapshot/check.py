#!/usr/bin/env python3
"""Takes a snapshot of a sandbox when the bootstrap waits in /restore/next, restores it twice, and compares the two.

    check.py BOOTSTRAP

Run by tests/snapshot.sh, in a container of its own. Each line of output is "ok: …" or "FAILED: …".
"""

import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SANDBOX = pathlib.Path("/tmp/sandbox")
SAVED = pathlib.Path("/tmp/saved")
IMAGES = pathlib.Path("/tmp/images")
REPORTS = SANDBOX / "reports"
LOG = SANDBOX / "log"
# Docker's /proc/sys is read-only
PROC = pathlib.Path("/tmp/proc")

# The next process of a restored sandbox gets the number after this one. Both have the same, so that none of it can be what differs.
LAST_PID = 1000
NS_LAST_PID = PROC / "sys/kernel/ns_last_pid"

PR_SET_CHILD_SUBREAPER = 36


def main():
    bootstrap = sys.argv[1]
    signal.signal(signal.SIGALRM, hangs)
    signal.alarm(100)
    # what criu restores is a child of this process then
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    PROC.mkdir()
    subprocess.run(["mount", "-t", "proc", "proc", PROC], check=True)
    if not NS_LAST_PID.exists():
        sys.exit("snapshot: this machine's kernel is built without CONFIG_CHECKPOINT_RESTORE, which CRIU needs")
    sandbox = start(bootstrap)
    before = read_report()
    check("the bootstrap waits to be restored", bool(before) and before[-1].get("path") == "/restore/next", before)
    if failed:
        give_up()
    criu("dump", "--tree", str(sandbox), "--network-lock", "skip")
    subprocess.run(["cp", "-a", SANDBOX, SAVED], check=True)
    reap()

    runs = [restore(sandbox, before) for _ in range(2)]
    for number, run in enumerate(runs, 1):
        look_at(f"restore {number}", before, run)
    compare(before, *runs)
    if failed:
        print(f"what the last sandbox wrote:\n{LOG.read_text()}")
    sys.exit(1 if failed else 0)


def start(bootstrap):
    (SANDBOX / "tmp").mkdir(parents=True)
    os.mkfifo(REPORTS)
    environment = {
        "PATH": "/usr/bin:/bin",
        "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
        "LAMBDA_TASK_ROOT": str(HERE / "function"),
        "PHP_LAMBDA_WARMUP": "warmup.php",
        "TMPDIR": str(SANDBOX / "tmp"),
    }
    with LOG.open("ab") as log:
        # as root, as CRIU is: another user's limits are not to be had without CAP_SYS_RESOURCE, which not every machine has
        sandbox = subprocess.Popen(
            [HERE / "sandbox.py", REPORTS, bootstrap],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return sandbox.pid


def restore(sandbox, before):
    """What happened in one restored sandbox, up to its end."""
    shutil.rmtree(SANDBOX)
    subprocess.run(["cp", "-a", SAVED, SANDBOX], check=True)
    criu("restore", "--restore-detached")
    NS_LAST_PID.write_text(str(LAST_PID))
    os.kill(sandbox, signal.SIGUSR1)
    happened = read_report()
    left = {pid: name for pid, name in processes() if name.startswith("php-fpm")}
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    reap()
    return {"happened": happened[len(before) :], "left": left}


def look_at(which, before, run):
    happened = run["happened"]
    calls = [one for one in happened if one.get("to") == "lambda"]
    told = [one for one in happened if one.get("to") == "database"]
    warm_ups = [one for one in told if one["who"] == "warm-up"]
    answers = [one["body"] for one in calls if one["path"].endswith("/response")]
    first = warm_up_of(before)
    old = {one["connection"] for one in before}

    def expect(what, wanted, got):
        check(f"{which}: {what}", wanted == got, f"wanted {wanted}, got {got}")

    expect("two invocations are answered", [200, 200], [one["statusCode"] for one in answers])
    expect("a new worker is warmed up", [LAST_PID + 1], [one["pid"] for one in warm_ups])
    expect("it has answered", [LAST_PID + 1] * 2, [json.loads(one["body"])["pid"] for one in answers])
    expect("no old connection to Lambda is used", [], [one["path"] for one in calls if one["connection"] in old])
    expect("no old connection of a script is used", [], [one["who"] for one in told if one["connection"] in old])
    # what is warmed up again is found there: nothing is compiled
    found = first["opcache"]
    kept = [one["opcache"] | {"hits": found["hits"]} for one in warm_ups if one["opcache"]["hits"] > found["hits"]]
    expect("opcache has kept its memory", [found], kept)
    expect("SIGTERM ends it with 0", {"exit": 0}, happened[-1])
    expect("nothing of php-fpm is left", {}, run["left"])


def compare(before, *runs):
    """No value that one restored sandbox drew was drawn by the other, or before the snapshot."""
    drawn = [[warm_up_of(before)]] + [[one for one in run["happened"] if one.get("to") == "database"] for run in runs]
    for kind in warm_up_of(before)["values"]:
        values = [[one["values"][kind] for one in told] for told in drawn]
        together = [value for some in values for value in some]
        check(f"{kind} differs in every sandbox", all(values) and len(set(together)) == len(together), values)


def warm_up_of(happened):
    return next(one for one in happened if one.get("who") == "warm-up")


def criu(command, *options):
    options = [command, "--images-dir", IMAGES, "--log-file", f"{command}.log", "-v4", "--tcp-established", *options]
    IMAGES.mkdir(exist_ok=True)
    environment = {**os.environ, "LD_PRELOAD": "/usr/local/lib/sockopt.so"}
    done = subprocess.run(["criu", *options], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (IMAGES / f"{command}.log").read_text().splitlines()
        errors = "\n".join(line for line in lines if "Error" in line)
        check(f"criu {command}", False, f"exit code {done.returncode}\n{done.stderr}{errors}")
        give_up()


def read_report():
    with REPORTS.open(encoding="utf-8") as fifo:
        return json.loads(fifo.read() or "[]")


def processes():
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                yield int(entry.name), (entry / "cmdline").read_text().split("\0")[0]
            except (FileNotFoundError, ProcessLookupError):
                pass


def reap():
    """Waits until every process of the sandbox is gone, and with it its number."""
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass


failed = 0


def check(what, passed, got):
    global failed
    print(f"ok: {what}" if passed else f"FAILED: {what}: {got}", flush=True)
    failed += not passed


def hangs(*_):
    check("everything goes on", False, "nothing has happened for too long")
    give_up()


def give_up():
    print(f"what the sandbox wrote:\n{LOG.read_text()}")
    sys.exit(1)


if __name__ == "__main__":
    main()
