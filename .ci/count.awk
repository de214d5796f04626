# Sums libtest's output with --show-output into "passed failed skipped".
# A test that passed counts as skipped when a line of its output begins with "skipped: ".
/^successes:$/ { good = 1 }
/^(failures:|running [0-9]+ tests?)$/ { good = 0; fresh = 0 }
/^---- .* stdout ----$/ { fresh = good; next }
fresh && /^skipped: / { skips++; fresh = 0; next }
/^test result: / {
    for (i = 2; i <= NF; i++) {
        if ($i == "passed;") passed += $(i - 1)
        if ($i == "failed;") failed += $(i - 1)
        if ($i == "ignored;") ignored += $(i - 1)
    }
}
END { print passed - skips, failed + 0, skips + ignored }
