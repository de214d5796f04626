# Sums libtest's output with --show-output into "passed failed skipped".
# A test skipped itself when a line of its output begins with "skipped: "; it counts once.
/^---- .* stdout ----$/ { fresh = 1; next }
/^(successes|failures):$/ { fresh = 0; next }
fresh && /^skipped: / { skips++; fresh = 0; next }
/^test result: / {
    for (i = 2; i <= NF; i++) {
        if ($i == "passed;") passed += $(i - 1)
        if ($i == "failed;") failed += $(i - 1)
        if ($i == "ignored;") ignored += $(i - 1)
    }
}
END { print passed - skips, failed + 0, skips + ignored }
