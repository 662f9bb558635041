"""lambda-local with zips and folders, as Lambda's user: deployed, refused, and with runtimes that nobody here wrote.

    python3 -m unittest --verbose tests/labs/test_packages.py

The same tests hold where /opt and /var/task are this user's own and where it takes a namespace.
"""

import json
import os
import pathlib
import re
import signal
import stat
import subprocess
import tempfile
import unittest
import urllib.request
import zipfile

LIMIT = 60

# What writing there fails with: on a read-only file system (EROFS has no class of its own), or by the modes alone.
READ_ONLY = "OSError" if os.environ.get("PLACE") == "namespace" else "PermissionError"

# What every bootstrap here begins with; it needs nothing but Python.
PRELUDE = """#!/usr/bin/env python3
import http.client, json, os, pathlib

def call(method, path, body=None, headers={}):
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    connection.request(method, "/2018-06-01/runtime/" + path, body, headers)
    response = connection.getresponse()
    return dict(response.headers), response.read()

def attempt(action):
    try:
        return action()
    except OSError as error:
        return type(error).__name__

while True:
    headers, event = call("GET", "invocation/next")
    id = headers["lambda-runtime-aws-request-id"]
"""

# Answers with what eval makes of the event.
EVALUATE = PRELUDE + """
    call("POST", f"invocation/{id}/response", json.dumps(eval(json.loads(event))))
"""

# In the manner of AWS's walk-through: the handler is in a file of shell functions, headers go through a temporary file.
SHELL = r"""#!/bin/sh
set -euo pipefail
. "$LAMBDA_TASK_ROOT/$(echo "$_HANDLER" | cut -d. -f1).sh"
while true
do
  HEADER_FILE="$(mktemp)"
  EVENT=$(curl -sS -L -D "$HEADER_FILE" -X GET "http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/next")
  ID=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$HEADER_FILE" | tr -d '[:space:]' | cut -d: -f2)
  ANSWER=$($(echo "$_HANDLER" | cut -d. -f2) "$EVENT")
  curl -sS -X POST "http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/$ID/response" -d "$ANSWER" >/dev/null
done
"""


def entry(name, mode=0o644, kind=stat.S_IFREG):
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (kind | mode) << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def make_zip(path, files):
    """`files`: (name or ZipInfo, content)."""
    with zipfile.ZipFile(path, "w") as archive:
        for info, content in files:
            archive.writestr(entry(info) if isinstance(info, str) else info, content)
    return path


class Local:
    """A running lambda-local; as a context it is ended, and everything it printed is in `output` then."""

    def __init__(self, *arguments, stop=signal.SIGTERM):
        self.stop = stop
        command = ["lambda-local", "--listen", "127.0.0.1:0", *map(str, arguments)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.output = ""
        self.port = None

    def __enter__(self):
        while self.port is None:
            line = self.process.stdout.readline()
            self.output += line
            if not line:
                raise AssertionError(f"it did not start: {self.output}")
            if found := re.match(r"Listening on http://127\.0\.0\.1:(\d+) ", line):
                self.port = int(found[1])
        return self

    def invoke(self, event):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/2015-03-31/functions/function/invocations", json.dumps(event).encode()
        )
        with urllib.request.urlopen(request, timeout=LIMIT) as response:
            return json.load(response)

    def __exit__(self, *_):
        self.process.send_signal(self.stop)
        self.output += self.process.communicate(timeout=LIMIT)[0]


