#!/bin/sh
# Runs each fuzz target of the tree for FUZZTIME (default 10s; 5000x: so many inputs).
set -eu
cd "$(dirname "$0")/.."
out=$(mktemp)
trap 'rm -f "$out"' EXIT
for dir in $(grep -rl --include='*_test.go' '^func Fuzz' cmd internal | xargs -n1 dirname | sort -u); do
	for target in $(cat "$dir"/*_test.go | sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p'); do
		echo "fuzz ./$dir $target"
		if go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-10s}" -fuzzminimizetime 20x "./$dir" >"$out" 2>&1; then
			grep '^ok' "$out"
		elif grep -q 'context deadline exceeded' "$out" && ! grep -q 'Failing input' "$out"; then
			echo "the time was over in the middle of an input, which go test takes for a failure: no finding"
		else
			cat "$out"
			exit 1
		fi
	done
done
