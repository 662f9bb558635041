"""layer-build/zip and layer-build/manifest, on folders of the test's own. Run by tests/layer.sh in the toolchain's container:

    python3 tools.py LAYER-BUILD
"""

import json
import os
import stat
import subprocess
import sys
import tempfile
import zipfile

failures = 0


def check(name, passed, got=""):
    global failures
    print(f"ok: {name}" if passed else f"FAILED: {name}: {got}")
    failures += not passed


def layer(folder, umask, reverse, when):
    """The same layer, made in another order, with other modes and at another time."""
    before = os.umask(umask)
    files = {
        "bootstrap": (b"bootstrap", 0o755),
        "bin/php": (b"php" * 10_000, 0o755),
        "php/lib/ld-linux-x86-64.so.2": (b"loader", 0o755),
        "php/php.ini": (b"[PHP]", 0o644),
        "php/name with ä": (b"", 0o644),
    }
    for name, (content, mode) in sorted(files.items(), reverse=reverse):
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, mode & ~umask)
        os.utime(path, (when, when))
    os.symlink("php.ini", os.path.join(folder, "php/link"))
    os.umask(before)
    return folder


def run(*arguments, **environment):
    return subprocess.run(arguments, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def test_zip(program, work):
    def refusal(name, change, reason):
        folder = layer(os.path.join(work, name), 0o022, False, 1)
        change(folder)
        out = os.path.join(work, f"{name}.zip")
        result = run(program, folder, out)
        check(f"zip refuses {name}", result.returncode == 1 and reason in result.stderr, result)
        check(f"zip leaves nothing behind after {name}", not os.path.exists(out) and not os.path.exists(out + ".part"))

    results = []
    for number, (umask, reverse, when) in enumerate([(0o022, False, 1), (0o077, True, 2_000_000_000)]):
        folder = layer(os.path.join(work, f"layer{number}"), umask, reverse, when)
        out = os.path.join(work, f"{number}.zip")
        result = run(program, folder, out, SOURCE_DATE_EPOCH="1700000000")
        check(f"zip takes layer {number}", result.returncode == 0, result)
        with open(out, "rb") as file:
            results.append(file.read())
    check("the same files give the same bytes", results[0] == results[1])

    with zipfile.ZipFile(os.path.join(work, "0.zip")) as archive:
        modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
        names = archive.namelist()
        check("the entries are sorted", names == sorted(names, key=str.encode), names)
        check("a time is what SOURCE_DATE_EPOCH says", archive.getinfo("bootstrap").date_time == (2023, 11, 14, 22, 13, 20))
        check("a program is 0755", modes["bin/php"] == stat.S_IFREG | 0o755, modes)
        check("a file is 0644", modes["php/php.ini"] == stat.S_IFREG | 0o644, modes)
        check("a folder is 0755", modes["php/"] == stat.S_IFDIR | 0o755, modes)
        check("a link stays one", stat.S_ISLNK(modes["php/link"]) and archive.read("php/link") == b"php.ini", modes)
    result = run(program, folder, out)
    with zipfile.ZipFile(out) as archive:
        check("without SOURCE_DATE_EPOCH it is 1980", archive.getinfo("bootstrap").date_time == (1980, 1, 1, 0, 0, 0), result)

    def without_run_bit(name):
        return lambda folder: os.chmod(os.path.join(folder, name), 0o644)

    refusal("a bootstrap without its run bit", without_run_bit("bootstrap"), "bootstrap lacks its run bit")
    refusal("a program without its run bit", without_run_bit("bin/php"), "bin/php lacks its run bit")
    refusal("a loader without its run bit", without_run_bit("php/lib/ld-linux-x86-64.so.2"), "lacks its run bit")
    refusal("a setuid file", lambda folder: os.chmod(os.path.join(folder, "bin/php"), 0o4755), "setuid")
    refusal("a pipe", lambda folder: os.mkfifo(os.path.join(folder, "pipe")), "neither a file")
    refusal("a link out of the layer", lambda folder: os.symlink("/usr/lib/x", os.path.join(folder, "x")), "not in the layer")


COMPONENTS = """\
zlib1g-dev\t1:1.3\tlicenses/zlib1g-dev\tstatic\tpkg:deb/debian/zlib1g-dev@1%3A1.3
php\t8.4.1\tPHP-3.01\tcompiled\tpkg:generic/php@8.4.1
odd\t1\tlicenses/odd\tshared\tpkg:deb/debian/odd@1
php\t8.4.1\tPHP-3.01\tdata\tpkg:generic/php@8.4.1
old\t1\tlicenses/old\tshared\tpkg:deb/debian/old@1
"""
LICENCES = {
    "zlib1g-dev": "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nCopyright: 1\n"
    "License: Zlib or GPL-2+\n text\n\nFiles: debian/*\nCopyright: 2\nLicense: GPL-3\n",
    "odd": "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nCopyright: 1\nLicense: Odd\n",
    "old": "This is free software.\n",
}


def test_manifest(program, work):
    def write(text):
        folder = tempfile.mkdtemp(dir=work)
        os.mkdir(os.path.join(folder, "licenses"))
        for name, licence in LICENCES.items():
            with open(os.path.join(folder, "licenses", name), "w", encoding="utf-8") as file:
                file.write(licence)
        with open(os.path.join(folder, "components.tsv"), "w", encoding="utf-8") as file:
            file.write(text)
        return folder

    result = run(program, write(COMPONENTS), "layer", "1")
    check("manifest takes components", result.returncode == 0, result)
    document = json.loads(result.stdout)
    found = {part["name"]: part for part in document["components"]}
    check("each is listed once", len(document["components"]) == 4, list(found))
    check("Debian's names become SPDX's", found["zlib1g-dev"]["licenses"] == [{"expression": "Zlib OR GPL-2.0-or-later"}], found)
    check("an unknown licence keeps its name", found["odd"]["licenses"] == [{"license": {"name": "Odd"}}], found)
    check("any other text is referred to", found["old"]["licenses"] == [{"license": {"name": "see php/licenses/old"}}], found)
    check("every linkage is named", [each["value"] for each in found["php"]["properties"]] == ["compiled", "data"], found)
    shuffled = "".join(line + "\n" for line in reversed(COMPONENTS.splitlines()))
    check("the order has no say", run(program, write(shuffled), "layer", "1").stdout == result.stdout)
    for name, text, reason in [
        ("nothing", "", "empty"),
        ("a short line", "php\t8.4\n", "not five columns"),
        ("an unknown linkage", "php\t8\tMIT\tglued\tpkg:generic/php@8\n", "no such linkage"),
        ("two licences for one", "a\t1\tMIT\tdata\tpkg:generic/a@1\na\t1\tISC\tdata\tpkg:generic/a@1\n", "before"),
        ("what is no SPDX expression", "a\t1\tMIT or so\tdata\tpkg:generic/a@1\n", "no SPDX expression"),
    ]:
        refused = run(program, write(text), "layer", "1")
        check(f"manifest refuses {name}", refused.returncode == 1 and reason in refused.stderr, refused)


with tempfile.TemporaryDirectory() as folder:
    test_zip(os.path.join(sys.argv[1], "zip"), folder)
    test_manifest(os.path.join(sys.argv[1], "manifest"), folder)
sys.exit(failures > 0)
