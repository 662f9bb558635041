# shellcheck shell=bash
# Sourced by the build scripts. Each function notes one part that goes into a layer, for layer-build/manifest, and keeps its
# licence:
#
#     component_deb PACKAGE LINKAGE                             an installed Debian package
#     component_file PATH LINKAGE                               the Debian package that PATH belongs to
#     component_debian_source FOLDER LINKAGE                    compiled from a Debian source package, unpacked in FOLDER
#     component_source NAME VERSION LICENCE FILE LINKAGE        compiled from upstream's source; FILE is its licence
#     component_php FOLDER                                      PHP and the libraries that are part of its source, in FOLDER
#     component_crates TARGET FOLDER [--prune CRATE...]         what is linked into the bootstrap, whose Cargo.toml is in FOLDER
#
# LINKAGE says how it gets into the layer: static, shared (a library of its own), compiled (a program or extension) or data.
# A part may be noted more than once; it is listed once, with every linkage.
#
# COMPONENTS is the folder they go to (default /components): COMPONENTS/components.tsv and COMPONENTS/licenses/NAME, which
# becomes /opt/php/licenses. The columns: name, version, licence (an SPDX expression, or licenses/NAME), linkage, package URL.

component_note() { # NAME VERSION LICENCE LINKAGE PURL
    case "$4" in
        static | shared | compiled | data) ;;
        *)
            echo "component_note: $1: no such linkage: '$4'" >&2
            return 1
            ;;
    esac
    local line
    line=$(printf '%s\t%s\t%s\t%s\t%s' "$@")
    mkdir -p "$(component_folder)/licenses"
    printf '%s\n' "$line" >>"$(component_folder)/components.tsv"
}

component_folder() {
    echo "${COMPONENTS:-/components}"
}

component_licence() { # NAME FILE
    local licences
    licences=$(component_folder)/licenses
    mkdir -p "$licences"
    # Debian's may be links into another package's folder
    install -m 0644 "$(readlink -f "$2")" "$licences/$1"
}

