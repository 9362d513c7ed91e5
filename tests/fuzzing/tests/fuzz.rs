//! The targets under libFuzzer, which has `main`. `tests/fuzz` builds it, instrumented, and runs it.

#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzzing::begin(), |input: &[u8]| fuzzing::run(input));
