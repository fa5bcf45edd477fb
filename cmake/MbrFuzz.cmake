# SPDX-License-Identifier: MIT
# mbr_fuzz(NAME name SOURCES file... [LIBS library...]), for a file in fuzz/ that defines
# LLVMFuzzerTestOneInput
#
# With the preset fuzz, fuzz_<name> is linked with libFuzzer (./dev fuzz runs them). In all other
# builds it is linked with tests/fuzz/replay.c and becomes a test that replays fuzz/corpus/<name>/,
# where every input that once broke something is kept.

function(mbr_fuzz)
    cmake_parse_arguments(PARSE_ARGV 0 T "" NAME "SOURCES;LIBS")
    if(NOT TARGET membrane_static)
        return()
    endif()
    set(target fuzz_${T_NAME})
    add_executable(${target} ${T_SOURCES})
    target_link_libraries(${target} PRIVATE ${T_LIBS} membrane_static)
    if(MEMBRANE_FUZZ)
        target_link_options(${target} PRIVATE -fsanitize=fuzzer)
        return()
    endif()

    target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests/fuzz/replay.c)
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${MBR_TEST_DIR})
    set(corpus ${PROJECT_SOURCE_DIR}/fuzz/corpus/${T_NAME})
    add_test(NAME ${target} COMMAND ${target} ${corpus})
    set_tests_properties(${target} PROPERTIES LABELS "fuzz-regress;quick"
        TIMEOUT 60 SKIP_RETURN_CODE 77)
endfunction()