# As it stands in a package URL, where + ~ and : are data.
component_escape() {
    local text=$1
    text=${text//%/%25}
    text=${text//+/%2B}
    text=${text//:/%3A}
    echo "$text"
}

component_deb() { # PACKAGE LINKAGE
    local fields name version architecture source source_version upstream
    fields=$(dpkg-query --show \
        --showformat='${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\n' "$1")
    read -r name version architecture source source_version <<<"$fields"
    upstream=
    if [ "$source $source_version" != "$name $version" ]; then
        # what Debian's security notices are about
        upstream="&upstream=$(component_escape "$source")%40$(component_escape "$source_version")"
    fi
    component_licence "$name" "/usr/share/doc/$name/copyright"
    component_note "$name" "$version" "licenses/$name" "$2" \
        "pkg:deb/debian/$(component_escape "$name")@$(component_escape "$version")?arch=$architecture$upstream"
}

component_file() { # PATH LINKAGE
    local path owner
    path=$(readlink -f "$1")
    owner=$(dpkg-query --search "$path")
    component_deb "${owner%%: *}" "$2"
}

component_debian_source() { # FOLDER LINKAGE
    local name version
    name=$(dpkg-parsechangelog --file "$1/debian/changelog" --show-field Source)
    version=$(dpkg-parsechangelog --file "$1/debian/changelog" --show-field Version)
    component_licence "$name" "$1/debian/copyright"
    component_note "$name" "$version" "licenses/$name" "$2" \
        "pkg:deb/debian/$(component_escape "$name")@$(component_escape "$version")?arch=source"
}

component_source() { # NAME VERSION LICENCE FILE LINKAGE
    component_licence "$1" "$4"
    component_note "$1" "$2" "$3" "$5" "pkg:generic/$(component_escape "$1")@$(component_escape "$2")"
}

# What PHP's README.REDIST.BINS lists and the layer has. Where a library does not say its version, it has PHP's.
component_php() { # FOLDER
    local version xxhash lexbor uriparser
    version=$(component_defined "$1/main/php_version.h" PHP_VERSION)
    component_source php "$version" PHP-3.01 "$1/LICENSE" compiled
    component_source php-libbcmath "$version" LGPL-2.1-or-later "$1/ext/bcmath/libbcmath/LICENSE" compiled
    component_source php-libmbfl "$version" LGPL-2.1-only "$1/ext/mbstring/libmbfl/LICENSE" compiled
    component_source php-libavifinfo "$version" BSD-2-Clause "$1/ext/standard/libavifinfo/LICENSE" compiled
    component_source ir "$(component_defined "$1/ext/opcache/jit/ir/ir.h" IR_VERSION)" MIT \
        "$1/ext/opcache/jit/ir/LICENSE" compiled
    component_source libmagic "$(component_defined "$1/ext/fileinfo/libmagic/magic.h" MAGIC_VERSION)" BSD-2-Clause \
        "$1/ext/fileinfo/libmagic/LICENSE" compiled
    component_source timelib "$(component_defined "$1/ext/date/lib/timelib.h" TIMELIB_ASCII_VERSION)" MIT \
        "$1/ext/date/lib/LICENSE.rst" compiled
    component_source pcre2 "$(component_defined "$1/ext/pcre/pcre2lib/pcre2.h" PCRE2_MAJOR).$(
        component_defined "$1/ext/pcre/pcre2lib/pcre2.h" PCRE2_MINOR
    )" BSD-3-Clause "$1/README.REDIST.BINS" compiled
    xxhash=$1/ext/hash/xxhash/xxhash.h
    component_source xxhash "$(component_defined "$xxhash" XXH_VERSION_MAJOR).$(
        component_defined "$xxhash" XXH_VERSION_MINOR
    ).$(component_defined "$xxhash" XXH_VERSION_RELEASE)" BSD-2-Clause "$1/README.REDIST.BINS" compiled
    # part of the extension dom until 8.4, then one of its own
    lexbor=$1/ext/lexbor
    if [ ! -d "$lexbor" ]; then
        lexbor=$1/ext/dom/lexbor
    fi
    component_source lexbor "$(component_defined "$lexbor/lexbor/core/base.h" LEXBOR_VERSION_MAJOR).$(
        component_defined "$lexbor/lexbor/core/base.h" LEXBOR_VERSION_MINOR
    ).$(component_defined "$lexbor/lexbor/core/base.h" LEXBOR_VERSION_PATCH)" Apache-2.0 "$lexbor/LICENSE" compiled
    # from 8.5 on
    uriparser=$1/ext/uri/uriparser
    if [ -d "$uriparser" ]; then
        component_source uriparser "$version" BSD-3-Clause "$1/README.REDIST.BINS" compiled
    fi
}

component_defined() { # HEADER MACRO
    local value
    value=$(sed -n "s/^#[[:space:]]*define[[:space:]]\{1,\}$2[[:space:]]\{1,\}\"\{0,1\}\([^\"[:space:]]*\).*/\1/p" "$1")
    if [ -z "$value" ]; then
        echo "component_defined: $1 does not define $2" >&2
        return 1
    fi
    echo "$value"
}

# Only what is linked into the bootstrap: no build scripts, procedural macros and tests, and none of what --prune takes away.
component_crates() { # TARGET FOLDER [--prune CRATE...]
    local target=$1 folder=$2 crate licence name version tree
    shift 2
    tree=$(cd "$folder" && cargo tree --locked --edges normal,no-proc-macro --target "$target" \
        --prefix none --no-dedupe --format '{p}|{l}' "$@")
    while IFS='|' read -r crate licence; do
        # "name v1.2.3 (folder)"
        read -r name version _ <<<"$crate"
        # a slash is the old way to write a choice
        component_note "$name" "${version#v}" "${licence//\// OR }" static \
            "pkg:cargo/$name@$(component_escape "${version#v}")"
    done < <(sort -u <<<"$tree")
    # the standard libraries of C and of Rust; what Debian says of the latter is about all of the compiler
    component_deb libc6-dev static
    version=$(dpkg-query --show --showformat='${Version}' libstd-rust-dev)
    component_note libstd-rust-dev "$version" 'MIT OR Apache-2.0' static \
        "pkg:deb/debian/libstd-rust-dev@$(component_escape "$version")"
}
