"""The layers' zips as they are published. Run by tests/layer.sh in the toolchain's container:

    python3 archives.py LAYER-BUILD BASE.zip EXTENSIONS.zip
"""

import glob
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
import zipfile

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from license_expression import get_spdx_licensing

MEGABYTE = 1_000_000
failures = 0


def check(name, passed, got=""):
    global failures
    print(f"ok: {name}" if passed else f"FAILED: {name}: {got}")
    failures += not passed


def test_archive(path, tool):
    name = os.path.basename(path)
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        odd = [entry.filename for entry in entries if stat.S_IMODE(entry.external_attr >> 16) not in possible_modes(entry)]
        check(f"{name}: each mode is 0755 or 0644, as the file needs it", not odd, odd)
        names = [entry.filename for entry in entries]
        check(f"{name}: sorted, each name once", names == sorted(set(names), key=os.fsencode))
        check(f"{name}: one time for all", len({entry.date_time for entry in entries}) == 1)
        check(f"{name}: nothing outside /opt", not [each for each in names if each.startswith("/") or ".." in each.split("/")])
        check(f"{name}: all is in its folders", {each.split("/")[0] for each in names} <= {"bootstrap", "bin", "php"}, names)
    with tempfile.TemporaryDirectory() as folder:
        # zipfile keeps neither modes nor links
        subprocess.run(["unzip", "-q", path, "-d", f"{folder}/layer"], check=True)
        environment = dict(os.environ)
        environment.pop("SOURCE_DATE_EPOCH", None)
        if entries[0].date_time != (1980, 1, 1, 0, 0, 0):
            year, month, day, hour, minute, second = entries[0].date_time
            environment["SOURCE_DATE_EPOCH"] = subprocess.run(
                ["date", "-u", "-d", f"{year}-{month}-{day} {hour}:{minute}:{second}", "+%s"], check=True, capture_output=True, text=True
            ).stdout.strip()
        subprocess.run([tool, f"{folder}/layer", f"{folder}/again.zip"], check=True, env=environment, stdout=subprocess.DEVNULL)
        with open(path, "rb") as first, open(f"{folder}/again.zip", "rb") as second:
            check(f"{name}: made again, it has the same bytes", first.read() == second.read())


def possible_modes(entry):
    if stat.S_ISLNK(entry.external_attr >> 16):
        return {0o777}
    if entry.is_dir() or entry.filename == "bootstrap" or entry.filename.startswith(("bin/", "php/lib/ld-linux")):
        return {0o755}
    # a library may be either
    return {0o644, 0o755} if ".so" in entry.filename else {0o644}


def test_base(path):
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        for program in ("bootstrap", "bin/php", "bin/php-fpm", "bin/prime-opcache"):
            check(f"the base layer has {program}", program in names)
        unzipped = sum(entry.file_size for entry in archive.infolist())
        certificates = archive.read("php/ssl/cert.pem").decode()
    zipped = os.stat(path).st_size
    check("the base layer is below 45 MB", unzipped < 45 * MEGABYTE, unzipped)
    check("the base layer is below 16 MB zipped", zipped < 16 * MEGABYTE, zipped)
    print(f"the base layer: {unzipped / MEGABYTE:.1f} MB, zipped {zipped / MEGABYTE:.1f} MB")
    # a machine's own authorities must not be published
    known = set()
    for file in glob.glob("/usr/share/ca-certificates/mozilla/*.crt"):
        with open(file, encoding="ascii") as text:
            known |= set(blocks(text.read()))
    bundled = blocks(certificates)
    check("the certificates are Mozilla's, all and no others", set(bundled) == known, len(set(bundled) ^ known))


def blocks(text):
    return ["".join(block.split()) for block in re.findall("-----BEGIN CERTIFICATE-----(.+?)-----END", text, re.DOTALL)]


def test_manifest(path, manifest, required):
    with zipfile.ZipFile(path) as archive:
        text = archive.read(manifest).decode()
        names = set(archive.namelist())
        shared = [each for each in names if re.match(r"php/(lib|extensions)/.*\.so", each)]
    check(f"{manifest} is CycloneDX 1.6", not (mistake := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)), mistake)
    components = json.loads(text)["components"]
    licensing = get_spdx_licensing()
    expressions = {each["expression"] for component in components for each in component["licenses"] if "expression" in each}
    mistakes = [error for expression in sorted(expressions) for error in licensing.validate(expression).errors]
    check(f"{manifest}: the licences are SPDX's", not mistakes, mistakes)
    properties = [each for component in components for each in component["properties"]]
    missing = {each["value"] for each in properties if each["name"] == "php-fpm-lambda:licence-file"} - names
    check(f"{manifest}: the licence files are there", not missing, missing)
    listed = {component["name"] for component in components}
    check(f"{manifest} names what everyone looks for", required <= listed, required - listed)
    check(f"{manifest}: there is something to list", bool(shared) and len(components) >= 5, shared)


def main(layer_build, base, extensions):
    tool = os.path.join(layer_build, "zip")
    for path in (base, extensions):
        test_archive(path, tool)
    test_base(base)
    required = {"php", "apcu", "curl", "libxml2", "libzip", "libonig", "libssl-dev", "libc6", "php-fpm-lambda"}
    test_manifest(base, "php/manifest.cdx.json", required)
    test_manifest(extensions, "php/manifest-extensions.cdx.json", {"redis", "imagick", "igbinary"})
    with zipfile.ZipFile(base) as first, zipfile.ZipFile(extensions) as second:
        both = {each for each in set(first.namelist()) & set(second.namelist()) if not each.endswith("/")}
        # one layer is unpacked over the other; licences of what is in both are the same
        different = {each for each in both if not each.startswith("php/licenses/") or first.read(each) != second.read(each)}
    check("no layer changes a file of the other", not different, different)


main(*sys.argv[1:])
sys.exit(failures > 0)