class Packages(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(dir=os.environ["HOME"])
        self.addCleanup(self.folder.cleanup)
        # what the functions of other tests have left, where /tmp is the container's
        for name in os.listdir("/tmp"):
            os.remove(f"/tmp/{name}")

    def path(self, name):
        return pathlib.Path(self.folder.name) / name

    def zip(self, name, *files):
        return make_zip(self.path(name), files)

    def runtime(self):
        return self.zip("runtime.zip", (entry("bootstrap", 0o755), EVALUATE))

    def refused(self, *arguments):
        done = subprocess.run(
            ["lambda-local", "--listen", "127.0.0.1:0", *map(str, arguments)], capture_output=True, text=True, timeout=LIMIT
        )
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual(done.stdout, "")
        return done.stderr

    # what it is for

    def test_everything_is_where_lambda_has_it(self):
        layer = self.runtime()
        function = self.zip("function.zip", ("function.txt", "mine"), (entry("lib/", 0o755, stat.S_IFDIR), ""))
        with Local("--layer", layer, "--handler", "function.handler", function) as local:
            answer = local.invoke(
                "{'env': dict(os.environ), 'cwd': os.getcwd(), 'uid': os.getuid(), 'gid': os.getgid(), "
                "'task': sorted(os.listdir('/var/task')), 'opt': sorted(os.listdir('/opt')), 'tmp': os.listdir('/tmp'), "
                "'text': pathlib.Path('function.txt').read_text()}"
            )
        env = answer["env"]
        self.assertEqual(answer["cwd"], "/var/task")
        self.assertEqual((answer["uid"], answer["gid"]), (993, 990))
        self.assertEqual([name for name in answer["opt"] if name != ".lambda-local"], ["bootstrap"])
        self.assertEqual([name for name in answer["task"] if name != ".lambda-local"], ["function.txt", "lib"])
        self.assertEqual(answer["text"], "mine")
        self.assertEqual(answer["tmp"], [])
        self.assertEqual(env["LAMBDA_TASK_ROOT"], "/var/task")
        self.assertEqual(env["LAMBDA_RUNTIME_DIR"], "/var/runtime")
        self.assertEqual(env["_HANDLER"], "function.handler")
        self.assertEqual(env["PATH"], "/usr/local/bin:/usr/bin/:/bin:/opt/bin")
        self.assertEqual(
            env["LD_LIBRARY_PATH"],
            "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
        )
        self.assertNotIn("HOME", env)

    def test_only_tmp_can_be_written(self):
        with Local("--layer", self.runtime(), self.zip("function.zip", ("a/b", ""))) as local:
            for path in ("/opt/x", "/opt/bootstrap", "/var/task/x", "/var/task/a/b", "/var/task/a/x"):
                answer = local.invoke(f"attempt(lambda: open({path!r}, 'w').write('x'))")
                self.assertEqual(answer, READ_ONLY, path)
            self.assertEqual(local.invoke("attempt(lambda: open('/tmp/from-the-test', 'w').write('x'))"), 1)
            local.invoke("attempt(lambda: os.remove('/tmp/from-the-test'))")

    def test_later_layers_win_and_folders_are_packages(self):
        self.path("three").mkdir()
        self.path("three/only").write_text("three")
        one = self.zip("one.zip", (entry("bootstrap", 0o755), EVALUATE), ("which", "one"), ("link/x", "x"))
        two = self.zip("two.zip", ("which", "two"), (entry("link", 0o777, stat.S_IFLNK), "which"))
        look = "[pathlib.Path('/opt/' + name).read_text() for name in ('which', 'link', 'only')]"
        layers = ("--layer", one, "--layer", two, "--layer", self.path("three"))
        with Local(*layers, self.zip("function.zip", ("x", ""))) as local:
            self.assertEqual(local.invoke(look), ["two", "two", "three"])
        layers = ("--layer", two, "--layer", one)
        with Local(*layers, self.path("three")) as local:
            self.assertEqual(local.invoke("pathlib.Path('/opt/which').read_text()"), "one")
            self.assertEqual(local.invoke("sorted(os.listdir('/opt/link'))"), ["x"])
            self.assertEqual(local.invoke("pathlib.Path('only').read_text()"), "three")

    def test_the_functions_bootstrap_comes_first(self):
        other = PRELUDE + "    call('POST', f'invocation/{id}/response', '\"the function\\'s own\"')\n"
        function = self.zip("function.zip", (entry("bootstrap", 0o755), other))
        with Local("--layer", self.runtime(), function) as local:
            self.assertEqual(local.invoke("1"), "the function's own")
        with Local(function) as local:
            self.assertEqual(local.invoke("1"), "the function's own")
        # A folder of that name is none.
        function = self.zip("function.zip", (entry("bootstrap/x", 0o755), ""))
        with Local("--layer", self.runtime(), function) as local:
            self.assertEqual(local.invoke("1 + 1"), 2)

    def test_nothing_is_left_and_it_can_be_started_again(self):
        for stop in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGTERM):
            with Local("--layer", self.runtime(), self.zip("function.zip", ("a/b", "")), stop=stop) as local:
                self.assertEqual(local.invoke("1 + 1"), 2)
            if stop != signal.SIGKILL:
                self.assertEqual(os.listdir("/opt"), [])
                self.assertTrue(not os.path.exists("/var/task") or os.listdir("/var/task") == [])

    def test_two_at_once(self):
        function = self.zip("function.zip", ("x", ""))
        with Local("--layer", self.runtime(), function) as local:
            if os.environ.get("PLACE") == "namespace":
                with Local("--layer", self.runtime(), function) as other:
                    self.assertEqual(other.invoke("1 + 1"), 2)
            else:
                self.assertIn("end that one first", self.refused("--layer", self.runtime(), function))
            self.assertEqual(local.invoke("1 + 1"), 2)

    def test_a_start_that_fails_leaves_nothing(self):
        words = self.refused("--layer", self.zip("a.zip", ("x", "")), self.zip("b.zip", ("y", "")))
        self.assertIn("Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]", words)
        self.assertEqual(os.listdir("/opt"), [])

    def test_without_zips_and_layers_the_folder_is_served_where_it_is(self):
        self.path("bootstrap").write_text(EVALUATE)
        self.path("bootstrap").chmod(0o755)
        with Local(self.folder.name) as local:
            self.assertEqual(local.invoke("os.getcwd()"), os.path.realpath(self.folder.name))

    # what Lambda refuses

    def test_a_bootstrap_without_its_run_bit(self):
        for mode in (0o644, 0o700, 0o744):
            layer = self.zip("runtime.zip", (entry("bootstrap", mode), EVALUATE))
            with Local("--layer", layer, self.zip("function.zip", ("x", ""))) as local:
                answer = local.invoke("1")
            self.assertEqual(
                answer,
                {
                    "errorType": "Runtime.InvalidEntrypoint",
                    "errorMessage": "Error: fork/exec /opt/bootstrap: permission denied",
                },
            )
            self.assertIn("chmod 0755 bootstrap", local.output)

    def test_a_bootstrap_whose_interpreter_is_not_there(self):
        layer = self.zip("runtime.zip", (entry("bootstrap", 0o755), "#!/bin/bash\r\n"))
        with Local("--layer", layer, self.zip("function.zip", ("x", ""))) as local:
            answer = local.invoke("1")
        self.assertEqual(answer["errorMessage"], "Error: fork/exec /opt/bootstrap: no such file or directory")
        self.assertIn("line ends of Windows", local.output)

    def test_a_bootstrap_that_the_kernel_does_not_run(self):
        for content in ("echo run", "", "\ufeff#!/bin/sh\necho run", "\x7fELF"):
            layer = self.zip("runtime.zip", (entry("bootstrap", 0o755), content))
            with Local("--layer", layer, self.zip("function.zip", ("x", ""))) as local:
                answer = local.invoke("1")
            self.assertEqual(answer["errorType"], "Runtime.InvalidEntrypoint")
            self.assertEqual(answer["errorMessage"], "Error: fork/exec /opt/bootstrap: exec format error")
            self.assertIn("begin with a #! line", local.output)

    def test_a_folder_that_was_zipped_itself(self):
        layer = self.zip("runtime.zip", (entry("runtime/bootstrap", 0o755), EVALUATE))
        with Local("--layer", layer, "--layer", self.runtime_elsewhere(), self.zip("function.zip", ("x", ""))) as local:
            local.invoke("1")
        self.assertIn("zip what is in the folder, not the folder", local.output)
        # where that is why there is none
        words = self.refused("--layer", layer, self.zip("function.zip", ("x", "")))
        self.assertIn("zip what is in the folder, not the folder", words)
        self.assertIn("Couldn't find valid bootstrap(s)", words)

    def runtime_elsewhere(self):
        return self.zip("other.zip", (entry("bootstrap", 0o755), EVALUATE))

    def test_files_that_only_their_owner_may_read(self):
        function = self.zip("function.zip", (entry("config", 0o600), "secret"))
        with Local("--layer", self.runtime(), function) as local:
            self.assertEqual(local.invoke("attempt(lambda: open('config').read())"), "PermissionError")
        self.assertIn("chmod -R a+rX", local.output)

    def test_six_layers(self):
        layer = ("--layer", self.runtime())
        self.assertIn("6 layers, and Lambda takes five", self.refused(*layer * 6, self.zip("f.zip", ("x", ""))))
        with Local(*layer * 5, self.zip("f.zip", ("x", ""))) as local:
            self.assertEqual(local.invoke("1 + 1"), 2)

    def test_more_than_250_megabytes(self):
        # Each is small enough; both together are not.
        megabyte = bytes(1 << 20)
        files = [(f"zeros-{number}", megabyte) for number in range(130)]
        big = self.zip("big.zip", *files)
        words = self.refused("--layer", big, big)
        self.assertIn("Unzipped size must be smaller than 262144000 bytes", words)
        self.assertIn("big.zip", words)

    # what is hostile

    def hostile(self, name, content="x", mode=0o644, kind=stat.S_IFREG, before=()):
        bad = self.zip("evil.zip", ("fine", "x"), *before, (entry(name, mode, kind), content))
        for arguments in (("--layer", bad, self.zip("f.zip", ("x", ""))), ("--layer", self.runtime(), bad)):
            words = self.refused(*arguments)
            self.assertIn("evil.zip is refused: its entry", words)
            self.assertIn(json.dumps(name), words)
        return words

    def test_paths_that_lead_out(self):
        target = self.path("escaped")
        for name in ("../escaped", "a/../../escaped", f"../../..{target}", str(target), "..", "a/.."):
            self.hostile(name)
        self.assertFalse(target.exists())

    def test_links_that_lead_out(self):
        for target in ("/etc", "/", "../../etc", "..", "a/../../..", "/opt/../etc"):
            words = self.hostile("link", target, 0o777, stat.S_IFLNK)
            self.assertIn(f"is a link to {json.dumps(target)}", words)

    def test_what_goes_through_a_link(self):
        link = (entry("a", 0o777, stat.S_IFLNK), "b")
        self.assertIn("lies below", self.hostile("a/x", before=[link]))

    def test_devices_and_pipes(self):
        for kind in (stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK):
            self.assertIn("is neither a file, a folder nor a link", self.hostile("special", kind=kind))

    def test_setuid_does_not_arrive(self):
        function = self.zip("f.zip", (entry("tool", 0o6755), "x"))
        with Local("--layer", self.runtime(), function) as local:
            self.assertEqual(local.invoke("oct(os.stat('tool').st_mode)"), "0o100555")

    def test_a_bomb_that_lies_about_its_size(self):
        bomb = self.zip("bomb.zip", *[(f"zeros-{number}", bytes(1 << 20)) for number in range(300)])
        content = bytearray(bomb.read_bytes())
        at = 0
        while (at := content.find(b"PK\x01\x02", at)) != -1:
            content[at + 24 : at + 28] = (1).to_bytes(4, "little")
            at += 4
        bomb.write_bytes(content)
        words = self.refused("--layer", self.runtime(), bomb)
        self.assertTrue("Unzipped size" in words or "cannot be read" in words, words)
        self.assertEqual(os.listdir("/opt"), [])

    def test_what_cannot_be_read(self):
        whole = self.zip("f.zip", ("x", "content" * 1000)).read_bytes()
        for content in (b"", b"no zip at all", whole[:-30], whole[: len(whole) // 2]):
            self.path("broken.zip").write_bytes(content)
            self.assertIn("cannot be read as a zip", self.refused(self.path("broken.zip")))
        # A flipped bit in the content, which the checksum finds.
        at = whole.index(b"x") + 5
        broken = whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
        self.path("broken.zip").write_bytes(broken)
        self.assertIn('"x" cannot be read', self.refused(self.path("broken.zip")))
        # Encrypted, by its flag.
        encrypted = bytearray(whole)
        encrypted[6] |= 1
        encrypted[encrypted.index(b"PK\x01\x02") + 8] |= 1
        self.path("broken.zip").write_bytes(encrypted)
        self.assertIn("it is encrypted", self.refused(self.path("broken.zip")))
        with zipfile.ZipFile(self.path("broken.zip"), "w", zipfile.ZIP_BZIP2) as archive:
            archive.writestr("x", "content" * 1000)
        self.assertIn("not with deflate", self.refused(self.path("broken.zip")))
        self.assertIn("cannot be opened", self.refused("--layer", self.path("missing.zip"), self.path("broken.zip")))

    # runtimes that nobody here wrote

    def test_a_shell_runtime_in_the_manner_of_aws(self):
        runtime = self.zip("runtime.zip", (entry("bootstrap", 0o755), SHELL.replace("/bin/sh", "/bin/bash")))
        function = self.zip("function.zip", ("function.sh", 'handler() { echo "event: $1" >&2; echo "{\\"got\\": $1}"; }\n'))
        with Local("--layer", runtime, "--handler", "function.handler", function) as local:
            self.assertEqual(local.invoke({"a": [1, "é"]}), {"got": {"a": [1, "é"]}})
            self.assertEqual(local.invoke("again"), {"got": "again"})
        self.assertIn("event: ", local.output)
        self.assertEqual(local.output.count("Init Duration"), 1)

    def test_awss_python_client(self):
        bootstrap = '#!/bin/sh\nPYTHONPATH=/opt/python:/var/task exec python3 -m awslambdaric "$_HANDLER"\n'
        starter = self.zip("starter.zip", (entry("bootstrap", 0o755), bootstrap))
        code = (
            "def handler(event, context):\n"
            "    if event == 'fail':\n"
            "        raise KeyError('nothing there')\n"
            "    print('handled', context.aws_request_id)\n"
            "    return {'event': event, 'left': context.get_remaining_time_in_millis() > 0, 'name': context.function_name,\n"
            "            'memory': context.memory_limit_in_mb, 'arn': context.invoked_function_arn}\n"
        )
        function = self.zip("function.zip", ("app.py", code))
        layers = ("--layer", "/srv/awslambdaric", "--layer", starter)
        with Local(*layers, "--handler", "app.handler", function) as local:
            answer = local.invoke({"x": 1})
            self.assertEqual((answer["event"], answer["left"], answer["memory"]), ({"x": 1}, True, "1024"))
            self.assertTrue(answer["arn"].startswith("arn:aws:lambda:"))
            error = local.invoke("fail")
            self.assertEqual((error["errorType"], error["errorMessage"]), ("KeyError", "'nothing there'"))
            self.assertTrue(error["stackTrace"])
            self.assertEqual(local.invoke({"y": 2})["event"], {"y": 2})
        self.assertIn("handled ", local.output)
        # It was one runtime for all three.
        self.assertEqual(local.output.count("Init Duration"), 1)
        with Local(*layers, "--handler", "missing.handler", function) as local:
            self.assertEqual(local.invoke({})["errorType"], "Runtime.ImportModuleError")


if __name__ == "__main__":
    unittest.main()
