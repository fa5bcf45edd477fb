# SPDX-License-Identifier: MIT
# Tests: one program each, run by CTest as its own process with a time limit.
#
# mbr_test(NAME name SOURCES file... LABELS label... [PROCESSORS n] [TIMEOUT seconds]
#          [WRAP symbol...] [ARGS argument...] [LIBS library...])
#     Builds test_<name> with cmocka and the static library, whose internals it may call (LIBS names
#     others instead, for example demikernel). WRAP f sends calls of f to __wrap_f. Exit code 77
#     means skipped. PROCESSORS 2 for a test in which two processes spin. In its environment,
#     MEMBRANE_BIN_DIR and MEMBRANE_TEST_DIR name the directories of the tools and of the tests.
#     Models for Relacy are .cc files; where C++ is not enabled (tests/CMakeLists.txt) they are left
#     out.
# mbr_test(NAME name OF other ...)
#     Runs the program of another test with other ARGS, LABELS or TIMEOUT: a full variant.
# mbr_multi_test(NAME name SOURCES file... | SCRIPT file ...)
#     The same for a test that starts the built tools: they come first in PATH. SCRIPT is run by sh.
# mbr_test_helper(NAME name SOURCES file... [LIBS library...])
#     A program that tests start, found in MEMBRANE_TEST_DIR.
#
# Labels: the kind (unit conformance multi fault model cli fuzz-regress), then `quick` (part of
# ./dev check --quick), `full` (only in --full), `concurrent` (also run under TSan).

pkg_check_modules(CMOCKA IMPORTED_TARGET cmocka)
if(NOT CMOCKA_FOUND)
    message(STATUS "cmocka not found: no tests are built (Debian: libcmocka-dev)")
endif()

set(MBR_TEST_DIR ${PROJECT_BINARY_DIR}/tests/bin)
# Sanitizers slow a test down; its time limit is there to catch hangs, not slowness.
if(MEMBRANE_SANITIZE OR MEMBRANE_COVERAGE)
    set(MBR_TIMEOUT_FACTOR 4)
else()
    set(MBR_TIMEOUT_FACTOR 1)
endif()

function(mbr_test_helper)
    cmake_parse_arguments(PARSE_ARGV 0 T "" NAME "SOURCES;LIBS")
    if(NOT T_LIBS)
        set(T_LIBS membrane_static)
    endif()
    add_executable(${T_NAME} ${T_SOURCES})
    target_link_libraries(${T_NAME} PRIVATE ${T_LIBS})
    # The linker's plugin would optimise fat objects even without -flto, and then calls inside the
    # library are bound before --wrap sees them.
    target_link_options(${T_NAME} PRIVATE -fno-lto)
    # cmocka hands every test function a state that most do not want; tests pass NULL on purpose.
    target_compile_options(${T_NAME} PRIVATE -Wno-unused-parameter -Wno-nonnull)
    if(MEMBRANE_SANITIZE)
        target_compile_options(${T_NAME} PRIVATE -fno-sanitize=nonnull-attribute)
    endif()
    set_target_properties(${T_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${MBR_TEST_DIR})
endfunction()

function(mbr_test)
    cmake_parse_arguments(PARSE_ARGV 0 T "" "NAME;OF;SCRIPT;PROCESSORS;TIMEOUT"
                          "SOURCES;LABELS;WRAP;ARGS;LIBS")
    if(T_UNPARSED_ARGUMENTS OR NOT T_NAME OR NOT T_LABELS)
        message(FATAL_ERROR "mbr_test ${T_NAME}: wrong arguments: ${T_UNPARSED_ARGUMENTS}")
    endif()
    if(NOT CMOCKA_FOUND OR (T_SOURCES MATCHES "[.]cc" AND NOT CMAKE_CXX_COMPILER_LOADED))
        return()
    endif()

    if(T_SCRIPT)
        cmake_path(ABSOLUTE_PATH T_SCRIPT)
        set(command sh ${T_SCRIPT})
    elseif(T_OF)
        set(command test_${T_OF})
    else()
        set(command test_${T_NAME})
        mbr_test_helper(NAME ${command} SOURCES ${T_SOURCES} LIBS ${T_LIBS})
        target_link_libraries(${command} PRIVATE PkgConfig::CMOCKA)
        list(TRANSFORM T_WRAP PREPEND LINKER:--wrap=)
        target_link_options(${command} PRIVATE ${T_WRAP})
    endif()

    if(NOT T_TIMEOUT)
        set(T_TIMEOUT 60)
    endif()
    if(NOT T_PROCESSORS)
        set(T_PROCESSORS 1)
    endif()
    math(EXPR timeout "${T_TIMEOUT} * ${MBR_TIMEOUT_FACTOR}")
    add_test(NAME ${T_NAME} COMMAND ${command} ${T_ARGS})
    set_tests_properties(${T_NAME} PROPERTIES
        LABELS "${T_LABELS}" TIMEOUT ${timeout} PROCESSORS ${T_PROCESSORS} SKIP_RETURN_CODE 77)
    # cmocka's exit code says nothing of it.
    set_property(TEST ${T_NAME} PROPERTY FAIL_REGULAR_EXPRESSION "FAILED  . GROUP TEARDOWN")
    set_property(TEST ${T_NAME} PROPERTY ENVIRONMENT
        MEMBRANE_BIN_DIR=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}
        MEMBRANE_TEST_DIR=${MBR_TEST_DIR}
        ASAN_OPTIONS=allocator_may_return_null=1:detect_stack_use_after_return=1
        UBSAN_OPTIONS=print_stacktrace=1
        TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1)
endfunction()

function(mbr_multi_test)
    mbr_test(${ARGN})
    cmake_parse_arguments(PARSE_ARGV 0 T "" NAME "")
    if(TEST ${T_NAME})
        set_property(TEST ${T_NAME} PROPERTY ENVIRONMENT_MODIFICATION
            PATH=path_list_prepend:${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
    endif()
endfunction()
