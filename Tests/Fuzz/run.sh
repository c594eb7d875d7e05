#!/usr/bin/env bash
# Builds the fuzz targets and runs each for FUZZ_SECONDS (default 60) on its corpus; stops at the first that fails.
#
#   Tests/Fuzz/run.sh [NAME...]          all targets, or these: packet queue log netlink ruleset dns tls quic http ssh
#                                        application reassembler policy
#   FUZZ_MINIMISE=1 Tests/Fuzz/run.sh    then keeps what reaches new code as the corpus, as small as it goes
#
# What was found is left in .build/fuzz/NAME-crash-*: mend it, and put the input into Tests/Fuzz/corpus/NAME, which the
# tests replay.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
sources=$(cd "$here/../../Sources" && pwd)
build=${FUZZ_BUILD:-$here/../../.build/fuzz}
seconds=${FUZZ_SECONDS:-60}
known=(packet queue log netlink ruleset dns tls quic http ssh application reassembler policy)
names=("$@")
[ ${#names[@]} -gt 0 ] || names=("${known[@]}")

# The crash backtracer can hang without a terminal.
export SWIFT_BACKTRACE=enable=no
# A constant array of Swift ends with its last element, without that element's padding, which copying the array reads.
export ASAN_OPTIONS=report_globals=0
mkdir -p "$build"
cd "$build"

flags=(-O -package-name egressd -parse-as-library -swift-version 6 -I "$build" -I "$sources/CYAML"
    -sanitize=fuzzer,address -enable-experimental-feature Lifetimes)
for feature in ExistentialAny MemberImportVisibility InternalImportsByDefault; do
    flags+=(-enable-upcoming-feature "$feature")
done

# One module is one object: coverage counters in every reader, not only in the harness.
module() {
    swiftc "${flags[@]}" -wmo -module-name "$1" -emit-module -emit-module-path "$1.swiftmodule" -c -o "$1.o" \
        "$sources/$1"/*.swift
}

declare -A made
once() {
    [ -n "${made[$1]:-}" ] || module "$1"
    made[$1]=1
}

# target NAME HARNESS OBJECT...: links the harness against the modules.
target() {
    local name=$1 harness=$2
    shift 2
    # gold says of every helper of the address sanitiser that it cannot export it, which nobody wants.
    swiftc "${flags[@]}" -module-name "Fuzz_$name" -o "fuzz-$name" "$here/$harness" "$@" \
        2> >(grep -v 'Cannot export local symbol' >&2)
}

once Model
for name in "${names[@]}"; do
    case $name in
    packet | queue | log | netlink | ruleset | application)
        once Wire
        target "$name" "${name^}.swift" Wire.o Model.o
        ;;
    dns | tls | quic | http | ssh)
        once Wire
        target "$name" "${name^^}.swift" Wire.o Model.o
        ;;
    reassembler)
        once Wire
        once Inspection
        # The model is the tests' own.
        target reassembler Reassembler.swift "$here/../InspectionTests/StreamScript.swift" Inspection.o Wire.o Model.o
        ;;
    policy)
        once Policy
        once PolicyFiles
        target policy Policy.swift PolicyFiles.o Policy.o Model.o -lyaml
        ;;
    *)
        echo "run.sh: no fuzz target '$name'; there are ${known[*]}" >&2
        exit 2
        ;;
    esac
done

for name in "${names[@]}"; do
    corpus=$here/corpus/$name
    mkdir -p "$corpus" "found-$name"
    dictionary=()
    [ ! -e "$here/$name.dict" ] || dictionary=("-dict=$here/$name.dict")
    echo "fuzz $name: $seconds seconds"
    # New inputs go to the build folder; the committed corpus is only read.
    "./fuzz-$name" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$build/$name-" "${dictionary[@]}" "found-$name" "$corpus" >"$name.log" 2>&1 || {
        tail -40 "$name.log" >&2
        exit 1
    }
    grep -E 'stat::number_of_executed_units|cov:' "$name.log" | tail -2
    if [ -n "${FUZZ_MINIMISE:-}" ]; then
        rm -rf "small-$name"
        mkdir "small-$name"
        "./fuzz-$name" -set_cover_merge=1 -max_len=384 "small-$name" "$corpus" "found-$name" >>"$name.log" 2>&1
        # What libFuzzer found is named by its hash; what has another name was written by hand and stays.
        find "$corpus" -type f -regextype posix-extended -regex '.*/[0-9a-f]{40}' -delete
        find "small-$name" -type f -exec mv -t "$corpus" {} +
    fi
done
