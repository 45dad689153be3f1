/*
 * A fuzzer is one function that is given any bytes and must survive them.
 *
 * Built two ways: as tests/fuzz/fuzz_NAME with --enable-fuzzers (libFuzzer
 * makes the bytes), and as tests/fuzz/replay_NAME for `make check`, where
 * replay.c gives it the corpus, each file a test.
 */

#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
