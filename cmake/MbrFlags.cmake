# SPDX-License-Identifier: MIT
# Compiler and linker flags of everything built here. What only one target needs stands with it.

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Debug, Release, RelWithDebInfo" FORCE)
endif()

# Warnings are errors in a checkout. A source archive must build with compilers not born yet.
if(NOT DEFINED CMAKE_COMPILE_WARNING_AS_ERROR AND EXISTS ${PROJECT_SOURCE_DIR}/.git)
    set(CMAKE_COMPILE_WARNING_AS_ERROR ON)
endif()

set(MEMBRANE_SANITIZE "" CACHE STRING "Argument of -fsanitize=, for example address,undefined")
option(MEMBRANE_HARDENING "Debian's hardening, as far as the fast path does not pay for it" ON)
option(MEMBRANE_COVERAGE "Instrument for gcovr; adds the target coverage" OFF)
option(MEMBRANE_FUZZ "Link the programs in fuzz/ with libFuzzer (clang)" OFF)
option(MEMBRANE_LTO "Link-time optimisation of the shared libraries (gcc)" OFF)

include_directories(${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
# Defined empty, so that a file which says "#define _GNU_SOURCE" itself does not clash.
add_compile_options($<$<COMPILE_LANGUAGE:C>:-D_GNU_SOURCE=>)

add_compile_options(
    $<$<COMPILE_LANGUAGE:C>:-Wall>
    $<$<COMPILE_LANGUAGE:C>:-Wextra>
    $<$<COMPILE_LANGUAGE:C>:-Wconversion>
    $<$<COMPILE_LANGUAGE:C>:-Wshadow>
    $<$<COMPILE_LANGUAGE:C>:-Wformat=2>
    $<$<COMPILE_LANGUAGE:C>:-Wvla>
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes>)

# -fno-strict-aliasing: decided once, for all. Shared memory has no declared type: one process
# stores words, its peer reads bytes or structs, and a buffer handed to a user carries whatever the
# user puts there. The type rules would make each such access a proof obligation; the compiler
# gains nothing on our fast path, where every access is to an atomic word or a memcpy.
# -fno-delete-null-pointer-checks: a check of an argument stays where it was written, also after
# the pointer has been used or declared nonnull. (gcc still folds the latter: src/CMakeLists.txt.)
add_compile_options(-fno-strict-aliasing -fno-delete-null-pointer-checks)

if(MEMBRANE_SANITIZE)
    add_compile_options(-fsanitize=${MEMBRANE_SANITIZE} -fno-sanitize-recover=all
                        -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${MEMBRANE_SANITIZE})
else()
    # Sanitizer run-times live in the program, so only plain libraries can be checked for holes.
    add_link_options($<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,SHARED_LIBRARY>:LINKER:-z,defs>)
endif()

# Plain -fstack-protector guards functions that hold byte arrays, which the fast path has none of;
# Debian's -strong would also guard every function with an output parameter.
if(MEMBRANE_HARDENING AND NOT MEMBRANE_SANITIZE AND NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector
                        -fstack-clash-protection)
    add_link_options(LINKER:-z,relro LINKER:-z,now
                     $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-pie>)
endif()

if(MEMBRANE_COVERAGE)
    add_compile_options(--coverage -fprofile-update=atomic)
    add_link_options(--coverage)
    add_custom_target(coverage
        COMMAND gcovr --root ${PROJECT_SOURCE_DIR} --filter src/ --filter tools/
                --object-directory ${PROJECT_BINARY_DIR} --exclude-unreachable-branches
                --txt --html-details ${PROJECT_BINARY_DIR}/coverage.html
                --xml ${PROJECT_BINARY_DIR}/coverage.xml
        WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} VERBATIM USES_TERMINAL)
endif()
