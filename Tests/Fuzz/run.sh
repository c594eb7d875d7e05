#!/usr/bin/env bash
# Builds the fuzz targets and runs each on its corpus: at least FUZZ_RUNS executions (default 1,000,000) and at least
# FUZZ_SECONDS (default 60), FUZZ_JOBS at a time (1 or 2, default 2). Prints how many each had; stops at the first that fails.
#
#   Tests/Fuzz/run.sh [NAME...]          all targets, or these
#   FUZZ_MINIMISE=1 Tests/Fuzz/run.sh    then keeps what reaches new code as the corpus, as small as it goes
#
# A target is a harness beside this file, named by its file in lower case. Its first line says what it is linked with, in this
# order: modules, each behind those it imports; sources; libraries (-l…); and what libFuzzer is told besides (-max_len=…).
#
#   // fuzz: Model Wire ../TestSupport/PlainCryptography.swift
#
# What was found is left in .build/fuzz/NAME-crash-*: mend it, and put the input into Tests/Fuzz/corpus/NAME, which the
# tests replay.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
sources=$(cd "$here/../../Sources" && pwd)
build=${FUZZ_BUILD:-$here/../../.build/fuzz}
runs=${FUZZ_RUNS:-1000000}
seconds=${FUZZ_SECONDS:-60}
jobs=${FUZZ_JOBS:-2}

declare -A harnesses=()
for harness in "$here"/*.swift; do
    name=$(basename "$harness" .swift)
    harnesses[${name,,}]=$harness
done
names=("$@")
[ ${#names[@]} -gt 0 ] || mapfile -t names < <(printf '%s\n' "${!harnesses[@]}" | sort)
for name in "${names[@]}"; do
    [ -n "${harnesses[$name]:-}" ] || {
        echo "run.sh: no fuzz target '$name'; there are $(printf '%s\n' "${!harnesses[@]}" | sort | xargs)" >&2
        exit 2
    }
done
for number in "$runs" "$seconds" "$jobs"; do
    [[ $number =~ ^[0-9]+$ ]] || {
        echo "run.sh: '$number' is not a number; FUZZ_RUNS, FUZZ_SECONDS and FUZZ_JOBS are" >&2
        exit 2
    }
done
[ "$jobs" = 1 ] || jobs=2

# The crash backtracer can hang without a terminal.
export SWIFT_BACKTRACE=enable=no
# A constant array of Swift ends with its last element, without that element's padding, which copying the array reads.
export ASAN_OPTIONS=report_globals=0
mkdir -p "$build"
cd "$build"

flags=(-O -package-name egressd -parse-as-library -swift-version 6 -I "$PWD" -I "$sources/CYAML"
    -enable-experimental-feature Lifetimes)
for feature in ExistentialAny MemberImportVisibility InternalImportsByDefault; do
    flags+=(-enable-upcoming-feature "$feature")
done

# Coverage counters stand in every reader, each module one object, and not in the harness: what that does with an answer leads
# nowhere, and its loops would be the slowest of all.
declare -A made=()
module() {
    [ -z "${made[$1]:-}" ] || return 0
    swiftc "${flags[@]}" -sanitize=fuzzer,address -wmo -module-name "$1" -emit-module -emit-module-path "$1.swiftmodule" -c -o "$1.o" \
        "$sources/$1"/*.swift
    made[$1]=1
}

# The words of the harness' first line that match a pattern.
words() {
    local pattern=$2 word
    for word in $(sed -n '1s,^// fuzz: ,,p' "${harnesses[$1]}"); do
        # shellcheck disable=SC2053
        [[ $word != $pattern ]] || echo "$word"
    done
}

# Builds fuzz-NAME.
target() {
    local name=$1 word objects=() harness=("${harnesses[$1]}")
    for word in $(words "$name" '[A-Z]*'); do
        module "$word"
        objects+=("$word.o")
    done
    [ ${#objects[@]} -gt 0 ] || {
        echo "run.sh: ${harnesses[$name]}:1: says no modules; write '// fuzz: Model Wire' or what it imports" >&2
        exit 2
    }
    for word in $(words "$name" '*.swift'); do harness+=("$here/$word"); done
    swiftc "${flags[@]}" -sanitize=address -wmo -module-name "Fuzz_$name" -c -o "fuzz-$name.o" "${harness[@]}"
    # gold says of every helper of the address sanitiser that it cannot export it, which nobody wants.
    swiftc -sanitize=fuzzer,address -o "fuzz-$name" "fuzz-$name.o" "${objects[@]}" $(words "$name" '-l*') \
        2> >(grep -v 'Cannot export local symbol' >&2)
}

# One run of libFuzzer with these options; adds to the executions of the target.
fuzz() {
    local name=$1 dictionary=()
    shift
    [ ! -e "$here/$name.dict" ] || dictionary=("-dict=$here/$name.dict")
    # New inputs go to the build folder; the committed corpus is only read.
    "./fuzz-$name" -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$PWD/$name-" \
        $(words "$name" '-[!l]*') "$@" "${dictionary[@]}" "found-$name" "$here/corpus/$name" >"$name.log" 2>&1 &
    local fuzzer=$! executed
    # shellcheck disable=SC2064
    trap "kill $fuzzer" TERM
    wait "$fuzzer" || return 1
    executed=$(sed -n 's/^stat::number_of_executed_units: //p' "$name.log")
    echo $(($(cat "$name.executions") + executed)) >"$name.executions"
}

# Both bounds: libFuzzer alone stops at the first.
run() {
    local name=$1 start=$SECONDS
    mkdir -p "found-$name" "$here/corpus/$name"
    echo 0 >"$name.executions"
    fuzz "$name" -runs="$runs" || return 1
    [ $((SECONDS - start)) -ge "$seconds" ] || fuzz "$name" -max_total_time=$((seconds - SECONDS + start)) || return 1
    local coverage
    coverage=$(sed -n 's/.*DONE *cov: \([0-9]*\).*/\1/p' "$name.log")
    printf '%-14s %12s %9s %9s\n' "$name" "$(cat "$name.executions")" "$((SECONDS - start))" "$coverage" >"$name.row"
    [ "$(cat "$name.executions")" -ge "$runs" ]
}

# Waits for one of the targets that run; the first that fails ends this script, and that ends the other.
declare -A running=()
trap '[ ${#running[@]} -eq 0 ] || kill "${!running[@]}"' EXIT
reap() {
    local pid status=0
    wait -n -p pid "${!running[@]}" || status=$?
    local name=${running[$pid]}
    unset "running[$pid]"
    [ $status -ne 0 ] || {
        cat "$name.row"
        return
    }
    tail -40 "$name.log" >&2
    echo "run.sh: fuzz target '$name' failed, see above; its input is in $PWD/$name-*" >&2
    exit 1
}

for name in "${names[@]}"; do target "$name"; done
rm -f ./*.row
printf '%-14s %12s %9s %9s\n' target executions seconds coverage
for name in "${names[@]}"; do
    [ ${#running[@]} -lt "$jobs" ] || reap
    run "$name" &
    running[$!]=$name
done
while [ ${#running[@]} -gt 0 ]; do reap; done

[ -z "${FUZZ_MINIMISE:-}" ] || for name in "${names[@]}"; do
    corpus=$here/corpus/$name
    rm -rf "small-$name"
    mkdir "small-$name"
    "./fuzz-$name" -set_cover_merge=1 -max_len=384 "small-$name" "$corpus" "found-$name" >>"$name.log" 2>&1
    # What libFuzzer found is named by its hash; what has another name was written by hand and stays.
    find "$corpus" -type f -regextype posix-extended -regex '.*/[0-9a-f]{40}' -delete
    find "small-$name" -type f -exec mv -t "$corpus" {} +
done
